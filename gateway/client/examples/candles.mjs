// One-minute candles from conflated trades, in binary: few frames, no match lost. Matches that are
// merged over the turn of a minute all count in the later one.
//
//   node candles.mjs ws://127.0.0.1:8765/ws FPT
//
// 64-bit fields of binary rows are BigInt; prices are hundredths.
import { connect } from "../vntape.js";

const [url, ...codes] = process.argv.slice(2);
const WebSocket = globalThis.WebSocket ?? (await import("ws")).WebSocket;
const client = await connect(url, { token: process.env.VNTAPE_TOKEN, format: "bin", WebSocket });
const candles = new Map();

client.on("trade.*", ({ topic, n, news, row, merged }) => {
  if (!news) return;
  const price = row.price_e2, minute = Math.floor(row.exch_s / 60);
  const [open, high, low, volume, count] = merged === null
    ? [price, price, price, row.volume_shares, 1]
    : [Number(merged.open_e2), Number(merged.high_e2), Number(merged.low_e2),
       merged.volume_shares, Number(merged.count)];
  let candle = candles.get(topic);
  if (candle?.minute !== minute) {
    if (candle) show(topic, candle);
    candle = { minute, open, high, low, volume: 0n, whole: true };
    candles.set(topic, candle);
  }
  candle.high = Math.max(candle.high, high);
  candle.low = Math.min(candle.low, low);
  candle.close = price;
  candle.volume += volume;
  candle.whole &&= count === n;
});
client.onGap((gap) => {
  for (const [topic, candle] of candles)
    if (gap.topic === null || gap.topic === topic) candle.whole = false;
});

function show(topic, { minute, open, high, low, close, volume, whole }) {
  const time = new Date((minute * 60 + 7 * 3600) * 1000).toISOString().slice(11, 16);
  const prices = [open, high, low, close].map((price) => price / 100).join(" ");
  const name = topic.slice("trade.".length).padEnd(9);
  console.log(`${time} ${name} ${prices} x ${volume}${whole ? "" : "  (not whole)"}`);
}

const topics = (codes.length ? codes : ["*"]).map((code) => `trade.${code}`);
await client.subscribe(topics, { mode: "conflate", interval_ms: 200 });
await client.run();
