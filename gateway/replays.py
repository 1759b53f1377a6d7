"""Time travel for one client: a process that folds the day again, and its rows as frames.

In: bus messages on the stdout of a child (``engine.wiring.time_travel``). Out: callbacks, frames.
Owner of the memory: one message. May lose: nothing; while it is held, so is the process. Counts:
nothing.

    replay = Replay(command(run_dir), request(from_s, speed, wanted), on_frame, on_end)
    on_frame(frame):  data, count = view.frames(frame); write it; replay.hold() when there is much
    when it drained:  replay.go_on()
    on_end(None):     the live edge: `view.positions` is where live rows go on
    on_end("why"):    it failed; the text is fit for clients, `replay.said` is for the log
"""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import orjson
from numpy.typing import NDArray

from engine.bus.wire import MESSAGE_BYTES_MAX, BusFrame, Refused, decode
from engine.process import EX_CONFIG
from engine.schema.bus import BusKind
from gateway.encode import REQUESTED, Codec
from gateway.rows import pick

MODULE: Final = "engine.wiring.time_travel"  # a process, not an import: a gateway folds nothing
LENGTH_BYTES: Final = 4
READ_BYTES: Final = 65_536  # asyncio reads ahead up to twice this
SAID_BYTES_MAX: Final = 4_096  # of stderr, the end of it
REASON_CHARS_MAX: Final = 500
LIVE_END: Final = 2  # of the SNAPSHOT_END a replay sends: the first ends the snapshot
BROKE: Final = "the replay process broke down"


class _Broken(Exception):
    """A process that does not speak like one of ours."""


def command(run_dir: Path) -> list[str]:
    """Return the command line of a time travel through the day of a run directory."""
    me = str(os.getpid())
    return [sys.executable, "-m", MODULE, "--run-dir", str(run_dir), "--parent", me]


def request(from_s: int, speed: float, wanted: Mapping[int, NDArray[np.bool_]]) -> bytes:
    """Return what a time travel reads on its stdin.

    Parameters
    ----------
    from_s
        Exchange time, second of the day in Vietnam.
    speed
        Times real time; 0: as fast as it is read.
    wanted
        Channel code -> bool (capacity,), its keys; no channel of the board.
    """
    ids = {str(code): np.flatnonzero(mask).tolist() for code, mask in wanted.items()}
    return orjson.dumps({"from_s": from_s, "speed": speed, "wanted": ids}) + b"\n"


class Replay:
    """One time travel process. All methods belong to the thread of the event loop.

    Parameters
    ----------
    command, request
        See the functions of this module.
    on_frame
        Takes every message in order. What it raises is a bug: the process is ended and `ended`
        raises it.
    on_end
        Called once, unless `stop` was: with None at the live edge, with a reason when it failed.

    Attributes
    ----------
    said
        The end of what the process said on stderr; may name files.
    """

    def __init__(
        self,
        command: Sequence[str],
        request: bytes,
        on_frame: Callable[[BusFrame], None],
        on_end: Callable[[str | None], None],
    ) -> None:
        self.said = ""
        self._command = command
        self._request = request
        self._on_frame = on_frame
        self._on_end = on_end
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._stopped = False

    def start(self) -> None:
        """Begin; returns at once."""
        assert self._task is None, "a replay is started once"
        self._task = asyncio.get_running_loop().create_task(self._run())

    def hold(self) -> None:
        """Read no further; the process stops when the pipe is full."""
        self._may_read.clear()

    def go_on(self) -> None:
        """Read on."""
        self._may_read.set()

    def stop(self) -> None:
        """End it; no callback is called any more."""
        self._stopped = True
        self._may_read.set()
        self._kill()

    async def ended(self) -> None:
        """Wait until the process is gone and everything is said."""
        if self._task is not None:
            await self._task

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    def _end(self, reason: str | None) -> None:
        if not self._stopped:
            self._stopped = True
            self._on_end(reason)

    async def _run(self) -> None:
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, stdin=pipe, stdout=pipe, stderr=pipe, limit=READ_BYTES
            )
        except OSError as error:
            self.said = str(error)
            self._end("the replay process could not be started")
            return
        assert process.stdin and process.stdout and process.stderr
        self._process = process
        listening = asyncio.ensure_future(self._listen(process.stderr))
        try:
            process.stdin.write(self._request)
            process.stdin.close()  # what is written leaves first
            if await self._follow(process.stdout):
                self._end(None)
        except _Broken as broken:
            self.said = str(broken)
            self._end(BROKE)
        finally:
            self._kill()
            code = await process.wait()
            await listening
        self._end(self._reason(code))

    async def _follow(self, stdout: asyncio.StreamReader) -> bool:
        """Hand on messages; return whether the live edge was reached.

        Raises
        ------
        _Broken
            These are no bus messages.
        """
        ends = 0
        while True:
            await self._may_read.wait()
            if self._stopped:
                return False
            try:
                size = int.from_bytes(await stdout.readexactly(LENGTH_BYTES), "little")
                if size > MESSAGE_BYTES_MAX:
                    raise _Broken(f"a message of {size} bytes, limit {MESSAGE_BYTES_MAX}")
                frame = decode(await stdout.readexactly(size))
            except asyncio.IncompleteReadError:  # its exit code says why
                return False
            if isinstance(frame, Refused):
                raise _Broken(frame.text)
            if self._stopped:
                return False
            self._on_frame(frame)
            ends += frame.kind is BusKind.SNAPSHOT_END
            if ends == LIVE_END:
                return True
            await asyncio.sleep(0)  # what is read ahead must not keep others waiting

    async def _listen(self, stderr: asyncio.StreamReader) -> None:
        """Keep the end of what it says, so that it never waits for us."""
        tail = b""
        while data := await stderr.read(SAID_BYTES_MAX):
            tail = (tail + data)[-SAID_BYTES_MAX:]
        self.said = self.said or tail.decode(errors="replace").strip()

    def _reason(self, code: int) -> str:
        """Return why it ended: only what it refuses it says for clients."""
        if code != EX_CONFIG or not self.said:
            return BROKE
        return self.said.splitlines()[-1][:REASON_CHARS_MAX]


