"""The JavaScript module and the Python client tell the same of the same frames."""

import json
import random
import subprocess
from pathlib import Path
from zlib import crc32

import pytest

from gateway.client.ledger import Data, Ledger
from gateway.client.wishes import Wish, requests
from tests.client.programs import tool

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def node():
    return tool("node")


KEYS = ("trade.FPT", "trade.FPTX", "bar.1m.FPT", "foreign.HOSE", "foreign.summary.HOSE")
TOPICS = (*KEYS, "trade.*", "trade.F*", "bar.1m.*", "foreign.*", "foreign.summary.*", "*")
MODES = ("all", "conflate", "skip")


def conversation(seed):
    """Random steps that mostly make sense; numbers are small, so all kinds of things meet."""
    dice = random.Random(seed)
    yield ["connected", "1-2"]
    newest = dict.fromkeys(KEYS, 0)
    payloads = {}
    for _ in range(400):
        key = dice.choice(KEYS)
        ch = KEYS.index(key) + 1
        epoch = dice.choice(["1", "1", "1", "2", "3"])
        match dice.randrange(20):
            case 0:
                yield ["connected", dice.choice(["1-2", "1-2", "1-2-3", "3"])]
            case 1 | 2:
                way = {"mode": dice.choice(MODES), "interval_ms": 0}
                topic = dice.choice(TOPICS)
                entry = {**way, "keys": 2, "replayed": dice.randrange(3)}
                if topic == "*":
                    entry["channels"] = {
                        name: {"mode": dice.choice(MODES)} for name in ("trade", "foreign")
                    }
                    del entry["mode"]
                if topic in KEYS:
                    entry |= {"ch": KEYS.index(topic) + 1, "seq": newest[topic] * dice.randrange(2)}
                if dice.random() < 0.2:
                    entry["names"] = {key: ch}
                yield ["control", {"op": "sub_ok", "topics": {topic: entry}}]
            case 3:
                yield ["control", {"op": "unsub_ok", "topics": dice.sample(TOPICS, 2)}]
            case 4:
                yield ["control", {"op": "heartbeat", "epoch": dice.choice(["1-2", "2-3"])}]
            case 5:
                yield ["control", {"op": "gap", "reason": dice.choice(["bus", "epoch"])}]
            case 6:
                span = [newest[key], newest[key] + 3]
                newest[key] += 3
                yield ["control", {"op": "skip", "rows": 4, "keys": {key: span}, "more": 0}]
            case 7:
                sent = payloads.pop(ch, [b"x"])
                crc = 0
                for payload in sent[dice.randrange(2) :]:
                    crc = crc32(payload, crc)
                end = {"op": "replay_end", "ch": ch, "from": 3, "to": 5, "n": len(sent), "crc": crc}
                yield ["control", end]
            case 8:
                yield ["rewind", dice.sample(TOPICS, 1)]
            case 9:
                yield ["positions"]
            case 10 | 11:
                n = dice.choice([0, 0, newest[key]])
                row = {"price": dice.randrange(9)}
                yield ["data", Data("snap", ch, newest[key], n, row, None, key, epoch)]
            case _:
                newest[key] += dice.choice([-1, 1, 1, 1, 1, 2, 4])
                newest[key] = max(newest[key], 1)
                merged = dice.choice([None, {"count": 2}])
                payload = f"row {newest[key]} của FPT".encode()
                payloads.setdefault(ch, []).append(payload)
                data = Data("d", ch, newest[key], dice.choice([1, 1, 1, 2, 3]), 5, merged)
                yield ["received", data, payload.decode()]
                yield ["data", data]
    yield ["positions"]


def told_by_python(steps):
    ledger = Ledger()
    for verb, *given in steps:
        if verb == "received":
            ledger.received(given[0], given[1].encode())
            yield None
        elif verb == "positions":
            yield [list(item) for item in ledger.positions().items()]
        elif verb == "requests":
            wishes, positions, epochs, size = given
            wanted = {topic: Wish(**wish) for topic, wish in wishes}
            yield list(requests(wanted, dict(positions), epochs, size))
        else:
            yield [list(event) for event in getattr(ledger, verb)(*given) or []]


