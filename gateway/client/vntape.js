// A client of vntape.v1 without dependencies, for browsers and Node: copy this file and it works.
//
//   import { connect } from "./vntape.js";
//   const client = await connect("ws://127.0.0.1:8765/ws");
//   await client.subscribe(["trade.FPT", "stats.VN30*"]);
//   for await (const update of client) console.log(update.topic, update.seq, update.row);
//
// It reconnects by itself and goes on where it was: every row once, in order, and a word (onGap)
// about each row that was missed. Where there is no global WebSocket (Node 20), pass one:
// connect(url, { WebSocket: (await import("ws")).WebSocket }). Fields that end in `_ns` are BigInt,
// and in binary every 64-bit field is. What things mean is in docs/client-protocol.md.

const EVERY_ROW = new Set(["all", "skip"]); // modes that promise every row
const FINAL = new Set([4000, 4001, 4003, 4009]); // coming back is no use
const AT_ONCE = new Set([1012, 4008, 4010, 4500]);
const UNAUTHORIZED = 4001, UNKNOWN_TOPIC = 4004;
const FIRST_MS = 1000, LONGEST_MS = 30000, STEADY_MS = 5000, ASK_AGAIN_MS = 5000;
const WATCH_MS = 1000, SILENT_HEARTBEATS = 3, HEAD_BYTES = 512;

/** The gateway said no, and asking again would not help. */
export class Refused extends Error {
  constructor(code, message) {
    super(`${code}: ${message}`);
    this.code = code;
  }
}

const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? 0xedb88320 ^ (byte >>> 1) : byte >>> 1;
  return byte;
});

