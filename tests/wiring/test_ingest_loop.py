"""The loop of ingest: no part of it can fail unnoticed, and a stop waits for what must be whole."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from engine.clock import SystemClock
from engine.config import FeedConfig
from engine.feed.recording import Kind, Recorder, read_records, recording_files
from engine.log import Log
from engine.schema.codes import FeedState
from engine.wiring.ingest_loop import IngestProcess
from engine.wiring.local import LocalTape
from tests.wiring.test_intake import frame, message


class FakeSource:
    """A feed that is live, tells its frames, and waits for the stop."""

    def __init__(self, *frames: bytes) -> None:
        self.frames = frames
        self.stopped = asyncio.Event()

    async def run(self, sink: Any) -> None:
        sink.on_state(FeedState.LIVE, "live")
        for each in self.frames:
            sink.on_frame(each, 1)
        await self.stopped.wait()

    def stop(self) -> None:
        self.stopped.set()

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class FakeRest:
    """What runs beside the tape: `work` is its life, `take` is asked with every heartbeat."""

    def __init__(
        self, work: Callable[[], Awaitable[None]], take: Callable[[], None] = lambda: None
    ) -> None:
        self.run, self.take_gaps = work, take


def ingest(source: FakeSource, rest: Any = None, recorder: Any = None) -> IngestProcess:
    clock, tape = SystemClock(), LocalTape(symbols_max=64, recorder=recorder)
    process = IngestProcess(
        source,
        tape.intake,
        [],
        tape.counters,
        FeedConfig(),
        clock,
        Log("test", clock),
        lossless=False,
        recorder=recorder,
    )
    process.rest_data = rest
    return process


async def for_ever() -> None:
    await asyncio.Event().wait()


async def ends(process: IngestProcess) -> None:
    async with asyncio.timeout(30):  # a watchdog
        await process.run()


def broken(*_: Any) -> Any:
    raise RuntimeError("a bug")


@pytest.mark.parametrize("with_rest", [True, False])
def test_a_bug_of_the_decoder_ends_the_process(with_rest: bool) -> None:
    async def live() -> None:
        process = ingest(
            FakeSource(frame(message("SSI"))), FakeRest(for_ever) if with_rest else None
        )
        process._intake.step = broken  # type: ignore[method-assign]
        with pytest.raises(RuntimeError, match="a bug"):
            await ends(process)

    asyncio.run(live())


def test_a_bug_in_a_heartbeat_ends_the_process() -> None:
    async def live() -> None:
        beats = iter([lambda: None, lambda: None, broken])
        with pytest.raises(RuntimeError, match="a bug"):
            await ends(ingest(FakeSource(), FakeRest(for_ever, lambda: next(beats)())))

    asyncio.run(live())


def test_a_bug_beside_the_tape_ends_the_process_and_the_recording_is_whole(tmp_path: Path) -> None:
    async def live() -> None:
        async def work() -> None:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            broken()

        recorder = Recorder(tmp_path, "r", {}, 1)
        with pytest.raises(RuntimeError, match="a bug"):
            await ends(ingest(FakeSource(frame(message("SSI"))), FakeRest(work), recorder))

    asyncio.run(live())
    (file,) = recording_files([tmp_path])
    assert [r.kind for r in read_records(file)].count(Kind.FRAME) == 1


def test_nothing_to_do_beside_the_tape_is_no_reason_to_end() -> None:
    async def live() -> None:
        async def nothing() -> None:
            asyncio.get_running_loop().call_later(0.05, source.stop)

        source = FakeSource(frame(message("SSI")))
        process = ingest(source, FakeRest(nothing))
        await ends(process)
        assert source.stopped.is_set()
        assert process._counters[0]["messages"] == 1

    asyncio.run(live())


def test_a_stop_waits_for_what_must_not_be_torn() -> None:
    """A refresh token that has been used has only its answer left: see ``session_v3``."""
    written = []

    async def live() -> None:
        async def refresh() -> None:
            await asyncio.sleep(0.05)
            written.append("the next refresh token")

        async def work() -> None:
            task = asyncio.ensure_future(refresh())
            source.stop()
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                await asyncio.wait({task})
                raise

        source = FakeSource()
        await ends(ingest(source, FakeRest(work)))

    asyncio.run(live())
    assert written == ["the next refresh token"]
