"""A day of matches, delivered badly: reordered, repeated, cut. No share may be counted twice.

The truth is a list of prints with their exact places in the day's cumulative volume. Whatever
becomes of it on the way, what the shard says is checked against the truth, share by share.
"""

from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.schema.codes import ControlOp, DeltaFlag, FeedState, SlotKind, Venue
from engine.shard.fold import Fold
from engine.shard.holes import HOLE_COUNT
from engine.shard.stats import check_invariants
from tests.shard.folding import SYMBOLS, assert_same_as_naive, fold_groups
from tests.shard.messages import Message, exch_s

FIRST_EXCH_S = exch_s("2021-07-15", "09:20:00")
DAY_S = 3_600
PRINTS_MAX = 24
SLOTS = 512


@dataclass(frozen=True)
class Print:
    """One match of the truth."""

    number: int
    size: int
    total: int
    exch_s: int

    def message(self) -> Message:
        """The slot that tells it; its price names it."""
        return told(self.total, self.size, 100_000 + self.number, self.exch_s)


def told(total: int, size: int, price: int, stamp: int) -> Message:
    """A TRADE slot of the one symbol."""
    return {
        "kind": SlotKind.TRADE,
        "symbol_id": 1,
        "venue": Venue.HOSE,
        "exch_s": stamp,
        "recv_ns": stamp,
        "last_price_e2": price,
        "last_volume_shares": size,
        "total_volume_shares": total,
    }


OPENING = told(0, 0, 0, FIRST_EXCH_S - 1)
COPY = st.integers(0, 60)  # how many places behind its own turn a copy comes

# One print: lots, seconds after the one before, places it is held back, copies of it.
EACH = st.tuples(
    st.integers(1, 5),
    st.sampled_from((0, 0, 0, 1, 30)),
    st.integers(0, HOLE_COUNT),
    st.lists(COPY, max_size=3),
)
DAYS = st.lists(EACH, min_size=1, max_size=PRINTS_MAX)


def truth_of(day: list[tuple[int, int, int, list[int]]]) -> list[Print]:
    """The prints of a drawn day."""
    prints: list[Print] = []
    total, stamp = 0, FIRST_EXCH_S
    for number, (lots, seconds, _, _) in enumerate(day):
        total, stamp = total + lots * 100, stamp + seconds
        prints.append(Print(number, lots * 100, total, stamp))
    return prints


def deliver(day: list[tuple[int, int, int, list[int]]]) -> list[Print]:
    """The prints in the order they arrive, copies included.

    A print held back by n places is overtaken by at most n others, so that never more than
    HOLE_COUNT are missing in the middle at a time.
    """
    turns = [
        (number + places, number, place)
        for number, (_, _, back, copies) in enumerate(day)
        for place, places in enumerate([back, *(back + copy for copy in copies)])
    ]
    prints = truth_of(day)
    return [prints[number] for _, number, _ in sorted(turns)]


def fold_all(messages: list[Message]) -> tuple[Fold, list[dict[str, Any]]]:
    """Fold, each message a group; return the fold and the tape."""
    fold = Fold(SYMBOLS, SLOTS)
    _, emitted = fold_groups(fold, [[message] for message in messages])
    return fold, emitted.get("trade", [])


def check_tape(tape: list[dict[str, Any]], truth: list[Print]) -> None:
    """Every row is a print of the truth with its size, price and stamp, and none comes twice."""
    by_total = {one.total: one for one in truth}
    totals = [row["total_volume_shares"] for row in tape]
    assert len(set(totals)) == len(totals)
    for row in tape:
        one = by_total[row["total_volume_shares"]]
        assert row["volume_shares"] == one.size
        assert (row["price_e2"], row["exch_s"]) in {
            (100_000 + one.number, one.exch_s),
            (100_000 + one.number, FIRST_EXCH_S + DAY_S),
        }


