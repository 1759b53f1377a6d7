"""How fast raw frames become slots, on one core, against orjson in the same run.

Frames lie in memory: one hub message each, X-QUOTE and X-TRADE three to one (1.1 kB on average),
400 symbols, every price and volume drawn from a seed, three levels a side as HOSE sends them. Three
ways to the same slots, checked to be the same to the byte:

    scanner         Decoder over a batch of up to 1 MiB, filled anew for every decode as ingest
                    fills it; only the decoding is timed
    oracle          engine.decode.oracle, frame by frame: careful, with Decimal
    orjson_lean     orjson three times, floats, struct.pack: the fastest honest Python found

and, for comparison, ``orjson_dicts``: orjson three times and the record thrown away. Also the
scanner on ten-level books (HNX, UPCOM, futures), on X, on frames of ten messages, and
``scanner_from_memory``: the same frames packed long before, so that they come from memory instead
of a cache. Under ``v3`` the same market as v3 would tell it, three ways likewise.

    python -m bench.bench_decode [--small] [--json PATH]
"""

import hashlib
import json
import random
import statistics
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from bench import v3_frames
from bench.cli import Size, main
from engine.clock import ICT_OFFSET_S
from engine.decode.decoder import OUT_SLOTS_MIN, PROTOCOLS, Decoder
from engine.decode.frames import FRAME_BYTES_MAX, FrameBatch
from engine.decode.symbols import SymbolTable, format_symbols, symbols_bytes
from engine.schema.codes import FeedSession, Side, SlotKind, SourceType, TradingStatus, Venue
from engine.schema.counters import INGEST_COUNTERS
from engine.schema.slots import LEVEL_COUNT, SLOT, SLOT_BYTES

FLOOR_FRAMES_PER_S = 2_000_000
SEED = 20210715
DAY = "14/08/2026"
MIDNIGHT_S = 1_786_665_600 - ICT_OFFSET_S

SIZES: dict[str, dict[str, int]] = {
    "small": {"frames": 300, "rounds": 3, "oracle_frames": 300, "oracle_rounds": 1},
    # 15 MB of frames: no branch predictor learns them by heart
    "full": {"frames": 14_000, "rounds": 25, "oracle_frames": 3_000, "oracle_rounds": 5},
}

Message = tuple[str, dict[str, Any]]


