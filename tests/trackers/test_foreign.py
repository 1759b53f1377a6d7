"""Channel ``foreign`` and the flow behind it: every rule of market-behaviour section 6."""

from pathlib import Path

import numpy as np
import pytest

from engine.schema.codes import ControlOp, DeltaFlag, FeedState, SlotKind
from engine.trackers import flow
from tests.shard.folding import fold_groups
from tests.shard.messages import Message, exch_s, rows_of
from tests.trackers.told_table import ToldTable, new_fold

TABLES = sorted((Path(__file__).parents[1] / "tables").glob("foreign_*.txt"))
DAY, NEXT_DAY = "2021-07-15", "2021-07-16"
ROOM = {"total_room_shares": 5_000, "current_room_shares": 900}


def told(time: str, buy: int = 0, sell: int = 0, day: str = DAY, **fields) -> Message:
    """Return a FOREIGN message in which a share costs 25,000 VND."""
    return {
        "kind": SlotKind.FOREIGN,
        "symbol_id": 1,
        "venue": 1,
        "exch_s": exch_s(day, time),
        "buy_volume_shares": buy,
        "sell_volume_shares": sell,
        "buy_value_vnd": buy * 25_000,
        "sell_value_vnd": sell * 25_000,
    } | fields


def passes(time: str, kind: SlotKind = SlotKind.QUOTE, day: str = DAY, **fields) -> Message:
    """Return a message of the symbol that says nothing of foreigners."""
    stamp = exch_s(day, time)
    return {"kind": kind, "symbol_id": 1, "venue": 1, "exch_s": stamp} | fields


def feed(state: FeedState) -> Message:
    """Return what our own feed says of itself."""
    return {"kind": SlotKind.CONTROL, "op": ControlOp.FEED_STATE, "arg0": state}


LIVE, DOWN = feed(FeedState.LIVE), feed(FeedState.DOWN)
LOST: Message = {"kind": SlotKind.CONTROL, "op": ControlOp.LOST, "arg0": 3}


def flows(row: dict) -> list[int]:
    """Return the nine numbers of a row that are flow."""
    return [row[name] for name in row if name.startswith(("delta_", "net_", "room_used"))]


def rows(*messages: Message) -> list[dict]:
    """Return the rows of messages that are a group each."""
    return fold_groups(new_fold(), [[message] for message in messages])[1].get("foreign", [])


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_story(path):
    assert ToldTable(path).play() > 0


def test_there_are_stories():
    assert len(TABLES) >= 2


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        ("09:15:00 foreign buy=5 | foreign delta=5/0", "shown: foreign delta=0/0"),
        ("09:15:00 foreign buy=5 | -", "shown: foreign"),
        ("09:15:00 trade | foreign", "shown: -"),
        ("09:15:00 foreign buy=5 | foreign flags=NONE", "shown: foreign flags=BASELINE"),
    ],
)
def test_a_story_that_lies_is_noticed(lie, said, tmp_path):
    path = tmp_path / "foreign_lie.txt"
    path.write_text(f"symbol SSI HOSE\nday {DAY}\n{lie}")
    with pytest.raises(AssertionError, match=said):
        ToldTable(path).play()


# Rules ---------------------------------------------------------------------------------------


def test_cumulative_figures_in_deltas_out():
    first, second = rows(told("09:15:00"), told("09:15:05", 500, 200))
    assert (first["delta_buy_volume_shares"], first["flags"]) == (0, 0)
    assert (second["delta_buy_volume_shares"], second["delta_sell_volume_shares"]) == (500, 200)
    assert second["delta_buy_value_vnd"] == 500 * 25_000
    assert second["delta_sell_value_vnd"] == 200 * 25_000
    assert (second["buy_volume_shares"], second["sell_volume_shares"]) == (500, 200)
    assert (second["net_volume_5m_shares"], second["net_value_5m_vnd"]) == (300, 300 * 25_000)


@pytest.mark.parametrize(
    "name", ["buy_volume_shares", "sell_volume_shares", "buy_value_vnd", "sell_value_vnd"]
)
def test_a_negative_delta_is_a_reset_never_a_negative_flow(name):
    """Whichever of the four falls, and though the others grow."""
    before, grown = told("09:15:05", 500, 500), told("09:15:10", 900, 900)
    fallen, after = grown | {name: 7}, told("09:15:15", 1_000, 950)
    *_, counted, reset, last = rows(told("09:15:00"), before, fallen, after)
    assert reset["flags"] == DeltaFlag.RESET
    assert reset["reset_count"] == 1
    assert not any(reset[field] for field in reset if field.startswith("delta_"))
    assert reset["net_volume_5m_shares"] == counted["net_volume_5m_shares"] == 0
    assert reset[name] == 7
    # The new figures are the base of what follows, and the flag stays for the day.
    assert last[f"delta_{name}"] == after[name] - 7
    assert (last["flags"], last["reset_count"]) == (DeltaFlag.RESET, 1)


