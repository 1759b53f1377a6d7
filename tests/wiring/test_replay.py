"""A recording played back is the live run again: same groups, same state, same digest."""

import datetime as dt
import os
import random
import sys
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import pytest

from engine import config as configuration
from engine import segment
from engine.config import AlertsConfig, Config, RuleConfig
from engine.decode.symbols import format_symbols, symbols_bytes
from engine.errors import ConfigError
from engine.feed.backfill import Answer, Bar, Gap
from engine.feed.recording import Recorder, recording_files
from engine.feed.reference import Reference, ReferenceRow
from engine.feed.synthetic import SMALL
from engine.ring.layout import format_ring, ring_bytes
from engine.rundir import RunDir
from engine.schema.codes import AlertType, FeedState, IndexMember, Venue
from engine.schema.counters import INGEST_COUNTERS
from engine.shard.stage import StageSettings
from engine.wiring import replay
from engine.wiring.local import LocalTape
from engine.wiring.replay_day import plan, stamped_frames

SEED = 20210715
SYMBOLS_MAX = 1_024
RING_SLOTS = 65_536
DAY = dt.date(2021, 7, 15)
ALERTS = AlertsConfig(block_trade_min_vnd=1_000_000_000)
RULES = (RuleConfig("big", "trade.value_vnd > 5e8", "warning"),)


def about(shards: int) -> dict[str, object]:
    """Return what a live ingest writes at the head of a recording."""
    return {
        "protocol": "v2",
        "horizon_s": None,
        "backlog_bytes": 1 << 26,
        "shards": shards,
        "symbols_max": SYMBOLS_MAX,
        "side_precedence": ["EXCHANGE", "QUOTE", "TICK"],
        "alerts": asdict(ALERTS),
        "rules": [asdict(rule) for rule in RULES],
    }


def settings() -> Config:
    return configuration.load(
        environ={},
        overrides=[
            "engine.shards=2",  # not what was recorded: the recording decides
            f"engine.ring_slots={RING_SLOTS}",
        ],
    )


