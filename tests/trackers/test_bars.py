"""Bars, rule by rule; the stories in tests/tables/bars_*.txt; and proof that a wrong one shows."""

from pathlib import Path

import numpy as np
import pytest

from engine.market.sessions import timetable
from engine.market.venues import Venue
from engine.schema import channels
from engine.schema.codes import BarFlag, DeltaFlag, Phase, SlotKind
from engine.schema.deltas import BAR_DELTA
from engine.shard import classify, stats
from engine.shard.fold import Fold
from engine.trackers import bars
from engine.trackers.bar_state import STATE
from engine.trackers.bar_time import booked_minute, fill_of
from tests.shard.folding import fold_groups
from tests.shard.messages import exch_s
from tests.trackers.bars_table import BarsTable

TABLES = sorted((Path(__file__).parents[1] / "tables").glob("bars_*.txt"))


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_story(path):
    assert BarsTable().play(path) > 0


def test_there_are_stories():
    assert len(TABLES) >= 4


@pytest.mark.parametrize(
    "lie",
    [
        "09:16:00 trade 100 100 100 | -",
        "09:16:00 trade 100 100 100 | CONTINUOUS 09:16 100/100/100/100 x200",
        "09:16:00 trade 100 100 500 | CONTINUOUS 09:16 100/100/100/100 x100",
        "09:16:00 trade - - 0 | CONTINUOUS 09:16 0/0/0/0 x0",
    ],
)
def test_a_story_that_lies_is_noticed(lie, tmp_path):
    path = tmp_path / "bars_lie.txt"
    path.write_text("symbol ABC HOSE\nday 2021-07-15\n" + lie)
    with pytest.raises(AssertionError, match="shown: "):
        BarsTable().play(path)


def story(*lines: str, venue: str = "HOSE", interval: str = "1m") -> list[str]:
    """Return what each line shows."""
    table = BarsTable()
    for line in (f"symbol ABC {venue}", "day 2021-07-15", f"bars {interval}"):
        table.tell(line)
    return [table.tell(line) for line in lines]


def starts(shown: list[str]) -> list[str]:
    """Return phase and start of each open bar shown."""
    return [" ".join(each.split()[:2]) for each in shown]


# --- which bar --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("interval", "wanted"),
    [
        ("1m", ["10:07", "10:08", "10:14", "10:15", "11:29"]),
        ("5m", ["10:05", "10:05", "10:10", "10:15", "11:25"]),
        ("15m", ["10:00", "10:00", "10:00", "10:15", "11:15"]),
        ("1h", ["10:00", "10:00", "10:00", "10:00", "11:00"]),
        ("1d", ["00:00", "00:00", "00:00", "00:00", "00:00"]),
    ],
)
def test_bars_are_aligned_to_the_exchange_clock(interval, wanted):
    shown = story(
        "10:07:00 trade 100 10 10",
        "10:08:59 trade 100 10 20",
        "10:14:59 trade 100 10 30",
        "10:15:00 trade 100 10 40",
        "11:29:59 trade 100 10 50",
        interval=interval,
    )
    assert starts(shown) == [f"CONTINUOUS {time}" for time in wanted]


@pytest.mark.parametrize("interval", ["1m", "5m", "15m", "1h"])
def test_no_bar_spans_the_lunch_break(interval):
    before, after = story("11:29:59 trade 100 10 10", "13:00:00 trade 101 10 20", interval=interval)
    assert before.split()[1] < "11:30"
    assert after.split()[1] == "13:00"
    assert "x10" in after


@pytest.mark.parametrize(
    ("interval", "wanted"), [("1m", "11:29"), ("5m", "11:25"), ("15m", "11:15"), ("1h", "11:00")]
)
@pytest.mark.parametrize("stamp", ["11:30:00", "11:30:02", "11:31:10", "12:15:00", "12:59:59"])
def test_a_match_stamped_in_the_break_belongs_to_the_last_interval_before_it(
    interval, wanted, stamp
):
    first, second = story("11:29:30 trade 100 10 10", f"{stamp} trade 101 10 20", interval=interval)
    assert starts([first, second]) == [f"CONTINUOUS {wanted}"] * 2
    assert "x20" in second


def test_a_late_stamp_in_an_auctions_call_belongs_to_the_session_before_it():
    shown = story("14:29:30 trade 100 10 10", "14:30:02 trade 101 10 20 LO", interval="15m")
    assert starts(shown) == ["CONTINUOUS 14:15"] * 2


def test_a_match_stamped_before_the_session_belongs_to_its_first_interval():
    assert starts(story("08:59:59 trade 100 10 10", venue="HNX")) == ["CONTINUOUS 09:00"]


