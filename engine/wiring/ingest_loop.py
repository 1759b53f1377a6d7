"""The loop of the ingest process: a source drives it, an intake takes what comes.

In: raw frames. Out: groups of slots, one ring per shard. Owner of the memory: the supervisor.
May lose: frames beyond `feed.backlog_bytes` (counted, told to clients); what the feed skipped shows
as missed volume. Counts: INGEST_COUNTERS. The socket is read whenever it has something: frames are
collected as they come, and decoded at the end of each loop turn, one bounded bite at a time.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.clock import Clock
from engine.config import FeedConfig
from engine.feed.health import FeedHealth
from engine.feed.recording import Recorder
from engine.feed.source import Source
from engine.log import Level, Log
from engine.ring.writer import RingWriter
from engine.schema.codes import FeedState
from engine.wiring.intake import Intake
from engine.wiring.journaling import Journals

if TYPE_CHECKING:
    from engine.wiring.rest_data import RestData

HEARTBEAT_S = 0.1
PACE_POLL_S = 0.001
PACE_RESUME_SHARE = 4  # a paused source resumes once its readers are within ring/8


class IngestProcess:
    """Glues a Source to an Intake inside one event loop."""

    def __init__(
        self,
        source: Source,
        intake: Intake,
        writers: list[RingWriter],
        counters: NDArray[np.void],
        feed: FeedConfig,
        clock: Clock,
        log: Log,
        *,
        lossless: bool,
        recorder: Recorder | None = None,
        journals: Journals | None = None,
    ) -> None:
        self._source = source
        self._intake = intake
        self._writers = writers
        self._counters = counters
        self._health = FeedHealth(feed.stale_ms / 1_000)
        self._clock = clock
        self._log = log
        self._lossless = lossless
        self._recorder = recorder
        self._journals = journals
        self.rest_data: RestData | None = None
        self._flush_due = False
        self._paused = False
        self._rejected_seen = 0
        self._lost_seen = 0
        self._messages_seen = 0
        self._last_data_ns = 0
        self._detail = ""
        self._stopping = False

    # Sink -----------------------------------------------------------------------------------

    def on_frame(self, frame: bytes | memoryview, recv_ns: int) -> None:
        """Collect a frame; decode once this loop turn has delivered all it had."""
        self._intake.on_frame(frame, recv_ns)
        self.wake()

    def on_state(self, state: FeedState, detail: str) -> None:
        """Take a change of the link's state, and say what it means for the tape."""
        cell = self._counters[0]
        was = FeedState(int(cell["link_state"]))
        if was <= FeedState.CONNECTING and state is FeedState.LIVE:
            cell["connects"] += 1
        if was > FeedState.CONNECTING and state <= FeedState.CONNECTING:  # STALE is no disconnect
            cell["disconnects"] += 1
        cell["link_state"] = state
        self._health.link(state, detail)
        if state is FeedState.CONNECTING:  # a line of its own, so that it never hides a reason
            self._log.write("info", "link connecting", detail=detail)
        else:
            well = state >= FeedState.CONNECTING or self._stopping
            level: Level = "info" if well else "warning"
            self._log.write(level, "link", state=state.name, detail=detail)
        self._judge()

    def wake(self) -> None:
        """Decode at the end of this loop turn."""
        if not self._flush_due:
            self._flush_due = True
            asyncio.get_running_loop().call_soon(self._guard, self._flush)

    # Loop -----------------------------------------------------------------------------------

    def _guard(self, work: Callable[[], None]) -> None:
        """Do what the loop calls. It would only print an exception and go on without us."""
        try:
            work()
        except Exception as bug:
            if self._bug is None or self._bug.done():
                raise
            self._bug.set_exception(bug)

    def _later(self, delay_s: float, work: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(delay_s, self._guard, work)

    def _flush(self) -> None:
        """Decode a bite. What is left waits for the next turn, after the socket was read."""
        self._flush_due = False
        if self._intake.step():
            self.wake()
        if self._lossless and not self._paused and self._backlog_share() > 0.5:
            self._paused = True
            self._source.pause()
            self._later(PACE_POLL_S, self._resume_when_drained)

    def _backlog_share(self) -> float:
        return max(1 - writer.free_slots / writer.ring.capacity for writer in self._writers)

    def _resume_when_drained(self) -> None:
        if self._backlog_share() > 1 / (2 * PACE_RESUME_SHARE):
            self._later(PACE_POLL_S, self._resume_when_drained)
            return
        self._paused = False
        self._source.resume()

    def _judge(self) -> None:
        """Tell the tape when the feed's state has changed, whoever changed it."""
        if self._stopping:  # that we leave is no outage of the feed
            return
        cell = self._counters[0]
        now_ns = self._clock.now_ns()
        if cell["messages"] != self._messages_seen:
            self._messages_seen = int(cell["messages"])
            self._last_data_ns = int(cell["last_frame_ns"])
        state, detail = self._health.judge(
            now_ns, int(cell["last_frame_ns"]), self._last_data_ns, int(cell["last_exch_s"])
        )
        if detail == self._detail and state == cell["feed_state"]:
            return
        self._detail = detail
        cell["feed_state"] = state
        self._intake.feed_state(state, detail, now_ns)
        self._log.write(
            "warning" if state in (FeedState.DOWN, FeedState.STALE) else "info",
            "feed",
            state=state.name,
            detail=detail,
        )
        self.wake()

    def _heartbeat(self) -> None:
        cell = self._counters[0]
        cell["heartbeat_ns"] = self._clock.now_ns()
        self._judge()
        self._report_losses()
        if self._recorder is not None:
            self._recorder.hand_over()
            cell["recorded_frames"] = self._recorder.frame_count
            cell["recorded_bytes"] = self._recorder.written_bytes
            cell["record_lost_frames"] = self._recorder.lost_frame_count
            if self._recorder.error:
                self._log.write("error", "not recording", reason=self._recorder.error)
        if self._journals is not None and self._journals.report():
            self._intake.symbols.introduce_again()
        if self.rest_data is not None:
            self.rest_data.take_gaps()
        self._later(HEARTBEAT_S, self._heartbeat)

    def _report_losses(self) -> None:
        cell = self._counters[0]
        rejected, lost = int(cell["rejected"].sum()), int(cell["lost_frames"])
        if rejected != self._rejected_seen:
            samples = {
                reason.name: sample[:200].decode("utf-8", "replace")
                for reason, sample in self._intake.decoder.samples.items()
            }
            if self._log.write("warning", "messages rejected", total=rejected, samples=samples):
                self._rejected_seen = rejected
        if lost != self._lost_seen and self._log.write(
            "error", "frames dropped: decoding fell behind", total=lost
        ):
            self._lost_seen = lost

    def stop(self) -> None:
        """Make `run` close the connection and return."""
        self._stopping = True
        self._source.stop()

    async def run(self) -> None:
        """Read the feed until SIGTERM. A bug in any part ends it, so that we are started anew."""
        cell, loop = self._counters[0], asyncio.get_running_loop()
        cell["pid"], cell["started_ns"] = os.getpid(), self._clock.now_ns()
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        self._bug = loop.create_future()
        self._heartbeat()
        beside = asyncio.create_task(self.rest_data.run()) if self.rest_data else None
        reading = asyncio.create_task(self._source.run(self))
        parts: list[asyncio.Future[None]] = [reading, self._bug, *([beside] if beside else [])]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            if beside is not None and beside.done():
                beside.result()  # it only ends by itself when it has nothing to do
                await asyncio.wait([reading, self._bug], return_when=asyncio.FIRST_COMPLETED)
            if self._bug.done():
                self._bug.result()
            await reading
            if beside is not None:  # a request that must not be torn ends first: see SessionV3
                beside.cancel()
                await asyncio.wait([beside])
            self._intake.flush()
        finally:
            if self._recorder is not None:
                self._recorder.close()
            if self._journals is not None:
                self._journals.close()