class Tape:
    """Draws messages as SSI writes them (ssi-wire sections 3.2 to 3.4)."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        letters = "ABCDEFGHIKLMNPQRSTVX"
        self.codes = sorted({"".join(self._draw.choices(letters, k=3)) for _ in range(420)})[:400]
        self._second = 33_300.0  # 09:15

    def _stamp(self) -> dict[str, Any]:
        self._second = min(self._second + 0.004, 53_000)
        hours, rest = divmod(int(self._second), 3600)
        return {"TradingDate": DAY, "Time": f"{hours:02}:{rest // 60:02}:{rest % 60:02}"}

    def _book(self, side: str, price: int, step: int, levels: int) -> dict[str, Any]:
        draw = self._draw
        shown = range(1, LEVEL_COUNT + 1)
        return {
            f"{side}Price{i}": float(price + step * (i - 1)) if i <= levels else 0.0 for i in shown
        } | {
            f"{side}Vol{i}": draw.randint(1, 10 ** draw.randint(1, 4)) * 100.0
            if i <= levels
            else 0.0
            for i in shown
        }

    def quote(self, levels: int = 3) -> Message:
        """Draw one X-QUOTE."""
        price = self._draw.randint(100, 1_800) * 50
        return "X-QUOTE", {
            **self._stamp(),
            "Exchange": "HOSE",
            "Symbol": self._code(),
            "RType": "X-QUOTE",
            **self._book("Ask", price + 50, 50, levels),
            **self._book("Bid", price, -50, levels),
            "TradingSession": "LO",
        }

    def trade(self) -> Message:
        """Draw one X-TRADE."""
        draw, code = self._draw, self._code()
        reference = draw.randint(100, 1_800) * 50
        last = reference + draw.randint(-6, 6) * 50
        total = draw.randint(1, 400_000) * 100
        return "X-TRADE", {
            "RType": "X-TRADE",
            **self._stamp(),
            "Isin": code,
            "Symbol": code,
            "Ceiling": reference * 1.07 // 50 * 50.0,
            "Floor": reference * 0.93 // 50 * 50.0,
            "RefPrice": float(reference),
            "AvgPrice": round(last * 1.0031, 2),
            "PriorVal": float(reference),
            "LastPrice": float(last),
            "LastVol": draw.randint(1, 300) * 100.0,
            "TotalVal": float(total * last),
            "TotalVol": float(total),
            "MarketId": "HOSE",
            "Exchange": "HOSE",
            "TradingSession": "LO",
            "TradingStatus": "N",
            "Change": float(last - reference),
            "RatioChange": round((last - reference) / reference * 100, 2),
            "EstMatchedPrice": 0.0,
            "Highest": last + 300,
            "Lowest": last - 250,
            "Side": draw.choice(("BU", "SD")),
        }

    def snapshot(self) -> Message:
        """Draw one X: the trade's figures, a ten-level book."""
        trade, book = self.trade()[1], self.quote(LEVEL_COUNT)[1]
        price = trade["LastPrice"]
        head = {
            key: trade[key]
            for key in ("TradingDate", "Time", "Isin", "Symbol", "Ceiling", "Floor", "RefPrice")
        }
        last = {
            key: trade[key]
            for key in ("AvgPrice", "PriorVal", "LastPrice", "LastVol", "TotalVal", "TotalVol")
        }
        levels = [(side, what) for side in ("Bid", "Ask") for what in ("Price", "Vol")]
        return "X", {
            "RType": "X",
            **head,
            "Open": price,
            "High": price,
            "Low": price,
            "Close": price,
            **last,
            **{
                f"{side}{what}{i}": book[f"{side}{what}{i}"]
                for side, what in levels
                for i in range(1, LEVEL_COUNT + 1)
            },
            **{
                key: trade[key]
                for key in (
                    "MarketId",
                    "Exchange",
                    "TradingSession",
                    "TradingStatus",
                    "Change",
                    "RatioChange",
                    "EstMatchedPrice",
                )
            },
            "Side": None,
            "CloseQtty": 0.0,
        }

    def pair(self, at: int) -> Message:
        """Draw the message at a place of the three-to-one mix."""
        return self.trade() if at % 4 == 3 else self.quote()

    def _code(self) -> str:
        return self._draw.choice(self.codes)


def frame_of(messages: list[Message]) -> bytes:
    """Return one SignalR frame, three JSON layers deep."""

    def compact(value: object) -> str:
        return json.dumps(value, separators=(",", ":"))

    return compact(
        {
            "C": "d-8F1AB453-B,0|C,0|D,1|E,0",
            "M": [
                {
                    "H": "FcMarketDataV2Hub",
                    "M": "Broadcast",
                    "A": [compact({"DataType": name, "Content": compact(record)})],
                }
                for name, record in messages
            ],
        }
    ).encode()