def live(recorder: Recorder, shards: int) -> LocalTape:
    """Run some minutes of a day with everything that can enter, decoded in random bites."""
    rng = random.Random(SEED)
    tape = LocalTape(
        shards=shards,
        symbols_max=SYMBOLS_MAX,
        ring_slots=RING_SLOTS,
        settings=StageSettings(alerts=ALERTS),
        rules=RULES,
        hash_deltas=True,
        recorder=recorder,
    )
    row = ReferenceRow("HPG", Venue.HOSE, 100, 5_000_000, 4_000_000, 4_500_000, 7, "ST", "Hòa Phát",
                       IndexMember.VN30)  # fmt: skip
    for number, (recv_ns, frame) in enumerate(
        stamped_frames(plan(None, None, seed=1, trades_max=SMALL.trades_max))
    ):
        if number == 3_000:
            break
        tape.intake.on_frame(frame, recv_ns)
        if number == 10:
            tape.intake.reference(Reference(DAY, (row,)), recv_ns)
        if number % 500 == 499:
            tape.intake.feed_state(FeedState.DOWN, "the connection dropped", recv_ns)
            tape.intake.feed_state(FeedState.LIVE, "", recv_ns + 1)
        if number == 1_500:
            gap = Gap(1, "HPG", 1, int(recv_ns // 1e9) - 60, int(recv_ns // 1e9), 500)
            tape.intake.backfill(Answer(gap, (Bar(gap.from_exch_s, 1, 2, 1, 2, 700),)), recv_ns)
        if rng.random() < 0.2:
            tape.intake.step()
            tape.drain()
    tape.intake.flush()
    tape.drain()
    return tape


@pytest.mark.jit
@pytest.mark.parametrize("shards", [1, 3])
def test_a_replay_ends_on_the_digest_of_the_live_run(tmp_path: Path, shards: int) -> None:
    recorder = Recorder(tmp_path, "day", about(shards), 1, segment_bytes=100_000)
    tape = live(recorder, shards)
    recorder.close()
    told = {int(row["alert_type"]) for row in tape.latest("alerts").values()}
    assert AlertType.RULE in told, "the operator's rule has something to say"
    files = recording_files([tmp_path])
    assert len(files) > 1
    again = replay.replay_local(files, settings())
    assert [s.fold.digest() for s in again.shards] == [s.fold.digest() for s in tape.shards]
    assert again.counters["frames"] == tape.counters["frames"] == 3_000
    # and a digest that can differ: one frame less
    other = LocalTape(
        shards=shards, symbols_max=SYMBOLS_MAX, ring_slots=RING_SLOTS, hash_deltas=True
    )
    day = plan(None, None, seed=1, trades_max=SMALL.trades_max)
    for recv_ns, frame in islice(stamped_frames(day), 2_999):
        other.intake.on_frame(frame, recv_ns)
    other.intake.flush()
    other.drain()
    assert other.digest() != tape.digest()


@pytest.mark.jit
def test_a_restarted_ingest_s_second_recording_follows_the_first(tmp_path: Path) -> None:
    day = stamped_frames(plan(None, None, seed=1, trades_max=SMALL.trades_max))
    stamped = [next(day) for _ in range(400)]
    tape = LocalTape(
        symbols_max=SYMBOLS_MAX,
        ring_slots=RING_SLOTS,
        settings=StageSettings(alerts=ALERTS),
        rules=RULES,
        hash_deltas=True,
    )
    for part in range(2):
        recorder = Recorder(tmp_path, f"part-{part}", about(1), 1)
        tape.recorder = recorder
        tape.restart_intake()
        for recv_ns, frame in stamped[part * 200 : part * 200 + 200]:
            tape.intake.on_frame(frame, recv_ns)
            tape.intake.step()
        tape.drain()
        recorder.close()
    again = replay.replay_local(recording_files([tmp_path]), settings())
    assert again.shards[0].fold.digest() == tape.shards[0].fold.digest()


def test_what_cannot_be_played_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        replay.find_files([tmp_path / "none"])
    (tmp_path / "x.vnrec").write_bytes(b"not one, and long enough to be looked at")
    with pytest.raises(ConfigError, match="no recording"):
        replay.about(recording_files([tmp_path]))
    (tmp_path / "x.vnrec").write_bytes(b"")
    with pytest.raises(ConfigError, match="no record at all"):
        replay.about(recording_files([tmp_path]))
    for text in ("0", "-1", "fast"):
        with pytest.raises(ConfigError, match="--speed"):
            replay.parse_speed(text)
    assert replay.parse_speed("max") is None
    assert replay.parse_speed("2.5") == 2.5


def test_a_later_file_that_is_no_recording_is_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who starts it looks at the first file only; it must not die of the second for ever."""
    config, run = settings(), RunDir(tmp_path)
    ring = segment.create(run.ring_file(0), ring_bytes(RING_SLOTS))
    format_ring(ring.memory, RING_SLOTS, created_ns=1)
    table = segment.create(run.symbols_file, symbols_bytes(SYMBOLS_MAX))
    format_symbols(table.memory, SYMBOLS_MAX)
    segment.create(run.counters_file("ingest", 0), INGEST_COUNTERS.itemsize)
    run.write_config(config)
    run.write_manifest({})
    Recorder(tmp_path, "a", about(1), 1).close()
    (tmp_path / "b.vnrec").write_bytes(b"not one, and long enough to be looked at")
    argv = ["--run-dir", str(tmp_path), "--parent", str(os.getppid()), "--doorbells", "-1"]
    files = [str(file) for file in recording_files([tmp_path])]
    monkeypatch.setattr(sys, "argv", ["vntape-replay", *argv, "--speed", "max", *files])
    monkeypatch.setattr(replay, "die_with_parent", lambda _pid: None)
    monkeypatch.setattr(replay, "StopFlag", lambda: lambda: False)
    with pytest.raises(ConfigError, match=r"b\.vnrec is no recording"):
        replay.main()