def told_by_javascript(node, steps):
    lines = [
        json.dumps([part._asdict() if isinstance(part, Data) else part for part in step])
        for step in steps
    ]
    done = subprocess.run(
        [node, str(HERE / "ledger_twin.mjs")],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert not done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def compare(node, steps):
    ours = list(told_by_python(steps))
    for step, python, javascript in zip(steps, ours, told_by_javascript(node, steps), strict=True):
        assert python == javascript, step
    return ours


def test_both_ledgers_say_the_same_of_any_conversation(node):
    steps = [step for seed in range(12) for step in conversation(seed)]
    events = [event for told in compare(node, steps) for event in told or []]
    reasons = {event[-1] for event in events if len(event) == 4}
    assert reasons == {"lost", "resume", "skip", "bus", "epoch"}  # nothing stayed untried


@pytest.mark.parametrize("size", [560, 700, 65_536])
def test_both_ask_for_the_same_after_a_reconnect(node, size):
    wishes = [
        ["trade.*", {"mode": "all"}],
        ["trade.VN30F2108", {"mode": "all"}],
        ["*", {"snapshot": False}],
        *([f"quote.A{i:02}", {"interval_ms": 100}] for i in range(30)),
    ]
    positions = [[f"{c}.A{i:02}", i * 1_000] for i in range(30) for c in ("trade", "quote", "x")]
    steps = [["requests", wishes, positions, "1-2", size]]
    (asked,) = compare(node, steps)
    assert {topic for request in asked for topic in request["topics"]} == {t for t, _ in wishes}
    assert all(len(json.dumps(request, separators=(",", ":"))) <= size for request in asked)
    if size == 65_536:
        assert sum(len(request["since"]["seq"]) for request in asked) == len(positions)


READS = """
import { Layouts, parse, crc32 } from %s;
const [schema, frames] = JSON.parse(await new Response(process.stdin).text());
const layouts = new Layouts(schema, () => "trade");
const plain = (name, value) => typeof value === "bigint" ? `${value}` : value;
for (const hex of frames)
  console.log(JSON.stringify(layouts.read(Uint8Array.from(Buffer.from(hex, "hex")).buffer), plain));
console.log(JSON.stringify(parse('{"now_ns":1626316203000000005,"data":{"recv_ns":-9223372036854775808,'
  + '"exch_ns":null,"text":"\\\\"recv_ns\\\\":12345678901234567890"},"n":5}'), plain));
console.log(crc32(new TextEncoder().encode("khớp lệnh"), 7));
"""


def test_javascript_reads_binary_frames_and_long_numbers_exactly(node):
    np = pytest.importorskip("numpy")
    from gateway.client.layouts import HEADER, Layouts
    from tests.client.fake import SCHEMA

    fields = [
        {"name": "seq", "type": "i8", "offset": 0, "shape": []},
        {"name": "name", "type": "S6", "offset": 8, "shape": []},
        {"name": "grid", "type": "i2", "offset": 14, "shape": [2, 3]},
        {"name": "big", "type": "u8", "offset": 26, "shape": []},
        {"name": "ratio", "type": "f8", "offset": 34, "shape": []},
        {"name": "codes", "type": "S3", "offset": 42, "shape": [2]},
        {"name": "flag", "type": "u1", "offset": 48, "shape": []},
    ]
    schema = {
        **SCHEMA,
        "channels": {"trade": {"code": 1, "layout": {"bytes": 56, "fields": fields}}},
    }
    layouts = Layouts(schema, lambda ch: "trade")
    rows = np.zeros(3, layouts._channels["trade"])
    rows["seq"] = [5, 7, 8]
    rows["name"] = ["FPT", "đồ".encode(), "ABCDEF"]
    rows["grid"] = np.arange(-9, 9).reshape(3, 2, 3)
    rows["big"], rows["ratio"] = 2**64 - 1, [0.5, -1e300, 3]
    rows["codes"], rows["flag"] = ["AB", ""], 255
    key = np.zeros(1, layouts._key)
    key["epoch"], key["topic"] = 2**62 + 1, "trade.FPT"
    frames = [
        HEADER.pack(1, 2, 0, 3, 9, 4) + rows.tobytes(),
        HEADER.pack(1, 1, 1, 1, 9, 6) + key.tobytes() + b"\2" + bytes(7) + rows[:1].tobytes(),
    ]
    module = json.dumps(str(HERE.parents[1] / "gateway" / "client" / "vntape.js"))
    done = subprocess.run(
        [node, "--input-type=module", "-e", READS % module],
        input=json.dumps([schema, [frame.hex() for frame in frames]]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    *theirs, number, crc = [json.loads(line) for line in done.stdout.splitlines()]

    def plain(name, value):
        if isinstance(value, bytes):
            return value.decode()
        if isinstance(value, list):
            return [plain(name, item) for item in value]
        return str(value) if name in ("seq", "big", "count") else value

    def record(row):
        return {name: plain(name, row[name].tolist()) for name in row.dtype.names}

    for frame, read in zip(frames, theirs, strict=True):
        ours = [data._asdict() for data in layouts.read(frame)]
        for data in ours:
            data["row"] = record(data["row"])
            data["merged"] = data["merged"] if data["merged"] is None else record(data["merged"])
        assert read == ours
    assert [data["n"] for data in theirs[0]] == [2, 2, 1]
    assert (theirs[1][0]["epoch"], theirs[1][0]["n"]) == (str(2**62 + 1), 0)
    assert number["now_ns"] == "1626316203000000005"
    assert number["data"]["recv_ns"] == str(-(2**63))
    assert number["data"]["text"] == '"recv_ns":12345678901234567890'
    assert crc == crc32("khớp lệnh".encode(), 7)
