// Node's `ws` as a peer: by itself, and as the socket of our module. Prints JSON lines.
// Usage: node ws_client.mjs FOLDER_OF_WS URL raw|json|bin TOPIC...
import { createRequire } from "node:module";
import { connect } from "../../gateway/client/vntape.js";

const [folder, url, way, ...topics] = process.argv.slice(2);
const { WebSocket } = createRequire(`${folder}/`)("ws");
const plain = (_, value) => (typeof value === "bigint" ? `${value}` : value);
const tell = (what) => console.log(JSON.stringify(what, plain));

if (way === "raw") {
  const socket = new WebSocket(url, ["vntape.v1.json"], { perMessageDeflate: true });
  socket.on("open", () => tell({ protocol: socket.protocol, extensions: socket.extensions }));
  socket.on("message", (data) => {
    console.log(data.toString());
    if (JSON.parse(data).op === "hello") {
      socket.ping("are you there");
      socket.send(JSON.stringify({ op: "sub", id: 1, topics }));
    }
  });
  socket.on("pong", (data) => tell({ pong: data.toString() }));
  socket.on("close", (code, reason) => tell({ closed: code, reason: reason.toString() }));
} else {
  const client = await connect(url, { format: way, WebSocket });
  client.onGap((gap) => tell({ gap }));
  client.onState(({ link }) => tell({ link }));
  tell(await client.subscribe(topics));
  for await (const update of client) tell(update);
}
