// Print the tape: every match of some symbols, and a word about each that was missed.
//
//   node tape.mjs ws://127.0.0.1:8765/ws FPT HPG 'VN30F*'
//
// The token, if the gateway wants one, is read from VNTAPE_TOKEN. Node 22 has a WebSocket; before
// it, `npm install ws`.
import { connect } from "../vntape.js";

const SIDES = { BUY: "mua", SELL: "bán" };
const [url, ...codes] = process.argv.slice(2);
const WebSocket = globalThis.WebSocket ?? (await import("ws")).WebSocket;
const client = await connect(url, { token: process.env.VNTAPE_TOKEN, WebSocket });

client.onGap((gap) => console.log(
  `*** ${gap.topic ?? "some"}: rows ${gap.first_seq} to ${gap.last_seq} missed (${gap.reason})`));
client.onState((state) => console.error(`*** link ${state.link}, feed ${state.feed}`));
const topics = (codes.length ? codes : ["*"]).map((code) => `trade.${code}`);
const { refused } = await client.subscribe(topics);
for (const [topic, code] of Object.entries(refused)) console.error(`*** ${topic}: ${code}`);

for await (const { topic, news, row } of client)
  if (news) // a state that was asked for is no match
    console.log(row.exch_time, topic.slice("trade.".length), row.price, "x", row.volume_shares,
      SIDES[row.side] ?? "");
