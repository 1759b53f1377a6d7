"""Channel ``basis``, rule by rule (market-behaviour section 8)."""

import pytest

from engine.schema.codes import (
    BasisState,
    ContractFlag,
    ControlOp,
    DeltaFlag,
    FeedSession,
    FeedState,
    Phase,
    SlotKind,
    Underlying,
    Venue,
)
from engine.trackers import basis
from tests.shard.folding import fold_groups
from tests.shard.messages import levels
from tests.trackers.basis_messages import at, both_ways, introduce, new_fold

DAY, NEXT_DAY = "2021-07-15", "2021-07-16"
JULY, AUGUST, SPOT = 1, 2, 5
INTRODUCTIONS = [
    introduce(JULY, "VN30F2107"),
    introduce(AUGUST, "VN30F2108"),
    introduce(SPOT, "VN30"),
]
FRONT, MOST_ACTIVE = ContractFlag.FRONT, ContractFlag.MOST_ACTIVE


class Tape:
    """A fold of two contracts and their index."""

    def __init__(self):
        self.fold = new_fold()
        self.play(*INTRODUCTIONS)
        self.totals = {JULY: 0, AUGUST: 0}

    def play(self, *group):
        """Fold one group; return the rows of channel basis."""
        _, emitted = fold_groups(self.fold, [group])
        return emitted.get("basis", [])

    def match(self, who, price_e2, time="10:00:00", size=1, day=DAY, **fields):
        self.totals[who] += size
        return at(
            day,
            time,
            who,
            SlotKind.TRADE,
            last_price_e2=price_e2,
            last_volume_shares=size,
            total_volume_shares=self.totals[who],
            **fields,
        )

    def new_day(self):
        self.totals = {JULY: 0, AUGUST: 0}


def tick(value_e2, time="10:00:00", day=DAY):
    return at(day, time, SPOT, SlotKind.INDEX, value_e2=value_e2)


def by_contract(rows):
    """Return the last row of each contract."""
    return {row["symbol_id"]: row for row in rows}


def test_basis_is_price_less_spot_on_a_match_and_on_an_index_tick():
    tape = Tape()
    tape.play(tick(147_530, "09:59:58"))
    (row,) = tape.play(tape.match(JULY, 148_050, "10:00:01", size=7, reference_price_e2=147_000))
    assert row["basis_e2"] == 520
    assert row["basis_state"] == BasisState.PREMIUM
    assert (row["price_e2"], row["spot_value_e2"]) == (148_050, 147_530)
    assert row["price_exch_s"] - row["spot_exch_s"] == 3
    assert row["total_volume_shares"] == 7
    assert row["reference_price_e2"] == 147_000
    assert row["underlying"] == Underlying.VN30
    (row,) = tape.play(tick(148_051, "10:00:02"))
    assert row["symbol_id"] == JULY
    assert (row["basis_e2"], row["basis_state"]) == (-1, BasisState.DISCOUNT)
    assert row["spot_exch_s"] == row["exch_s"] == row["price_exch_s"] + 1
    (row,) = tape.play(tick(148_050, "10:00:03"))
    assert (row["basis_e2"], row["basis_state"]) == (0, BasisState.PAR)


def test_without_both_prices_of_today_there_is_no_basis():
    tape = Tape()
    (row,) = (row for row in tape.play(tape.match(JULY, 148_000)) if row["symbol_id"] == JULY)
    assert (row["basis_state"], row["basis_e2"], row["spot_value_e2"]) == (BasisState.NONE, 0, 0)
    tape.play(tick(147_500))
    tape.new_day()
    rows = by_contract(tape.play(tape.match(JULY, 148_000, "08:45:00", day=NEXT_DAY)))
    assert rows[JULY]["basis_state"] == BasisState.NONE
    assert rows[JULY]["spot_value_e2"] == rows[JULY]["spot_exch_s"] == 0


def test_an_index_tick_publishes_no_contract_without_a_price_today():
    tape = Tape()
    tape.play(tape.match(JULY, 148_000))
    assert set(by_contract(tape.play(tick(147_500)))) == {JULY}


def test_a_tick_equal_in_value_and_time_publishes_nothing_a_younger_one_does():
    tape = Tape()
    tape.play(tape.match(JULY, 148_000))
    assert len(tape.play(tick(147_500))) == 1
    assert tape.play(tick(147_500)) == []
    (row,) = tape.play(tick(147_500, "10:00:01"))
    assert row["spot_exch_s"] == row["exch_s"]


