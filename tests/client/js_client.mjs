// The JavaScript client as a program: node js_client.mjs URL OPTIONS TOPIC... Prints JSON lines.
import { connect } from "../../gateway/client/vntape.js";

const [url, options, ...topics] = process.argv.slice(2);
const { slow, ...rest } = JSON.parse(options);
const plain = (_, value) => (typeof value === "bigint" ? `${value}` : value);
const tell = (what) => console.log(JSON.stringify(what, plain));

try {
  const client = await connect(url, { random: () => 0, ...rest });
  client.onGap((gap) => tell(gap));
  client.onState((state) => tell({ state }));
  tell(await client.subscribe(topics));
  if (slow) await new Promise((resolve) => process.stdin.on("data", resolve));
  for await (const update of client) tell(update);
} catch (failure) {
  tell({ failed: failure.message, code: failure.code });
  process.exit(1);
}
