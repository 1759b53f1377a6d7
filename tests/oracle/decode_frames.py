"""Frames as SSI sends them, and two decoders to compare: scanner with oracle, and oracle alone.

The records are written out here from ssi-wire sections 3.1 to 3.8, not taken from the decoder's
field table.
"""

from __future__ import annotations

import json
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from engine.decode.dates import NO_HORIZON_S
from engine.decode.decoder import PROTOCOLS, Decoder
from engine.decode.frames import FrameBatch
from engine.decode.symbols import SymbolTable, format_symbols, symbols_bytes
from engine.schema.codes import (
    FeedSession,
    Instrument,
    Reject,
    Side,
    SlotKind,
    SourceType,
    TradingStatus,
    Venue,
)
from engine.schema.counters import INGEST_COUNTERS
from engine.schema.slots import HEAD_FIELDS, SLOT, rows_over


def golden(name: str) -> list[dict[str, Any]]:
    """Return the frames kept in tests/data."""
    lines = (Path(__file__).parent.parent / "data" / name).read_text().splitlines()
    return [json.loads(line) for line in lines]


GOLDEN = golden("ssi-golden.jsonl")

Record = dict[str, Any]


def _levels(prefix: str, count: int, price: float, step: float, volume: float) -> Record:
    return {f"{prefix}Price{i + 1}": price + step * i for i in range(count)} | {
        f"{prefix}Vol{i + 1}": volume * (i + 1) for i in range(count)
    }


_LIMITS = {"Ceiling": 26750.0, "Floor": 23250.0, "RefPrice": 25000.0}
_LAST = {
    "LastPrice": 24500.0,
    "LastVol": 1800.0,
    "TotalVal": 838234940000.0,
    "TotalVol": 34016200.0,
}
_STAMP = {"TradingDate": "14/08/2026", "Time": "14:45:00"}
_END = {
    "MarketId": "HOSE",
    "Exchange": "HOSE",
    "TradingSession": "C",
    "TradingStatus": "N",
    "Change": -500.0,
    "RatioChange": -2.0,
    "EstMatchedPrice": 24500.0,
}

# One canonical record per type, every key in wire order.
CANONICAL: dict[str, Record] = {
    "F": {
        "RType": "F",
        "MarketId": "HOSE",
        **_STAMP,
        "Symbol": "SSI",
        "TradingSession": "C",
        "TradingStatus": "N",
        "Exchange": "HOSE",
        "TradingOlSession": "",
    },
    "X": {
        "RType": "X",
        **_STAMP,
        "Isin": "SSI",
        "Symbol": "SSI",
        **_LIMITS,
        "Open": 25000.0,
        "High": 25100.0,
        "Low": 24400.0,
        "Close": 24500.0,
        "AvgPrice": 24642.228,
        "PriorVal": 25000.0,
        **_LAST,
        **_levels("Bid", 10, 24450.0, -50.0, 1200.0),
        **_levels("Ask", 10, 24500.0, 50.0, 700.0),
        **_END,
        "Side": None,
        "CloseQtty": 0.0,
    },
    "X-QUOTE": {
        **_STAMP,
        "Exchange": "HOSE",
        "Symbol": "SSI",
        "RType": "X-QUOTE",
        **_levels("Ask", 10, 24500.0, 50.0, 700.0),
        **_levels("Bid", 10, 24450.0, -50.0, 1200.0),
        "TradingSession": "LO",
    },
    "X-TRADE": {
        "RType": "X-TRADE",
        **_STAMP,
        "Isin": "SSI",
        "Symbol": "SSI",
        **_LIMITS,
        "AvgPrice": 24642.228,
        "PriorVal": 25000.0,
        **_LAST,
        **_END,
        "Highest": 24950,
        "Lowest": 24300,
        "Side": "SD",
    },
    "R": {
        "RType": "R",
        **_STAMP,
        "Isin": "SSI",
        "Symbol": "SSI",
        "TotalRoom": 2503089220.0,
        "CurrentRoom": 1741403260.0,
        "BuyVol": 1933300.0,
        "SellVol": 1587415.0,
        "BuyVal": 47557197950.0,
        "SellVal": 39195574350.0,
        "MarketId": "HOSE",
        "Exchange": "HOSE",
    },
    "MI": {
        "IndexId": "VN30",
        "IndexValEst": 1877.3,
        "IndexValue": 1876.81,
        "PriorIndexValue": 1909.23,
        **_STAMP,
        "TotalTrade": 0.0,
        "TotalQtty": 265895343.0,
        "TotalValue": 9560237967200.0,
        "IndexName": "VN30",
        "Advances": 7,
        "NoChanges": 3,
        "Declines": 20,
        "Ceilings": 1,
        "Floors": 2,
        "Change": -32.42,
        "RatioChange": -1.7,
        "TotalQttyPt": 23259112.0,
        "TotalValuePt": 1638191691900.0,
        "Exchange": "HOSE",
        "AllQty": 289154455.0,
        "AllValue": 11198429659100.0,
        "IndexType": "",
        "TradingSession": "LO",
        "MarketId": None,
        "RType": "MI",
        "TotalQttyOd": 12.0,
        "TotalValueOd": 340000.0,
    },
    "B": {
        "RType": "B",
        **_STAMP,
        "Symbol": "SSI",
        "Open": 24500.0,
        "High": 24550.0,
        "Low": 24450.0,
        "Close": 24500.0,
        "Volume": 1800.0,
        "Value": 0.0,
    },
    "OL": {
        "RType": "OL",
        **_STAMP,
        "StockNo": 2027,
        "Symbol": "MBB",
        "Ceiling": 24200,
        "Floor": 21100,
        "RefPrice": 22650,
        "Open": 22650,
        "High": 22950,
        "Low": 22600,
        "LastPrice": 22750,
        "LastVol": 93,
        "TotalVal": 185028289999.99728,
        "TotalVol": 8135000,
        "BidPrice1": 22700,
        "BidPrice2": 22650,
        "BidPrice3": 22600,
        "BidVol1": 8,
        "BidVol2": 30,
        "BidVol3": 16,
        "AskPrice1": 22750,
        "AskPrice2": 22800,
        "AskPrice3": 22850,
        "AskVol1": 32,
        "AskVol2": 48,
        "AskVol3": 97,
        "Exchange": "HOSE",
        "TradingSession": "LO",
        "TradingStatus": "N",
        "Change": 100,
        "RatioChange": 0.44,
        "StockType": "Stock",
    },
}
TYPES = tuple(CANONICAL)


