"""Binary frames written the slow way, and a golden file that shows them field by field.

``python -m tests.gateway.binary_gallery`` renews it; look at what changed before you do.
"""

import struct
from pathlib import Path

import numpy as np

from engine.schema import channels as ch
from gateway.binary import HEADER, KEY, MERGED, BinaryCodec
from gateway.directory import Directory
from gateway.encode import REQUESTED
from gateway.merge import Merged
from tests.gateway.gallery import a_market, alerts, first_rows

GOLDEN = Path(__file__).parent / "golden" / "binary.txt"
SUMS = ("volume", "value", "buy", "sell", "missed")


def websocket(payload):
    """A server's binary frame (RFC 6455 section 5.2)."""
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", 0x82, size) + payload
    if size < 65_536:
        return struct.pack("!BBH", 0x82, 126, size) + payload
    return struct.pack("!BBQ", 0x82, 127, size) + payload


def plain_payload(channel, code_of, row, prev, epoch="", sums=None):
    """One row with struct.pack. `sums`: the nine numbers of MERGED, or None."""
    seq, symbol_id = int(row["seq"]), int(row["symbol_id"])
    snap = prev in (0, REQUESTED)
    n = 0 if prev == REQUESTED else seq - prev
    told = sums is not None and n > 0
    ch_number = channel.code << 20 | symbol_id
    payload = struct.pack("<BBBBIq", 1, 1 if snap else 2, told, 1, ch_number, seq - n + 1)
    if snap:
        topic = f"{channel.name}.{code_of(symbol_id)}"
        payload += struct.pack("<q56s", int(epoch), topic.encode())
    if told:
        payload += struct.pack("<9q", *(sums if sums[0] else [0] * 9))
    return payload + row.tobytes()


def sums_of(merged, i):
    """The nine numbers of one symbol, in the order of MERGED."""
    head = (merged.count, merged.open_e2, merged.high_e2, merged.low_e2)
    return [int(values[i]) for values in (*head, *(merged.sums[name] for name in SUMS))]


# --- the golden file ------------------------------------------------------------------------------


def golden_cases():
    """Title, channel, row, what the receiver had, aggregates."""
    market = a_market()
    first, second, future, quote, *_ = first_rows(market)
    for what, (channel, row, prev) in (
        ("the first frame of a key, news of one trade", first),
        ("the next trade", second),
        ("a state that was asked for, no news", future),
        ("a quote", quote),
    ):
        yield what, channel, row, prev, None
    merged = Merged(64)
    rows = np.array([market.trade("FPT", 2_530_000, 500), market.trade("FPT", 2_520_000, 300)])
    merged.add_trades(rows)
    part = merged.take(np.array([market.ids["FPT"]]))
    yield "two trades in one frame", ch.TRADE, rows[1], 2, part
    channel, row, prev = next(alerts(market))
    yield "an alert", channel, row, prev, None


def golden_frames():
    """Titles and whole WebSocket frames, by the codec."""
    market = a_market()
    directory = Directory(64)
    directory.learn(market.latest["symbol"][1 : len(market.ids) + 1])
    for title, channel, row, prev, merged in golden_cases():
        rows = np.array([row], channel.dtype)
        encoded = BinaryCodec(channel, directory).encode(
            rows, np.array([prev]), [str(market.epoch)], merged
        )
        yield title, channel, encoded.select(None)


def explained(frame, channel):
    """Lines of hexadecimal digits, each with what it means."""
    head = 2 if frame[1] < 126 else 4
    yield frame[:head], f"WebSocket: binary, {len(frame) - head} bytes"
    header = np.frombuffer(frame, HEADER, 1, head)[0]
    parts = [("header", HEADER)]
    parts += [("key", KEY)] if header["type"] == 1 else []
    parts += [("merged", MERGED)] if header["flags"] & 1 else []
    at = head
    for part, dtype in (*parts, ("row", channel.dtype)):
        values = np.frombuffer(frame, dtype, 1, at)[0]
        for name, (field, offset, *_) in dtype.fields.items():
            begin = at + offset
            yield frame[begin : begin + field.itemsize], f"{part}.{name} {values[name].tolist()}"
        at += dtype.itemsize


def golden_text():
    lines = []
    for title, channel, frame in golden_frames():
        lines.append(f"# {channel.name}, {title}")
        lines += [f"{data.hex():<34} # {meaning}" for data, meaning in explained(frame, channel)]
        lines.append("")
    return "\n".join(lines)


def frames_of(text):
    """Read a golden file: titles and bytes; everything behind a # is for people."""
    for part in text.split("\n\n"):
        title, *lines = part.strip().splitlines()
        yield title, bytes.fromhex("".join(line.partition("#")[0] for line in lines))


if __name__ == "__main__":
    GOLDEN.write_text(golden_text(), encoding="utf-8")
