"""Ceiling and floor: the rules of market-behaviour sections 1, 5 and 10, and the stories."""

import pytest

from engine.schema.codes import DeltaFlag, FeedState, LimitEvent, LimitState, SlotKind
from engine.trackers import limits
from tests.trackers.story import Story, tables
from tests.trackers.symbol_day import SymbolDay, Watched

CEILING, FLOOR, MIDDLE = 2_675_000, 2_325_000, 2_500_000
LOCKED = ([(CEILING, 700)], [])
OPEN = ([(MIDDLE, 100)], [(CEILING, 50)])


@pytest.fixture
def day():
    return SymbolDay(limits=(CEILING, FLOOR))


@pytest.fixture
def watched():
    return Watched(limits.STAGE)


def events(rows):
    return [LimitEvent(row["limit_event"]) for row in rows]


@pytest.mark.parametrize("path", tables("limits"), ids=lambda path: path.stem)
def test_story(path):
    assert Story(path).play() > 0


@pytest.mark.parametrize("lie", ["-", "ENTER FLOOR 94600", "ENTER CEILING 94600; LOCK 1 wait"])
def test_a_story_that_lies_is_noticed(lie, tmp_path):
    path = tmp_path / "limits_lie.txt"
    path.write_text(
        f"symbol FPT HOSE\nday 2021-07-15\nlimits 94600 82400\n10:00:00 trade 94600 100 100 | {lie}"
    )
    with pytest.raises(AssertionError, match="shown: ENTER CEILING 94600"):
        Story(path).play()


def test_at_ceiling_since_when(day, watched):
    (row,) = watched.tell(
        day.match("09:20:00", MIDDLE),
        day.match("09:21:00", CEILING),
        day.match("09:22:00", CEILING),
    )
    assert row["limit_state"] == LimitState.CEILING
    assert row["since_exch_s"] == row["exch_s"] == day.at("09:21:00", 1)["exch_s"]
    assert row["limit_price_e2"] == row["price_e2"] == CEILING
    assert (row["enter_count"], row["flags"]) == (1, 0)


def test_at_floor_since_when(day, watched):
    (row,) = watched.tell(day.match("09:20:00", MIDDLE), day.match("09:21:00", FLOOR))
    assert (row["limit_state"], row["limit_price_e2"]) == (LimitState.FLOOR, FLOOR)


def test_once_per_entry_not_once_per_tick(day, watched):
    rows = watched.tell(*(day.match(f"09:21:{s:02}", CEILING) for s in range(10)))
    assert events(rows) == [LimitEvent.ENTER]
    rows = watched.tell(
        day.match("09:22:00", MIDDLE),
        day.match("09:23:00", CEILING),
        day.match("09:24:00", CEILING),
    )
    assert events(rows) == [LimitEvent.LEAVE, LimitEvent.ENTER]
    assert rows[1]["enter_count"] == 2


def test_residual_queue_and_time_locked(day, watched):
    rows = watched.tell(
        day.match("09:21:00", CEILING),
        day.book("09:21:00", *LOCKED),
        day.book("09:22:00", [(CEILING, 900), (MIDDLE, 50)], []),
        day.book("09:23:00", *OPEN),
        day.book("09:24:00", *LOCKED),
        day.match("09:24:30", MIDDLE),
    )
    assert events(rows) == [
        LimitEvent.ENTER,
        LimitEvent.LOCK,
        LimitEvent.QUEUE,
        LimitEvent.UNLOCK,
        LimitEvent.LOCK,
        LimitEvent.LEAVE,
    ]
    assert [row["queue_shares"] for row in rows] == [0, 700, 900, 0, 700, 0]
    assert [row["locked"] for row in rows] == [0, 1, 1, 0, 1, 0]
    assert [row["locked_s"] for row in rows] == [0, 0, 0, 120, 120, 150]


def test_the_unlock_event_tells_the_size_that_had_waited(day, watched):
    rows = watched.tell(
        day.match("09:21:00", CEILING),
        day.book("09:21:00", [(CEILING, 40_000)], []),
        day.match("09:22:00", CEILING, 40_000),
        day.book("09:22:00", *OPEN),
        day.match("09:23:00", MIDDLE),
    )
    unlock, leave = rows[-2:]
    assert (unlock["limit_event"], unlock["left_queue_shares"]) == (LimitEvent.UNLOCK, 40_000)
    assert (leave["limit_event"], leave["left_queue_shares"]) == (LimitEvent.LEAVE, 40_000)
    assert unlock["hit_volume_shares"] == leave["hit_volume_shares"] == 40_100


