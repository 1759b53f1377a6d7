"""Channel ``index``: every rule of market-behaviour section 7 that one index can tell."""

from pathlib import Path

import pytest

from engine.schema.codes import DeltaFlag, SlotKind
from engine.schema.deltas import INDEX_DELTA
from tests.shard.folding import fold_groups
from tests.shard.messages import Message, exch_s
from tests.trackers.told_table import BREADTH, ToldTable, new_fold

TABLES = sorted((Path(__file__).parents[1] / "tables").glob("index_*.txt"))
DAY, NEXT_DAY = "2021-07-15", "2021-07-16"
TOLD = dict(zip(BREADTH, (11, 0, 19, 1, 2), strict=True))
NONE_TOLD = dict.fromkeys(BREADTH, 0)
AMOUNTS = [name for name in INDEX_DELTA.names or () if name.endswith(("_shares", "_vnd", "_count"))]


def tells(time: str, value: float = 0, volume: int = 1_000, day: str = DAY, **fields) -> Message:
    """Return an INDEX message."""
    return {
        "kind": SlotKind.INDEX,
        "symbol_id": 1,
        "venue": 1,
        "exch_s": exch_s(day, time),
        "value_e2": round(value * 100),
        "total_volume_shares": volume,
    } | fields


def rows(*messages: Message) -> list[dict]:
    """Return the rows of messages that are a group each."""
    return fold_groups(new_fold(), [[message] for message in messages])[1].get("index", [])


def ranges(news: list[dict]) -> list[tuple[int, int, int]]:
    """Return open, high and low of rows."""
    return [(row["open_value_e2"], row["high_value_e2"], row["low_value_e2"]) for row in news]


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_story(path):
    assert ToldTable(path).play() > 0


def test_there_are_stories():
    assert TABLES


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        ("10:00:00 index value=5 volume=1 | index value=6 index.series", "shown: index value=5"),
        ("10:00:00 index value=5 volume=1 | -", "shown: index"),
        ("10:00:00 index | index value=0", "shown: -"),
    ],
)
def test_a_story_that_lies_is_noticed(lie, said, tmp_path):
    path = tmp_path / "index_lie.txt"
    path.write_text(f"symbol VN30 HOSE\nday {DAY}\n{lie}")
    with pytest.raises(AssertionError, match=said):
        ToldTable(path).play()


@pytest.mark.parametrize("time", ["14:45:00", "15:05:05", "13:30:00"])
def test_breadth_counters_that_turn_to_zero_do_not_overwrite_the_days_breadth(time):
    told = tells("13:00:05", 1284.46, **TOLD)
    first, zeroed, again = rows(
        told, told | {"exch_s": exch_s(DAY, time)} | NONE_TOLD, tells("15:05:10", 1284.46, **TOLD)
    )
    for row in (first, zeroed, again):
        assert {name: row[name] for name in BREADTH} == TOLD
    assert [row["flags"] for row in (first, zeroed, again)] == [0, DeltaFlag.NO_BREADTH, 0]
    assert zeroed["breadth_exch_s"] == exch_s(DAY, "13:00:05")
    assert again["breadth_exch_s"] == exch_s(DAY, "15:05:10")


def test_a_single_counter_of_zero_is_a_count():
    one, other = rows(
        tells("13:00:05", 1284, **TOLD), tells("13:00:10", 1284, **TOLD | {"floors": 0})
    )
    assert (one["floors"], other["floors"], other["flags"]) == (2, 0, 0)


def test_breadth_told_without_other_news_is_known_when_the_next_row_comes():
    news = rows(
        tells("13:00:05", 1284, **TOLD), tells("13:00:10", 1284, **TOLD), tells("13:00:15", 1285)
    )
    assert [row["breadth_exch_s"] for row in news] == [
        exch_s(DAY, "13:00:05"),
        exch_s(DAY, "13:00:10"),
    ]


def test_breadth_that_was_never_told_is_no_breadth_to_keep():
    (row,) = rows(tells("13:00:05", 1284))
    assert (row["flags"], row["breadth_exch_s"]) == (0, 0)


def test_open_high_and_low_are_of_todays_values():
    news = rows(*(tells("10:00:00", value) for value in (1284, 1290, 1280, 1285)))
    assert ranges(news) == [
        (128_400, 128_400, 128_400),
        (128_400, 129_000, 128_400),
        (128_400, 129_000, 128_000),
        (128_400, 129_000, 128_000),
    ]


@pytest.mark.parametrize("time", ["08:45:00", "09:10:00"])
def test_the_prior_close_told_before_the_first_match_makes_no_range(time):
    before, after = rows(tells(time, 1400, 0), tells("09:15:05", 1410))
    assert ranges([before, after]) == [(0, 0, 0), (141_000, 141_000, 141_000)]
    assert before["value_e2"] == 140_000


