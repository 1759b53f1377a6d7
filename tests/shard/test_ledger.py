"""The ledger's books, event by event, with notes given by hand."""

import random

import pytest

import tests.oracle.ledger_naive as naive
from engine.schema.codes import GapCause, GapOutcome, GapState, NoteFlag, Phase, SlotKind, Venue
from engine.schema.deltas import GAPS_DELTA
from engine.shard import ledger
from engine.shard.ledger import OPEN_MAX, ROWS_PER_SLOT, gap_counts
from tests.shard.judged import DAYS, WHATS, Single, Teller, interpret, note_of
from tests.shard.messages import exch_s


def books(*judged) -> list[dict]:
    """Run messages, each a group of its own."""
    return Single(ledger.STAGE).run([[each] for each in judged])


def life(rows: list[dict]) -> list[tuple]:
    """(gap, state, outcome, left, open gaps, day's missed) of each row."""
    return [
        (
            row["gap_no"],
            GapState(row["gap_state"]).name,
            GapOutcome(row["gap_outcome"]).name,
            row["open_volume_shares"],
            row["open_count"],
            row["day_missed_volume_shares"],
        )
        for row in rows
    ]


def four_gaps(own: Teller) -> list:
    """Open as many gaps as may be open, of 100 to 400 shares."""
    return [
        own.match("09:00:00", 100),
        *(own.match(f"09:0{n}:00", 100, 100 * n) for n in range(1, OPEN_MAX + 1)),
    ]


def test_a_match_without_missed_volume_is_no_gap():
    own = Teller()
    assert books(own.repeat("08:59:00"), own.match("09:00:00", 100), own.repeat("09:00:01")) == []


def test_an_opening_row_says_everything_about_the_gap():
    own = Teller(3, venue=Venue.HNX)
    (row,) = books(
        own.match("09:00:00", 100),
        own.repeat("09:00:05"),
        own.match("09:01:00", 200, 300, GapCause.OUTAGE),
    )
    since, shown = exch_s(DAYS[0], "09:00:05"), exch_s(DAYS[0], "09:01:00")
    assert row == {
        "seq": 1,
        "updates": 1,
        "recv_ns": shown * 10**9 + 1,
        "exch_s": shown,
        "symbol_id": 3,
        "phase": Phase.CONTINUOUS,
        "venue": Venue.HNX,
        "flags": 0,
        "gap_no": 1,
        "gap_state": GapState.OPEN,
        "gap_cause": GapCause.OUTAGE,
        "gap_outcome": GapOutcome.NONE,
        "from_exch_s": since,
        "to_exch_s": shown,
        "from_recv_ns": since * 10**9 + 1,
        "to_recv_ns": shown * 10**9 + 1,
        "missed_volume_shares": 300,
        "open_volume_shares": 300,
        "bar_volume_shares": 0,
        "bar_high_price_e2": 0,
        "bar_low_price_e2": 0,
        "bar_count": 0,
        "open_count": 1,
        "day_missed_volume_shares": 300,
        "trade_day": 18823,
    }


def test_a_baseline_begins_nowhere():
    (row,) = books(Teller().baseline("10:00:00", 5_000))
    assert (row["from_exch_s"], row["from_recv_ns"]) == (0, 0)
    assert row["gap_cause"] == GapCause.BASELINE
    assert life([row]) == [(1, "OPEN", "NONE", 5_000, 1, 5_000)]


def test_stamps_that_step_back_do_not_turn_a_gap_round():
    own = Teller()
    (row,) = books(own.match("09:00:09", 100), own.match("09:00:08", 100, 100))
    assert row["from_exch_s"] == row["to_exch_s"] == exch_s(DAYS[0], "09:00:08")


def test_a_repeat_of_an_older_message_does_not_move_the_beginning_of_a_gap():
    own = Teller()
    (row,) = books(
        own.match("09:00:00", 100),
        own.match("09:00:01", 100),
        own.repeat("09:00:05", 100),  # the newest that told 200 came at 09:00:01
        own.match("09:00:09", 100, 100),
    )
    assert row["from_exch_s"] == exch_s(DAYS[0], "09:00:01")


