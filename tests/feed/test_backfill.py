"""Which gap is asked about when, and what is delivered."""

import asyncio
import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import ManualClock, SystemClock
from engine.feed.backfill import Answer, Backfiller, Backlog, Bar, Gap, overlapping
from engine.feed.source import FeedError
from tests.feed.simulated import run

DAY = dt.date(2026, 8, 14)
NINE = int(dt.datetime(2026, 8, 14, 2, 0, tzinfo=dt.UTC).timestamp())  # 09:00 in Vietnam
DELAY_S = 65.0


def gap(symbol_id=1, gap_no=1, missed=100, start=0, end=59, code=None):
    """A gap that starts and ends these many seconds after 09:00."""
    code = code or f"S{symbol_id}"
    return Gap(symbol_id, code, gap_no, NINE + start, NINE + end, missed)


def bar(minute, volume=1_000):
    return Bar(NINE + minute * 60, 100, 110, 90, 105, volume)


def minutes(answer):
    return [(each.minute_exch_s - NINE) // 60 for each in answer.bars]


# The rules ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 0, [0]),
        (59, 60, [0, 1]),
        (60, 119, [1]),
        (61, 240, [1, 2, 3, 4]),
        (120, 120, [2]),
        (600, 660, []),
        (-NINE, 61, [0, 1]),  # a baseline: from the day's start
    ],
)
def test_whole_minutes_that_hold_a_second_of_the_gap(start, end, expected):
    hole = gap(start=start, end=end)
    found = overlapping(hole, [bar(minute) for minute in range(5)])
    assert minutes(Answer(hole, found)) == expected