@pytest.mark.parametrize("interval", ["1m", "5m", "15m", "1h"])
def test_auction_prints_form_their_own_bar(interval):
    shown = story(
        "09:15:00 trade 100 10 10 ATO",
        "09:15:04 trade 101 10 20 LO",
        "14:29:59 trade 102 10 30 LO",
        "14:45:00 trade 103 10 40 C",
        interval=interval,
    )
    assert [each.split()[0] for each in shown] == ["ATO", "CONTINUOUS", "CONTINUOUS", "ATC"]
    assert [each.split()[3] for each in shown] == ["x10", "x10", shown[2].split()[3], "x10"]
    assert all("before" not in each for each in shown)


def test_all_prints_of_one_auction_are_one_bar_even_over_a_minute():
    shown = story(
        "14:44:59 trade 100 10 10 ATC", "14:45:00 trade 100 20 30 C", "14:46:01 trade 100 5 35 C"
    )
    assert starts(shown) == ["ATC 14:44"] * 3
    assert shown[2].endswith("x35")


def test_a_bar_never_mixes_the_closing_auction_and_trading_after_it():
    shown = story(
        "14:45:00 trade 100 10 10 ATC", "14:47:00 trade 100 10 20", venue="HNX", interval="15m"
    )
    assert starts(shown) == ["ATC 14:45", "PLO 14:45"]


def test_the_bar_of_a_day_is_the_whole_day_over_all_phases():
    shown = story(
        "09:15:00 trade 100 10 10 ATO",
        "10:00:00 trade 90 10 20",
        "11:30:01 trade 110 10 30",
        "14:45:00 trade 105 10 40 C",
        interval="1d",
    )
    assert shown[-1] == "CONTINUOUS 00:00 100/110/90/105 x40 buy 10 sell 10"


# --- what is in it ------------------------------------------------------------------------------


def test_buying_and_selling_follow_the_side_of_the_match():
    shown = story(
        "10:00:00 trade 100 10 10 BU",
        "10:00:01 trade 100 20 30 SD",
        "10:00:02 trade 100 40 70",
    )
    assert shown[-1] == "CONTINUOUS 10:00 100/100/100/100 x70 buy 10 sell 20"


def test_auctions_are_neither_buying_nor_selling():
    assert story("09:15:00 trade 100 10 10 ATO BU") == ["ATO 09:15 100/100/100/100 x10"]


def test_a_repeat_changes_no_bar_and_publishes_nothing():
    assert story("10:00:00 trade 100 10 10", "10:00:05 trade 100 10 10")[1] == "-"


def test_no_bar_is_made_for_a_minute_without_a_match():
    table = BarsTable()
    for line in ("symbol ABC HOSE", "day 2021-07-15", "10:00:00 trade 100 10 10"):
        table.tell(line)
    row, _ = table.row("10:30:00 trade 100 10 20")
    assert row["start_exch_s"] - row["prev_start_exch_s"] == 30 * 60


def test_a_row_shows_how_the_bar_before_the_open_one_ended():
    table = BarsTable()
    for line in ("symbol ABC HOSE", "day 2021-07-15", "10:00:00 trade 100 10 10 BU"):
        table.tell(line)
    last, _ = table.row("10:00:59 trade 90 10 20 SD")
    row, _ = table.row("10:01:00 trade 95 10 30 BU")
    names = [name for name in BAR_DELTA.names if f"prev_{name}" in BAR_DELTA.names]
    assert len(names) == 15
    assert {name: row[f"prev_{name}"] for name in names} == {name: last[name] for name in names}
    assert row["prev_value_vnd"] == 100 * 10 + 90 * 10
    assert row["value_vnd"] == 95 * 10


# --- missed volume --------------------------------------------------------------------------------


def test_a_missed_volume_gap_marks_its_bars_suspect():
    shown = story("10:00:59 trade 100 10 10", "10:01:00 trade 100 10 50")
    assert shown[1] == (
        "CONTINUOUS 10:01 100/100/100/100 x10 missed 30 in 1 SUSPECT; "
        "before: CONTINUOUS 10:00 100/100/100/100 x10 missed 0 in 1 SUSPECT"
    )


def test_a_gap_does_not_touch_a_bar_that_was_over_before_it_began():
    shown = story(
        "10:00:59 trade 100 10 10", "10:01:00 trade 100 10 10", "10:01:30 trade 100 10 50"
    )
    assert shown[2] == "CONTINUOUS 10:01 100/100/100/100 x10 missed 30 in 1 SUSPECT"


def test_a_baseline_makes_no_bar_and_marks_the_next_one():
    shown = story("10:00:00 trade 100 10 5000", "10:07:00 trade 100 10 5010")
    assert shown[0] == "-"
    assert "missed 5000 in 1 SUSPECT" in shown[1]