def test_nor_does_a_late_match():
    own = Teller()
    rows = books(
        own.match("09:00:00", 100),
        own.match("09:00:01", 100, 200),
        own.late("09:00:07", 200, 100),
        own.match("09:00:09", 100, 100),
    )
    assert rows[-1]["gap_no"] == 2
    assert rows[-1]["from_exch_s"] == exch_s(DAYS[0], "09:00:01")


def test_late_matches_shrink_the_gap_they_lie_in_to_the_last_share():
    own = Teller()
    rows = books(
        own.match("09:00:00", 100),
        own.match("09:01:00", 100, 300),  # covers [100, 400)
        own.match("09:02:00", 100, 200),  # covers [500, 700)
        own.late("09:02:01", 300, 200),
        own.late("09:02:02", 700, 200),
        own.late("09:02:03", 400, 100),
    )
    assert life(rows)[2:] == [
        (1, "OPEN", "NONE", 100, 2, 300),
        (2, "CLOSED", "ARRIVED", 0, 1, 100),
        (1, "CLOSED", "ARRIVED", 0, 0, 0),
    ]


def test_a_younger_gap_keeps_its_place_when_an_older_one_goes():
    own = Teller()
    rows = books(
        own.match("09:00:00", 100),
        own.match("09:01:00", 100, 300),  # covers [100, 400)
        own.match("09:02:00", 100, 200),  # covers [500, 700)
        own.late("09:02:01", 400, 300),
        own.late("09:02:02", 700, 200),
    )
    assert life(rows)[2:] == [
        (1, "CLOSED", "ARRIVED", 0, 1, 200),
        (2, "CLOSED", "ARRIVED", 0, 0, 0),
    ]


@pytest.mark.parametrize(("total", "volume"), [(450, 100), (150, 100), (1_000, 100), (450, 400)])
def test_a_late_match_outside_every_gap_goes_to_gap_0(total, volume):
    own = Teller()
    rows = books(
        own.match("09:00:00", 100),
        own.match("09:01:00", 100, 300),  # covers [100, 400)
        own.late("09:02:00", total, volume),
    )
    assert life(rows)[1:] == [(0, "CLOSED", "ARRIVED", -volume, 1, 300 - volume)]


def test_a_late_match_larger_than_what_is_left_fills_the_gap_and_the_rest_is_gap_0():
    own = Teller()
    rows = books(
        own.match("09:00:00", 100),
        own.match("09:01:00", 600, 300),
        own.correction("09:02:00", 800),  # 200 of the gap
        own.late("09:03:00", 400, 300),
    )
    assert life(rows)[1:] == [
        (1, "OPEN", "NONE", 100, 1, 100),
        (1, "CLOSED", "ARRIVED", 0, 0, 0),
        (0, "CLOSED", "ARRIVED", -200, 0, -200),
    ]


def test_a_late_match_after_its_gap_was_closed_goes_to_gap_0():
    own = Teller()
    rows = books(
        own.match("09:00:00", 100),
        own.match("09:01:00", 100, 300),
        own.bar("09:03:00", 1, 0),
        own.late("09:04:00", 400, 300),
    )
    assert life(rows)[1:] == [
        (1, "CLOSED", "UNEXPLAINED", 300, 0, 300),
        (0, "CLOSED", "ARRIVED", -300, 0, 0),
    ]


def test_a_correction_takes_from_the_newest_gaps_and_then_from_gap_0():
    own = Teller()
    opening = four_gaps(own)  # 1,000 missed, 500 seen
    rows = books(*opening, own.correction("09:10:00", 850), own.correction("09:11:00", 300))
    assert life(rows)[OPEN_MAX:] == [
        (4, "CLOSED", "RETRACTED", 0, 3, 600),
        (3, "OPEN", "NONE", 50, 3, 350),
        (3, "CLOSED", "RETRACTED", 0, 2, 300),
        (2, "CLOSED", "RETRACTED", 0, 1, 100),
        (1, "CLOSED", "RETRACTED", 0, 0, 0),
        (0, "CLOSED", "RETRACTED", -200, 0, -200),
    ]


def test_a_correction_without_any_gap_is_a_row_too():
    own = Teller()
    rows = books(own.match("09:00:00", 500), own.correction("09:01:00", 300))
    assert life(rows) == [(0, "CLOSED", "RETRACTED", -200, 0, -200)]
    (row,) = rows
    assert (row["missed_volume_shares"], row["gap_cause"]) == (0, GapCause.NONE)
    assert (row["from_exch_s"], row["to_exch_s"]) == (0, exch_s(DAYS[0], "09:01:00"))