/** CRC-32 of bytes, going on from the CRC of what came before. */
export function crc32(bytes, crc = 0) {
  crc = ~crc;
  for (const byte of bytes) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

const channelOf = (key) => key.slice(0, Math.max(key.lastIndexOf("."), 0));

/** Every topic that would name a key, the most exact first: the first one decides. */
export function namers(key) {
  const channel = channelOf(key), found = [key];
  for (let end = key.length; end > channel.length; end--) found.push(key.slice(0, end) + "*");
  found.push("*");
  return found;
}

const named = (key, topics) => namers(key).find((topic) => topics.has(topic));

/** Which rows are news: every row once, and a word about each one that is missed. */
export class Ledger {
  epochs = "";
  unknownFrames = 0;
  #keys = new Map(); // topic -> what is known of it
  #ofCh = new Map();
  #modes = new Map(); // topic -> mode, or {channel: {mode}}
  #settled = new Set(); // topics all of whose keys with rows were shown
  #resumed = new Set(); // those that an earlier connection settled
  #sums = null; // ch -> [frames, crc], while resuming

  /** Begin a new connection: every key may have missed something. */
  connected(epochs) {
    const now = new Set(epochs.split("-")), before = this.epochs.split("-");
    const other = !before.every((epoch) => now.has(epoch));
    this.epochs = epochs;
    this.#resumed = new Set(this.#settled);
    this.#sums = null;
    for (const key of this.#keys.values()) {
      if (other && key.seq === 0) key.seq = null; // a key without rows has no epoch of its own
      key.away = true;
    }
  }

  /** Take a control message; return what the user is to be told. */
  control(frame) {
    switch (frame.op) {
      case "heartbeat":
        this.epochs = frame.epoch;
        this.#sums = null; // sent when nothing else waits: what was asked for is here
        for (const topic of this.#modes.keys()) this.#settled.add(topic);
        break;
      case "sub_ok": case "set_ok": case "replay_ok":
        for (const [topic, entry] of Object.entries(frame.topics)) this.#granted(topic, entry);
        break;
      case "unsub_ok": this.forget(frame.topics); break;
      case "gap": return frame.reason === "bus" ? [gapOf(null, null, null, "bus")] : [];
      case "skip": return this.#skipped(frame.keys);
      case "replay_end": return frame.crc === undefined ? [] : this.#replayed(frame);
    }
    return [];
  }

  /** Sum up the payloads of what may be a replay. */
  received(frame, payload) {
    if (this.#sums === null || frame.kind !== "d") return;
    const [frames, crc] = this.#sums.get(frame.ch) ?? [0, 0];
    const bytes = typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
    this.#sums.set(frame.ch, [frames + 1, crc32(bytes, crc)]);
  }

  /** Take a row {kind, ch, seq, n, row, merged, topic, epoch}; return what to tell, in order. */
  data(frame) {
    if (frame.kind === "snap") return this.#snap(this.#name(frame.ch, frame.topic), frame);
    const key = this.#ofCh.get(frame.ch);
    if (key !== undefined) return this.#after(key, frame);
    this.unknownFrames++;
    return [gapOf(null, null, null, "lost")];
  }

  /** Leave topics: what no other topic names begins anew when it comes again. */
  forget(topics) {
    for (const topic of topics) {
      this.#modes.delete(topic);
      this.#settled.delete(topic);
    }
    for (const key of this.#keys.values()) if (!named(key.topic, this.#modes)) key.seq = null;
  }

  /** Let the keys of some topics begin anew, at any seq. */
  rewind(topics) {
    this.#resumed.clear();
    const these = new Set(topics);
    for (const key of this.#keys.values()) if (named(key.topic, these)) key.seq = null;
  }

  /** [topic, last seq] of every key that can go on, those that promise every row first. */
  positions() {
    const live = new Set(this.epochs.split("-"));
    const rank = (key) =>
      2 * !EVERY_ROW.has(this.#mode(key)) + (key.channel !== "trade");
    return [...this.#keys.values()]
      .filter((key) => key.seq !== null && (live.has(key.epoch) || key.seq === 0))
      .map((key) => [rank(key), key.topic, key.seq])
      .sort((a, b) => a[0] - b[0])
      .map(([, topic, seq]) => [topic, seq]);
  }

  channelOf(ch) {
    return this.#ofCh.get(ch)?.channel ?? "";
  }

  #name(ch, topic) {
    let key = this.#keys.get(topic);
    if (key === undefined) {
      key = { topic, channel: channelOf(topic), epoch: "", seq: null, away: false, shown: true };
      this.#keys.set(topic, key);
    }
    this.#ofCh.set(ch, key);
    return key;
  }

  #granted(topic, entry) {
    this.#modes.set(topic, entry.channels ?? entry.mode);
    if (entry.ch !== undefined) {
      const key = this.#name(entry.ch, topic);
      if (entry.seq === 0 && key.seq === null) key.seq = 0; // nothing yet: we miss no row of it
    }
    for (const [name, ch] of Object.entries(entry.names ?? {})) this.#name(ch, name);
    if (entry.replayed && this.#sums === null) this.#sums = new Map();
  }

  #mode(key) {
    const ways = this.#modes.get(named(key.topic, this.#modes));
    return typeof ways === "object" ? ways[key.channel]?.mode : ways;
  }

  #snap(key, frame) {
    const known = key.seq, before = frame.seq - frame.n, epoch = key.epoch;
    key.epoch = frame.epoch;
    if (known === null) { // a key that appeared while we were away: its rows were ours to see
      const ours = frame.n === 0 && epoch === "" && named(key.topic, this.#resumed);
      const gaps = ours ? this.#gap(key, 0, before, "resume") : [];
      return [...gaps, this.#update(key, frame, frame.n, frame.merged)];
    }
    if (epoch !== "" && epoch !== frame.epoch) {
      const gap = gapOf(key.topic, 1, before, "epoch");
      return [gap, this.#update(key, frame, frame.n, frame.merged)];
    }
    if (frame.n) return this.#after(key, frame);
    if (frame.seq < known || (frame.seq === known && key.shown)) {
      key.away = false;
      return [];
    }
    return [...this.#gap(key, known, frame.seq), this.#update(key, frame, 0, frame.merged)];
  }

  #after(key, frame) {
    const known = key.seq, before = frame.seq - frame.n;
    if (known !== null && frame.seq <= known) {
      key.away = false;
      return [];
    }
    const gaps = known === null ? [] : this.#gap(key, known, before);
    let n = known === null ? frame.n : frame.seq - Math.max(known, before);
    if (n > 1 && EVERY_ROW.has(this.#mode(key))) {
      gaps.push(...this.#gap(key, frame.seq - n, frame.seq - 1, "bus"));
      n = 1;
    }
    return [...gaps, this.#update(key, frame, n, n === frame.n ? frame.merged : null)];
  }

  #update(key, frame, n, merged) {
    Object.assign(key, { seq: frame.seq, away: false, shown: true });
    const { topic, channel, epoch } = key, { seq, kind, row } = frame;
    return { topic, channel, seq, n, news: n > 0, row, merged: merged ?? null, kind, epoch };
  }

  #gap(key, known, upto, why = key.away ? "resume" : "lost") {
    return upto > known ? [gapOf(key.topic, known + 1, upto, why)] : [];
  }

  #skipped(keys) {
    const told = [];
    for (const [topic, [, last]] of Object.entries(keys)) {
      const key = this.#keys.get(topic);
      if (key === undefined || key.seq === null) continue;
      told.push(...this.#gap(key, key.seq, last, "skip"));
      Object.assign(key, { seq: Math.max(key.seq, last), shown: false }); // a snap follows
    }
    return told;
  }

  #replayed(frame) {
    const key = this.#ofCh.get(frame.ch);
    const [frames, crc] = this.#sums?.get(frame.ch) ?? [0, 0];
    this.#sums?.delete(frame.ch);
    if (key === undefined || (frames === frame.n && crc === frame.crc)) return [];
    return [gapOf(key.topic, frame.from, frame.to, "resume")];
  }
}

function gapOf(topic, first_seq, last_seq, reason) {
  return { gap: true, topic, first_seq, last_seq, reason };
}

/** `sub` requests, without ids, for wishes (Map topic -> {mode, interval_ms, snapshot}). */
export function* requests(wishes, positions, epochs, messageBytes) {
  const room = messageBytes - HEAD_BYTES, size = (name) => JSON.stringify(name).length + 2;
  const at = new Map(), groups = new Map();
  for (const [key, seq] of positions) {
    const topic = named(key, wishes);
    if (topic === undefined) continue;
    if (!at.has(topic)) at.set(topic, []);
    at.get(topic).push([key, seq, size(key) + `${seq}`.length]);
  }
  for (const [topic, wish] of wishes) {
    const name = JSON.stringify(wish);
    if (!groups.has(name)) groups.set(name, { wish, topics: [] });
    groups.get(name).topics.push(topic);
  }
  const request = (wish, topics) => {
    let left = room - topics.reduce((sum, topic) => sum + size(topic), 0);
    const seq = {};
    for (const topic of topics)
      for (const [key, last, bytes] of at.get(topic) ?? [])
        if ((left -= bytes) >= 0) seq[key] = last;
    const since = Object.keys(seq).length ? { since: { epoch: epochs, seq } } : {};
    return { op: "sub", ...wish, topics, ...since };
  };
  for (const { wish, topics } of groups.values()) {
    let part = [], used = 0;
    for (const topic of topics) {
      const keys = (at.get(topic) ?? []).reduce((sum, [, , bytes]) => sum + bytes, 0);
      const bytes = Math.min(size(topic) + keys, room);
      if (part.length && used + bytes > room) {
        yield request(wish, part);
        [part, used] = [[], 0];
      }
      part.push(topic);
      used += bytes;
    }
    if (part.length) yield request(wish, part);
  }
}

// --- binary ---------------------------------------------------------------------------------------

const READERS = {
  i1: ["getInt8", 1], u1: ["getUint8", 1], i2: ["getInt16", 2], u2: ["getUint16", 2],
  i4: ["getInt32", 4], u4: ["getUint32", 4], i8: ["getBigInt64", 8], u8: ["getBigUint64", 8],
  f4: ["getFloat32", 4], f8: ["getFloat64", 8],
};

/** A function (DataView, offset) -> object for a layout of `schema_ok`. */
export function recordReader(layout) {
  const fields = layout.fields.map(({ name, type, offset, shape }) => {
    const one = itemReader(type);
    return [name, shape.reduceRight(([read, size], length) => [
      (view, at) => Array.from({ length }, (_, i) => read(view, at + i * size)), size * length,
    ], one)[0], offset];
  });
  return (view, at) => {
    const row = {};
    for (const [name, read, offset] of fields) row[name] = read(view, at + offset);
    return row;
  };
}

function itemReader(type) {
  if (type[0] === "S") {
    const size = Number(type.slice(1));
    return [(view, at) => {
      let end = size;
      while (end > 0 && view.getUint8(at + end - 1) === 0) end--;
      return new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + at, end));
    }, size];
  }
  const [method, size] = READERS[type];
  return [(view, at) => view[method](at, true), size];
}

/** Reads binary frames as rows for the ledger. */
export class Layouts {
  constructor(schema, channelOfCh) {
    const one = (layout) => ({ bytes: layout.bytes, read: recordReader(layout) });
    this.key = one(schema.key);
    this.merged = one(schema.merged);
    this.channels = new Map(
      Object.entries(schema.channels).map(([name, channel]) => [name, one(channel.layout)]));
    this.channelOfCh = channelOfCh;
  }

  read(buffer) {
    const view = new DataView(buffer);
    const [version, type, flags, count] = [0, 1, 2, 3].map((at) => view.getUint8(at));
    if (version !== 1 || (type !== 1 && type !== 2))
      throw new Error(`a binary frame of version ${version}, type ${type}`);
    const ch = view.getUint32(4, true), first = Number(view.getBigInt64(8, true));
    let at = 16, topic = "", epoch = "", merged = null;
    if (type === 1) {
      const key = this.key.read(view, at);
      [topic, epoch, at] = [key.topic, `${key.epoch}`, at + this.key.bytes];
    }
    if (flags & 1) {
      merged = this.merged.read(view, at);
      at += this.merged.bytes;
    }
    const kind = type === 1 ? "snap" : "d";
    const layout = this.channels.get(topic ? channelOf(topic) : this.channelOfCh(ch));
    if (layout === undefined) return [{ kind: "d", ch, seq: first, n: 1, row: null, merged: null }];
    const found = [];
    for (let i = 0, before = first - 1; i < count; i++, at += layout.bytes) {
      const row = layout.read(view, at), seq = Number(row.seq);
      found.push({ kind, ch, seq, n: seq - before, row, merged, topic, epoch });
      before = seq;
    }
    return found;
  }
}

// --- JSON -----------------------------------------------------------------------------------------

const NANOSECONDS = /"(\w+_ns)":(-?\d+)/g; // inside a text a quote would have a backslash

/** JSON whose `..._ns` are BigInt: a JavaScript number would round them. */
export function parse(text) {
  const frame = JSON.parse(text.replace(NANOSECONDS, '"$1":"$2"'));
  const widen = (object) => {
    for (const name in object)
      if (name.endsWith("_ns") && typeof object[name] === "string") object[name] = BigInt(object[name]);
  };
  widen(frame);
  widen(frame.data);
  for (const row of frame.rows instanceof Array ? frame.rows : []) widen(row.data);
  return frame;
}

// --- the client -----------------------------------------------------------------------------------

/**
 * Connect, and return a Client once the gateway has greeted us.
 * Options: token; format "json" or "bin"; WebSocket (a class); queueMax (updates that may wait for
 * `for await`: beyond it the line is dropped until they are taken); timeoutMs of the first connection.
 */
export async function connect(url, options = {}) {
  const client = new Client(url, options);
  await client.opened;
  return client;
}

export class Client {
  state = { link: "connecting", feed: "unknown", session: {}, reason: "", retryInMs: 0 };
  #options; #url; #ledger = new Ledger(); #wishes = new Map(); #unknown = new Set();
  #socket = null; #up = false; #hello = {}; #lastWord = {}; #error = ""; #failure = null;
  #layouts = null; #schema = ""; #early = []; // binary frames that came before the layouts
  #ids = 1; #answers = new Map(); #requests = 0; #resumes = new Set(); #askedMs = 0;
  #queue = []; #next = 0; #waiters = []; #paused = false; // #next: first of the queue not yet taken
  #failures = 0; #beganMs = 0; #heardMs = 0; #timer = null; #watch = null;
  #callbacks = []; #matching = new Map(); #onGap = []; #onState = []; #onNotice = [];

  constructor(url, options = {}) {
    this.#url = url;
    this.#options = { format: "json", queueMax: 100000, timeoutMs: 30000, random: Math.random,
      WebSocket: globalThis.WebSocket, ...options };
    if (!this.#options.WebSocket) throw new Error("there is no WebSocket here: pass one");
    this.opened = this.#first();
    this.#open();
  }

  // What is wanted.

  /** Subscribe, now and after every reconnect: {topics, refused}. Options mode, interval_ms, snapshot. */
  async subscribe(topics, { mode, interval_ms, snapshot } = {}) {
    const wish = JSON.parse(JSON.stringify({ mode, interval_ms, snapshot })); // what is set
    for (const topic of topics) this.#wishes.set(topic, wish);
    try {
      const frame = await this.request({ op: "sub", topics, ...wish });
      for (const topic of Object.keys(frame.err ?? {})) this.#wishes.delete(topic);
      return { topics: frame.topics, refused: frame.err ?? {} };
    } catch (failure) {
      for (const topic of topics) this.#wishes.delete(topic);
      throw failure;
    }
  }

  /** Leave topics, named as they were subscribed to. */
  async unsubscribe(topics) {
    for (const topic of topics) this.#wishes.delete(topic);
    const frame = await this.request({ op: "unsub", topics });
    return { topics: frame.topics, refused: frame.err ?? {} };
  }

  /** Change how topics are delivered, without a snapshot. */
  async set(topics, { mode, interval_ms } = {}) {
    const frame = await this.request({ op: "set", topics, mode, interval_ms });
    for (const topic of Object.keys(frame.topics))
      this.#wishes.set(topic, { ...this.#wishes.get(topic), mode, interval_ms });
    return { topics: frame.topics, refused: frame.err ?? {} };
  }

  /** Travel in time: the day from `from` ("09:15:00") at `speed`; ends in live subscriptions. */
  async replay(topics, { from, speed = 1 }) {
    this.#ledger.rewind(topics);
    const frame = await this.request({ op: "replay", topics, from, speed });
    for (const topic of Object.keys(frame.topics)) this.#wishes.set(topic, {});
    return { topics: frame.topics, refused: frame.err ?? {} };
  }

  /** Make any request and return its answer; across a reconnect when it has to be. */
  async request(fields) {
    this.#requests++;
    try {
      for (;;) {
        while (!this.#up) {
          if (this.state.link === "closed") throw this.#failure ?? new Error("the client is closed");
          if (this.#paused) this.#open(); // its answer is read, however much waits
          await this.#change();
        }
        const id = this.#ids++;
        const answer = await new Promise((resolve) => {
          this.#answers.set(id, resolve);
          this.#say({ ...fields, id });
        });
        if (answer === null) continue; // the connection ended first
        if (answer.op === "error") throw new Refused(answer.code, answer.message);
        return answer;
      }
    } finally {
      this.#requests--;
    }
  }

  /** End it for good. */
  close() {
    this.#finish(null);
  }

  // What comes.

  /** Call a function with every update that a topic names (`trade.FPT`, `trade.*`, `*`). */
  on(topic, callback) {
    this.#callbacks.push([topic, callback]);
    this.#matching.clear();
    return this;
  }

  /** Call a function when rows were missed: {topic, first_seq, last_seq, reason}. */
  onGap(callback) { this.#onGap.push(callback); return this; }
  /** Call a function when the link or the exchange feed changes its state. */
  onState(callback) { this.#onState.push(callback); return this; }
  /** Call a function with every message that is no data: heartbeat, warn, replay_end ... */
  onNotice(callback) { this.#onNotice.push(callback); return this; }

  /** Live until the client is closed; for those who use callbacks alone. */
  async run() {
    for await (const _ of this);
  }

  async *[Symbol.asyncIterator]() {
    for (;;) {
      while (this.#next < this.#queue.length) {
        const event = this.#queue[this.#next++];
        if (this.#next >= 1024 && 2 * this.#next > this.#queue.length)
          this.#queue.splice(0, this.#next), (this.#next = 0);
        if (this.#paused && 2 * this.#waiting < this.#options.queueMax) this.#open();
        if (event.gap) for (const call of this.#onGap) call(event);
        else yield event;
      }
      if (this.#failure !== null) throw this.#failure;
      if (this.state.link === "closed") return;
      await this.#change();
    }
  }

  get #waiting() { return this.#queue.length - this.#next; }

  #change() { return new Promise((resolve) => this.#waiters.push(resolve)); }

  #wake() { for (const resolve of this.#waiters.splice(0)) resolve(); }

  #event(event) {
    if (!event.gap) {
      let calls = this.#matching.get(event.topic);
      if (calls === undefined) {
        const names = new Set(namers(event.topic));
        calls = this.#callbacks.filter(([topic]) => names.has(topic)).map(([, call]) => call);
        this.#matching.set(event.topic, calls);
      }
      for (const call of calls) call(event);
      if (calls.length) return;
    } else if (!this.#waiting) {
      for (const call of this.#onGap) call(event);
      return;
    }
    this.#queue.push(event); // a gap too: told between the rows it lies between
    this.#wake();
  }

  #tell(link, feed = "unknown", session = {}, reason = "", retryInMs = 0) {
    const state = { link, feed, session, reason, retryInMs };
    if (JSON.stringify(state) !== JSON.stringify(this.state)) {
      this.state = state;
      for (const call of this.#onState) call(state);
    }
    this.#wake();
  }

  // One connection.

  async #first() {
    let late = false;
    const timer = setTimeout(() => { late = true; this.#wake(); }, this.#options.timeoutMs);
    try {
      while (!this.#up && this.state.link !== "closed" && !late) await this.#change();
    } finally {
      clearTimeout(timer);
    }
    if (this.#up) return;
    const failure = this.#failure ?? new Error(`no connection: ${this.state.reason || "no answer"}`);
    this.#finish(null);
    throw failure;
  }

  #open() {
    this.#paused = false;
    clearTimeout(this.#timer);
    [this.#lastWord, this.#error, this.#early, this.#hello] = [{}, "", [], {}];
    this.#beganMs = this.#heardMs = Date.now();
    this.#tell("connecting");
    const { WebSocket, format } = this.#options;
    const socket = new WebSocket(this.#url, [`vntape.v1.${format}`]);
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    const mine = (act) => (event) => {
      if (this.#socket !== socket) return;
      try {
        act(event);
      } catch (failure) {
        this.#finish(failure); // a refusal, or an exception in a callback
      }
    };
    socket.onmessage = mine((event) => this.#read(event.data));
    socket.onerror = mine((event) => { this.#error = event.message ?? ""; });
    socket.onclose = mine((event) => this.#ended(event.code, event.reason));
    const beat = () => {
      const beatMs = this.#hello.heartbeat_ms ?? 10000;
      this.#watch = setTimeout(mine(() => {
        if (Date.now() - this.#heardMs > SILENT_HEARTBEATS * beatMs) this.#ended(1006, "silence");
        else beat();
      }), Math.min(beatMs / 2, WATCH_MS));
    };
    beat();
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    this.#up = false;
    clearTimeout(this.#watch);
    this.#resumes.clear();
    this.#unknown.clear();
    for (const resolve of this.#answers.values()) resolve(null);
    this.#answers.clear();
    if (socket !== null && socket.readyState < 2) socket.close();
  }

  #ended(code, closeReason) {
    this.#drop();
    const word = this.#lastWord.code === code ? this.#lastWord : {};
    const reason = word.message || word.reason || closeReason || this.#error || "cut off";
    if (word.retry ? word.retry === "none" : FINAL.has(code)) throw new Refused(code, reason);
    if (Date.now() - this.#beganMs >= STEADY_MS) this.#failures = 0;
    const atOnce = word.retry ? word.retry === "reconnect" : AT_ONCE.has(code);
    const bound = Math.min(FIRST_MS * 2 ** Math.min(this.#failures, 10), LONGEST_MS);
    const waitMs = atOnce && !this.#failures ? 0 : this.#options.random() * bound; // full jitter
    this.#failures++;
    this.#tell("waiting", "unknown", {}, `${code} ${reason}`, waitMs);
    this.#timer = setTimeout(() => this.#open(), waitMs);
  }

  #finish(failure) {
    if (this.state.link === "closed") return;
    this.#drop();
    clearTimeout(this.#timer);
    this.#failure = failure;
    this.#tell("closed", "unknown", {}, failure?.message ?? "");
  }

  #say(request) { this.#socket?.send(JSON.stringify(request)); }

  #read(message) {
    this.#heardMs = Date.now();
    if (typeof message !== "string") {
      if (this.#layouts === null) this.#early.push(message);
      else this.#rows(this.#layouts.read(message), new Uint8Array(message));
    } else {
      const frame = parse(message);
      if (frame.op === "d" || frame.op === "snap")
        this.#rows([{ ...frame, kind: frame.op, row: frame.data }], message);
      else this.#control(frame);
    }
    if (this.#waiting < this.#options.queueMax || this.#requests || !this.#up) return;
    this.#drop(); // a browser cannot stop reading: leave, and come back to where we were
    this.#paused = true;
    this.#tell("waiting", "unknown", {}, "updates wait to be taken");
  }

  #rows(frames, payload) {
    this.#ledger.received(frames[0], payload);
    for (const frame of frames) for (const event of this.#ledger.data(frame)) this.#event(event);
  }

  #control(frame) {
    for (const event of this.#ledger.control(frame)) this.#event(event);
    for (const call of this.#onNotice) call(frame);
    const resolve = this.#answers.get(frame.id);
    if (resolve !== undefined) {
      this.#answers.delete(frame.id);
      resolve(frame);
      return;
    }
    switch (frame.op) {
      case "hello":
        this.#hello = frame;
        this.#ledger.connected(frame.epoch);
        if (frame.auth !== "required") this.#prepare();
        else if (!this.#options.token) throw new Refused(UNAUTHORIZED, "this gateway wants a token");
        else this.#say({ op: "auth", token: this.#options.token });
        break;
      case "auth_ok": this.#prepare(); break;
      case "schema_ok": this.#learn(frame); break;
      case "error": case "bye": case "shutdown": this.#lastWord = frame; break;
      case "heartbeat": this.#show(frame); this.#askAgain(); break;
      case "sub_ok": this.#refusals(frame); break;
    }
  }

  /** Ask for the layouts of binary frames, unless they are known. */
  #prepare() {
    if (this.#options.format === "json" || this.#schema === this.#hello.schema) this.#subscribe();
    else {
      this.#layouts = null;
      this.#say({ op: "schema" });
    }
  }

  #learn(answer) {
    this.#layouts = new Layouts(answer, (ch) => this.#ledger.channelOf(ch));
    this.#schema = this.#hello.schema;
    for (const message of this.#early.splice(0))
      this.#rows(this.#layouts.read(message), new Uint8Array(message));
    this.#subscribe();
  }

  /** Ask for everything wanted, from where we were; then others may ask. */
  #subscribe() {
    this.#resume(this.#wishes, this.#ledger.positions());
    this.#up = true;
    this.#show(this.#hello);
  }

  #resume(wishes, positions) {
    const bytes = this.#hello.limits?.message_bytes ?? 65536;
    for (const request of requests(wishes, positions, this.#ledger.epochs, bytes)) {
      const id = this.#ids++;
      this.#resumes.add(id);
      this.#say({ ...request, id });
    }
  }

  /** Note what a request of ours was refused: the unknown may be known later. */
  #refusals(answer) {
    if (!this.#resumes.delete(answer.id)) return;
    for (const [topic, code] of Object.entries(answer.err ?? {}))
      if (code === UNKNOWN_TOPIC) this.#unknown.add(topic);
      else this.#wishes.delete(topic);
  }

  #askAgain() {
    const wanted = new Map([...this.#wishes].filter(([topic]) => this.#unknown.has(topic)));
    if (!wanted.size || Date.now() - this.#askedMs < ASK_AGAIN_MS) return;
    this.#askedMs = Date.now();
    this.#unknown.clear();
    this.#resume(wanted, []);
  }

  #show(frame) {
    if (this.#up) this.#tell("up", frame.feed.state, frame.session);
  }
}
