"""One digest for one market: however many shards it is spread over, and however they are run."""

import datetime as dt
from collections.abc import Iterable, Iterator
from itertools import islice

import pytest

from engine.config import AlertsConfig, RuleConfig
from engine.feed.backfill import Answer, Bar, Gap
from engine.feed.reference import Reference, ReferenceRow
from engine.feed.synthetic import SMALL
from engine.schema.codes import AlertType, FeedState, IndexMember, Venue
from engine.shard.digest import combine
from engine.shard.stage import StageSettings
from engine.wiring.local import LocalTape
from engine.wiring.replay_day import plan, stamped_frames
from engine.wiring.stages import make_fold

SYMBOLS_MAX = 1_024
DAY = dt.date(2021, 7, 15)
SETTINGS = StageSettings(alerts=AlertsConfig(block_trade_min_vnd=1_000_000_000))
RULES = (RuleConfig("big", "trade.value_vnd > 5e8", "warning"),)

Frames = Iterable[tuple[int, bytes]]


def frames(count: int) -> Iterator[tuple[int, bytes]]:
    day = plan(None, None, seed=1, trades_max=SMALL.trades_max)
    return islice(stamped_frames(day), count)


def played(
    some: Frames, shards: int, *, flush_every: int = 20, batch_slots: int = 4_096
) -> LocalTape:
    """Run frames, and everything else that enters a tape, through so many shards."""
    tape = LocalTape(
        shards=shards,
        symbols_max=SYMBOLS_MAX,
        settings=SETTINGS,
        rules=RULES,
        batch_slots=batch_slots,
    )
    row = ReferenceRow("HPG", Venue.HOSE, 100, 5_000_000, 4_000_000, 4_500_000, 7, "ST", "Hòa Phát",
                       IndexMember.VN30)  # fmt: skip
    for number, (recv_ns, frame) in enumerate(some):
        if number == 0:
            tape.intake.feed_state(FeedState.LIVE, "", recv_ns)
        tape.intake.on_frame(frame, recv_ns)
        if number == 10:
            tape.intake.reference(Reference(DAY, (row,)), recv_ns)
        if number % 250 == 249:
            tape.intake.feed_state(FeedState.DOWN, "the connection dropped", recv_ns)
            tape.intake.feed_state(FeedState.LIVE, "", recv_ns + 1)
        if number == 700:
            gap = Gap(1, "HPG", 1, int(recv_ns // 1e9) - 60, int(recv_ns // 1e9), 500)
            tape.intake.backfill(Answer(gap, (Bar(gap.from_exch_s, 1, 2, 1, 2, 700),)), recv_ns)
        if number % flush_every == 0:
            tape.intake.flush()
            tape.drain()
    tape.intake.flush()
    tape.drain()
    return tape


@pytest.mark.jit
def test_one_two_and_three_shards_end_on_the_same_digest() -> None:
    one, two, three = (played(frames(1_500), shards) for shards in (1, 2, 3))
    told = {int(row["alert_type"]) for row in one.latest("alerts").values()}
    assert {AlertType.RULE, AlertType.FEED} <= told
    assert all(shard.fold.latest["trade"]["seq"].any() for shard in three.shards)
    assert one.digest() == two.digest() == three.digest()
    assert one.digest().feed, "the feed's own story is in it"
    assert sum(value != 0 for value in one.digest().deltas.values()) > 10
    # and a digest that can differ: one frame less
    less = played(frames(1_499), 3)
    assert less.digest() != one.digest()
    assert less.digest().deltas != one.digest().deltas


@pytest.mark.jit
def test_every_shard_but_the_feed_s_has_nothing_at_its_id() -> None:
    """What `combine` counts once must be there once."""
    tape = played(frames(300), 3)
    symbol_id = tape.symbols.find(b"FEED")
    known = [bool(shard.fold.latest["symbol"][symbol_id]["seq"]) for shard in tape.shards]
    assert known == [True, False, False]
    for shard in tape.shards[1:]:
        for stage in shard.fold.stages:
            row = shard.fold.state(stage.name)[symbol_id : symbol_id + 1]
            assert not any(row.tobytes()), stage.name


@pytest.mark.jit
def test_a_shard_restored_in_the_middle_ends_on_the_digest_of_one_that_was_not() -> None:
    """Three shards, each saved and put into a new fold at a moment of its own."""
    tape = LocalTape(shards=3, symbols_max=SYMBOLS_MAX, settings=SETTINGS, rules=RULES)
    plain = LocalTape(shards=3, symbols_max=SYMBOLS_MAX, settings=SETTINGS, rules=RULES)
    for number, (recv_ns, frame) in enumerate(frames(900)):
        for each in (tape, plain):
            each.intake.on_frame(frame, recv_ns)
            each.intake.flush()
            each.drain()
        if number % 100 == 50:
            shard = tape.shards[number // 100 % 3]
            fold = make_fold(SYMBOLS_MAX, 4_096, SETTINGS, RULES, hash_deltas=True)
            fold.restore(shard.fold.save())
            shard.fold = fold
    assert tape.digest() == plain.digest()
    assert [str(s.fold.digest()) for s in tape.shards] == [
        str(s.fold.digest()) for s in plain.shards
    ]


@pytest.mark.jit
@pytest.mark.parametrize("batch_slots", [2_048, 8_192])
def test_how_a_shard_cuts_its_batches_does_not_show(batch_slots: int) -> None:
    one = played(frames(600), 2)
    other = played(frames(600), 2, batch_slots=batch_slots)
    assert [s.fold.digest() for s in one.shards] == [s.fold.digest() for s in other.shards]
    assert combine(s.fold.digest() for s in one.shards) == one.digest()
