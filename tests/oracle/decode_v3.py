"""v3 frames as the official SDK reads them, and a comparison of everything that decodes them.

Frames are written out here from ssi-wire section 8, not taken from the decoder's table.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np

from engine.schema.codes import SlotKind
from engine.schema.slots import rows_over
from tests.oracle.decode_frames import Decoded, OracleOnly, assert_same, golden
from tests.oracle.decode_v3_twin import meaning

GOLDEN_V3 = golden("ssi-v3-golden.jsonl")

RECV_NS = 1_786_693_510 * 1_000_000_000  # 2026-08-14T14:45:10+07:00
_T = "2026/08/14 14:45:03"
_CANDLE = {"st": "2026/08/14 14:45:00", "t": _T, "s": "SSI"}
_OHLC = {"o": 24500.0, "h": 24550.0, "l": 24450.0, "c": 24500.0, "v": 1800}

# topic -> (the topic as sent, its data)
CANONICAL_V3: dict[str, tuple[str, dict[str, Any]]] = {
    "trade": (
        "trade.SSI",
        {
            "t": _T,
            "s": "SSI",
            "p": 24500.0,
            "q": 1800,
            "si": "S",
            "v": 34016200,
            "o": 25000.0,
            "h": 25100.0,
            "l": 24400.0,
            "a": 24642.228,
        },
    ),
    "quote": (
        "quote.SSI",
        {
            "t": _T,
            "s": "SSI",
            "bids": [[24450.0 - 50 * i, 1200 * (i + 1)] for i in range(10)],
            "asks": [[24500.0 + 50 * i, 700 * (i + 1)] for i in range(10)],
        },
    ),
    "room": (
        "room.SSI",
        {
            "t": _T,
            "s": "SSI",
            "tr": 2503089220,
            "cr": 1741403260,
            "bq": 1933300,
            "bv": 47557197950,
            "sq": 1587415,
            "sv": 39195574350,
        },
    ),
    "put": (
        "put.SSI",
        {"t": _T, "s": "SSI", "p": 24600.0, "q": 500000, "tq": 1500000, "tv": 36900000000},
    ),
    "oddlot": (
        "oddlot.SSI",
        {
            "t": _T,
            "s": "SSI",
            "p": 24500.0,
            "q": 37,
            "bids": [[24450.0, 8], [24400.0, 30], [24350.0, 16]],
            "asks": [[24500.0, 32], [24550.0, 48], [24600.0, 97]],
        },
    ),
    "market": (
        "market.SSI",
        {"s": "SSI", "b": "HOSE", "t": _T, "ce": 26750.0, "fl": 23250.0, "ref": 25000.0},
    ),
    "market.flag": ("market.flag", {"b": "HOSE", "t": _T, "f": "ATC"}),
    "trade.index": (
        "trade.index.VN30",
        {
            "s": "VN30",
            "b": "HOSE",
            "ss": "LO",
            "t": _T,
            "v": 1876.81,
            "c": -32.42,
            "cr": -1.7,
            "adv": 7,
            "dec": 20,
            "nc": 3,
            "ce": 1,
            "fl": 2,
            "tmv": 9560237967200,
            "tmq": 265895343,
            "tvp": 1638191691900,
            "tqp": 23259112,
            "tq": 289154455,
            "tv": 11198429659100,
        },
    ),
    "bar": ("trade.SSI@1m", {**_CANDLE, **_OHLC}),
}
TOPICS = tuple(CANONICAL_V3)
HOT = ("trade", "quote")


def frame_v3(topic: str, data: Any, **more: Any) -> bytes:
    """Return one data frame, compact, with raw UTF-8."""
    whole = {"channel": "DATA", "topic": topic, "data": data, **more}
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode()


def v3(kind: str, **changes: Any) -> bytes:
    """Return a canonical frame with some values of its data replaced or added."""
    topic, data = CANONICAL_V3[kind]
    return frame_v3(topic, {**data, **changes})


def without(kind: str, *keys: str) -> bytes:
    """Return a canonical frame that lacks some keys."""
    topic, data = CANONICAL_V3[kind]
    return frame_v3(topic, {key: value for key, value in data.items() if key not in keys})


def meanings(decoded: Decoded) -> list[dict[str, Any]]:
    """Return the decoders' slots in the twin's words; SYMBOL slots only name their symbol."""
    codes: dict[int, str] = {}
    found = []
    rows = rows_over(decoded.slots, len(decoded.slots))
    for i in range(len(decoded.slots)):
        kind = SlotKind(int(decoded.slots[i]["kind"]))
        slot = getattr(rows, kind.name.lower())[i]
        if kind == SlotKind.SYMBOL:
            codes[int(slot["symbol_id"])] = slot["code"].decode()
            continue
        fields = {
            name: slot[name].tolist()
            for name in slot.dtype.names
            if name not in ("symbol_id", "detail") and np.any(slot[name])
        }
        if slot["symbol_id"]:
            fields["code"] = codes[int(slot["symbol_id"])]
        found.append(fields)
    return found


def compare_v3(*frames: bytes, horizon_s: int | None = None, recv_ns: int = RECV_NS) -> Decoded:
    """Assert that scanner, oracle and twin agree, on new symbols and on known ones."""
    scanner = Decoded(protocol="v3", horizon_s=horizon_s)
    oracle = OracleOnly(protocol="v3", horizon_s=horizon_s)
    for _ in range(2):
        before = _account(scanner)
        assert_same(scanner.feed(*frames, recv_ns=recv_ns), oracle.feed(*frames, recv_ns=recv_ns))
        told = [meaning(each, recv_ns + i, horizon_s) for i, each in enumerate(frames)]
        words = Counter(each for each in told if isinstance(each, str))
        assert _account(scanner) - before == words
        _assert_same_messages(scanner, [each for each in told if isinstance(each, dict)])
    scanner.assert_conserved()
    return scanner


def _account(decoded: Decoded) -> Counter[str]:
    """Return what the counters say of frames that became no slot."""
    others = {name[:-1]: decoded.count(name) for name in ("keepalives", "hub_errors")}
    return Counter({**decoded.rejected, **others})


def _assert_same_messages(decoded: Decoded, expected: list[dict[str, Any]]) -> None:
    """Compare the newest slots with the twin; venues the message does not name are the table's."""
    found = meanings(decoded)
    for mine, theirs in zip(expected, found[len(found) - len(expected) :], strict=True):
        if "venue" not in mine:
            theirs.pop("venue", None)
        assert mine == theirs
