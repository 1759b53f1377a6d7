"""Which contracts there are, and which of them have a new basis (market-behaviour section 8)."""

import numpy as np
import pytest

from engine.schema.codes import NoteFlag, Phase, SlotKind, TradeEvent, Underlying
from engine.schema.notes import NOTE
from engine.trackers import contracts
from engine.trackers.contracts import CONTRACT_FIELDS, CONTRACTS_MAX
from tests.shard.messages import rows_of
from tests.trackers.basis_messages import at, introduce

DAY, NEXT_DAY = "2021-07-15", "2021-07-16"
JULY, AUGUST, SPOT, OTHER_SPOT, STOCK = 1, 2, 5, 6, 7


class Watch:
    """The reusable kernels over a state of their own."""

    def __init__(self, capacity: int = 8) -> None:
        self.state = np.zeros(capacity, np.dtype(CONTRACT_FIELDS))
        for who, code in ((JULY, "VN30F2107"), (AUGUST, "VN30F2108"), (SPOT, "VN30")):
            self.tell(introduce(who, code))

    def tell(self, message, **said):
        """Show one slot; return the ids of the contracts with news."""
        note = np.zeros(1, NOTE)
        for name, value in ({"phase": Phase.CONTINUOUS} | said).items():
            note[0][name] = value
        bits = int(contracts.watch_basis(rows_of([[message]]), 0, note[0], self.state))
        ids = self.state[0]["contract_id"]
        return [int(ids[place]) for place in range(CONTRACTS_MAX) if bits >> place & 1]

    def match(self, who, price_e2, day=DAY, time="10:00:00", event=TradeEvent.MATCH, **said):
        message = at(
            day,
            time,
            who,
            SlotKind.TRADE,
            last_price_e2=price_e2,
            total_volume_shares=said.pop("total", 1),
        )
        return self.tell(message, event=event, **said)

    def tick(self, value_e2, day=DAY, time="10:00:00", who=SPOT, prior_e2=0, **said):
        matched, put_through = said.pop("matched", 0), said.pop("put_through", 0)
        fields = {
            "value_e2": value_e2,
            "prior_value_e2": prior_e2,
            "matched_volume_shares": matched,
            "put_through_volume_shares": put_through,
            "total_volume_shares": matched + put_through,
        }
        return self.tell(at(day, time, who, SlotKind.INDEX, **fields), **said)

    def basis(self, who):
        """Return the basis, None when it is not known."""
        known = contracts.has_basis(self.state, who)
        return int(contracts.basis_e2(self.state, who)) if known else None


@pytest.mark.parametrize(
    ("code", "underlying", "is_contract"),
    [
        ("VN30F2107", Underlying.VN30, True),
        ("41I1G8000", Underlying.VN30, True),
        ("41I2G8000", Underlying.VN100, True),
        ("VN30F1M", Underlying.VN30, True),
        ("GB05F2109", Underlying.BOND, False),
        ("FPT", Underlying.NONE, False),
    ],
)
def test_both_families_of_codes_are_contracts_and_bonds_are_not(code, underlying, is_contract):
    message = introduce(3, code)
    assert message["underlying"] == underlying
    watch = Watch()
    watch.tell(message)
    assert (3 in watch.state[0]["contract_id"].tolist()) == is_contract
    assert watch.state[3]["contract_underlying"] == (underlying if is_contract else 0)


def test_a_futures_match_and_an_index_tick_are_news_of_the_basis():
    watch = Watch()
    assert watch.match(JULY, 148_000) == []  # no spot yet
    assert watch.tick(147_500) == [JULY]
    assert watch.basis(JULY) == 500
    assert watch.match(JULY, 148_100) == [JULY]
    assert watch.basis(JULY) == 600
    assert watch.match(AUGUST, 147_000) == [AUGUST]
    assert watch.tick(147_600) == [JULY, AUGUST]
    assert (watch.basis(JULY), watch.basis(AUGUST)) == (500, -600)


def test_a_repeat_a_late_match_and_a_quote_are_no_news():
    watch = Watch()
    watch.tick(147_500)
    watch.match(JULY, 148_000)
    for event in (TradeEvent.NONE, TradeEvent.REPEAT, TradeEvent.LATE):
        assert watch.match(JULY, 140_000, event=event) == []
    assert watch.tell(at(DAY, "10:00:01", JULY, SlotKind.QUOTE)) == []
    assert watch.basis(JULY) == 500


@pytest.mark.parametrize("event", [TradeEvent.BASELINE, TradeEvent.CORRECTION])
def test_a_baseline_and_a_correction_tell_the_price_if_they_have_one(event):
    watch = Watch()
    watch.tick(147_500)
    assert watch.match(JULY, 148_000, event=event, total=7) == [JULY]
    assert watch.match(JULY, 0, event=event, total=5) == []
    assert watch.basis(JULY) == 500
    assert watch.state[JULY]["contract_volume_shares"] == 5