def test_the_first_message_of_a_day_is_a_baseline_and_no_flow():
    (row,) = rows(told("10:00:00", 1_000, 400, **ROOM))
    assert row["flags"] == DeltaFlag.BASELINE
    assert row["buy_volume_shares"] == 1_000
    sums = [field for field in row if field.startswith(("delta_", "net_", "room_used"))]
    assert len(sums) == 9
    assert not any(row[field] for field in sums)


def test_a_first_message_of_zeros_is_no_baseline():
    (row,) = rows(told("08:00:07", **ROOM))
    assert (row["flags"], row["current_room_shares"], row["trade_day"]) == (0, 900, 18823)


@pytest.mark.parametrize(
    "outage",
    [
        (LIVE, DOWN, LIVE),
        (LIVE, feed(FeedState.CONNECTING)),
        (feed(FeedState.STALE), DOWN),
        (LOST,),
    ],
    ids=["down", "connecting", "stale", "lost"],
)
def test_the_flow_of_an_outage_is_no_delta_and_no_speed(outage):
    after = told("10:10:00", 90_000, 100, **ROOM | {"current_room_shares": 5})
    start, found, later = rows(
        told("10:00:00", **ROOM), *outage, after, told("10:10:05", 90_300, 100)
    )
    assert start["flags"] == 0
    assert found["flags"] == DeltaFlag.AFTER_OUTAGE
    assert (found["buy_volume_shares"], found["current_room_shares"]) == (90_000, 5)
    assert flows(found) == [0] * 9
    # Its figures are the base, and the flag is that row's only.
    assert (later["flags"], later["delta_buy_volume_shares"]) == (0, 300)
    assert later["net_volume_5m_shares"] == 300


def test_what_flowed_before_an_outage_stays_in_the_sums():
    *_, found = rows(told("10:00:00"), told("10:00:05", 50), LIVE, DOWN, told("10:01:00", 900))
    assert (found["delta_buy_volume_shares"], found["net_volume_5m_shares"]) == (0, 50)


def test_the_first_message_after_an_outage_is_a_row_even_when_it_says_nothing_new():
    *_, counted, found = rows(
        told("10:00:00"), told("10:00:05", 50), told("10:00:06", 50), LIVE, DOWN,
        told("10:00:07", 50), told("10:00:08", 50),
    )  # fmt: skip
    assert (counted["flags"], found["flags"]) == (0, DeltaFlag.AFTER_OUTAGE)
    assert found["seq"] == 4


def test_time_that_passes_takes_the_flag_of_an_outage_away():
    start = [told("10:00:00"), told("10:00:05", 50), LIVE, DOWN, told("10:00:30", 90)]
    *_, found, moved = rows(*start, passes("10:02:00"))
    assert (found["flags"], moved["flags"]) == (DeltaFlag.AFTER_OUTAGE, 0)


def test_every_symbol_has_a_first_message_of_its_own_after_an_outage():
    news = rows(
        told("10:00:00"), told("10:00:00", symbol_id=2), LIVE, DOWN,
        told("10:05:00", 50), told("10:05:05", 60), told("10:05:10", 70, symbol_id=2),
    )  # fmt: skip
    assert [row["delta_buy_volume_shares"] for row in news] == [0, 0, 0, 10, 0]
    assert [row["flags"] for row in news] == [0, 0, 128, 0, 128]


def test_a_trade_says_that_the_feed_is_here_and_the_first_connection_is_no_outage():
    start, end = told("10:00:00"), told("10:00:05", 50)
    assert rows(start, DOWN, end)[-1]["delta_buy_volume_shares"] == 50
    trade = passes("10:00:00", SlotKind.TRADE)
    assert rows(start, trade, DOWN, end)[-1]["delta_buy_volume_shares"] == 0


def test_a_figure_that_fell_in_an_outage_is_a_reset_too():
    *_, found, later = rows(
        told("10:00:00"), told("10:00:05", 50), LIVE, DOWN, told("10:01:00", 20),
        told("10:01:05", 30),
    )  # fmt: skip
    assert found["flags"] == DeltaFlag.AFTER_OUTAGE | DeltaFlag.RESET
    assert (found["reset_count"], found["delta_buy_volume_shares"]) == (1, 0)
    assert (later["flags"], later["delta_buy_volume_shares"]) == (DeltaFlag.RESET, 10)


