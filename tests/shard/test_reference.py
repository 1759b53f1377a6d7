"""Channel ``reference``: what today has told, and when it is published."""

import random

import pytest

from engine.schema.codes import IndexMember, NoteFlag, SlotKind
from engine.shard import reference
from tests.oracle.ledger_naive import NaiveReference
from tests.shard.judged import DAYS, Single, Teller, note_of

FULL = {
    "ceiling_price_e2": 107_000,
    "floor_price_e2": 93_000,
    "reference_price_e2": 100_000,
    "indices": int(IndexMember.VN30 | IndexMember.VN100),
    "lot_shares": 100,
    "listed_shares": 1_000_000,
    "security_type": b"ST",
    "name": "Công ty Cổ phần FPT".encode(),
}
OTHER = {name: value + (1 if isinstance(value, int) else b"X") for name, value in FULL.items()}


def told(symbol_id: int = 1, day: str = DAYS[0], flags: int = 0, **fields) -> tuple:
    """Return a REFERENCE slot of 08:00 and its note."""
    message = Teller(symbol_id, day).at("08:00:00", SlotKind.REFERENCE, **fields)
    return message, note_of(flags=flags)


def facts(row: dict) -> dict:
    """Return what a row says of the symbol."""
    return {name: row[name] for name in FULL}


def test_a_full_slot_becomes_a_row_and_again_is_no_news():
    (row,) = Single(reference.STAGE).run([[told(**FULL)], [told(**FULL)]])
    assert facts(row) == FULL
    assert (row["seq"], row["updates"], row["trade_day"]) == (1, 1, 18823)


@pytest.mark.parametrize("name", FULL)
def test_each_field_that_changes_is_news_and_leaves_the_others(name):
    rows = Single(reference.STAGE).run([[told(**FULL)], [told(**{name: OTHER[name]})]])
    assert facts(rows[1]) == FULL | {name: OTHER[name]}


@pytest.mark.parametrize("name", FULL)
def test_nothing_told_erases_nothing(name):
    stage = Single(reference.STAGE)
    silent = FULL | {name: 0 if isinstance(FULL[name], int) else b""}
    assert len(stage.run([[told(**FULL)], [told(**silent)], [told()]])) == 1


def test_v3_prices_join_what_rest_told():
    prices = {name: FULL[name] + 50 for name in FULL if name.endswith("price_e2")}
    rows = Single(reference.STAGE).run([[told(**FULL)], [told(**prices)]])
    assert facts(rows[1]) == FULL | prices


def test_a_new_day_begins_blank():
    rows = Single(reference.STAGE).run(
        [[told(**FULL)], [told(day=DAYS[1], ceiling_price_e2=5)], [told(day=DAYS[1])]]
    )
    assert len(rows) == 2
    assert rows[1]["trade_day"] == 18824
    assert rows[1]["seq"] == 2
    blank = {name: 0 if isinstance(value, int) else b"" for name, value in FULL.items()}
    assert facts(rows[1]) == blank | {"ceiling_price_e2": 5}


def test_a_day_that_tells_nothing_still_takes_back_yesterday_s_limits():
    rows = Single(reference.STAGE).run([[told(**FULL)], [told(day=DAYS[1])]])
    assert rows[1]["ceiling_price_e2"] == 0


def test_a_straggler_of_yesterday_is_ignored():
    stale = told(day=DAYS[0], flags=NoteFlag.STALE_DAY, **OTHER)
    assert len(Single(reference.STAGE).run([[told(day=DAYS[1], **FULL)], [stale]])) == 1


def test_slots_of_a_group_merge():
    rows = Single(reference.STAGE).run(
        [[told(ceiling_price_e2=1), told(2, ceiling_price_e2=1), told(floor_price_e2=1), told()]]
    )
    assert [(row["symbol_id"], row["updates"], row["floor_price_e2"]) for row in rows] == [
        (1, 2, 1),
        (2, 1, 0),
    ]


def test_random_days_are_what_the_twin_says(seed):
    rng = random.Random(seed)
    groups = []
    day = {1: 0, 2: 0}
    for _ in range(400):
        group = []
        for _ in range(rng.randint(1, 3)):
            symbol_id = rng.choice((1, 2))
            day[symbol_id] = min(2, day[symbol_id] + (rng.random() < 0.01))
            chosen = rng.sample(sorted(FULL), rng.randint(0, 3))
            fields = {name: rng.choice((FULL, OTHER))[name] for name in chosen}
            stale = rng.random() < 0.1
            group.append(
                told(symbol_id, DAYS[day[symbol_id]], NoteFlag.STALE_DAY * stale, **fields)
            )
        groups.append(group)
    twin = NaiveReference()
    wanted = [row for group in groups for row in twin.feed(*map(list, zip(*group, strict=True)))]
    cuts = sorted(rng.sample(range(400), 30))
    assert Single(reference.STAGE).run(groups) == wanted
    assert Single(reference.STAGE).run(groups, cuts) == wanted
    assert {row["trade_day"] for row in wanted} == {18823, 18824, 18827}
