"""Channel ``limits`` against its naive twin, and what must hold whatever happens."""

from collections import defaultdict

from hypothesis import given

from engine.schema.codes import LimitEvent, LimitState
from engine.trackers import limits
from tests.oracle.limits_naive import NaiveLimits
from tests.shard import streams
from tests.shard.folding import fold_groups
from tests.trackers import main_board


@given(main_board.STREAMS)
def test_kernel_says_what_the_naive_twin_says(events):
    groups = main_board.interpret(events)
    main_board.assert_stage_equals_twin(limits.STAGE, NaiveLimits(), groups)


@given(streams.STREAMS)
def test_kernel_says_what_the_naive_twin_says_when_the_feed_has_a_bad_day(events):
    main_board.assert_stage_equals_twin(
        limits.STAGE, NaiveLimits(), main_board.listed(streams.interpret(events))
    )


@given(main_board.STREAMS, main_board.CUTS)
def test_batching_is_invisible(events, cuts):
    main_board.assert_batching_is_invisible(main_board.interpret(events), cuts)


@given(main_board.STREAMS)
def test_every_visit_is_entered_once_and_left_once(events):
    """Whatever happens, the events of a symbol's day make sense one after the other."""
    _, emitted = fold_groups(main_board.new_fold(), main_board.interpret(events))
    days = defaultdict(list)
    for row in emitted.get("limits", []):
        days[row["symbol_id"], row["trade_day"]].append(row)
    for rows in days.values():
        inside = locked = entered = 0
        for row in rows:
            event = row["limit_event"]
            if event == LimitEvent.NONE:  # takes yesterday's limit away
                assert row is rows[0]
                assert not row["limit_state"]
                continue
            if event == LimitEvent.ENTER:
                assert not inside
                inside, entered = 1, entered + 1
            else:
                assert inside
            assert (event in (LimitEvent.QUEUE, LimitEvent.UNLOCK)) <= locked
            if event == LimitEvent.LOCK:
                assert not locked
            locked = event in (LimitEvent.LOCK, LimitEvent.QUEUE)
            inside = event != LimitEvent.LEAVE
            assert (row["limit_state"] != LimitState.NONE) == inside
            assert row["locked"] == locked == (row["locked_since_exch_s"] > 0)
            assert (row["queue_shares"] > 0) >= locked
            assert row["enter_count"] == entered