def test_old_news_is_not_the_first_news_after_an_outage():
    *_, found = rows(
        told("10:00:00"), told("10:00:05", 50), LIVE, DOWN, told("10:00:03", 20),
        told("10:01:05", 90),
    )  # fmt: skip
    assert (found["flags"], found["delta_buy_volume_shares"]) == (DeltaFlag.AFTER_OUTAGE, 0)


def test_the_first_message_of_a_day_after_an_outage_is_a_baseline():
    assert rows(LIVE, DOWN, told("10:00:00", 50))[0]["flags"] == DeltaFlag.BASELINE


def test_a_base_and_a_delta_in_one_group_are_one_row_after_an_outage():
    fold = new_fold()
    groups = [[told("10:00:00")], [LIVE], [DOWN], [told("10:05:00", 50), told("10:05:01", 60)]]
    row = fold_groups(fold, groups)[1]["foreign"][-1]
    assert (row["flags"], row["updates"], row["delta_buy_volume_shares"]) == (128, 2, 10)


@pytest.mark.parametrize("room", [{}, ROOM | {"current_room_shares": 1}], ids=["bare", "room"])
def test_a_zero_snapshot_is_no_reset_and_tells_nothing(room):
    """With a fresh stamp, so that it is no old news."""
    start = [told("10:00:00", **ROOM), told("10:00:05", 500, 200, **ROOM)]
    assert len(rows(*start, told("10:05:30", **room))) == 2
    last = rows(*start, told("10:00:10", **room), told("10:00:15", 700, 200, **ROOM))[-1]
    assert (last["flags"], last["reset_count"]) == (0, 0)
    assert (last["delta_buy_volume_shares"], last["net_volume_5m_shares"]) == (200, 500)
    assert (last["current_room_shares"], last["room_used_5m_shares"]) == (900, 0)


def test_a_zero_snapshot_is_not_the_first_news_after_an_outage():
    start = [told("10:00:00"), told("10:00:05", 500), LIVE, DOWN, told("10:09:00")]
    *_, found = rows(*start, told("10:09:05", 9_000))
    assert (found["flags"], found["delta_buy_volume_shares"]) == (DeltaFlag.AFTER_OUTAGE, 0)


def test_zeros_before_anything_was_traded_are_no_zero_snapshot():
    news = rows(told("09:00:00"), told("09:00:05", **ROOM))
    assert [row["current_room_shares"] for row in news] == [0, 900]


def test_speed_is_the_sum_of_deltas_over_the_trailing_five_minutes():
    """Steps are of 5 s: a delta of 10:00:00 counts until 10:04:59 and not at 10:05:00."""
    start = [told("09:59:55"), told("10:00:00", 500), told("10:03:00", 600)]
    assert rows(*start, passes("10:04:59"))[-1]["net_volume_5m_shares"] == 600
    assert rows(*start, passes("10:05:00"))[-1]["net_volume_5m_shares"] == 100
    assert rows(*start, passes("10:07:59"))[-1]["net_volume_5m_shares"] == 100
    assert rows(*start, passes("10:08:00"))[-1]["net_volume_5m_shares"] == 0


def test_acceleration_compares_with_the_same_sum_one_minute_ago():
    start = [told("09:59:55"), told("10:00:00", 500), told("10:00:30", 500, 100)]
    last = rows(*start, passes("10:01:29"))[-1]
    assert (last["net_volume_5m_shares"], last["net_volume_5m_before_shares"]) == (400, 500)
    last = rows(*start, passes("10:01:30"))[-1]
    assert (last["net_volume_5m_shares"], last["net_volume_5m_before_shares"]) == (400, 400)
    assert last["net_value_5m_before_vnd"] == 400 * 25_000
    last = rows(*start, passes("10:05:35"))[-1]
    assert (last["net_volume_5m_shares"], last["net_volume_5m_before_shares"]) == (0, 400)


@pytest.mark.parametrize("kind", [SlotKind.TRADE, SlotKind.QUOTE])
def test_a_speed_falls_to_zero_while_foreigners_are_silent(kind):
    start = [told("09:59:55"), told("10:00:00", 500, **ROOM)]
    news = rows(
        *start, passes("10:05:00", kind), passes("10:06:00", kind), passes("10:07:00", kind)
    )
    assert [row["net_volume_5m_shares"] for row in news] == [0, 500, 0, 0]
    assert [row["net_volume_5m_before_shares"] for row in news] == [0, 0, 500, 0]
    assert [row["seq"] for row in news] == [1, 2, 3, 4]
    assert news[2]["exch_s"] == exch_s(DAY, "10:05:00")


