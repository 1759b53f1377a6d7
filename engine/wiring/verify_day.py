"""Does the tape close on the exchange's own figures? The ``vntape verify-day`` command.

Takes the closing statistics of a running engine (through its gateway, as any client would) or of
a replay in this process, and compares open, high, low, close and volume of every symbol with a
published table, checks that phases and sides add up, and prints a digest of what was seen.
"""

import argparse
import asyncio
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import numpy as np

from engine.clock import Clock, SystemClock
from engine.errors import ConfigError
from engine.feed.synthetic.table import Listing
from engine.wiring.published import read_published
from engine.wiring.replay_day import replay_day

CHANNELS = ("stats", "quote", "book", "trade")
SUMMED = (
    "volume_shares",
    "value_vnd",
    "trade_count",
    "missed_volume_shares",
    "total_volume_shares",
)
QUIET_S = 1.0  # a day is over when nothing has changed for this long
RETRY_S = 0.2
SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Closing:
    """A symbol's day as the tape saw it. Prices in hundredths, cells are (volume, value, count)."""

    open_e2: int
    high_e2: int
    low_e2: int
    close_e2: int
    volume_shares: int
    value_vnd: int
    trade_count: int
    missed_volume_shares: int
    total_volume_shares: int
    cells: tuple[tuple[int, int, int], ...]  # one per phase and side that is not empty

    @classmethod
    def from_row(cls, row: np.void) -> "Closing":
        """Read a STATS_DELTA row."""
        cells = zip(
            row["phase_side_volume_shares"].ravel().tolist(),
            row["phase_side_value_vnd"].ravel().tolist(),
            row["phase_side_count"].ravel().tolist(),
            strict=True,
        )
        return cls(
            open_e2=int(row["open_price_e2"]),
            high_e2=int(row["high_price_e2"]),
            low_e2=int(row["low_price_e2"]),
            close_e2=int(row["last_price_e2"]),
            **{name: int(row[name]) for name in SUMMED},
            cells=tuple(cell for cell in cells if any(cell)),
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Closing":
        """Read the `data` of a stats frame, as clients get it."""
        return cls(
            open_e2=round(100 * data["open_price"]),
            high_e2=round(100 * data["high_price"]),
            low_e2=round(100 * data["low_price"]),
            close_e2=round(100 * data["last_price"]),
            **{name: data[name] for name in SUMMED},
            cells=tuple(
                (cell["volume_shares"], cell["value_vnd"], cell["count"])
                for sides in data["phase_side"].values()
                for cell in sides.values()
            ),
        )

    def sums_wrong(self) -> list[str]:
        """Return what does not add up; empty when all does."""
        totals = {"volume": self.volume_shares, "value": self.value_vnd, "count": self.trade_count}
        sums = [sum(column) for column in zip(*self.cells, strict=True)] or [0, 0, 0]
        wrong = [
            f"phases and sides give {name} {got}, the total is {total}"
            for got, (name, total) in zip(sums, totals.items(), strict=True)
            if got != total
        ]
        explained = self.total_volume_shares - self.missed_volume_shares
        if self.volume_shares != explained:
            wrong.append(
                f"volume {self.volume_shares} is not the exchange's total less the "
                f"missed volume, {explained}"
            )
        return wrong


@dataclass(slots=True)
class Verdict:
    """Outcome of one comparison: symbols that match, and a sentence for each that does not."""

    matched: list[str] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)
    sums_wrong: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Return whether nothing is wrong."""
        return not self.mismatched and not self.sums_wrong


def compare(published: Iterable[Listing], closings: Mapping[str, Closing]) -> Verdict:
    """Compare closing statistics, by symbol code, with published figures."""
    verdict = Verdict()
    for row in published:
        seen = closings.get(row.code)
        wrong = _differences(row, seen)
        if wrong:
            verdict.mismatched.append(f"{row.code}: " + ", ".join(wrong))
        else:
            verdict.matched.append(row.code)
        if seen:
            verdict.sums_wrong += [f"{row.code}: {text}" for text in seen.sums_wrong()]
    return verdict


def _differences(row: Listing, seen: Closing | None) -> list[str]:
    if row.volume_shares == 0:
        traded = seen is not None and (seen.trade_count or seen.total_volume_shares)
        return [f"{traded} trades or shares seen, none published"] if traded else []
    if seen is None:
        return ["nothing seen"]
    wrong = [
        f"{name} {got / 100:g} instead of {expected / 100:g}"
        for name, got, expected in (
            ("open", seen.open_e2, row.open_e2),
            ("high", seen.high_e2, row.high_e2),
            ("low", seen.low_e2, row.low_e2),
            ("close", seen.close_e2, row.close_e2),
        )
        if got != expected
    ]
    if seen.volume_shares != row.volume_shares:
        wrong.append(f"volume {seen.volume_shares} instead of {row.volume_shares}")
    if seen.missed_volume_shares:
        wrong.append(f"{seen.missed_volume_shares} of it was missed")
    return wrong


# A running engine --------------------------------------------------------------------------


async def watch(
    url: str, published: Iterable[Listing], wait_s: float, clock: Clock
) -> dict[str, dict[str, Any]]:
    """Follow a gateway until the day is complete and quiet. Return topic -> latest data.

    Raises
    ------
    ConfigError
        Nobody answers at the address.
    """
    state: dict[str, dict[str, Any]] = {}
    limit_ns = clock.now_ns() + int(wait_s * 1e9)
    expected = list(published)
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.ws_connect(
                    url, protocols=("vntape.v1.json",), max_msg_size=0
                ) as socket:
                    await socket.send_json(
                        {
                            "op": "sub",
                            "id": 1,
                            "mode": "conflate",
                            "snapshot": True,
                            "topics": [f"{channel}.*" for channel in CHANNELS],
                        }
                    )
                    await _follow(socket, state, expected, limit_ns, clock)
                    return state
            except (aiohttp.ClientError, OSError) as error:
                if clock.now_ns() > limit_ns:
                    raise ConfigError(
                        f"no gateway answers at {url} ({type(error).__name__}): start one with "
                        "`make run` or `vntape up`, or pass --url"
                    ) from None
            await asyncio.sleep(RETRY_S)


async def _follow(
    socket: aiohttp.ClientWebSocketResponse,
    state: dict[str, dict[str, Any]],
    published: list[Listing],
    limit_ns: int,
    clock: Clock,
) -> None:
    """Read until it is quiet, and complete or past the limit."""
    topic_of: dict[int, str] = {}
    changed_ns = clock.now_ns()
    while True:
        try:
            message = await socket.receive(timeout=QUIET_S / 4)
        except TimeoutError:
            message = None
        if message is not None:
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise ConfigError(f"the gateway closed the connection (code {socket.close_code})")
            frame = json.loads(message.data)
            if frame["op"] == "snap":
                topic_of[frame["ch"]] = frame["topic"]
            if frame["op"] in ("snap", "d"):
                state[topic_of[frame["ch"]]] = frame["data"]
                changed_ns = clock.now_ns()
                continue
        now_ns = clock.now_ns()
        if now_ns - changed_ns > QUIET_S * 1e9 and (
            now_ns > limit_ns or _complete(published, state)
        ):
            return


def _complete(published: Iterable[Listing], state: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether every symbol has reached its published volume."""
    return all(
        state.get(f"stats.{row.code}", {}).get("total_volume_shares", 0) >= row.volume_shares
        for row in published
    )