def test_volume_numbers_that_come_again_after_a_correction_belong_to_the_new_gap():
    own = Teller()
    rows = books(
        own.match("09:00:00", 100),
        own.match("09:01:00", 100, 300),  # gap 1 covers [100, 400)
        own.correction("09:02:00", 200),  # gap 1 is [100, 200) now, all of it taken back
        own.match("09:03:00", 100, 500),  # gap 2 covers [200, 700)
        own.late("09:04:00", 350, 100),
    )
    assert life(rows)[-1] == (2, "OPEN", "NONE", 400, 1, 400)


def test_a_gap_ends_where_a_correction_cut_it():
    own = Teller()
    rows = books(
        own.match("09:00:00", 100),
        own.match("09:01:00", 100, 300),  # covers [100, 400)
        own.correction("09:02:00", 250),  # covers [100, 250) now
        own.match("09:03:00", 100),
        own.late("09:04:00", 300, 50),
        own.late("09:05:00", 250, 50),
    )
    assert life(rows)[1:] == [
        (1, "OPEN", "NONE", 50, 1, 50),
        (0, "CLOSED", "ARRIVED", -50, 1, 0),
        (1, "CLOSED", "ARRIVED", 0, 0, -50),
    ]


def test_long_bad_days_are_what_the_twin_says_and_visit_everything(seed):
    rng = random.Random(seed)
    seen: set[tuple[int, int, bool]] = set()
    for _ in range(20):
        steps = [
            (
                rng.randint(1, 3),
                rng.choice(WHATS),
                rng.randint(0, 12),
                rng.randint(0, 12),
                n % 3 == 0,
            )
            for n in range(150)
        ]
        groups = interpret(steps)
        twin = naive.NaiveLedger()
        wanted = [
            row
            for group in groups
            for row in twin.feed([message for message, _ in group], [note for _, note in group])
        ]
        assert Single(ledger.STAGE).run(groups) == wanted
        seen |= {(row["gap_outcome"], row["open_count"], row["gap_no"] == 0) for row in wanted}
    assert {outcome for outcome, _, _ in seen} == set(GapOutcome)
    assert {count for _, count, _ in seen} == set(range(OPEN_MAX + 1))
    assert {outcome for outcome, _, zero in seen if zero} == {
        GapOutcome.ARRIVED,
        GapOutcome.RETRACTED,
    }


def test_a_fifth_gap_closes_the_oldest():
    own = Teller()
    rows = books(*four_gaps(own), own.match("09:10:00", 100, 700))
    assert life(rows)[OPEN_MAX:] == [
        (1, "CLOSED", "UNEXPLAINED", 100, 3, 1_000),
        (5, "OPEN", "NONE", 700, 4, 1_700),
    ]


def test_bars_are_collected_and_the_last_one_closes_the_gap():
    own = Teller()
    rows = books(
        own.match("09:00:00", 100),
        own.match("09:03:00", 100, 300),
        own.bar("09:05:00", 1, 400, 2, high_price_e2=120, low_price_e2=100),
        own.bar("09:05:00", 1, 0, 1, high_price_e2=900, low_price_e2=1),  # nobody traded
        own.bar("09:05:00", 1, 600, 0, high_price_e2=115, low_price_e2=90),
    )
    assert life(rows)[1:] == [(1, "CLOSED", "BACKFILLED", 300, 0, 300)]
    row = rows[-1]
    assert (row["bar_count"], row["bar_volume_shares"]) == (2, 1_000)
    assert (row["bar_high_price_e2"], row["bar_low_price_e2"]) == (120, 90)


def test_an_empty_answer_leaves_the_gap_unexplained():
    own = Teller()
    rows = books(own.baseline("10:00:00", 300), own.bar("10:02:00", 1, 0))
    assert life(rows)[1:] == [(1, "CLOSED", "UNEXPLAINED", 300, 0, 300)]


@pytest.mark.parametrize("gap_no", [0, 2, 99, -1])
def test_bars_for_a_gap_nobody_knows_are_ignored(gap_no):
    own = Teller()
    assert len(books(own.baseline("10:00:00", 300), own.bar("10:02:00", gap_no, 500))) == 1