def test_a_quote_alone_publishes_nothing_and_goes_along_with_the_next_row():
    tape = Tape()
    tape.play(tape.match(JULY, 148_000))
    bids, asks = levels((147_990, 5), (147_980, 9)), levels((148_010, 4))
    book = {
        "bid_price_e2": bids[0],
        "bid_volume_shares": bids[1],
        "ask_price_e2": asks[0],
        "ask_volume_shares": asks[1],
    }
    assert tape.play(at(DAY, "10:00:01", JULY, SlotKind.QUOTE, **book)) == []
    shown = tape.fold.latest["basis"][JULY]
    assert (shown["bid_price_e2"], shown["ask_price_e2"]) == (0, 0)  # as it was published
    (row,) = tape.play(tick(147_500, "10:00:02"))
    assert (row["bid_price_e2"], row["ask_price_e2"]) == (147_990, 148_010)
    straggler = at("2021-07-14", "14:45:00", JULY, SlotKind.QUOTE)
    stranger = at(DAY, "10:00:02", 2**32 - 1, SlotKind.QUOTE)
    assert tape.play(straggler, stranger) == []
    (row,) = tape.play(tick(147_500, "10:00:03"))
    assert (row["bid_price_e2"], row["ask_price_e2"]) == (147_990, 148_010)
    tape.new_day()
    rows = by_contract(tape.play(tape.match(JULY, 148_000, "08:45:00", day=NEXT_DAY)))
    assert rows[JULY]["bid_price_e2"] == 0  # the book was yesterday's


def test_the_front_expires_next_and_rolls_the_day_after_expiry():
    tape = Tape()
    rows = by_contract(tape.play(tick(147_500)))
    assert rows[JULY]["contract_flags"] == FRONT  # its last day
    assert rows[AUGUST]["contract_flags"] == 0
    rows = by_contract(tape.play(tick(147_500, day=NEXT_DAY)))
    assert rows[JULY]["contract_flags"] == 0
    assert rows[AUGUST]["contract_flags"] == FRONT


def test_an_alias_without_expiry_never_is_the_front():
    fold = new_fold()
    fold_groups(fold, [[introduce(3, "VN30F1M"), introduce(SPOT, "VN30")]])
    match = at(DAY, "10:00:00", 3, SlotKind.TRADE, last_price_e2=148_000, last_volume_shares=3)
    _, emitted = fold_groups(fold, [[match | {"total_volume_shares": 3}]])
    assert emitted["basis"][0]["contract_flags"] == MOST_ACTIVE


def test_the_most_active_is_by_volume_today_and_none_is_none():
    tape = Tape()
    rows = by_contract(tape.play(tick(147_500)))
    assert not any(row["contract_flags"] & MOST_ACTIVE for row in rows.values())
    (row,) = tape.play(tape.match(AUGUST, 147_000, size=5))
    assert row["contract_flags"] == MOST_ACTIVE
    # Of equals the one that expires first; both rows change although one traded.
    rows = by_contract(tape.play(tape.match(JULY, 148_000, size=5)))
    assert rows[JULY]["contract_flags"] == FRONT | MOST_ACTIVE
    assert rows[AUGUST]["contract_flags"] == 0
    (row,) = tape.play(tape.match(JULY, 148_010, size=1))
    assert row["symbol_id"] == JULY


def test_two_contracts_never_mix():
    """Each basis is of the contract's own price, whichever of them traded last."""
    tape = Tape()
    tape.play(tick(147_500))
    tape.play(tape.match(JULY, 148_000, size=9), tape.match(AUGUST, 147_000))
    rows = by_contract(tape.play(tick(147_600, "10:00:01")))
    assert rows[JULY]["basis_e2"] == 400
    assert rows[AUGUST]["basis_e2"] == -600
    (row,) = tape.play(tape.match(AUGUST, 147_100))
    assert (row["symbol_id"], row["basis_e2"]) == (AUGUST, -500)


def test_a_group_gives_one_row_per_contract():
    tape = Tape()
    tape.play(tape.match(JULY, 148_000))
    rows = tape.play(tick(147_500), tape.match(JULY, 148_100), tick(147_700, "10:00:01"))
    assert [(row["symbol_id"], row["updates"], row["basis_e2"]) for row in rows] == [(JULY, 3, 400)]