class Bench:
    """One symbol table, warmed with every code, and a decoder over it."""

    def __init__(self, tape: Tape, protocol: str = "v2") -> None:
        memory = np.zeros(symbols_bytes(1024), np.uint8)
        format_symbols(memory, 1024)
        self.symbols = SymbolTable(memory, lambda _code, _instrument: 0)
        self.counters = np.zeros(1, INGEST_COUNTERS)
        self.decoder = Decoder(self.symbols, self.counters, protocol)
        self._oracle_of = PROTOCOLS[protocol][1]
        self.out = np.zeros(OUT_SLOTS_MIN, SLOT)
        if protocol == "v3":
            warm = [v3_frames.introduction(code) for code in tape.codes]
        else:
            said = {"TradingDate": DAY, "Time": "09:00:00", "Exchange": "HOSE"}
            warm = [frame_of([("F", {**said, "Symbol": code})]) for code in tape.codes]
        self.scan(batches_of(warm))
        self.counters["oracle_frames"] = 0

    def scan(self, batches: Iterable[FrameBatch]) -> tuple[int, float]:
        """Decode all batches; return the slots written and the seconds it took."""
        slots, seconds = 0, 0.0
        for batch in batches:
            at, started = 0, perf_counter()
            while at < batch.count:
                at, count = self.decoder.decode(batch, at, self.out)
                slots += count
            seconds += perf_counter() - started
        return slots, seconds

    def scan_refilled(self, frames: list[bytes]) -> tuple[int, float]:
        """Decode frames as they would arrive."""
        return self.scan(refilled(frames))

    def digest(self, batches: list[FrameBatch]) -> str:
        """Return a hash of the slots the scanner makes."""
        digest = hashlib.sha256()
        for batch in batches:
            at = 0
            while at < batch.count:
                at, count = self.decoder.decode(batch, at, self.out)
                digest.update(self.out[:count].tobytes())
        return digest.hexdigest()

    def oracle(self, frames: list[bytes], out: NDArray[np.void]) -> int:
        """Decode frame by frame with the oracle."""
        oracle, at = self._oracle_of(self.symbols), 0
        for recv_ns, frame in enumerate(frames):
            at += oracle.decode(frame, recv_ns, out, at).slot_count
        return at


def refilled(frames: list[bytes]) -> Iterator[FrameBatch]:
    """Yield one batch again and again, each time filled with the next frames."""
    batch = FrameBatch(FRAME_BYTES_MAX, 4096)
    for recv_ns, frame in enumerate(frames):
        if not batch.append(frame, recv_ns):
            yield batch
            batch.clear()
            batch.append(frame, recv_ns)
    yield batch


def batches_of(frames: list[bytes]) -> list[FrameBatch]:
    """Pack frames into batches of 1 MiB; recv_ns is the frame's number."""
    batches = [FrameBatch(FRAME_BYTES_MAX, 4096)]
    for recv_ns, frame in enumerate(frames):
        if not batches[-1].append(frame, recv_ns):
            batches.append(FrameBatch(FRAME_BYTES_MAX, 4096))
            batches[-1].append(frame, recv_ns)
    return batches


_HEAD = struct.Struct("<qqIIBBBBBBBB")
_BOOK = struct.Struct("<40i")
_MATCH = struct.Struct("<10i3q")
_BOOK_KEYS = [(f"{side}Price{i}", f"{side}Vol{i}") for side in ("Bid", "Ask") for i in range(1, 11)]
_BIDS, _ASKS = _BOOK_KEYS[:10], _BOOK_KEYS[10:]
_SESSIONS = {"LO": int(FeedSession.LO)}
_STATUSES = {"N": int(TradingStatus.NORMAL)}
_SIDES = {"BU": int(Side.BUY), "SD": int(Side.SELL)}
_VENUES = {"HOSE": int(Venue.HOSE)}
_MIDNIGHTS = {DAY: MIDNIGHT_S}