def test_the_queue_alone_is_no_entry(day, watched):
    assert watched.tell(day.match("09:20:00", MIDDLE), day.book("09:21:00", *LOCKED)) == []


def test_a_lock_needs_an_empty_other_side(day, watched):
    watched.tell(day.match("09:21:00", CEILING))
    assert watched.tell(day.book("09:21:01", [(CEILING, 700)], [(CEILING + 5_000, 1)])) == []
    assert watched.tell(day.book("09:21:02", [(CEILING, 700)], [(0, 1)])) == []
    assert watched.tell(day.book("09:21:03", [(MIDDLE, 700)], [])) == []
    assert watched.tell(day.book("09:21:04", [(CEILING, 700)], [(CEILING, 0)])) != []


@pytest.mark.parametrize(
    ("time", "bids", "asks"),
    [
        ("14:31:00", [(0, 10), (MIDDLE, 5)], [(MIDDLE + 5_000, 5)]),  # ATC orders
        ("14:31:00", [(CEILING, 700)], [(CEILING, 10)]),  # crossed
        ("14:31:00", [], []),  # no book at all
        ("11:30:01", [], []),
        ("15:05:00", [], []),
    ],
)
def test_auction_books_can_be_crossed_and_never_unlock(day, watched, time, bids, asks):
    watched.tell(day.match("09:21:00", CEILING), day.book("09:21:00", *LOCKED))
    assert watched.tell(day.book(time, bids, asks)) == []
    assert watched.fold.state("limits")[1]["locked"] == 1


def test_an_empty_book_in_continuous_trading_unlocks(day, watched):
    watched.tell(day.match("09:21:00", CEILING), day.book("09:21:00", *LOCKED))
    assert events(watched.tell(day.book("09:22:00", [], []))) == [LimitEvent.UNLOCK]


def test_limits_of_yesterday_never_leak(day, watched):
    watched.tell(day.match("09:21:00", CEILING), day.book("09:21:00", *LOCKED))
    tomorrow = SymbolDay(day="2021-07-16")  # which tells no limits yet
    (blank,) = watched.tell(tomorrow.match("09:21:00", CEILING), tomorrow.book("09:22:00", *OPEN))
    kept = ("seq", "recv_ns", "exch_s", "symbol_id", "phase", "venue", "updates", "trade_day")
    assert not any(value for name, value in blank.items() if name not in kept)
    assert blank["seq"] == 3
    facts = tomorrow.at("09:30:00", SlotKind.REFERENCE, ceiling_price_e2=CEILING)
    (row,) = watched.tell(facts)
    assert (row["enter_count"], row["locked_s"], row["flags"]) == (1, 0, DeltaFlag.BASELINE)
    assert row["seq"] == 4  # the stream of the symbol goes on


def test_a_straggler_of_yesterday_changes_nothing(day, watched):
    tomorrow = SymbolDay(day="2021-07-16", limits=(CEILING + 100, FLOOR))
    watched.tell(tomorrow.match("09:21:00", MIDDLE))
    before = watched.fold.state("limits").tobytes()
    assert watched.tell(day.match("14:45:00", CEILING), day.book("14:45:00", *LOCKED)) == []
    assert watched.fold.state("limits").tobytes() == before


def test_a_baseline_is_told_as_one(day, watched):
    (row,) = watched.tell(day.told("10:00:00", CEILING, 100, 900_000))
    assert (row["limit_event"], row["flags"]) == (LimitEvent.ENTER, DeltaFlag.BASELINE)
    assert row["hit_volume_shares"] == 0
    (lock,) = watched.tell(day.book("10:00:01", *LOCKED))
    assert lock["flags"] == DeltaFlag.BASELINE  # the visit's beginning stays unknown


def test_a_zero_snapshot_is_no_event(day, watched):
    watched.tell(day.match("09:21:00", CEILING), day.book("09:21:00", *LOCKED))
    assert watched.tell(day.told("09:22:00", 0, 0, day.total)) == []
    assert Watched(limits.STAGE).tell(SymbolDay().told("08:00:07", 0, 0, 0)) == []