def test_a_sum_that_cancels_out_is_not_an_empty_window():
    """Bought and sold in turn: the sum is 0, and is not when the purchase has left."""
    news = rows(
        told("10:00:00"), told("10:00:05", 500), told("10:01:05", 500, 500), passes("10:05:05")
    )
    assert [row["net_volume_5m_shares"] for row in news] == [0, 500, 0, -500]


def test_time_never_goes_back():
    """What is stamped before the newest time became known at the newest time."""
    start = [told("10:00:00"), told("10:00:05", 500), passes("10:02:00"), told("10:00:10", 700)]
    assert rows(*start, passes("10:05:05"))[-1]["net_volume_5m_shares"] == 200
    assert rows(*start, passes("10:06:59"))[-1]["net_volume_5m_shares"] == 200
    assert rows(*start, passes("10:07:00"))[-1]["net_volume_5m_shares"] == 0


def test_an_old_message_that_arrives_late_counts_nothing_twice():
    old = told("10:00:05", 500)
    news = rows(told("10:00:00"), told("10:00:10", 800), old, told("10:00:15", 900))
    assert sum(row["delta_buy_volume_shares"] for row in news) == 900
    assert all(row["reset_count"] == 0 for row in news)


def test_a_message_said_again_is_no_news():
    again = told("10:00:05", 500, **ROOM)
    news = rows(told("10:00:00", **ROOM), again, again, again)
    assert [row["delta_buy_volume_shares"] for row in news] == [0, 500, 0]


def test_the_same_figures_are_news_when_a_window_has_moved_meanwhile():
    news = rows(*(told(time, 500) for time in ("10:00:10", "10:05:05")))
    assert len(news) == 1
    times = ("10:00:05", "10:00:10", "10:05:05", "10:05:06")
    news = rows(told("10:00:00"), *(told(time, 500) for time in times))
    assert [row["net_volume_5m_shares"] for row in news] == [0, 500, 500, 0]


def test_a_room_that_is_not_told_leaves_the_known_one():
    news = rows(told("10:00:00", **ROOM), told("10:00:05", 100), told("10:00:10", 200, **ROOM))
    assert [row["current_room_shares"] for row in news] == [900, 900, 900]
    assert [row["room_used_5m_shares"] for row in news] == [0, 0, 0]


def test_room_used_is_what_the_room_fell_and_a_rise_is_negative():
    news = rows(
        told("10:00:00", **ROOM),
        told("10:00:05", 700, **ROOM | {"current_room_shares": 0}),
        told("10:00:10", 700, 800, **ROOM | {"current_room_shares": 1_000}),
    )
    assert [row["room_used_5m_shares"] for row in news] == [0, 900, -100]
    assert [row["current_room_shares"] for row in news] == [900, 0, 1_000]


def test_a_cap_that_changes_is_news_though_the_room_does_not():
    news = rows(told("10:00:00", **ROOM), told("10:00:05", **ROOM | {"total_room_shares": 6_000}))
    assert [row["total_room_shares"] for row in news] == [5_000, 6_000]


def test_a_new_trading_date_rolls_the_flow_and_not_the_sequence():
    news = rows(
        told("14:59:00", 100, **ROOM),
        told("15:32:00", 700, **ROOM),  # after the close, and still of its date
        passes("08:00:07", day=NEXT_DAY),
        told("08:00:08", day=NEXT_DAY),
        told("08:00:09", 50, day=NEXT_DAY),
        told("15:33:00", 900, **ROOM),  # a straggler of yesterday
    )
    assert [row["trade_day"] for row in news] == [18823, 18823, 18824, 18824]
    assert [row["delta_buy_volume_shares"] for row in news] == [0, 600, 0, 50]
    assert [row["net_volume_5m_shares"] for row in news] == [0, 600, 0, 50]
    assert [row["current_room_shares"] for row in news] == [900, 900, 0, 0]
    assert [row["flags"] for row in news] == [DeltaFlag.BASELINE, DeltaFlag.BASELINE, 0, 0]
    assert [row["seq"] for row in news] == [1, 2, 3, 4]