class ReplayView:
    """Turns what a replay tells into one client's frames, and knows where they end.

    Parameters
    ----------
    codecs
        Channel code -> codec of the client's format.
    wanted
        Channel code -> bool (capacity,): keys to show, which have a name.
    capacity
        Ids there are.
    epochs
        Says the epoch texts of rows, for snaps.

    Attributes
    ----------
    positions
        Channel code -> int64 (capacity,), the seq shown last, -1: none. Live goes on behind it.
    rows
        News shown: the `n` of ``replay_end``.
    """

    def __init__(
        self,
        codecs: Mapping[int, Codec],
        wanted: Mapping[int, NDArray[np.bool_]],
        capacity: int,
        epochs: Callable[[NDArray[np.void]], list[str]],
    ) -> None:
        self.positions: dict[int, NDArray[np.int64]] = {
            code: np.full(capacity, -1, np.int64) for code in wanted
        }
        self.rows = 0
        self._codecs = codecs
        self._wanted = wanted
        self._capacity = capacity
        self._epochs = epochs

    def frames(self, frame: BusFrame) -> tuple[bytes, int]:
        """Return a message's rows as WebSocket frames, joined, and how many they are.

        Rows of a snapshot are `snap` with n = 0. Others are `d` with n = 1, or for a key that had
        no row yet `snap` with n = seq; what was shown already is left out.
        """
        parts, count = [], 0
        for channel, rows in frame.sections:
            wanted = self._wanted.get(channel.code)
            if wanted is None:
                continue
            ids = rows["symbol_id"]
            keep = (ids < self._capacity) & (rows["seq"] > 0)
            keep[keep] = wanted[ids[keep]]
            rows = pick(rows, keep)
            positions = self.positions[channel.code]
            if frame.kind is BusKind.DELTA:
                rows, prev = _news(rows, positions)
                self.rows += len(rows)
            else:
                prev = np.full(len(rows), REQUESTED, np.int64)
            if not len(rows):
                continue
            positions[rows["symbol_id"]] = rows["seq"]  # of several rows numpy keeps the last
            epochs = self._epochs(rows) if (prev <= 0).any() else []
            parts.append(self._codecs[channel.code].encode(rows, prev, epochs).select(None))
            count += len(rows)
        return b"".join(parts), count

    def is_behind(self, seq: Mapping[int, NDArray[np.int64]] | Sequence[NDArray[np.int64]]) -> bool:
        """Return whether live has come as far as what was shown.

        Parameters
        ----------
        seq
            By channel code, int64 (capacity,): the newest seq of live, as `Mirror.seq`. A process
            that reads journals may be a moment ahead of the bus; join when this is true.
        """
        return all(bool((shown <= seq[code]).all()) for code, shown in self.positions.items())


def _news(
    rows: NDArray[np.void], positions: NDArray[np.int64]
) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """Return the rows not shown yet, and for each the seq shown before it, 0 for none."""
    ids, seq = rows["symbol_id"], rows["seq"]
    fresh = seq > positions[ids]
    if not fresh.all():
        rows = pick(rows, fresh)
        ids, seq = rows["symbol_id"], rows["seq"]
    prev = np.maximum(positions[ids], 0)
    order = np.argsort(ids, kind="stable")
    same = np.flatnonzero(ids[order][1:] == ids[order][:-1]) + 1
    prev[order[same]] = seq[order[same - 1]]
    return rows, prev