def text(value: Any) -> str:
    """Return compact JSON with raw UTF-8, as the feed's serialiser writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def record(kind: str, **changes: Any) -> Record:
    """Return a canonical record with some values replaced; keys it lacks come last."""
    return {**CANONICAL[kind], **changes}


def envelope(kind: str, content: Any) -> str:
    """Return layer two: DataType and Content, the latter as text."""
    return text(
        {"DataType": kind, "Content": content if isinstance(content, str) else text(content)}
    )


def hub(*envelopes: Any) -> bytes:
    """Return one SignalR frame that broadcasts these strings."""
    return text(
        {
            "C": "d-8F1AB453-B,0|C,0|D,1|E,0",
            "M": [{"H": "FcMarketDataV2Hub", "M": "Broadcast", "A": [each]} for each in envelopes],
        }
    ).encode()


def frame(kind: str, **changes: Any) -> bytes:
    """Return a frame with one canonical message, some of its values replaced."""
    return hub(envelope(kind, record(kind, **changes)))


def new_symbols(capacity: int = 64) -> SymbolTable:
    """Return an empty table in private memory."""
    memory = np.zeros(symbols_bytes(capacity), np.uint8)
    format_symbols(memory, capacity)
    return SymbolTable(memory, lambda _code, _instrument: 0)


class Decoded:
    """A decoder, everything it was given and everything it made of it."""

    def __init__(
        self, symbols_capacity: int = 64, protocol: str = "v2", horizon_s: int | None = None
    ) -> None:
        self.symbols = new_symbols(symbols_capacity)
        self.counters = np.zeros(1, INGEST_COUNTERS)
        self.protocol, self.horizon_s = protocol, horizon_s
        self.decoder = Decoder(self.symbols, self.counters, protocol, horizon_s)
        self.slots = np.zeros(0, SLOT)

    def feed(
        self,
        *frames: bytes,
        recv_ns: int = 1_000,
        out_slots: int = 65_536,
        oracle_max: int | None = None,
    ) -> Decoded:
        """Decode frames as one batch whose memory ends where the last frame ends."""
        batch = FrameBatch(sum(len(each) for each in frames), len(frames))
        for i, each in enumerate(frames):
            assert batch.append(each, recv_ns + i)
        out = np.zeros(out_slots, SLOT)
        at = 0
        while at < batch.count:
            before = at
            at, count = self.decoder.decode(batch, at, out, oracle_max)
            assert at > before or count
            self.slots = np.concatenate([self.slots, out[:count]])
        return self

    def count(self, name: str) -> int:
        return int(self.counters[name][0])

    @property
    def rejected(self) -> dict[str, int]:
        return {
            reason.name: int(n)
            for reason, n in zip(Reject, self.counters["rejected"][0], strict=True)
            if n
        }

    @property
    def decoded_messages(self) -> int:
        """Data messages among the slots: a SYMBOL is none, an X's QUOTE belongs to its TRADE."""
        kinds, from_x = self.slots["kind"], self.slots["source_type"] == SourceType.X
        second = (kinds == SlotKind.QUOTE) & from_x
        return int(((kinds != SlotKind.SYMBOL) & ~second).sum())

    def assert_conserved(self) -> None:
        assert self.count("messages") == self.decoded_messages + sum(self.rejected.values())
        assert self.count("slots") == len(self.slots)