def orjson_lean(frames: list[bytes], ids: dict[str, int], out: NDArray[np.void]) -> int:
    """Turn X-QUOTE and X-TRADE frames into slots with orjson and struct; trusts its input."""
    loads, memory, at = orjson.loads, out.data.cast("B"), 0
    quote, trade = int(SlotKind.QUOTE), int(SlotKind.TRADE)
    for recv_ns, frame in enumerate(frames):
        for message in loads(frame)["M"]:
            envelope = loads(message["A"][0])
            record = loads(envelope["Content"])
            time = record["Time"]
            exch_s = (
                _MIDNIGHTS[record["TradingDate"]]
                + int(time[:2]) * 3600
                + int(time[3:5]) * 60
                + int(time[6:])
            )
            symbol_id = ids[record["Symbol"]]
            venue, session = _VENUES[record["Exchange"]], _SESSIONS[record["TradingSession"]]
            if envelope["DataType"] == "X-QUOTE":
                _HEAD.pack_into(
                    memory,
                    at,
                    0,
                    recv_ns,
                    exch_s,
                    symbol_id,
                    quote,
                    0,
                    venue,
                    session,
                    0,
                    0,
                    SourceType.X_QUOTE,
                    0,
                )
                _BOOK.pack_into(
                    memory,
                    at + 32,
                    *[round(record[key] * 100) for key, _ in _BIDS],
                    *[round(record[key]) for _, key in _BIDS],
                    *[round(record[key] * 100) for key, _ in _ASKS],
                    *[round(record[key]) for _, key in _ASKS],
                )
            else:
                _HEAD.pack_into(
                    memory,
                    at,
                    0,
                    recv_ns,
                    exch_s,
                    symbol_id,
                    trade,
                    0,
                    venue,
                    session,
                    _STATUSES[record["TradingStatus"]],
                    _SIDES[record["Side"]],
                    SourceType.X_TRADE,
                    0,
                )
                _MATCH.pack_into(
                    memory,
                    at + 32,
                    round(record["LastPrice"] * 100),
                    round(record["Ceiling"] * 100),
                    round(record["Floor"] * 100),
                    round(record["RefPrice"] * 100),
                    0,
                    round(record["Highest"] * 100),
                    round(record["Lowest"] * 100),
                    round(record["PriorVal"] * 100),
                    round(record["EstMatchedPrice"] * 100),
                    0,
                    round(record["LastVol"]),
                    round(record["TotalVol"]),
                    round(record["TotalVal"]),
                )
            at += SLOT_BYTES
    return at // SLOT_BYTES


def orjson_dicts(frames: list[bytes]) -> int:
    """Parse the three layers and keep nothing."""
    loads, count = orjson.loads, 0
    for frame in frames:
        for message in loads(frame)["M"]:
            count += len(loads(loads(message["A"][0])["Content"])) > 0
    return count


def clocked(work: Callable[[], int]) -> Callable[[], tuple[int, float]]:
    """Return `work` with the seconds it takes beside its result."""

    def clock() -> tuple[int, float]:
        started = perf_counter()
        result = work()
        return result, perf_counter() - started

    return clock


def timed(
    work: Callable[[], tuple[int, float]], frames: int, expected: int, rounds: int
) -> dict[str, Any]:
    """Run `work` a few times; return the rate and how much it varied."""
    rates = []
    for _ in range(rounds):
        got, seconds = work()
        rates.append(frames / seconds)
        if got != expected:
            raise AssertionError(f"{got} results, {expected} expected")
    return {
        "frames_per_s": round(statistics.median(rates)),
        "best": round(max(rates)),
        "worst": round(min(rates)),
        "rounds": rounds,
    }


def run_v3(limits: dict[str, int]) -> dict[str, Any]:
    """Measure v3; raises AssertionError when any answer is wrong."""
    tape = Tape(SEED)
    bench = Bench(tape, "v3")
    frames = [v3_frames.from_v2(*tape.pair(i)) for i in range(limits["frames"])]
    few = frames[: limits["oracle_frames"]]
    ids = {code: bench.symbols.find(code.encode()) for code in tape.codes}
    midnights = {"2026/08/14": MIDNIGHT_S}
    answer = bench.digest(batches_of(few))  # also compiles
    out = np.zeros(len(few), SLOT)

    def lean() -> int:
        return v3_frames.orjson_lean(few, ids, midnights, out)

    def oracle() -> int:
        return bench.oracle(few, out)

    rounds, slow_rounds, count = limits["rounds"], limits["oracle_rounds"], len(few)
    figures: dict[str, Any] = {
        "scanner": timed(lambda: bench.scan_refilled(frames), len(frames), len(frames), rounds)
    }
    if bench.counters["oracle_frames"][0] or bench.counters["rejected"].any():
        raise AssertionError("the v3 scanner declined frames it should take")
    for name, work in (("oracle", oracle), ("orjson_lean", lean)):
        out[:] = np.zeros(1, SLOT)
        if work() != count or hashlib.sha256(out.tobytes()).hexdigest() != answer:
            raise AssertionError(f"v3: scanner and {name} made different slots")
        figures[name] = timed(clocked(work), count, count, slow_rounds)
    rate = figures["scanner"]["frames_per_s"]
    return {
        **figures,
        "frame_bytes_mean": round(sum(map(len, frames)) / len(frames)),
        "ratio_to_orjson_lean": round(rate / figures["orjson_lean"]["frames_per_s"], 1),
        "ratio_to_oracle": round(rate / figures["oracle"]["frames_per_s"], 1),
        "slots_sha256": answer,
    }