@pytest.mark.parametrize("time", ["08:45:00", "09:03:00"])
def test_put_through_deals_before_the_first_match_make_no_range_of_the_prior_close(time):
    deals = tells(time, 1400, 500_000, put_through_volume_shares=500_000)
    before, after = rows(deals, tells("09:15:05", 1380, 600_000))
    assert ranges([before, after]) == [(0, 0, 0), (138_000, 138_000, 138_000)]
    assert before["put_through_volume_shares"] == 500_000


def test_the_first_value_of_the_continuous_session_is_the_open_with_or_without_volume():
    assert ranges(rows(tells("09:15:05", 1410, 0))) == [(141_000, 141_000, 141_000)]


def test_a_zero_snapshot_changes_nothing():
    zeros = tells("10:00:05", 0, 0)
    rich = zeros | TOLD | {"total_volume_shares": 5, "prior_value_e2": 7}
    assert rows(zeros) == []
    assert len(rows(tells("10:00:00", 1284, **TOLD), zeros, rich)) == 1


def test_a_message_without_prior_value_keeps_the_known_one():
    news = rows(tells("10:00:00", 1284, prior_value_e2=128_000), tells("10:00:05", 1285))
    assert [row["prior_value_e2"] for row in news] == [128_000, 128_000]


def test_the_estimate_of_an_auction_is_as_carried():
    news = rows(
        tells("09:05:00", 0, 0, estimated_value_e2=128_100),
        tells("09:05:05", 0, 0, estimated_value_e2=128_200),
        tells("09:15:05", 1283),
    )
    assert [row["estimated_value_e2"] for row in news] == [128_100, 128_200, 0]
    assert [row["value_e2"] for row in news] == [0, 0, 128_300]
    assert ranges(news)[:2] == [(0, 0, 0), (0, 0, 0)]


@pytest.mark.parametrize("name", AMOUNTS)
def test_volumes_and_values_are_carried_as_told(name):
    news = rows(
        tells("10:00:00", 1284, **{name: 5_000}),
        tells("10:00:05", 1284, **{name: 6_000}),
        tells("10:00:10", 1284, **{name: 6_000}),
    )
    assert [row[name] for row in news] == [5_000, 6_000]


def test_a_total_volume_that_falls_is_followed_and_flagged_for_the_day():
    news = rows(
        tells("10:00:00", 1284, 900),
        tells("10:00:05", 1284, 800),
        tells("10:00:10", 1284, 950),
        tells("10:00:15", 1284, 950, day=NEXT_DAY),
    )
    assert [row["total_volume_shares"] for row in news] == [900, 800, 950, 950]
    corrected = DeltaFlag.CORRECTED
    assert [row["flags"] for row in news] == [0, corrected, corrected, 0]


def test_put_through_is_kept_apart_from_matched_volume():
    (row,) = rows(
        tells("10:00:00", 1284, 110, matched_volume_shares=100, put_through_volume_shares=10)
    )
    assert (row["matched_volume_shares"], row["put_through_volume_shares"]) == (100, 10)
    assert row["total_volume_shares"] == 110


def test_a_new_trading_date_begins_blank_and_the_sequence_goes_on():
    told = tells("15:05:05", 1290, **TOLD, estimated_value_e2=5)
    news = rows(told, tells("08:00:07", day=NEXT_DAY), tells("09:15:05", 1300, day=NEXT_DAY), told)
    assert [row["seq"] for row in news] == [1, 2]
    assert news[1]["trade_day"] == news[0]["trade_day"] + 1
    assert {name: news[1][name] for name in BREADTH} == NONE_TOLD
    assert ranges(news)[1] == (130_000, 130_000, 130_000)
    assert (news[1]["breadth_exch_s"], news[1]["prior_value_e2"]) == (0, 0)


def test_the_same_told_again_is_no_row_on_the_same_day():
    told = tells("10:00:00", 1284, **TOLD)
    assert len(rows(told, told | {"exch_s": exch_s(DAY, "10:00:05")})) == 1
    assert len(rows(told, told | {"exch_s": exch_s(NEXT_DAY, "10:00:00")})) == 2


def test_one_row_per_index_and_group():
    group = [tells("10:00:00", 1), tells("10:00:00", 2, symbol_id=2), tells("10:00:05", 3)]
    _, emitted = fold_groups(new_fold(), [group])
    assert [(row["symbol_id"], row["value_e2"], row["updates"]) for row in emitted["index"]] == [
        (1, 300, 2),
        (2, 200, 1),
    ]