def test_what_waits_for_a_bar_is_dropped_with_its_day():
    table = BarsTable()
    for line in ("symbol ABC HOSE", "day 2021-07-15", "10:00:00 trade 100 10 5000"):
        table.tell(line)
    table.tell("day 2021-07-16")
    assert table.tell("10:00:00 trade 100 10 10") == "CONTINUOUS 10:00 100/100/100/100 x10"


def test_flags_of_the_row_say_that_the_day_began_from_a_baseline_or_was_corrected():
    table = BarsTable()
    for line in ("symbol ABC HOSE", "day 2021-07-15", "10:00:00 trade 100 10 5000"):
        table.tell(line)
    row, _ = table.row("10:00:10 trade 100 10 5010")
    assert DeltaFlag(row["flags"]) == DeltaFlag.BASELINE
    row, _ = table.row("10:00:20 trade 100 10 5000")
    assert DeltaFlag(row["flags"]) == DeltaFlag.BASELINE | DeltaFlag.CORRECTED
    assert BarFlag(row["bar_flags"]) == BarFlag.SUSPECT | BarFlag.CORRECTED
    row, _ = table.row("10:01:20 trade 100 10 5010")
    assert BarFlag(row["bar_flags"]) == BarFlag.NONE
    table.tell("day 2021-07-16")
    row, _ = table.row("10:01:20 trade 100 10 10")
    assert row["flags"] == 0


def test_late_matches_are_in_a_bar_or_counted_as_unplaced():
    table = BarsTable()
    lines = (
        "symbol ABC HOSE",
        "day 2021-07-15",
        "10:00:00 trade 100 10 10",
        "10:05:00 trade 100 10 120",  # 100 are missing
        "10:06:00 trade 100 10 130",
    )
    for line in lines:
        table.tell(line)
    assert table.tell("10:00:30 trade 99 40 50").endswith("; unplaced 40")
    assert table.tell("10:04:30 trade 99 40 90").endswith("; unplaced 80")
    assert table.tell("10:05:00 trade 98 20 110") == (
        "CONTINUOUS 10:06 100/100/100/100 x10; before: CONTINUOUS 10:05 100/100/98/100 x30 "
        "missed 100 in 1 SUSPECT LATE; unplaced 80"
    )


# --- days, indices, groups --------------------------------------------------------------------


def test_a_new_day_begins_blank_and_seq_goes_on():
    table = BarsTable()
    for line in ("symbol ABC HOSE", "day 2021-07-15", "14:45:00 trade 100 10 10 C"):
        table.tell(line)
    table.tell("day 2021-07-16")
    assert table.tell("08:45:00 trade - - 0") == "-"
    row, before = table.row("09:15:00 trade 90 10 10 ATO")
    assert row["seq"] == before["seq"] + 1
    assert row["trade_day"] == before["trade_day"] + 1
    assert row["prev_start_exch_s"] == 0
    assert row["volume_shares"] == 10


def test_zero_snapshots_never_make_a_bar():
    assert story("10:00:00 value 0", "10:00:05 value 0 500", "10:00:06 trade - - 0") == ["-"] * 3


def test_an_index_has_bars_of_its_values_and_of_the_growth_of_matched_volume():
    shown = story(
        "09:20:00 value 1300 0",
        "09:20:05 value 1310 70",
        "09:20:10 value 1305 90",
        "09:21:10 value 1306 90",
    )
    assert shown[2] == "CONTINUOUS 09:20 1300/1310/1300/1305 x90"
    assert shown[3] == "CONTINUOUS 09:21 1306/1306/1306/1306 x0"


def test_the_first_value_of_an_index_is_a_base_and_no_giant_trade():
    assert story("10:00:00 value 1300 5000000", "10:00:05 value 1300 5000100") == [
        "CONTINUOUS 10:00 1300/1300/1300/1300 x0",
        "CONTINUOUS 10:00 1300/1300/1300/1300 x100",
    ]


def test_matched_volume_of_an_index_that_falls_is_never_a_negative_flow():
    shown = story(
        "10:00:00 value 1300 100",
        "10:00:05 value 1300 300",
        "10:00:10 value 1300 200",
        "10:00:15 value 1300 400",
    )
    assert [each.split()[-1] for each in shown] == ["x0", "x200", "x200", "x300"]


def test_closing_values_told_again_go_to_the_bar_of_the_day_alone():
    lines = ("14:29:00 value 1300 100", "14:50:00 value 1310 100")
    assert story(*lines)[1] == "-"
    assert story(*lines, interval="1d")[1] == "CONTINUOUS 00:00 1300/1310/1300/1310 x0"


