"""All shards of a day moved on together by one clock, and told from a moment on; see `time_travel`.

In: `ShardPast`, one a shard. Out: bus messages. Owner of the memory: the shards. May lose: nothing;
at the live edge it is refused what does not join. Counts: nothing.
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import orjson
from numpy.typing import NDArray

from engine.bus import wire
from engine.bus.wire import FRAME_BYTES_MAX, HEADER_BYTES, SECTION_BYTES
from engine.clock import DAY_S
from engine.errors import ConfigError
from engine.schema.bus import BusKind
from engine.schema.channels import CHANNELS, Channel
from engine.shard.fold import Sections
from engine.wiring.shard_past import ShardPast

STEP_NS: Final = 2_000_000  # rows that are due within it are told together
LOOK_NS: Final = 100_000_000  # so often the journals are looked at while nothing is due
NS_PER_S: Final = 1_000_000_000


class Refused(ConfigError):
    """Why there is no travel, or none that joins live; clients may read it, so it has no path."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to tell.

    Attributes
    ----------
    from_s
        Exchange time, second of the day in Vietnam.
    speed
        Times real time; 0: as fast as it is read.
    wanted
        Channel code -> symbol ids; None: all of them.
    """

    from_s: int
    speed: float
    wanted: Mapping[int, list[int] | None]

    @classmethod
    def parse(cls, line: bytes) -> "Request":
        """Read the line of JSON.

        Raises
        ------
        Refused
            It does not say what it must.
        """
        try:
            tree = orjson.loads(line)
            from_s, speed = tree["from_s"], float(tree["speed"])
            wanted = {int(code): ids for code, ids in tree["wanted"].items()}
            known = all(0 <= code < len(CHANNELS) for code in wanted)
            lists = [ids for ids in wanted.values() if ids is not None]
            plain = all(type(i) is int and i > 0 for ids in lists for i in ids)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Refused("a replay is asked for with from_s, speed and wanted, in JSON") from None
        if type(from_s) is not int or not 0 <= from_s < DAY_S:
            raise Refused(f"from_s is {from_s!r}: it is a second of the day, 0 to {DAY_S - 1}")
        if not 0 <= speed < float("inf"):
            raise Refused(f"speed is {speed}: it is a number, 0 for as fast as it is read")
        if not known or not plain or any(CHANNELS[code].board for code in wanted):
            raise Refused("wanted has codes of channels of shards, each with ids from 1 on or null")
        return cls(from_s, speed, wanted)


class Timer(Protocol):
    """What passes between two rows."""

    def now_ns(self) -> int:
        """Return nanoseconds since some moment; never goes back."""
        ...

    def sleep_ns(self, duration_ns: int) -> None:
        """Let time pass."""
        ...


class MonotonicTimer:
    """The machine's time."""

    def now_ns(self) -> int:
        """Return nanoseconds since some moment."""
        return time.monotonic_ns()

    def sleep_ns(self, duration_ns: int) -> None:
        """Let others have the core."""
        time.sleep(duration_ns / NS_PER_S)