@given(DAYS)
def test_with_everything_delivered_nothing_is_missed(day):
    truth = truth_of(day)
    fold, tape = fold_all([OPENING, *(one.message() for one in deliver(day))])
    row = fold.latest["stats"][1]
    check_tape(tape, truth)
    assert row["missed_volume_shares"] == 0
    assert row["volume_shares"] == row["total_volume_shares"] == truth[-1].total
    assert row["trade_count"] == len(truth) == len(tape)
    assert row["correction_count"] == 0
    assert row["value_vnd"] == sum(one.size * (100_000 + one.number) // 100 for one in truth)
    late = [bool(tick["flags"] & DeltaFlag.LATE) for tick in tape]
    assert sum(late) == fold.counts.late == len(tape) - fold.counts.matches
    assert fold.state("classify")[1]["hole_count"] == 0


@given(DAYS, st.permutations(range(PRINTS_MAX)), st.sets(st.integers(0, PRINTS_MAX)), st.booleans())
def test_whatever_is_lost_shuffled_or_repeated_no_share_counts_twice(day, order, cut, opened):
    """Any order at all, any print gone, any number of copies anywhere."""
    truth = truth_of(day)
    arrivals = [one for one in deliver(day) if one.number not in cut]
    shuffled = sorted(arrivals, key=lambda one: order[one.number])
    for arrived in (arrivals, shuffled, shuffled + arrivals):
        # The closing refresh tells the last match again, an hour later: the exchange's total.
        closing = truth[-1].message() | {"exch_s": FIRST_EXCH_S + DAY_S}
        messages = [*([OPENING] * opened), *(one.message() for one in arrived), closing]
        fold, tape = fold_all(messages)
        row = fold.latest["stats"][1]
        check_tape(tape, truth)
        assert row["total_volume_shares"] == truth[-1].total
        assert row["volume_shares"] + row["missed_volume_shares"] == truth[-1].total
        assert row["volume_shares"] == sum(tick["volume_shares"] for tick in tape)
        assert row["correction_count"] == 0
        assert row["missed_volume_shares"] >= 0
        assert check_invariants(fold.latest["stats"]) == []


@given(DAYS, st.sets(st.integers(0, PRINTS_MAX)), st.lists(st.integers(0, 80), max_size=3))
def test_kernels_and_twin_agree_on_bad_deliveries(day, cut, aways):
    groups = [[one.message()] for one in deliver(day) if one.number not in cut]
    for place in aways:
        for state in (FeedState.LIVE, FeedState.CONNECTING):
            away = {"kind": SlotKind.CONTROL, "op": ControlOp.FEED_STATE, "arg0": state}
            groups.insert(min(place, len(groups)), [away])
    assert_same_as_naive([[OPENING], *groups], slots=SLOTS)


@given(DAYS, st.integers(0, PRINTS_MAX), st.integers(1, 3))
def test_after_a_correction_no_copy_of_a_retracted_match_comes_back(day, place, back):
    """The exchange takes the last prints back; what it says afterwards counts once."""
    truth = truth_of(day)
    arrivals = deliver(day)
    kept = max(0, len(truth) - 1 - back)
    total = truth[kept].total if kept else 0
    stamp = truth[-1].exch_s + 1
    correction = told(total, 100, 99_000, stamp)
    again = told(total + 100, 100, 98_000, stamp + 1)
    copies = [one.message() for one in arrivals[place:]]
    fold, tape = fold_all(
        [OPENING, *(one.message() for one in arrivals), correction, *copies, again, *copies]
    )
    row = fold.latest["stats"][1]
    taken_back = truth[-1].total - total
    assert row["correction_count"] == (taken_back > 0)
    assert row["total_volume_shares"] == truth[-1].total + 100 - taken_back
    assert row["volume_shares"] == truth[-1].total + 100
    assert row["missed_volume_shares"] == -taken_back
    assert [tick["price_e2"] for tick in tape].count(98_000) == 1
    assert len(tape) == len(truth) + 1
