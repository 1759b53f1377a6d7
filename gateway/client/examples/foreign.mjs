// Watch foreign flow (khối ngoại): who is bought and sold, net, in thousand million VND.
//
//   node foreign.mjs ws://127.0.0.1:8765/ws VNM HPG
import { connect } from "../vntape.js";

const [url, ...codes] = process.argv.slice(2);
const WebSocket = globalThis.WebSocket ?? (await import("ws")).WebSocket;
const client = await connect(url, { token: process.env.VNTAPE_TOKEN, WebSocket });

client.on("foreign.*", ({ topic, row }) => { // state: a snapshot counts too
  const [buy, sell] = [row.buy_value_vnd / 1e9, row.sell_value_vnd / 1e9];
  console.log(topic.slice("foreign.".length).padEnd(9), "mua", buy.toFixed(3),
    "bán", sell.toFixed(3), "ròng", (buy - sell).toFixed(3));
});
const topics = (codes.length ? codes : ["*"]).map((code) => `foreign.${code}`);
await client.subscribe(topics, { interval_ms: 500 });
await client.run();