def test_a_value_from_before_the_open_is_none_of_today():
    lines = ("08:30:00 value 1250 0", "09:03:00 value 1250 0", "09:15:05 value 1260 0")
    for interval in ("1m", "1d"):
        *before, after = story(*lines, interval=interval)
        assert before == ["-", "-"]
        assert "1260/1260/1260/1260" in after


def test_rows_of_a_group_merge_and_show_the_last_two_bars():
    fold = Fold(8, 16, stages=(classify.STAGE, *bars.STAGES))
    group = [
        {
            "kind": SlotKind.TRADE,
            "symbol_id": 1,
            "venue": Venue.HOSE,
            "exch_s": exch_s("2021-07-15", f"10:0{minute}:00"),
            "last_price_e2": 100 + minute,
            "last_volume_shares": 10,
            "total_volume_shares": 10 + 10 * minute,
        }
        for minute in range(3)
    ]
    _, emitted = fold_groups(fold, [group])
    (row,) = emitted["bar.1m"]
    assert (row["seq"], row["updates"]) == (1, 3)
    assert (row["prev_close_price_e2"], row["close_price_e2"]) == (101, 102)
    (row,) = emitted["bar.5m"]
    assert (row["open_price_e2"], row["close_price_e2"], row["volume_shares"]) == (100, 102, 30)


# --- how it is built ----------------------------------------------------------------------------


def test_there_is_a_stage_for_every_channel_of_bars():
    assert tuple(stage.channel for stage in bars.STAGES) == channels.BARS
    assert len({stage.name for stage in bars.STAGES}) == len(channels.BARS)
    intervals = []
    for stage in bars.STAGES:
        params = np.zeros(1, stage.params_dtype)
        stage.fill(params, None)
        intervals.append(int(params[0]["interval_s"]))
        assert stage.kernel is bars.bars
    assert intervals == [60, 300, 900, 3_600, 86_400]


def test_an_interval_that_does_not_divide_the_hour_is_refused():
    with pytest.raises(AssertionError):
        fill_of(7 * 60)


def test_both_bars_of_a_row_are_the_same_bytes_as_the_two_records():
    state = np.zeros(1, STATE)
    state["open"]["volume_shares"] = 7
    state["prev"]["missed_volume_shares"] = 9
    state["open"]["start_exch_s"] = 11
    row = state["row"][0]
    assert (row["volume_shares"], row["prev_missed_volume_shares"]) == (7, 9)
    assert (row["start_exch_s"], row["prev_volume_shares"]) == (11, 0)
    assert row["seq"] == row["trade_day"] == 0


@pytest.mark.parametrize("venue", list(Venue))
def test_every_minute_of_a_phase_is_booked_to_itself_and_all_others_to_the_last_one(venue):
    day = 18_823
    params = np.zeros(1, bars.PARAMS)
    fill_of(60)(params, None)
    spans = timetable(venue, day)
    for span in spans:
        for minute in (span.start_s // 60, span.end_s // 60 - 1):
            for phase in (Phase.CONTINUOUS, Phase.PLO):
                booked = booked_minute(params, day, int(venue), minute, int(phase))
                inside = [s for s in spans if s.phase == phase]
                if not inside:
                    assert booked == minute
                    continue
                home = [s for s in inside if s.start_s <= booked * 60 < s.end_s]
                assert home
                assert (booked == minute) == (span.phase == phase)
                assert booked <= minute or minute * 60 < inside[0].start_s


def test_bars_of_a_day_add_up_to_stats_after_every_kind_of_trouble():
    fold = Fold(8, 16, stages=(classify.STAGE, stats.STAGE, *bars.STAGES))
    head = {"kind": SlotKind.TRADE, "symbol_id": 1, "venue": Venue.HOSE, "last_price_e2": 100}
    told = [
        ("09:15:00", 50, 50),
        ("10:00:00", 10, 160),  # 100 missing
        ("10:00:05", 0, 180),  # untold
        ("09:59:00", 40, 90),  # late
        ("10:01:00", 10, 150),  # correction
        ("10:02:00", 10, 160),
    ]
    for time, size, total in told:
        message = {"last_volume_shares": size, "total_volume_shares": total}
        fold_groups(fold, [[head | message | {"exch_s": exch_s("2021-07-15", time)}]])
    row, day = fold.latest["stats"][1], fold.latest["bar.1d"][1]
    assert row["volume_shares"] == day["volume_shares"] == 50 + 10 + 40 + 10
    assert day["missed_volume_shares"] == 100 + 20
    assert BarFlag(int(day["bar_flags"])) == BarFlag.SUSPECT | BarFlag.LATE | BarFlag.CORRECTED