def test_a_new_day_publishes_every_contract_blank_and_seq_goes_on():
    tape = Tape()
    tape.play(tick(147_500), tape.match(JULY, 148_000, reference_price_e2=147_000))
    before = by_contract(tape.play(tape.match(AUGUST, 147_000)))[AUGUST]
    rows = by_contract(tape.play(tick(0, "08:30:00", NEXT_DAY)))
    for who in (JULY, AUGUST):
        row = rows[who]
        assert row["basis_state"] == BasisState.NONE
        for name in ("price_e2", "spot_value_e2", "reference_price_e2", "total_volume_shares"):
            assert row[name] == 0
        assert row["trade_day"] == before["trade_day"] + 1
        assert row["venue"] == Venue.DERIVATIVES
        assert row["phase"] == Phase.PRE
    assert rows[AUGUST]["seq"] == before["seq"] + 1


def test_a_symbol_that_is_no_contract_any_more_has_no_further_rows():
    tape = Tape()
    tape.play(tick(147_500), tape.match(JULY, 148_000))
    tape.play(introduce(JULY, "FPT"))
    assert tape.play(tape.match(JULY, 148_100), tick(147_600, "10:00:01")) == []
    assert set(by_contract(tape.play(tick(147_700, day=NEXT_DAY)))) == {AUGUST}


def test_a_row_has_the_phase_of_its_contract_not_of_the_index():
    tape = Tape()
    tape.play(tape.match(JULY, 148_000, "08:46:00"))
    (row,) = tape.play(
        at(DAY, "09:05:00", SPOT, SlotKind.INDEX, value_e2=147_500, matched_volume_shares=1)
    )
    assert row["phase"] == Phase.CONTINUOUS  # futures trade since 09:00, HOSE is in its ATO
    tape.play(tape.match(JULY, 148_000, "10:00:00", size=0, session=FeedSession.HALT))
    (row,) = tape.play(tick(147_600, "10:00:01"))
    assert row["phase"] == Phase.HALT
    tape.play(tape.match(JULY, 148_000, "10:00:02", session=FeedSession.LO))
    (row,) = tape.play(tick(147_700, "10:00:03"))
    assert row["phase"] == Phase.CONTINUOUS


def test_flags_tell_of_a_baseline_a_correction_and_an_outage():
    tape = Tape()
    tape.play(tick(147_500))
    tape.totals[JULY] = 500
    (row,) = tape.play(tape.match(JULY, 148_000))
    assert row["flags"] == DeltaFlag.BASELINE
    tape.totals[JULY] -= 100
    (row,) = tape.play(tape.match(JULY, 148_000, "10:00:05"))
    assert row["flags"] == DeltaFlag.BASELINE | DeltaFlag.CORRECTED
    tape.play(
        *(
            {"kind": SlotKind.CONTROL, "op": ControlOp.FEED_STATE, "arg0": state}
            for state in (FeedState.DOWN, FeedState.LIVE)
        )
    )
    (row,) = tape.play(tape.match(JULY, 148_100, "10:01:00"))
    assert row["flags"] & DeltaFlag.AFTER_OUTAGE
    (row,) = tape.play(tape.match(JULY, 148_100, "10:01:01"))
    assert not row["flags"] & DeltaFlag.AFTER_OUTAGE


@pytest.mark.parametrize("size", [0, 3])
def test_a_message_that_says_nothing_new_publishes_nothing(size):
    tape = Tape()
    tape.play(tape.match(JULY, 148_000, size=size))
    assert tape.play(tape.match(JULY, 148_000, "10:00:01", size=0)) == []
    assert tape.play(at(DAY, "10:00:02", JULY, SlotKind.FOREIGN)) == []


def test_a_reference_price_that_is_told_with_a_repeat_is_news():
    tape = Tape()
    tape.play(tape.match(JULY, 148_000))
    (row,) = tape.play(tape.match(JULY, 148_000, size=0, reference_price_e2=147_000))
    assert row["reference_price_e2"] == 147_000
    assert tape.play(tape.match(JULY, 148_000, size=0)) == []  # not told again: it stays
    assert tape.fold.latest["basis"][JULY]["reference_price_e2"] == 147_000


def test_the_stage_looks_at_few_kinds():
    assert basis.STAGE.kinds == {SlotKind.SYMBOL, SlotKind.TRADE, SlotKind.QUOTE, SlotKind.INDEX}


def test_a_days_story_is_told_by_the_twin_too():
    tape = Tape()
    groups = [
        INTRODUCTIONS,
        [tape.match(JULY, 148_000, "09:00:01"), tape.match(AUGUST, 147_000, "09:00:01", size=4)],
        [tick(147_500, "09:16:00")],
        [tape.match(JULY, 148_020, "09:16:30", size=9), tick(147_400, "09:17:01")],
        [tick(147_300, "12:00:00"), tick(147_200, "13:00:02")],
    ]
    _, emitted, wanted = both_ways(groups)
    assert emitted == wanted