@pytest.mark.parametrize("seconds", [-60, -1, 1])
def test_bars_of_another_gap_with_the_same_number_are_ignored(seconds):
    """A shard that has lost its ring numbers its gaps anew; older answers may still come."""
    own = Teller()
    opening = own.baseline("10:00:00", 300)
    stale, right = own.bar("10:02:00", 1, 500), own.bar("10:02:00", 1, 400)
    stale[0]["exch_s"] += seconds
    rows = books(opening, stale, right)
    assert life(rows)[1:] == [(1, "CLOSED", "BACKFILLED", 300, 0, 300)]
    assert rows[-1]["bar_volume_shares"] == 400


def test_bars_for_a_closed_gap_are_ignored():
    own = Teller()
    rows = books(
        own.baseline("10:00:00", 300),
        own.bar("10:02:00", 1, 500),
        own.bar("10:02:01", 1, 500),
    )
    assert len(rows) == 2


def test_bars_before_any_trade_are_ignored():
    assert books(Teller().bar("10:02:00", 1, 500)) == []


def test_a_new_day_first_closes_the_old_one_s_gaps_in_its_name():
    own = Teller()
    opening = [*four_gaps(own), own.late("09:20:00", 200, 100)]  # gap 1 arrived
    tomorrow = own.next_day(DAYS[1])
    rows = books(*opening, tomorrow.baseline("09:30:00", 50))
    assert life(rows)[OPEN_MAX + 1 :] == [
        (2, "CLOSED", "UNEXPLAINED", 200, 2, 900),
        (3, "CLOSED", "UNEXPLAINED", 300, 1, 900),
        (4, "CLOSED", "UNEXPLAINED", 400, 0, 900),
        (1, "OPEN", "NONE", 50, 1, 50),
    ]
    assert [row["trade_day"] for row in rows[-2:]] == [18823, 18824]
    assert {row["exch_s"] for row in rows[-2:]} == {exch_s(DAYS[1], "09:30:00")}
    assert (rows[-1]["from_exch_s"], rows[-1]["from_recv_ns"]) == (0, 0)


def test_any_slot_of_the_new_day_rolls_the_books():
    own = Teller()
    stage = Single(ledger.STAGE)
    status = own.next_day(DAYS[1]).at("08:00:00", SlotKind.STATUS)
    rows = stage.run([[own.baseline("09:30:00", 50)], [(status, note_of(flags=NoteFlag.NEW_DAY))]])
    assert life(rows)[1:] == [(1, "CLOSED", "UNEXPLAINED", 50, 0, 50)]
    account, before = stage.state[1]["today"], stage.state[1]["before"]
    assert (account["day"], account["missed_volume_shares"], account["gap_count"]) == (18824, 0, 0)
    assert (before["day"], before["missed_volume_shares"], before["gap_count"]) == (18823, 50, 1)


def test_a_straggler_of_yesterday_changes_nothing():
    own = Teller()
    stage = Single(ledger.STAGE)
    stage.run([[own.baseline("09:30:00", 50)]])
    before = stage.state.tobytes()
    for kind in (SlotKind.TRADE, SlotKind.BACKFILL):
        old = own.at("15:00:00", kind) | ({"gap_no": 1} if kind == SlotKind.BACKFILL else {})
        assert stage.run([[(old, note_of(flags=NoteFlag.STALE_DAY, missed_volume_shares=9))]]) == []
    assert stage.state.tobytes() == before


def test_symbols_keep_their_own_books_and_are_counted_together():
    first, second = Teller(1), Teller(2)
    stage = Single(ledger.STAGE)
    rows = stage.run(
        [
            [first.baseline("09:00:00", 10), second.baseline("09:00:00", 20)],
            [second.match("09:01:00", 10, 30)],
            [first.bar("09:02:00", 1, 5)],
        ]
    )
    assert [(row["symbol_id"], row["seq"], row["gap_no"]) for row in rows] == [
        (1, 1, 1),
        (2, 1, 1),
        (2, 2, 2),
        (1, 2, 1),
    ]
    assert gap_counts(stage.state) == (3, 2)


