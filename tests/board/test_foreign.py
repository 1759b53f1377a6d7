"""Channel ``foreign.summary``: foreign flow per exchange and for VN30."""

import pytest

from engine.schema.channels import FOREIGN, FOREIGN_SUMMARY, INDEX, REFERENCE, STATS
from engine.schema.codes import IndexMember, Instrument, Venue
from tests.board.feed import Feed


def flow(feed, code, buy_vnd, sell_vnd, **fields):
    feed.put(FOREIGN, code, buy_value_vnd=buy_vnd, sell_value_vnd=sell_vnd,
             buy_volume_shares=buy_vnd // 10, sell_volume_shares=sell_vnd // 10,
             **fields)  # fmt: skip


def test_a_market_s_foreign_flow_is_the_sum_of_its_shares():
    feed = Feed()
    feed.introduce("HHH", Venue.HNX)
    flow(feed, "AAA", 500, 200, net_value_5m_vnd=30, net_value_5m_before_vnd=-10,
         net_volume_5m_shares=3, net_volume_5m_before_shares=-1)  # fmt: skip
    flow(feed, "BBB", 100, 900, net_value_5m_vnd=-50, net_value_5m_before_vnd=20)
    flow(feed, "HHH", 1_000, 0, net_value_5m_vnd=7)
    row = feed.latest(FOREIGN_SUMMARY, "HOSE")
    assert (row["buy_value_vnd"], row["sell_value_vnd"]) == (600, 1_100)
    assert (row["buy_volume_shares"], row["sell_volume_shares"]) == (60, 110)
    assert (row["net_value_5m_vnd"], row["net_value_5m_before_vnd"]) == (-20, 10)
    assert (row["net_volume_5m_shares"], row["net_volume_5m_before_shares"]) == (3, -1)
    assert feed.latest(FOREIGN_SUMMARY, "HNX")["buy_value_vnd"] == 1_000
    assert feed.latest(FOREIGN_SUMMARY, "ALL")["buy_value_vnd"] == 1_600


def test_net_buyers_and_sellers_are_counted_by_value():
    feed = Feed()
    flow(feed, "AAA", 500, 200)
    flow(feed, "BBB", 100, 900)
    flow(feed, "CCC", 400, 400)
    flow(feed, "DDD", 300, 900)
    row = feed.latest(FOREIGN_SUMMARY, "ALL")
    assert (row["symbol_count"], row["net_buyer_count"], row["net_seller_count"]) == (4, 1, 2)


def test_the_vn30_summary_has_its_members_only():
    feed = Feed()
    flow(feed, "AAA", 500, 200)
    flow(feed, "BBB", 100, 900)
    feed.put(REFERENCE, "BBB", indices=IndexMember.VN30)
    row = feed.latest(FOREIGN_SUMMARY, "VN30")
    assert (row["symbol_count"], row["buy_value_vnd"], row["sell_value_vnd"]) == (1, 100, 900)


def test_yesterday_s_flow_is_not_today_s():
    feed = Feed()
    flow(feed, "AAA", 500, 200)
    flow(feed, "BBB", 100, 900)
    assert feed.latest(FOREIGN_SUMMARY, "ALL")["symbol_count"] == 2
    feed.day += 1
    feed.time("09:00:00")
    flow(feed, "AAA", 5, 0)
    row = feed.latest(FOREIGN_SUMMARY, "ALL")
    assert (row["symbol_count"], row["buy_value_vnd"], row["sell_value_vnd"]) == (1, 5, 0)
    assert row["net_seller_count"] == 0


SUMS = ("net_volume_5m_shares", "net_value_5m_vnd")
BEFORE = ("net_volume_5m_before_shares", "net_value_5m_before_vnd")


def silent_since(time):
    """AAA, which has all four sums at `time` and nothing to say after that."""
    feed = Feed()
    feed.time(time)
    flow(feed, "AAA", 500, 200, net_volume_5m_shares=3, net_value_5m_vnd=30,
         net_volume_5m_before_shares=2, net_value_5m_before_vnd=20)  # fmt: skip
    feed.summarise()
    return feed


@pytest.mark.parametrize(
    ("time", "now", "before"),
    [
        ("10:04:59", (3, 30), (2, 20)),
        ("10:05:00", (0, 0), (2, 20)),
        ("10:05:59", (0, 0), (2, 20)),
        ("10:06:00", (0, 0), (0, 0)),
        ("14:45:00", (0, 0), (0, 0)),
    ],
)
@pytest.mark.parametrize("channel", [STATS, FOREIGN, INDEX], ids=lambda channel: channel.name)
def test_a_silent_share_s_five_minutes_end_by_the_news_of_others(channel, time, now, before):
    feed = silent_since("10:00:00")
    if channel is INDEX:
        feed.introduce("BBB", instrument=Instrument.INDEX)
    feed.time(time)
    feed.put(channel, "BBB")
    said = {row["symbol_id"]: row for name, row in feed.summarise() if name == FOREIGN_SUMMARY.name}
    row = feed.latest(FOREIGN_SUMMARY, "HOSE")
    assert tuple(row[name] for name in SUMS) == now
    assert tuple(row[name] for name in BEFORE) == before
    assert (row["buy_value_vnd"], row["net_buyer_count"]) == (500, 1)  # of the day, as told
    if now == (0, 0):
        assert said[row["symbol_id"]] == row  # news, though no share of it said anything


def test_reference_data_do_not_move_the_market_s_time():
    feed = silent_since("07:50:00")
    feed.time("08:00:00")
    feed.put(REFERENCE, "BBB", listed_shares=1)
    assert feed.latest(FOREIGN_SUMMARY, "HOSE")["net_value_5m_vnd"] == 30


def test_the_vn30_summary_has_the_codes_of_the_file():
    feed = Feed({"VN30": {"AAA": 1, "ZZZ": 1}})
    flow(feed, "AAA", 500, 200)
    flow(feed, "BBB", 100, 900)
    feed.put(REFERENCE, "BBB", indices=IndexMember.VN30)
    row = feed.latest(FOREIGN_SUMMARY, "VN30")
    assert (row["symbol_count"], row["buy_value_vnd"]) == (1, 500)
