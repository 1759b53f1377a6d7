"""The whole engine in one process, against figures worked out without it."""

import datetime as dt
import itertools
import os
from collections.abc import Iterable
from functools import cache

import numpy as np
import pytest

from engine.clock import DAY_S, ICT_OFFSET_S
from engine.feed.synthetic import (
    PAIR_TYPES,
    SMALL,
    X_TYPES,
    Day,
    Listing,
    MarketTable,
    frames,
    iter_messages,
    plan_day,
)
from engine.market.days import day_number
from engine.schema.codes import Reject, Venue
from engine.wiring.local import LocalTape
from engine.wiring.replay_day import stamped_frames
from engine.wiring.verify_day import Closing, compare

NATIVE = os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"
TRADES = 600 if NATIVE else 40  # kernels run as plain Python in the other lane
SEED = 15
DATE = dt.date(2021, 7, 15)
LISTINGS = (
    Listing("AAA", Venue.HOSE, 20_000_00, 20_100_00, 20_500_00, 19_900_00, 20_300_00, 125_000),
    Listing("BBB", Venue.HNX, 9_900_00, 10_000_00, 10_300_00, 9_800_00, 9_900_00, 33_333),
    Listing("CCC", Venue.HOSE, 50_000_00, 50_000_00, 50_000_00, 50_000_00, 50_000_00, 0),
    Listing("DDD", Venue.UPCOM, 12_000_00, 12_100_00, 12_100_00, 12_100_00, 12_100_00, 1),
    Listing("EEE", Venue.HOSE, 30_000_00, 30_000_00, 31_000_00, 29_500_00, 30_950_00, 4_400),
)
BATCHING = ("seq", "updates")  # depend on how slots were grouped; nothing else may


@cache
def small_day(quotes_per_trade: float = 1.4) -> Day:
    sizes = SMALL._asdict() | {
        "trades_max": TRADES,
        "quotes_per_trade": quotes_per_trade,
        "index_interval_s": 3_600,
        "foreign_interval_s": 7_200,
    }
    return plan_day(
        MarketTable("five stocks", DATE, LISTINGS), seed=SEED, vn30=["AAA", "EEE"], **sizes
    )


@cache
def stamped(messages_per_frame: int = 1) -> tuple[tuple[int, bytes], ...]:
    return tuple(stamped_frames(small_day(), messages_per_frame))


def played(
    feed: Iterable[tuple[int, bytes]], *, flush_every: int = 64, **options: int
) -> LocalTape:
    tape = LocalTape(symbols_max=64, ring_slots=4_096, **options)
    tape.play(feed, flush_every)
    return tape


@cache
def reference() -> LocalTape:
    return played(stamped())


def state(
    tape: LocalTape, *, without: tuple[str, ...] = BATCHING
) -> dict[str, dict[str, dict[str, object]]]:
    """Return every channel's latest rows as plain values, by symbol code."""
    return {
        channel: {
            code: {name: row[name].tolist() for name in row.dtype.names if name not in without}
            for code, row in tape.latest(channel).items()
        }
        for channel in ("symbol", "trade", "quote", "book", "stats")
    }


def naive_closings(day: Day) -> dict[str, tuple[int, ...]]:
    """Open, high, low, close, volume, value and count, from the plan and nothing else."""
    closings = {}
    for symbol in day.symbols:
        _, trades = day.trades_of(symbol.code)
        prices, volumes = trades["price_e2"].tolist(), trades["volume"].tolist()
        if prices:
            value_vnd = sum(
                price * volume * symbol.multiplier_vnd // 100
                for price, volume in zip(prices, volumes, strict=True)
            )
            closings[symbol.code] = (
                prices[0],
                max(prices),
                min(prices),
                prices[-1],
                sum(volumes),
                value_vnd,
                len(prices),
            )
    return closings


def engine_closings(tape: LocalTape) -> dict[str, tuple[int, ...]]:
    """Return the same figures as the statistics have them."""
    closings = {}
    for code, row in tape.latest("stats").items():
        seen = Closing.from_row(row)
        if seen.trade_count:
            closings[code] = (
                seen.open_e2,
                seen.high_e2,
                seen.low_e2,
                seen.close_e2,
                seen.volume_shares,
                seen.value_vnd,
                seen.trade_count,
            )
    return closings


def test_a_day_ends_on_the_published_figures() -> None:
    closings = {code: Closing.from_row(row) for code, row in reference().latest("stats").items()}
    verdict = compare(LISTINGS, closings)
    assert verdict.good, verdict
    assert verdict.matched == [listing.code for listing in LISTINGS]


def test_a_day_ends_on_what_its_arrays_add_up_to() -> None:
    closings = naive_closings(small_day())
    assert set(closings) == {"AAA", "BBB", "DDD", "EEE"}
    assert engine_closings(reference()) == closings


def test_every_match_became_one_trade_row() -> None:
    tape = reference()
    last = tape.latest("trade")
    for code, closing in naive_closings(small_day()).items():
        assert int(last[code]["seq"]) == closing[-1]
        assert int(last[code]["total_volume_shares"]) == closing[4]


