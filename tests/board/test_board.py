"""What the board says when: names first, changes only, one day, and shards that start over."""

import numpy as np
import pytest

from engine.board.keys import KEYS
from engine.schema.channels import FOREIGN, MARKET, MOVERS, REFERENCE, STATS, SYMBOL, TRADE
from engine.schema.codes import IndexMember, Instrument, Venue
from tests.board.feed import CAPACITY, Feed


def test_keys_fit_in_what_a_gateway_reserves():
    assert len(KEYS) == len(set(KEYS)) == 44
    assert all(len(key) <= 16 for key in KEYS)


def test_the_first_answer_begins_with_the_names_of_all_keys():
    feed = Feed()
    assert feed.summarise() == []
    feed.introduce("AAA")
    assert feed.summarise() == []  # a name is no news of any day
    feed.quoted("AAA", 11_000, 10_000)
    names = [row for channel, row in feed.summarise() if channel == "symbol"]
    assert [row["code"].decode() for row in names] == list(KEYS)
    assert [row["symbol_id"] for row in names] == list(range(CAPACITY, CAPACITY + 44))
    assert {row["instrument"] for row in names} == {Instrument.BOARD}
    feed.quoted("AAA", 12_000, 10_000)
    assert not [row for channel, row in feed.summarise() if channel == "symbol"]


def test_only_rows_that_say_something_new_are_published():
    feed = Feed()
    feed.introduce("HHH", Venue.HNX)
    feed.quoted("AAA", 11_000, 10_000)
    feed.quoted("HHH", 11_000, 10_000)
    feed.summarise()
    assert not feed.board.changed
    assert feed.summarise() == []
    feed.time("10:00:01")
    feed.quoted("AAA", 11_000, 10_000)  # nothing new but the stamp
    assert feed.summarise() == []
    feed.quoted("AAA", 11_500, 10_000, value_vnd=1_100_000)  # its total, too
    said = {(channel, KEYS[row["symbol_id"] - CAPACITY]): row for channel, row in feed.summarise()}
    assert set(said) == {
        ("movers", f"{scope}-{name}") for scope in ("ALL", "HOSE") for name in ("VALUE", "GAIN")
    }
    assert {row["seq"] for row in said.values()} == {2}


def test_two_summaries_or_one_end_on_the_same_rows():
    rows = [("AAA", 11_000), ("BBB", 9_000), ("AAA", 11_500), ("CCC", 10_000)]
    once, often = Feed(), Feed()
    for code, last in rows:
        for feed in (once, often):
            feed.quoted(code, last, 10_000)
        often.summarise()
    once.summarise()
    for name, told in once.board.latest().items():
        other = often.board.latest()[name]
        for field in set(told.dtype.names) - {"seq", "exch_s", "recv_ns"}:
            assert np.array_equal(told[field], other[field]), (name, field)


def test_old_news_is_no_news():
    feed = Feed()
    feed.introduce("AAA")
    old = feed.row(STATS, "AAA", volume_shares=1, total_volume_shares=1)
    new = feed.row(STATS, "AAA", volume_shares=2, total_volume_shares=2)
    feed.tell(STATS, new, 0)
    feed.summarise()
    feed.tell(STATS, old, 0)  # as a snapshot that overtook
    feed.tell(STATS, new, 0)
    assert not feed.board.changed
    assert feed.latest(MARKET, "ALL")["volume_shares"] == 2


def test_of_several_rows_of_a_symbol_the_newest_counts():
    feed = Feed()
    feed.introduce("AAA")
    rows = np.concatenate(
        [feed.row(STATS, "AAA", volume_shares=n, total_volume_shares=n) for n in (1, 2, 3)]
    )
    feed.tell(STATS, rows[[0, 2, 1]], 0)
    assert feed.latest(MARKET, "ALL")["volume_shares"] == 3


def test_strangers_and_other_channels_are_ignored():
    feed = Feed()
    feed.quoted("AAA", 11_000, 10_000)
    feed.summarise()
    for symbol_id in (0, CAPACITY, 2**32 - 1):
        feed.tell(STATS, feed.row(STATS, "AAA", symbol_id=symbol_id, volume_shares=9), 0)
    feed.tell(TRADE, feed.row(TRADE, "AAA"), 0)
    feed.tell(STATS, np.zeros(0, STATS.dtype), 0)
    assert not feed.board.changed