def test_open_gaps_can_be_asked_for_again():
    first, second = Teller(1, venue=Venue.HNX), Teller(2)
    stage = Single(ledger.STAGE)
    stage.run(
        [[first.match("09:00:00", 100)]]
        + [[first.match(f"09:0{n}:00", 100, 100 * n)] for n in (1, 2)]
        + [[second.baseline("09:00:00", 20)], [second.bar("09:00:01", 1, 0)]]
        + [[first.late("09:03:00", 250, 50)]]
    )
    rows = ledger.open_gaps(stage.state)
    assert rows.dtype == GAPS_DELTA
    assert rows["symbol_id"].tolist() == [1, 1]
    assert rows["gap_no"].tolist() == [1, 2]
    assert rows["open_volume_shares"].tolist() == [100, 200]
    assert rows["gap_state"].tolist() == [GapState.OPEN] * 2
    assert set(rows["venue"].tolist()) == {Venue.HNX}
    assert set(rows["trade_day"].tolist()) == {18823}
    assert rows["exch_s"].tolist() == rows["to_exch_s"].tolist()
    assert not rows["seq"].any()
    stage.run([[first.next_day(DAYS[1]).repeat("08:00:00")]])
    assert len(ledger.open_gaps(stage.state)) == 0


def test_the_account_counts_what_the_day_was_told():
    own = Teller(venue=Venue.UPCOM)
    stage = Single(ledger.STAGE)
    stage.run(
        [
            [own.repeat("08:30:00")],
            [own.match("09:00:00", 100)],
            [own.match("09:01:00", 100, 300)],
            [own.repeat("09:01:01")],
            [own.repeat("09:01:02", 100)],
            [own.late("09:01:03", 400, 200)],
            [own.correction("09:02:00", 350)],
        ]
    )
    account = stage.state[1]["today"]
    assert {name: int(account[name]) for name in account.dtype.names} == {
        "day": 18823,
        "total_volume_shares": 350,
        "seen_volume_shares": 400,
        "missed_volume_shares": -50,
        "gap_zero_volume_shares": -50,
        "gap_count": 1,
        "message_count": 7,
        "repeat_count": 2,
        "correction_count": 1,
        "late_count": 1,
        "last_exch_s": exch_s(DAYS[0], "09:02:00"),
        "last_recv_ns": exch_s(DAYS[0], "09:02:00") * 10**9 + 1,
        "venue": Venue.UPCOM,
    }


def test_a_slot_that_does_everything_fits_its_rows():
    own = Teller()
    opening = four_gaps(own)
    rolls = own.next_day(DAYS[1]).baseline("09:00:00", 100)
    stage = Single(ledger.STAGE)
    stage.run([[each] for each in opening])
    assert len(stage.run([[rolls]])) == ROWS_PER_SLOT
    own = Teller()
    stage = Single(ledger.STAGE)
    stage.run([[each] for each in four_gaps(own)])
    assert len(stage.run([[own.correction("09:30:00", 0)]])) == ROWS_PER_SLOT


@pytest.mark.parametrize("wrong", ["missed", "open", "cover", "last"])
def test_the_comparison_with_the_twin_would_notice_a_wrong_rule(wrong, monkeypatch):
    lies = {
        "missed": lambda day: 0,
        "open": lambda day: day.gaps,
        "cover": lambda day, gap: (0, 0),
        "last": lambda day: {},
    }
    own = Teller()
    judged = [*four_gaps(own), own.late("09:09:00", 200, 100), own.match("09:10:00", 100, 100)]
    monkeypatch.setattr(naive.Day, wrong, lies[wrong])
    twin = naive.NaiveLedger()
    wanted = [row for message, note in judged for row in twin.feed([message], [note])]
    assert books(*judged) != wanted


def test_the_note_says_which_gap_a_slot_opened_or_closed():
    own = Teller()
    judged = [
        own.match("09:00:00", 100),
        own.match("09:01:00", 200, 300),
        own.match("09:02:00", 100, 50),
        own.bar("09:05:00", 1, 400),
    ]
    single = Single(ledger.STAGE)
    said = []
    for each in judged:
        single.run([[each]])
        note = single.notes[0]
        said.append((NoteFlag(int(note["flags"])) & ~NoteFlag.NEW_DAY, int(note["gap_no"])))
    assert said == [
        (NoteFlag.NONE, 0),
        (NoteFlag.GAP_OPENED, 1),
        (NoteFlag.GAP_OPENED, 2),
        (NoteFlag.GAP_CLOSED, 1),
    ]