def test_a_late_match_adds_to_the_visit_it_belongs_to(day, watched):
    watched.tell(
        day.match("09:20:00", MIDDLE),
        day.match("09:21:00", CEILING, 100, missed=900),
        day.match("09:21:05", CEILING, 100, missed=500),
    )
    watched.tell(
        day.told("09:20:30", CEILING, 200, 300),  # before the entry: not of this visit
        day.told("09:21:01", CEILING, 500, 1_600),  # the piece that was missed in it
    )
    (leave,) = watched.tell(day.match("09:23:00", MIDDLE))
    assert leave["hit_volume_shares"] == 700


def test_after_an_outage_the_queue_is_not_known(day, watched):
    watched.tell(day.match("09:21:00", CEILING), day.book("09:21:00", *LOCKED))
    watched.tell(day.feed(FeedState.LIVE), day.feed(FeedState.DOWN), day.feed(FeedState.LIVE))
    assert watched.tell(day.match("09:40:00", CEILING)) == []
    (row,) = watched.tell(day.book("09:40:00", *LOCKED))
    assert (row["limit_event"], row["flags"]) == (LimitEvent.QUEUE, DeltaFlag.AFTER_OUTAGE)
    assert row["locked_since_exch_s"] == day.at("09:21:00", 1)["exch_s"]


def test_a_lock_that_ended_unseen_counts_up_to_its_last_sight(day, watched):
    watched.tell(day.match("09:21:00", CEILING), day.book("09:21:00", *LOCKED))
    watched.tell(day.match("09:21:30", CEILING))
    watched.tell(day.feed(FeedState.LIVE), day.feed(FeedState.DOWN), day.feed(FeedState.LIVE))
    (row,) = watched.tell(day.match("09:40:00", MIDDLE))
    assert (row["limit_event"], row["flags"]) == (LimitEvent.LEAVE, DeltaFlag.AFTER_OUTAGE)
    assert (row["locked_s"], row["left_queue_shares"]) == (30, 0)


def test_a_correction_follows_the_exchange(day, watched):
    watched.tell(day.match("09:20:00", MIDDLE), day.match("09:21:00", CEILING))
    (row,) = watched.tell(day.told("09:22:00", MIDDLE, 100, 100))
    assert (row["limit_event"], row["flags"]) == (LimitEvent.LEAVE, DeltaFlag.CORRECTED)


def test_a_correction_to_nothing_leaves_no_price(day, watched):
    watched.tell(day.match("09:21:00", CEILING))
    (row,) = watched.tell(day.told("09:22:00", CEILING, 0, 0))
    assert (row["limit_event"], row["price_e2"]) == (LimitEvent.LEAVE, 0)


def test_from_limit_to_limit_is_a_leave_and_an_entry(day, watched):
    watched.tell(day.match("09:21:00", CEILING), day.book("09:21:00", *LOCKED))
    leave, enter = watched.tell(day.match("09:22:00", FLOOR, 300))
    assert events([leave, enter]) == [LimitEvent.LEAVE, LimitEvent.ENTER]
    assert (leave["limit_state"], leave["limit_price_e2"]) == (LimitState.NONE, CEILING)
    assert (enter["limit_state"], enter["limit_price_e2"]) == (LimitState.FLOOR, FLOOR)
    assert (leave["left_queue_shares"], enter["left_queue_shares"]) == (700, 0)
    assert enter["hit_volume_shares"] == 300


def test_a_limit_that_moves_ends_the_visit(day, watched):
    watched.tell(day.match("09:21:00", CEILING))
    (row,) = watched.tell(day.at("09:22:00", SlotKind.REFERENCE, ceiling_price_e2=CEILING + 100))
    assert row["limit_event"] == LimitEvent.LEAVE
    assert row["price_e2"] == CEILING


def test_a_match_at_a_limit_that_moved_begins_a_new_visit(day, watched):
    watched.tell(day.match("09:21:00", CEILING))
    day.limits = (CEILING + 100, FLOOR)
    leave, enter = watched.tell(day.match("09:22:00", CEILING + 100))
    assert events([leave, enter]) == [LimitEvent.LEAVE, LimitEvent.ENTER]
    assert (enter["limit_price_e2"], enter["enter_count"]) == (CEILING + 100, 2)


def test_symbols_do_not_mix(day, watched):
    other = SymbolDay(symbol_id=2, limits=(CEILING, FLOOR))
    watched.tell(day.match("09:21:00", CEILING), other.match("09:21:00", MIDDLE))
    assert watched.tell(other.book("09:21:01", *LOCKED)) == []
