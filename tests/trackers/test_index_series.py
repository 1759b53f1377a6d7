"""Channel ``index.series`` and the minutes of a row (market-behaviour section 7)."""

import numpy as np

from engine.clock import iso_ict
from engine.schema.codes import SlotKind
from engine.schema.deltas import INDEX_SERIES_DELTA, SERIES_MINUTES
from engine.trackers import series
from tests.shard.folding import fold_groups
from tests.shard.messages import Message, exch_s
from tests.trackers.told_table import new_fold

DAY, NEXT_DAY = "2021-07-15", "2021-07-16"


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


def entries(row: dict) -> list[tuple[str, float]]:
    """Return minute and value of every entry of a row."""
    count = row["series_count"]
    assert not any(row["series_exch_s"][count:])
    assert not any(row["series_value_e2"][count:])
    return [
        (iso_ict(start)[11:16], value / 100)
        for start, value in zip(
            row["series_exch_s"][:count], row["series_value_e2"][:count], strict=True
        )
    ]


def series_of(*messages: Message) -> list[list[tuple[str, float]]]:
    """Return the entries of every row that messages, a group each, give."""
    _, emitted = fold_groups(new_fold(), [[message] for message in messages])
    return [entries(row) for row in emitted.get("index.series", [])]


def test_an_entry_is_the_last_value_of_its_minute():
    assert series_of(tells("10:00:05", 1280), tells("10:00:55", 1281), tells("10:01:00", 1282)) == [
        [("10:00", 1280)],
        [("10:00", 1281), ("10:01", 1282)],
    ]


def test_a_row_is_published_once_per_minute():
    messages = [tells(f"10:{n // 6:02}:{n % 6 * 10:02}", 1280 + n) for n in range(30)]
    news = series_of(*messages)
    assert [len(row) for row in news] == [1, 2, 3, 4, 5]
    assert news[-1][:-1] == [(f"10:{m:02}", 1285 + 6 * m) for m in range(4)]


def test_a_minute_without_a_message_has_no_entry():
    assert series_of(tells("10:00:00", 1280), tells("10:07:00", 1280))[-1] == [
        ("10:00", 1280),
        ("10:07", 1280),
    ]


def test_a_zero_value_makes_no_entry():
    assert series_of(tells("10:00:00"), tells("10:01:00", 0, estimated_value_e2=5)) == []


def test_the_prior_close_told_before_the_first_match_makes_no_entry():
    assert series_of(tells("08:45:00", 1400, 0), tells("09:14:59", 1400, 0)) == []


def test_an_older_stamp_counts_in_the_running_minute():
    assert series_of(tells("10:01:00", 1280), tells("10:00:59", 1281), tells("10:02:00", 1282))[
        -1
    ] == [("10:01", 1281), ("10:02", 1282)]


def test_an_index_that_repeats_itself_through_lunch_takes_no_room():
    news = series_of(
        tells("11:29:50", 1280),
        tells("11:29:55", 1281),
        tells("11:30:00", 1281),  # finishes 11:29, and is no news of its own
        tells("11:31:00", 1281),
        tells("11:32:00", 1282),  # news
        tells("13:00:00", 1282),
    )
    assert news == [
        [("11:29", 1280)],
        [("11:29", 1281)],
        [("11:29", 1281), ("11:32", 1282)],
        [("11:29", 1281), ("11:32", 1282), ("13:00", 1282)],
    ]


def test_the_closing_value_is_in_the_series():
    news = series_of(
        tells("14:44:55", 1280),
        tells("14:45:01", 1290),
        tells("14:46:01", 1290),
        tells("15:05:05", 1290),
    )
    assert news[-1] == [("14:44", 1280), ("14:45", 1290)]


def test_a_new_trading_date_begins_blank_and_the_sequence_goes_on():
    fold = new_fold()
    messages = [
        tells("10:00:00", 1280),
        tells("10:01:00", 1281),
        tells("08:00:07", day=NEXT_DAY),
        tells("09:20:00", 1300, day=NEXT_DAY),
        tells("15:05:00", 1280),  # a straggler of yesterday
    ]
    _, emitted = fold_groups(fold, [[message] for message in messages])
    news = emitted["index.series"]
    assert [row["seq"] for row in news] == [1, 2, 3]
    assert entries(news[-1]) == [("09:20", 1300)]
    assert news[-1]["trade_day"] == news[0]["trade_day"] + 1


def test_yesterdays_value_is_news_today_even_after_the_close():
    news = series_of(tells("10:00:00", 1280), tells("15:00:00", 1280, day=NEXT_DAY))
    assert news == [[("10:00", 1280)], [("15:00", 1280)]]


def test_minutes_beyond_the_row_are_not_kept():
    """A venue of unknown hours that never stops: the last entry is finished and stays."""
    start = exch_s(DAY, "09:00:00")
    minutes = [
        tells("09:00:00", 1_000 + n, venue=0, exch_s=start + 60 * n) for n in range(SERIES_MINUTES)
    ]
    late = [
        tells("15:00:00", 5_000 + n, exch_s=start + 60 * SERIES_MINUTES - 30 + 30 * n)
        for n in range(5)
    ]
    fold = new_fold()
    for message in minutes:
        fold_groups(fold, [[message]])
    _, emitted = fold_groups(fold, [[message] for message in late])
    news = emitted["index.series"]
    assert len(news) == 1
    assert news[0]["series_count"] == SERIES_MINUTES
    assert entries(news[0])[-2:] == [("14:58", 1_358), ("14:59", 5_000)]


def test_place_of_and_begin_minute():
    row = np.zeros(1, INDEX_SERIES_DELTA)[0]
    assert series.place_of(row, 125) == 0
    series.begin_minute(row, 125)
    assert (row["series_count"], row["series_exch_s"][0]) == (1, 120)
    assert [series.place_of(row, stamp) for stamp in (1, 120, 179, 180, 900)] == [0, 0, 0, 1, 1]
    row["series_count"] = SERIES_MINUTES
    row["series_exch_s"][-1] = 600
    assert series.place_of(row, 659) == SERIES_MINUTES - 1
    assert series.place_of(row, 660) == series.FULL
