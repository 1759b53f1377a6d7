"""Frames without end, the same ones every time: what a tape that must be comparable is fed with.

The synthetic day of `bench.workload` is rendered once into a file and played lap after lap. Every
lap is another trading day: its frames carry that day's date and are otherwise the same bytes, so
totals begin anew as they do every morning. Frames come in chunks of a fixed size; frame n was
received at a time that depends on n alone, so that who sees a slot knows which frame it came from.

    frames.bin     frames end to end
    frames.npz     where they end, where dates stand, how many messages each holds
"""

import datetime as dt
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from bench.workload import QUOTES_PER_TRADE, SEED
from engine.decode.frames import PADDING_BYTES, FrameBatch
from engine.feed.synthetic import table as tables
from engine.feed.synthetic.plan import plan_day
from engine.feed.synthetic.render import frames
from engine.market.days import next_trading_day

CHUNK_FRAMES: Final = 40  # some 2 ms of tape at 200 k messages/s
MESSAGES_PER_FRAME: Final = 10  # what a busy SignalR server sends
FRAME_NS: Final = 50_000  # between two receipts
FIRST_RECV_NS: Final = 1_626_313_500_000_000_000  # of frame 0: 08:45 ICT of the rendered day
DATE_BYTES: Final = 10  # dd/mm/yyyy


def render(folder: Path, trades: int) -> None:
    """Write one day of frames; some 15 messages and 17 kB a trade.

    Parameters
    ----------
    folder
        Where; it must exist.
    trades
        Matches of the day, at least 2,000.
    """
    day = plan_day(
        tables.read_table(tables.SHIPPED_TABLE),
        tables.read_futures(tables.SHIPPED_FUTURES),
        seed=SEED,
        trades_max=trades,
        quotes_per_trade=QUOTES_PER_TRADE,
    )
    date = f"{day.date:%d/%m/%Y}".encode()
    ends: list[int] = []
    messages: list[int] = []
    dates: list[int] = []
    end = 0
    with (folder / "frames.bin").open("wb") as file:
        for _, frame in frames(day, MESSAGES_PER_FRAME):
            at = frame.find(date)
            while at >= 0:
                dates.append(end + at)
                at = frame.find(date, at + DATE_BYTES)
            end += file.write(frame)
            ends.append(end)
            messages.append(frame.count(b'"Broadcast"'))
    np.savez(
        folder / "frames.npz",
        ends=np.array(ends, np.int64),
        messages=np.array(messages, np.int64),
        dates=np.array(dates, np.int64),
        day=np.array(day.date.toordinal()),
    )


def recv_ns_of(frame: int) -> int:
    """Return when frame number `frame` was received."""
    return FIRST_RECV_NS + frame * FRAME_NS


def frame_of(recv_ns: int) -> int:
    """Return which frame was received then."""
    number, rest = divmod(recv_ns - FIRST_RECV_NS, FRAME_NS)
    assert number >= 0 and rest == 0, f"no frame was received at {recv_ns}"
    return number


class SteadyFrames:
    """The frames of a folder that `render` wrote, chunk by chunk, for ever.

    Attributes
    ----------
    frames_per_lap, messages_per_lap
        Of one trading day.
    """

    def __init__(
        self,
        data: NDArray[np.uint8],
        ends: NDArray[np.int64],
        messages: NDArray[np.int64],
        dates: NDArray[np.int64],
        day: dt.date,
    ) -> None:
        self.frames_per_lap = len(ends)
        self.messages_per_lap = int(messages.sum())
        self._data = data
        self._ends = ends
        self._messages = messages
        self._dates = dates
        self._days = [day]
        starts = np.r_[0, ends[:-1]]
        edges = np.r_[np.arange(0, len(ends), CHUNK_FRAMES), len(ends)]
        self._edges = edges  # frames; chunk c of a lap is [edges[c], edges[c + 1])
        largest = int((ends[edges[1:] - 1] - starts[edges[:-1]]).max())
        self._batch = FrameBatch(largest + PADDING_BYTES, CHUNK_FRAMES)
        self._columns = np.arange(DATE_BYTES)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Map what `render` wrote."""
        index = np.load(folder / "frames.npz")
        data = np.memmap(folder / "frames.bin", np.uint8, "r")
        day = dt.date.fromordinal(int(index["day"]))
        return cls(data, index["ends"], index["messages"], index["dates"], day)

    @property
    def chunks_per_lap(self) -> int:
        """Return how many chunks make a trading day; no chunk is of two."""
        return len(self._edges) - 1

    def chunk_after(self, recv_ns: int) -> int:
        """Return the first chunk whose frames were all received later than `recv_ns`."""
        lap, frame = divmod(frame_of(recv_ns), self.frames_per_lap)
        chunk = int(np.searchsorted(self._edges, frame, side="right")) - 1
        return lap * self.chunks_per_lap + chunk + 1

    def chunk(self, number: int) -> tuple[FrameBatch, int]:
        """Return a chunk and its messages. The batch is valid until the next call."""
        lap, at = divmod(number, self.chunks_per_lap)
        first, stop = int(self._edges[at]), int(self._edges[at + 1])
        start = int(self._ends[first - 1]) if first else 0
        end = int(self._ends[stop - 1])
        batch = self._batch
        batch.data[: end - start] = self._data[start:end]
        batch.ends[: stop - first] = self._ends[first:stop] - start
        batch.recv_ns[: stop - first] = recv_ns_of(
            lap * self.frames_per_lap + first
        ) + FRAME_NS * np.arange(stop - first)
        batch.count = stop - first
        if lap:
            low, high = np.searchsorted(self._dates, (start, end))
            places = self._dates[low:high, np.newaxis] - start + self._columns
            batch.data[places] = np.frombuffer(f"{self._day(lap):%d/%m/%Y}".encode(), np.uint8)
        return batch, int(self._messages[first:stop].sum())

    def _day(self, lap: int) -> dt.date:
        while len(self._days) <= lap:
            self._days.append(next_trading_day(self._days[-1]))
        return self._days[lap]