def test_the_spot_of_yesterday_is_no_spot():
    watch = Watch()
    watch.tick(147_500)
    watch.match(JULY, 148_000)
    assert watch.match(JULY, 148_000, NEXT_DAY, "08:45:00") == []
    assert watch.basis(JULY) is None
    assert watch.tick(147_000, DAY, "15:05:05") == []  # yesterday's, late
    assert watch.basis(JULY) is None
    assert watch.tick(147_200, NEXT_DAY, "09:15:01") == [JULY]
    assert watch.basis(JULY) == 800


def test_the_price_of_yesterday_is_no_price():
    watch = Watch()
    watch.tick(147_500)
    watch.match(JULY, 148_000)
    assert watch.tick(147_000, NEXT_DAY, "09:15:01") == []
    assert watch.basis(JULY) is None
    assert watch.match(JULY, 148_000, DAY, "14:45:00") == []
    assert watch.basis(JULY) is None


def test_an_index_shows_no_spot_before_it_is_open():
    watch = Watch()
    watch.match(JULY, 148_000, time="08:45:00")
    for phase in (Phase.PRE, Phase.ATO):
        assert watch.tick(147_500, prior_e2=147_500, phase=phase) == []
        assert watch.tick(147_500, phase=phase) == []  # it need not tell the prior close as such
        assert watch.tick(147_500, phase=phase, put_through=500_000) == []
    assert watch.tick(0) == []
    assert watch.tick(147_100, phase=Phase.ATO, matched=100) == [JULY]
    assert watch.tick(147_500, prior_e2=147_500) == [JULY]  # open: it may stand there


def test_a_stale_slot_and_a_strange_one_say_nothing():
    watch = Watch()
    watch.match(JULY, 148_000)
    assert watch.tick(147_500, flags=NoteFlag.STALE_DAY) == []
    assert watch.tick(147_500, who=OTHER_SPOT) == []  # nobody's spot
    watch.tell(introduce(OTHER_SPOT, "VN100"))
    assert watch.tick(147_500, who=OTHER_SPOT) == []  # not this contract's
    before = watch.state.tobytes()
    watch.tell(introduce(STOCK, "VN30F2109") | {"symbol_id": 8})
    watch.tell(introduce(STOCK, "VN30F2109") | {"symbol_id": 0})
    watch.match(STOCK, 148_000)
    assert watch.state.tobytes() == before


def test_each_index_is_the_spot_of_its_own_contracts_and_no_other_index_is_one():
    watch = Watch()
    watch.tell(introduce(3, "41I2G8000"))
    watch.tell(introduce(OTHER_SPOT, "VNINDEX"))
    watch.match(3, 179_000)
    watch.match(JULY, 148_000)
    assert watch.tick(130_000, who=OTHER_SPOT) == []
    assert watch.tick(147_500) == [JULY]
    watch.tell(introduce(OTHER_SPOT, "VN100"))
    assert watch.tick(179_040, who=OTHER_SPOT) == [3]
    assert (watch.basis(JULY), watch.basis(3)) == (500, -40)


def test_a_symbol_that_turns_out_to_be_something_else_is_not_followed():
    watch = Watch()
    watch.tick(147_500)
    watch.tell(introduce(JULY, "FPT"))
    assert watch.match(JULY, 148_000) == []
    watch.tell(introduce(JULY, "VN30F2107"))
    assert watch.match(JULY, 148_000) == [JULY]
    assert watch.state[0]["contract_count"] == 2


def full_watch() -> Watch:
    """Return one with CONTRACTS_MAX contracts: July, August, and others without an end."""
    watch = Watch(64)
    for who in range(10, 10 + CONTRACTS_MAX - 2):
        watch.tell(introduce(who, "VN30F1M"))
    assert watch.state[0]["contract_count"] == CONTRACTS_MAX
    return watch


def test_one_more_contract_takes_the_place_of_the_first_that_expired():
    watch = full_watch()
    watch.tick(147_500, NEXT_DAY)
    watch.match(JULY, 148_000, NEXT_DAY)
    watch.tell(introduce(40, "VN30F2109"))
    assert watch.match(40, 148_500, NEXT_DAY) == [40]
    assert watch.match(JULY, 148_000, NEXT_DAY) == []
    assert watch.tick(147_600, NEXT_DAY) == [40]
    assert watch.state[0]["contract_count"] == CONTRACTS_MAX


def test_one_too_many_is_not_followed_while_none_has_expired():
    watch = full_watch()
    watch.tick(147_500)
    watch.tell(introduce(40, "VN30F2109"))
    assert watch.match(40, 148_500) == []
    assert watch.match(JULY, 148_000) == [JULY]


def test_who_comes_back_into_the_table_brings_no_old_price():
    watch = full_watch()
    watch.match(JULY, 148_000, NEXT_DAY)
    watch.tell(introduce(40, "VN30F2106"))  # expired as well, in the place of July
    watch.tell(introduce(JULY, "VN30F2107"))  # in the place of June
    assert watch.tick(147_500, NEXT_DAY) == []
    assert watch.basis(JULY) is None