def run(size: Size) -> dict[str, Any]:
    """Measure and return the figures; raises AssertionError when any answer is wrong."""
    limits = SIZES[size]
    tape = Tape(SEED)
    bench = Bench(tape)
    pair = [frame_of([tape.pair(i)]) for i in range(limits["frames"])]
    few = pair[: limits["oracle_frames"]]
    batches, few_batches = batches_of(pair), batches_of(few)
    ids = {code: bench.symbols.find(code.encode()) for code in tape.codes}

    answer = bench.digest(few_batches)  # also compiles
    out = np.zeros(len(few), SLOT)
    for name, made in (("oracle", bench.oracle(few, out)), ("orjson_lean", None)):
        if made is None:
            out[:] = 0
            made = orjson_lean(few, ids, out)
        if made != len(few) or hashlib.sha256(out.tobytes()).hexdigest() != answer:
            raise AssertionError(f"scanner and {name} made different slots")

    rounds, oracle_rounds = limits["rounds"], limits["oracle_rounds"]
    count = len(few)
    figures = {
        "scanner": timed(lambda: bench.scan_refilled(pair), len(pair), len(pair), rounds),
        "scanner_from_memory": timed(lambda: bench.scan(batches), len(pair), len(pair), rounds),
        "oracle": timed(clocked(lambda: bench.oracle(few, out)), count, count, oracle_rounds),
        "orjson_lean": timed(
            clocked(lambda: orjson_lean(few, ids, out)), count, count, oracle_rounds
        ),
        "orjson_dicts": timed(clocked(lambda: orjson_dicts(few)), count, count, oracle_rounds),
    }
    total = limits["frames"]
    others = {
        "scanner_ten_levels": ([[tape.quote(LEVEL_COUNT)] for _ in range(total // 2)], 1),
        "scanner_x": ([[tape.snapshot()] for _ in range(total // 4)], 2),
        "scanner_ten_messages": (
            [[tape.pair(10 * i + j) for j in range(10)] for i in range(total // 10)],
            10,
        ),
    }
    for name, (messages, slots_each) in others.items():
        frames = [frame_of(each) for each in messages]
        figures[name] = timed(
            partial(bench.scan_refilled, frames), len(frames), slots_each * len(frames), rounds
        )
    if bench.counters["oracle_frames"][0] or bench.counters["rejected"].any():
        raise AssertionError("the scanner declined frames it should take")

    frame_bytes = sum(map(len, pair)) / len(pair)
    rate = figures["scanner"]["frames_per_s"]
    return {
        **figures,
        "frame_bytes_mean": round(frame_bytes),
        "scanner_bytes_per_s": round(rate * frame_bytes),
        "ratio_to_orjson_lean": round(rate / figures["orjson_lean"]["frames_per_s"], 1),
        "ratio_to_oracle": round(rate / figures["oracle"]["frames_per_s"], 1),
        "ratio_to_orjson_dicts": round(rate / figures["orjson_dicts"]["frames_per_s"], 1),
        "floor_frames_per_s": FLOOR_FRAMES_PER_S,
        "reached": rate >= FLOOR_FRAMES_PER_S,
        "slots_sha256": answer,
        "v3": run_v3(limits),
    }


if __name__ == "__main__":
    sys.exit(main(__doc__, run))