def test_flags_and_resets_of_yesterday_are_gone():
    news = rows(told("10:00:00", 100), told("10:00:05", 50), told("09:15:00", 10, day=NEXT_DAY))
    assert (news[1]["flags"], news[1]["reset_count"]) == (DeltaFlag.BASELINE | DeltaFlag.RESET, 1)
    assert (news[2]["flags"], news[2]["reset_count"]) == (DeltaFlag.BASELINE, 0)


def test_yesterdays_room_was_not_used_today():
    news = rows(
        told("14:59:00", 100, **ROOM),
        told("08:00:08", day=NEXT_DAY),
        told("08:00:09", day=NEXT_DAY, **ROOM),
    )
    assert [row["current_room_shares"] for row in news] == [900, 0, 900]
    assert [row["room_used_5m_shares"] for row in news] == [0, 0, 0]


def test_after_a_long_silence_nothing_is_left_of_a_window():
    """Longer than the ring: the steps in between need not be passed one by one."""
    start = [told("09:15:00"), told("09:15:05", 500)]
    last = rows(*start, passes("11:29:00"))[-1]
    assert (last["net_volume_5m_shares"], last["net_volume_5m_before_shares"]) == (0, 0)
    last = rows(*start, told("13:00:00", 700))[-1]
    assert (last["net_volume_5m_shares"], last["net_volume_5m_before_shares"]) == (200, 0)


def test_one_row_per_symbol_and_group():
    other = told("10:00:05", 7, symbol_id=2)
    group = [told("10:00:00"), other, told("10:00:05", 100), told("10:00:06", 300)]
    _, emitted = fold_groups(new_fold(), [group])
    assert [(row["symbol_id"], row["updates"]) for row in emitted["foreign"]] == [(1, 3), (2, 1)]
    assert emitted["foreign"][0]["delta_buy_volume_shares"] == 200  # of the last message
    assert emitted["foreign"][0]["net_volume_5m_shares"] == 300


def test_figures_at_their_largest_fit():
    most = 10**17
    news = rows(
        told("10:00:00", buy_value_vnd=0),
        told("10:00:05", buy_value_vnd=most, sell_value_vnd=0),
        told("10:00:10", buy_value_vnd=most, sell_value_vnd=most),
    )
    assert [row["net_value_5m_vnd"] for row in news] == [0, most, 0]


# The flow, as an alert rule uses it ------------------------------------------------------------


def watch(*messages: Message, outage_from: int = 99) -> tuple[list[int], np.void]:
    """Return what `watch_flow` answers to each message, and the state it leaves.

    `outage_from`: the first message after an outage.
    """
    state = np.zeros(1, np.dtype(flow.FLOW_FIELDS))
    slots = rows_of([list(messages)])
    said = [
        flow.watch_flow(state[0], slots.head[i], slots.foreign[i], np.int64(i >= outage_from))
        for i in range(len(messages))
    ]
    return said, state[0]


def test_watch_flow_says_what_a_slot_was():
    said, own = watch(
        passes("09:59:00"),
        told("10:00:00", 100, **ROOM),
        told("10:00:05", 300, **ROOM),
        passes("10:00:06"),
        passes("10:01:05", SlotKind.INDEX),
        passes("10:01:05"),
        told("10:01:10", 200, **ROOM),
        told("10:01:10", 200, **ROOM),
    )
    assert said == [
        flow.NOTHING,
        flow.BASELINE,
        flow.TOLD,
        flow.NOTHING,
        flow.NOTHING,
        flow.PASSED,
        flow.RESET,
        flow.NOTHING,
    ]
    assert own["flow_since_exch_s"] == exch_s(DAY, "10:01:10")
    assert own["flow_net_volume_5m_shares"] == 200
    assert flow.net_volume_shares(own) == 200
    assert flow.net_value_vnd(own) == 200 * 25_000


def test_the_first_message_since_an_outage_is_found_and_the_base():
    messages = told("10:00:00"), told("10:05:00", 100), told("10:05:05", 300), told("10:05:05")
    said, own = watch(*messages, outage_from=1)
    assert said == [flow.TOLD, flow.FOUND, flow.TOLD, flow.NOTHING]
    assert own["flow_since_exch_s"] == exch_s(DAY, "10:05:00")
    assert own["flow_net_volume_5m_shares"] == 200


def test_a_day_that_begins_at_zero_has_its_base_there():
    said, own = watch(told("08:00:07"), told("09:20:00", 10, 40))
    assert said == [flow.TOLD, flow.TOLD]
    assert own["flow_since_exch_s"] == exch_s(DAY, "08:00:07")
    assert flow.net_value_vnd(own) == -30 * 25_000