class OracleOnly(Decoded):
    """The same, every frame through the oracle."""

    def feed(
        self,
        *frames: bytes,
        recv_ns: int = 1_000,
        out_slots: int = 65_536,
        oracle_max: int | None = None,
    ) -> OracleOnly:
        horizon_s = NO_HORIZON_S if self.horizon_s is None else self.horizon_s
        oracle = PROTOCOLS[self.protocol][1](self.symbols, horizon_s)
        out = np.zeros(out_slots, SLOT)
        for i, each in enumerate(frames):
            outcome = oracle.decode(each, recv_ns + i, out, 0)
            for name in ("messages", "keepalives", "hub_errors"):
                self.counters[name] += getattr(outcome, name)
            self.counters["slots"] += outcome.slot_count
            for reason in outcome.rejected:
                self.counters["rejected"][0][reason] += 1
            self.slots = np.concatenate([self.slots, out[: outcome.slot_count]])
        return self


def assert_same(one: Decoded, other: Decoded) -> None:
    """The same slots to the byte, and the same account of the rest."""
    assert one.slots.tobytes() == other.slots.tobytes(), (
        f"{render(one.slots)}\n--- differs from ---\n{render(other.slots)}"
    )
    assert one.rejected == other.rejected
    for name in ("messages", "slots", "keepalives", "hub_errors"):
        assert one.count(name) == other.count(name), name


def assert_no_message(decoded: Decoded, keepalives: int, hub_errors: int) -> None:
    """Nothing was decoded or refused, but so many frames of other kinds were counted."""
    assert decoded.count("messages") == 0
    assert decoded.count("keepalives") == keepalives
    assert decoded.count("hub_errors") == hub_errors
    assert not decoded.rejected


def assert_batching_is_invisible(
    frames: list[bytes],
    sizes: list[int],
    *,
    protocol: str = "v2",
    recv_ns: int = 1_000,
    out_slots: int = 65_536,
    oracle_max: int | None = None,
) -> None:
    """The same slots and counters, whether frames come as one batch or as many of these sizes."""
    whole = Decoded(protocol=protocol).feed(*frames, recv_ns=recv_ns)
    cut, at, turns = Decoded(protocol=protocol), 0, cycle(sizes)
    while at < len(frames):
        batch = frames[at : at + next(turns)]
        cut.feed(*batch, recv_ns=recv_ns + at, out_slots=out_slots, oracle_max=oracle_max)
        at += len(batch)
    assert cut.slots.tobytes() == whole.slots.tobytes()
    assert cut.counters.tobytes() == whole.counters.tobytes()
    whole.assert_conserved()


def assert_neighbours_do_not_matter(
    warm: list[bytes],
    frames: list[bytes],
    *,
    protocol: str = "v2",
    recv_ns: int = 1_000,
) -> None:
    """Frames that lie side by side in a batch decode as the oracle, frame by frame, says."""
    together, apart = Decoded(protocol=protocol), OracleOnly(protocol=protocol)
    for each in (together, apart):
        each.feed(*warm, recv_ns=recv_ns).feed(*frames, recv_ns=recv_ns)
    assert_same(together, apart)


def compare(
    *frames: bytes, protocol: str = "v2", horizon_s: int | None = None, recv_ns: int = 1_000
) -> Decoded:
    """Decode with both, twice over (new symbols, then known ones); return the scanner's side."""
    scanner = Decoded(protocol=protocol, horizon_s=horizon_s)
    oracle = OracleOnly(protocol=protocol, horizon_s=horizon_s)
    for _ in range(2):
        assert_same(scanner.feed(*frames, recv_ns=recv_ns), oracle.feed(*frames, recv_ns=recv_ns))
    scanner.assert_conserved()
    return scanner


_HEAD_NAMES = {name for name, *_ in HEAD_FIELDS}


def render(slots: np.ndarray) -> str:
    """Return slots as the text of tests/decode/golden.txt."""
    lines = []
    codes: dict[int, str] = {0: "-"}
    rows = rows_over(slots, len(slots))
    for i in range(len(slots)):
        kind = SlotKind(int(slots[i]["kind"]))
        slot = getattr(rows, kind.name.lower())[i]
        if kind == SlotKind.SYMBOL:
            codes[int(slot["symbol_id"])] = slot["code"].decode()
        stamp = np.datetime64(int(slot["exch_s"]) + 7 * 3600, "s")
        lines.append(
            f"{kind.name} {codes[int(slot['symbol_id'])]} {Venue(slot['venue']).name} "
            f"{stamp} session={FeedSession(slot['session']).name} "
            f"status={TradingStatus(slot['status']).name} side={Side(slot['side']).name}"
        )
        line = " "
        for name in slot.dtype.names:
            if name in _HEAD_NAMES or name.startswith("reserved"):
                continue
            word = f"{name}={_text_of(name, slot[name])}"
            if word.endswith(("=0", "=", "=NONE")):
                continue
            if len(line) + 1 + len(word) > 100:
                lines.append(line)
                line = " "
            line += " " + word
        if line.strip():
            lines.append(line)
    return "\n".join(lines)


def _text_of(name: str, value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode()
    if name == "instrument":
        return Instrument(value).name
    if name == "odd_lot_session":
        return FeedSession(value).name
    return ",".join(str(each) for each in np.trim_zeros(np.atleast_1d(value), "b"))