@given(st.integers(0, 600), st.integers(0, 600), st.sets(st.integers(0, 10)))
def test_overlap_second_by_second(start, length, known):
    hole = gap(start=start, end=start + length)
    expected = {(start + second) // 60 for second in range(length + 1)} & known
    found = overlapping(hole, [bar(minute) for minute in sorted(known)])
    assert minutes(Answer(hole, found)) == sorted(expected)


def test_bars_of_another_day_are_not_the_baselines():
    assert overlapping(gap(start=-NINE), [bar(-24 * 60), bar(0)]) == (bar(0),)


def test_a_gap_waits_until_its_last_minute_is_complete():
    backlog = Backlog(DELAY_S, tries=3)
    backlog.add(gap(), 1_000.0)
    assert backlog.next_s() == 1_065.0
    assert backlog.take(1_064.9) is None
    assert backlog.take(1_065.0).gaps == (gap(),)


def test_one_fetch_answers_all_gaps_of_a_symbol_that_are_due():
    backlog = Backlog(DELAY_S, tries=3)
    first, second, late = gap(end=30), gap(gap_no=2, start=120, end=150), gap(gap_no=3)
    backlog.add(first, 0.0)
    backlog.add(second, 1.0)
    backlog.add(late, 60.0)
    ask = backlog.take(70.0)
    assert (ask.code, ask.day, ask.gaps) == ("S1", DAY, (first, second))
    answers = backlog.settle(ask, [bar(2), bar(1), bar(0)], 70.0)
    assert answers == [Answer(first, (bar(0),)), Answer(second, (bar(2),))]
    assert len(backlog) == 1
    assert backlog.take(70.0) is None


def test_bars_are_delivered_ascending():
    backlog = Backlog(0.0, tries=1)
    backlog.add(gap(end=300), 0.0)
    (answer,) = backlog.settle(backlog.take(0.0), [bar(4), bar(0), bar(2)], 0.0)
    assert minutes(answer) == [0, 2, 4]


def test_two_days_of_a_symbol_are_two_fetches():
    backlog = Backlog(0.0, tries=1)
    tomorrow = gap(gap_no=1, start=86_400, end=86_410, missed=1)
    backlog.add(gap(missed=2), 0.0)
    backlog.add(tomorrow, 0.0)
    ask = backlog.take(0.0)
    assert (ask.day, ask.gaps) == (DAY, (gap(missed=2),))
    backlog.settle(ask, [bar(0)], 0.0)
    assert backlog.take(0.0).day == DAY + dt.timedelta(days=1)


def test_the_symbol_that_missed_the_most_comes_first():
    backlog = Backlog(0.0, tries=1)
    for hole in (gap(1, 1, 300), gap(2, 1, 200), gap(2, 2, 200), gap(3, 1, 399)):
        backlog.add(hole, 0.0)
    order = []
    while (ask := backlog.take(0.0)) is not None:
        order.append(ask.code)
        backlog.settle(ask, [], 0.0)
    assert order == ["S2", "S3", "S1"]


def test_without_bars_it_is_tried_again_later_and_then_given_up():
    backlog = Backlog(DELAY_S, tries=3)
    backlog.add(gap(), 0.0)
    for turn in (65.0, 130.0):
        assert backlog.settle(backlog.take(turn), [bar(7)], turn) == []
        assert backlog.take(turn + 64.0) is None
    assert backlog.settle(backlog.take(195.0), [], 195.0) == [Answer(gap(), ())]
    assert len(backlog) == 0


def test_bars_at_a_later_try_answer_it():
    backlog = Backlog(DELAY_S, tries=2)
    backlog.add(gap(), 0.0)
    backlog.settle(backlog.take(65.0), [], 65.0)
    assert backlog.settle(backlog.take(130.0), [bar(0)], 130.0) == [Answer(gap(), (bar(0),))]


def test_a_gap_that_is_told_again_is_replaced_and_keeps_its_turn():
    backlog = Backlog(DELAY_S, tries=2)
    backlog.add(gap(missed=500), 0.0)
    smaller = gap(missed=100)
    assert backlog.add(smaller, 60.0)
    assert len(backlog) == 1
    assert backlog.take(65.0).gaps == (smaller,)


def test_a_gap_that_changes_during_its_fetch_is_answered_as_it_is_now():
    backlog = Backlog(0.0, tries=2)
    backlog.add(gap(), 0.0)
    ask = backlog.take(0.0)
    wider = gap(end=119)
    backlog.add(wider, 0.0)
    assert backlog.settle(ask, [bar(0), bar(1)], 0.0) == [Answer(wider, (bar(0), bar(1)))]


def test_no_more_than_so_many_wait():
    backlog = Backlog(0.0, tries=1, pending_max=2)
    assert [backlog.add(gap(number), 0.0) for number in (1, 2, 3, 2)] == [True, True, False, True]
    assert len(backlog) == 2


# The loop -----------------------------------------------------------------------------------


class Deliveries(list):
    """Answers, and a way to wait for them."""

    def __init__(self):
        self._came = asyncio.Event()

    def __call__(self, answer):
        self.append(answer)
        self._came.set()

    async def until(self, count):
        while len(self) < count:
            self._came.clear()
            await self._came.wait()


def backfilling(fetch, body, **settings):
    """Run a backfiller for the length of a test's body."""

    async def whole():
        deliveries = Deliveries()
        backfiller = Backfiller(
            fetch,
            deliveries,
            settings.pop("clock", SystemClock()),
            **{"delay_s": 0.0, "tries": 2, **settings},
        )
        running = asyncio.create_task(backfiller.run())
        try:
            await asyncio.wait(
                {running, checking := asyncio.ensure_future(body(backfiller, deliveries))},
                return_when=asyncio.FIRST_COMPLETED,
            )
            if running.done():
                checking.cancel()
                await running  # a bug of the loop ends the test
            await checking
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    run(whole())


def test_a_gap_is_answered():
    asked = []

    async def fetch(code, day):
        asked.append((code, day))
        return [bar(0), bar(1)]

    async def body(backfiller, deliveries):
        backfiller.request(gap())
        assert backfiller.pending == 1
        await deliveries.until(1)
        assert deliveries == [Answer(gap(), (bar(0),))]
        assert (backfiller.pending, backfiller.answered, backfiller.failures) == (0, 1, 0)
        assert asked == [("S1", DAY)]
        backfiller.request(gap(2))  # the loop is asleep, and wakes up
        await deliveries.until(2)

    backfilling(fetch, body)


def test_errors_are_tries():
    async def fetch(code, day):
        raise FeedError(f"no {code}")

    async def body(backfiller, deliveries):
        backfiller.request(gap())
        await deliveries.until(1)
        assert deliveries == [Answer(gap(), ())]
        assert (backfiller.answered, backfiller.failures) == (1, 3)
        assert backfiller.last_failure == "no S1"

    backfilling(fetch, body, tries=3, delay_s=0.001)


def test_one_symbols_errors_do_not_stop_another():
    async def fetch(code, day):
        if code == "S1":
            raise FeedError("no S1")
        return [bar(0)]

    async def body(backfiller, deliveries):
        backfiller.request(gap(1, missed=1_000))
        backfiller.request(gap(2, missed=1))
        await deliveries.until(2)
        assert {answer.gap.code: minutes(answer) for answer in deliveries} == {"S1": [], "S2": [0]}

    backfilling(fetch, body)


def test_a_bug_ends_the_loop():
    async def fetch(code, day):
        raise KeyError("bug")

    async def body(backfiller, deliveries):
        backfiller.request(gap())
        await deliveries.until(1)

    with pytest.raises(KeyError, match="bug"):
        backfilling(fetch, body)


def test_too_many_gaps_are_answered_at_once_without_bars():
    release = asyncio.Event()

    async def fetch(code, day):
        await release.wait()
        return [bar(0)]

    async def body(backfiller, deliveries):
        for number in range(1, 8):
            backfiller.request(gap(number))
        assert [answer.gap.code for answer in deliveries] == ["S6", "S7"]
        assert not any(answer.bars for answer in deliveries)
        assert backfiller.pending == 5
        release.set()
        await deliveries.until(7)
        assert all(answer.bars for answer in deliveries[2:])
        assert (backfiller.pending, backfiller.answered) == (0, 7)

    backfilling(fetch, body, pending_max=5)


def test_gaps_come_while_a_fetch_is_under_way():
    started, release = asyncio.Event(), asyncio.Event()
    asked = []

    async def fetch(code, day):
        asked.append(code)
        started.set()
        await release.wait()
        return [bar(0), bar(1)]

    async def body(backfiller, deliveries):
        backfiller.request(gap())
        await started.wait()
        backfiller.request(gap(gap_no=2, start=60, end=119))  # was not asked for: waits its turn
        release.set()
        await deliveries.until(2)
        assert [minutes(answer) for answer in deliveries] == [[0], [1]]
        assert asked == ["S1", "S1"]

    backfilling(fetch, body)


def test_a_cancelled_fetch_leaves_its_gap_waiting():
    async def fetch(code, day):
        await asyncio.Event().wait()

    async def whole():
        backfiller = Backfiller(fetch, Deliveries(), SystemClock(), 0.0, 1)
        backfiller.request(gap())
        running = asyncio.create_task(backfiller.run())
        await asyncio.sleep(0)
        running.cancel()
        assert isinstance(
            (await asyncio.gather(running, return_exceptions=True))[0], asyncio.CancelledError
        )
        assert (backfiller.pending, backfiller.answered) == (1, 0)

    run(whole())


def test_the_clock_decides_when_a_gap_is_due():
    """Nothing is fetched while the clock stands still, whatever else happens."""
    clock = ManualClock(1_000_000_000)
    asked = []

    async def fetch(code, day):
        asked.append(code)
        return [bar(0)]

    async def body(backfiller, deliveries):
        backfiller.request(gap())
        for _ in range(5):
            await asyncio.sleep(0)
        assert asked == []
        clock.advance_ns(65_000_000_000)
        backfiller.request(gap(2))  # wakes the loop; only the first is due
        await deliveries.until(1)
        assert asked == ["S1"]
        assert backfiller.pending == 1

    backfilling(fetch, body, clock=clock, delay_s=65.0)
