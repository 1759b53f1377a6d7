"""Channel ``foreign.summary``: foreign flow per exchange and for VN30."""

from engine.schema.channels import FOREIGN, FOREIGN_SUMMARY, REFERENCE
from engine.schema.codes import IndexMember, Venue
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