class TimeTravel:
    """Moves all shards of a day on together, and tells what is wanted; see the module.

    No shard runs ahead of what the others have shown: one clock, by time of receipt.

    Parameters
    ----------
    shards
        Blank, all of the day.
    request
        What to tell.
    from_exch_s
        The moment, UTC seconds of the exchange: told is what comes from the first slot at or after
        it on, of whichever shard.
    symbols_max
        Ids there may be.
    write
        Takes whole messages; waits as long as it likes.
    is_today
        Is the day of these journals still the one that is live.
    timer
        By which rows are paced.
    """

    def __init__(
        self,
        shards: Sequence[ShardPast],
        request: Request,
        from_exch_s: int,
        symbols_max: int,
        write: Callable[[bytes], None],
        is_today: Callable[[], bool],
        timer: Timer,
    ) -> None:
        self._shards = shards
        self._speed = request.speed
        self._from_exch_s = from_exch_s
        self._wanted = {
            code: _mask(ids, symbols_max) for code, ids in sorted(request.wanted.items())
        }
        self._write = write
        self._is_today = is_today
        self._timer = timer
        self._frame_seqs = [0] * len(shards)
        self._origin: tuple[int, int] | None = None  # our clock and the tape's, at the beginning

    def run(self) -> None:
        """Travel up to the live edge.

        Raises
        ------
        Refused
            There is a live edge, but what was told does not join it.
        SchemaMismatch, JournalError, OSError
            A journal cannot be read.
        """
        while True:
            for shard in self._shards:
                shard.fetch()
            waiting = [shard for shard in self._shards if shard.waiting]
            if waiting:
                self._turn(waiting)
            if all(shard.at_edge for shard in self._shards):
                break
            if not waiting:
                self._timer.sleep_ns(STEP_NS)  # a live shard is behind: it folds before we do
        if self._origin is None:  # the moment is yet to come: now is as near as it gets
            self._begin(max(shard.newest_ns for shard in self._shards))
        self._check()
        self._write(wire.encode(BusKind.SNAPSHOT_END, 0, self._shards[0].epoch, 0, 0))

    def _turn(self, waiting: Sequence[ShardPast]) -> None:
        """Fold, and tell, what is due; or sleep until something is."""
        horizon_ns = min(shard.newest_ns for shard in waiting)
        if self._origin is None:
            found = [shard.first_ns_at(self._from_exch_s) for shard in waiting]
            begin_ns = min((time_ns for time_ns in found if time_ns is not None), default=None)
            quiet = begin_ns is None or begin_ns > horizon_ns
            for shard in waiting:
                shard.fold_until(horizon_ns if quiet or begin_ns is None else begin_ns - 1)
            if begin_ns is not None and not quiet:
                self._begin(begin_ns)
            return
        horizon_ns = min(horizon_ns, self._tape_ns(horizon_ns))
        next_ns = min(shard.next_ns for shard in waiting)
        if next_ns > horizon_ns:
            self._sleep_until(next_ns)
            return
        for shard in waiting:
            self._tell(BusKind.DELTA, shard, self._pick(shard.fold_until(horizon_ns)))

    def _begin(self, time_ns: int) -> None:
        """Tell the state of now; from here on rows are told. `time_ns` is now, on the tape."""
        for shard in self._shards:
            latest = shard.fold.latest
            told: Sections = []
            for code, mask in self._wanted.items():
                rows = latest[CHANNELS[code].name]
                told.append((CHANNELS[code], rows[mask & (rows["seq"] > 0)]))
            self._tell(BusKind.SNAPSHOT, shard, told)
        self._write(wire.encode(BusKind.SNAPSHOT_END, 0, self._shards[0].epoch, 0, time_ns))
        self._origin = self._timer.now_ns(), time_ns

    def _check(self) -> None:
        """Refuse a live edge that our rows do not reach."""
        for text in (text for shard in self._shards for text in shard.damage):
            print(text, file=sys.stderr)
        missing = "; ".join(shard.missing for shard in self._shards if shard.missing)
        if missing:
            raise Refused(f"this day's journal is not whole, so it does not join live ({missing})")
        if not self._is_today() or any(shard.started_over for shard in self._shards):
            raise Refused("the tape started over meanwhile: its rows have other numbers now")

    # --- time --------------------------------------------------------------------------------

    def _tape_ns(self, newest_ns: int) -> int:
        """Return what time it is on the tape."""
        if not self._speed:
            return newest_ns
        assert self._origin is not None
        ours_ns, tape_ns = self._origin
        return tape_ns + int((self._timer.now_ns() - ours_ns) * self._speed)

    def _sleep_until(self, tape_ns: int) -> None:
        """Let time pass; by the clock, so that one late row does not make all others late."""
        assert self._origin is not None
        due_ns = self._origin[0] + int((tape_ns - self._origin[1]) / self._speed)
        wait_ns = max(due_ns - self._timer.now_ns(), STEP_NS)
        self._timer.sleep_ns(min(wait_ns, LOOK_NS))

    # --- rows --------------------------------------------------------------------------------

    def _pick(self, sections: Sections) -> Iterator[tuple[Channel, NDArray[np.void]]]:
        """Leave out what nobody wants."""
        for channel, rows in sections:
            mask = self._wanted.get(channel.code)
            if mask is not None:
                yield channel, _opaque(rows)[mask[rows["symbol_id"]]].view(channel.dtype)

    def _tell(
        self, kind: BusKind, shard: ShardPast, sections: Iterable[tuple[Channel, NDArray[np.void]]]
    ) -> None:
        """Write rows of one shard, as many to a message as a publisher puts there."""
        held: Sections = []
        room = FRAME_BYTES_MAX - HEADER_BYTES
        for channel, rest in sections:
            rows = rest
            while len(rows):
                fit = (room - SECTION_BYTES) // channel.dtype.itemsize
                if fit <= 0:
                    self._send(kind, shard, held)
                    held, room = [], FRAME_BYTES_MAX - HEADER_BYTES
                    continue
                held.append((channel, rows[:fit]))
                room -= SECTION_BYTES + len(rows[:fit]) * channel.dtype.itemsize
                rows = rows[fit:]
        if held:
            self._send(kind, shard, held)

    def _send(self, kind: BusKind, shard: ShardPast, sections: Sections) -> None:
        index = shard.shard
        self._frame_seqs[index] += kind is BusKind.DELTA
        seq, newest_ns = self._frame_seqs[index], int(sections[-1][1]["recv_ns"][-1])
        self._write(wire.encode(kind, index, shard.epoch, seq, newest_ns, sections))


def _mask(ids: Sequence[int] | None, symbols_max: int) -> NDArray[np.bool_]:
    """Return the ids as a mask; those that cannot be are nobody's."""
    mask = np.full(symbols_max, ids is None)
    if ids is not None:
        mask[[symbol_id for symbol_id in ids if symbol_id < symbols_max]] = True
    return mask


def _opaque(rows: NDArray[np.void]) -> NDArray[np.void]:
    """See rows as bytes: numpy would move them field by field, ten times slower."""
    return rows.view(f"V{rows.dtype.itemsize}")
