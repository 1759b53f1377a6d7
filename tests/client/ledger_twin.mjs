// Runs steps, one JSON array per line of stdin, through the JavaScript ledger; prints what it says.
import { createInterface } from "node:readline";
import { Ledger, requests } from "../../gateway/client/vntape.js";

const ledger = new Ledger();
for await (const line of createInterface({ input: process.stdin })) {
  const [verb, ...given] = JSON.parse(line);
  let told = null;
  if (verb === "received") ledger.received(...given);
  else if (verb === "positions") told = ledger.positions();
  else if (verb === "requests") {
    const [wishes, positions, epochs, bytes] = given;
    told = [...requests(new Map(wishes), positions, epochs, bytes)];
  } else {
    const events = ledger[verb](...given) ?? [];
    told = events.map((event) => event.gap
      ? [event.topic, event.first_seq, event.last_seq, event.reason]
      : [event.topic, event.channel, event.seq, event.n, event.news, event.row, event.merged,
         event.kind, event.epoch]);
  }
  console.log(JSON.stringify(told));
}