def closings_of(state: Mapping[str, Mapping[str, Any]]) -> dict[str, Closing]:
    """Pick the statistics out of what `watch` returned: symbol -> Closing."""
    return {
        topic.removeprefix("stats."): Closing.from_json(data)
        for topic, data in state.items()
        if topic.startswith("stats.")
    }


def digest(state: Mapping[str, Mapping[str, Any]]) -> str:
    """Hash what was seen without our own receive times: equal input gives an equal hash.

    Merged aggregates say how a conflated frame was cut, which depends on timing; they are left
    out as well. So are statistics without volume: REST's reference data give symbols that never
    trade a row, whenever they arrive.
    """
    kept = {
        topic: {key: value for key, value in data.items() if key not in ("recv_ns", "merged")}
        for topic, data in state.items()
        if data.get("total_volume_shares") != 0
    }
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


# The command -------------------------------------------------------------------------------


def run(args: argparse.Namespace) -> int:
    """Run ``vntape verify-day``. Return 0 when everything matches, 1 otherwise."""
    published = read_published(args.table, args.futures)
    expected = [*published.stocks, *([published.future] if published.future else [])]
    if args.replay:
        tape = replay_day(args.table, args.futures, seed=args.seed, trades_max=args.trades_max)
        closings = {code: Closing.from_row(row) for code, row in tape.latest("stats").items()}
        seen = str(tape.digest())
    else:
        state = asyncio.run(watch(args.url, expected, args.wait_s, SystemClock()))
        closings, seen = closings_of(state), digest(state)
    verdict = compare(published.stocks, closings)
    print_verdict("symbols", verdict)
    good = verdict.good
    if published.future:
        verdict = compare([published.future], closings)
        print_verdict(f"futures ({published.future.code})", verdict)
        good = good and verdict.good
    trades = sum(closing.trade_count for closing in closings.values())
    volume = sum(closing.volume_shares for closing in closings.values())
    print(f"{trades:,} trades of {volume:,} shares and contracts; digest {seen}")
    return 0 if good else 1


def print_verdict(what: str, verdict: Verdict) -> None:
    """Print matches and mismatches for a human."""
    total = len(verdict.matched) + len(verdict.mismatched)
    print(
        f"{len(verdict.matched)} of {total} {what} end on the published open, high, low, close "
        "and volume; "
        + (
            "phase and side sums add up"
            if not verdict.sums_wrong
            else f"{len(verdict.sums_wrong)} sums do not add up"
        )
    )
    for kind, texts in (("MISMATCH", verdict.mismatched), ("WRONG SUM", verdict.sums_wrong)):
        for text in texts[:SHOWN_MAX]:
            print(f"  {kind} {text}")
        if len(texts) > SHOWN_MAX:
            print(f"  ... and {len(texts) - SHOWN_MAX} more")