def test_a_share_that_never_said_its_name_counts_once_it_does():
    feed = Feed()
    feed.quoted("AAA", 11_000, 10_000)
    row = feed.row(STATS, "AAA", symbol_id=50, volume_shares=5, total_volume_shares=5)
    feed.tell(STATS, row, 0)
    assert feed.latest(MARKET, "ALL")["symbol_count"] == 1
    feed.ids["NEW"] = 50
    feed.introduce("NEW", Venue.HNX)
    assert feed.latest(MARKET, "ALL")["symbol_count"] == 2
    assert feed.latest(MARKET, "HNX")["volume_shares"] == 5


def test_only_symbols_of_the_newest_trading_day_count():
    feed = Feed()
    for code in ("AAA", "BBB"):
        feed.quoted(code, 11_000, 10_000)
        feed.put(REFERENCE, code, indices=IndexMember.VN30)
        feed.put(FOREIGN, code, buy_value_vnd=5)
    assert feed.latest(MARKET, "VN30")["symbol_count"] == 2
    feed.day += 1
    feed.time("08:45:00")
    feed.quoted("AAA", 10_500, 11_000, volume=0)
    row = feed.latest(MARKET, "ALL")
    assert (row["symbol_count"], row["untraded"], row["volume_shares"]) == (1, 1, 0)
    row = feed.latest(MARKET, "VN30")  # a basket of yesterday is nobody's basket
    assert (row["symbol_count"], row["trade_day"]) == (0, feed.day)
    assert (row["exch_s"], row["phase"]) == (feed.exch_s, 0)
    assert feed.top("ALL-GAIN") == feed.top("ALL-FBUY") == []
    assert feed.latest(MOVERS, "ALL-GAIN")["seq"] == 2


def test_the_first_reference_row_of_a_day_rolls_the_board():
    feed = Feed()
    feed.quoted("AAA", 11_000, 10_000)
    feed.summarise()
    feed.day += 1
    feed.time("07:00:00")
    feed.put(REFERENCE, "AAA", indices=IndexMember.VN30)
    row = feed.latest(MARKET, "ALL")
    assert (row["symbol_count"], row["advances"], row["trade_day"]) == (0, 0, feed.day)


def test_a_shard_that_starts_over_takes_its_symbols_with_it():
    feed = Feed()
    feed.introduce("AAA", shard=0)
    feed.introduce("BBB", shard=1)
    for code in ("AAA", "BBB"):
        for _ in range(3):
            feed.quoted(code, 11_000, 10_000)
    assert feed.latest(MARKET, "ALL")["symbol_count"] == 2
    feed.start_over(1)
    assert feed.board.changed
    assert feed.latest(MARKET, "ALL")["symbol_count"] == 1
    feed.start_over(1)  # once more, and nothing was left to forget
    assert not feed.board.changed
    feed.introduce("BBB", shard=1)
    feed.quoted("BBB", 9_000, 10_000)  # seq 1 again
    row = feed.latest(MARKET, "ALL")
    assert (row["symbol_count"], row["declines"], row["seq"]) == (2, 1, 3)
    feed.start_over(7)  # nobody ever heard of it
    assert not feed.board.changed


def test_when_everything_is_forgotten_the_board_keeps_its_last_word():
    feed = Feed()
    feed.quoted("AAA", 11_000, 10_000)
    feed.summarise()
    feed.start_over(0)
    assert feed.summarise() == []
    assert feed.board.latest()["market"]["advances"][0] == 1


@pytest.mark.parametrize(
    "channel", ["market", "foreign.summary", "movers", "attribution", "symbol"]
)
def test_a_snapshot_is_everything_said_last(channel):
    feed = Feed()
    last = {}
    for last_vnd in (11_000, 9_000):
        feed.quoted("AAA", last_vnd, 10_000)
        feed.put(FOREIGN, "AAA", buy_value_vnd=last_vnd)
        for name, row in feed.summarise():
            last[name, row["symbol_id"]] = row["seq"]
    held = feed.board.latest()[channel]
    assert held.flags.c_contiguous
    assert {(channel, int(row["symbol_id"])): int(row["seq"]) for row in held if row["seq"]} == {
        key: seq for key, seq in last.items() if key[0] == channel
    }
    assert SYMBOL.name in feed.board.latest()