def test_a_symbol_that_never_trades_has_a_book_and_no_figures() -> None:
    tape = reference()
    assert "CCC" in tape.latest("quote")
    assert "CCC" not in tape.latest("trade")
    assert "CCC" not in tape.latest("stats")
    row = played((time_ms, frame) for time_ms, frame in frames(small_day(), 1, X_TYPES)).latest(
        "stats"
    )["CCC"]  # X carries the reference price with every book
    assert int(row["reference_price_e2"]) == 50_000_00
    assert int(row["trade_count"]) == int(row["volume_shares"]) == 0


def test_time_is_what_was_stamped_on_the_frames() -> None:
    midnight_ns = (day_number(DATE) * DAY_S - ICT_OFFSET_S) * 10**9
    for row in reference().latest("trade").values():
        assert int(row["recv_ns"]) // 10**9 == int(row["exch_s"])
        assert midnight_ns < int(row["recv_ns"]) < midnight_ns + DAY_S * 10**9


def test_equal_frames_give_an_equal_digest_and_others_another() -> None:
    assert played(stamped()).digest() == reference().digest()
    assert played(stamped()[:-1]).digest() != reference().digest()


@pytest.mark.parametrize("batch_slots", [2_048, 4_096])
@pytest.mark.parametrize("flush_every", [1, 7, 64])
def test_batches_do_not_show(flush_every: int, batch_slots: int) -> None:
    tape = played(stamped(), flush_every=flush_every, batch_slots=batch_slots)
    assert state(tape) == state(reference())


def test_a_worker_s_batch_size_does_not_show_in_the_deltas_either() -> None:
    digests = {
        played(stamped(), flush_every=200, batch_slots=slots).digest() for slots in (2_048, 4_096)
    }
    assert len(digests) == 1


def test_frames_of_ten_messages_tell_the_same_as_frames_of_one() -> None:
    tape = played(stamped(10))
    # A frame is stamped with the time of its last message, so receive times differ.
    without = (*BATCHING, "recv_ns")
    assert state(tape, without=without) == state(reference(), without=without)


def test_two_shards_tell_the_same_as_one() -> None:
    both = played(stamped(), flush_every=1, shards=2)
    assert state(both, without=()) == state(played(stamped(), flush_every=1), without=())
    held = [
        {int(row["symbol_id"]) for row in shard.fold.latest["stats"] if row["seq"]}
        for shard in both.shards
    ]
    assert all(held), "one shard has nothing: choose other codes"
    assert not held[0] & held[1]


def test_an_x_feed_and_a_pair_feed_close_alike() -> None:
    day = small_day(1.0)
    by_feed = [
        engine_closings(
            played((time_ms * 1_000_000, frame) for time_ms, frame in frames(day, 1, types))
        )
        for types in (X_TYPES, PAIR_TYPES)
    ]
    assert by_feed[0] == by_feed[1] == naive_closings(day)


def test_messages_are_decoded_or_rejected_never_lost() -> None:
    rendered = sum(1 for _ in iter_messages(small_day()))
    garbage = (b"not json", b"[]", b'{"C":"d","M":[{"H":"Other","M":"x","A":[]}]}')
    feed = stamped()[:60]
    mixed = itertools.chain.from_iterable(
        [frame, (frame[0], garbage[index % 3])] if index % 4 == 0 else [frame]
        for index, frame in enumerate(feed)
    )
    cell = played(mixed).counters[0]
    assert int(cell["rejected"].sum()) == 15
    assert int(cell["messages"]) == len(feed) + 15
    for reason in (Reject.FRAME_NOT_JSON, Reject.FRAME_SHAPE, Reject.MESSAGE_SHAPE):
        assert int(cell["rejected"][reason]) == 5
    whole = reference().counters[0]
    assert int(whole["messages"]) == rendered
    assert not whole["rejected"].any()


def test_rejected_frames_change_nothing_else() -> None:
    feed = itertools.chain.from_iterable(((1, b"{"), frame, (1, b"null")) for frame in stamped())
    assert state(played(feed)) == state(reference())


def test_latest_names_only_symbols_that_have_a_row() -> None:
    tape = LocalTape(symbols_max=64, ring_slots=4_096)
    assert tape.latest("stats") == {}
    assert tape.drain() == 0
    for shard in tape.shards:
        assert shard.step() == []


@pytest.mark.jit  # thousands of frames
def test_a_ring_too_small_for_one_flush_is_said() -> None:
    tape = LocalTape(symbols_max=64, ring_slots=4_096)
    frame = next(frame for _, frame in stamped() if b"X-TRADE" in frame)
    for _ in range(4_095):
        tape.intake.on_frame(frame, 1)
    tape.intake.flush()
    for _ in range(100):
        tape.intake.on_frame(frame, 1)
    tape.intake.flush()
    with pytest.raises(AssertionError, match="too small"):
        tape.drain()


def test_rows_are_copies_of_no_one_s_state() -> None:
    tape = played(stamped()[:20])
    rows = tape.latest("stats")
    assert rows
    assert all(isinstance(row, np.void) for row in rows.values())
