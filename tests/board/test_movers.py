"""Channel ``movers``: who is on which list, and in which order."""

from engine.schema.channels import FOREIGN, MOVERS, REFERENCE
from engine.schema.codes import IndexMember, Venue
from tests.board.feed import Feed, sides

BN = 1_000_000_000


def test_value_ranks_by_the_exchange_s_matched_value():
    feed = Feed()
    feed.quoted("AAA", 10_000, 10_000, value_vnd=5 * BN)
    feed.quoted("BBB", 10_000, 10_000, value_vnd=1 * BN, total_value_vnd=9 * BN)  # most was missed
    feed.quoted("CCC", 10_000, 10_000, value_vnd=7 * BN, total_value_vnd=0)  # no total is told
    feed.quoted("DDD", 10_000, 10_000, volume=0)
    assert feed.top("HOSE-VALUE") == [("BBB", 9 * BN), ("CCC", 7 * BN), ("AAA", 5 * BN)]


def test_gainers_and_losers_are_in_parts_per_million_of_the_reference():
    feed = Feed()
    feed.quoted("AAA", 10_700, 10_000)
    feed.quoted("BBB", 9_300, 10_000)
    feed.quoted("CCC", 30_100, 30_000)
    feed.quoted("DDD", 29_900, 30_000)
    feed.quoted("EEE", 10_000, 10_000)
    assert feed.top("ALL-GAIN") == [("AAA", 70_000), ("CCC", 3_333)]
    assert feed.top("ALL-LOSS") == [("BBB", -70_000), ("DDD", -3_334)]  # rounded down


def test_a_share_that_did_not_trade_neither_gains_nor_loses():
    feed = Feed()
    feed.quoted("AAA", 10_700, 10_000, volume=0)
    feed.quoted("BBB", 9_300, 10_000, volume=0)
    feed.quoted("CCC", 9_300, 0)
    assert feed.top("ALL-GAIN") == feed.top("ALL-LOSS") == []


def active(feed, code, buy, sell, value_vnd=BN, **fields):
    table = sides(BUY=buy, SELL=sell, NEUTRAL=999)
    fields |= {"value_vnd": value_vnd, "phase_side_volume_shares": table}
    feed.quoted(code, 10_000, 10_000, volume=buy + sell, **fields)


def test_active_buying_is_ranked_among_shares_with_a_billion_of_matches():
    feed = Feed()
    active(feed, "AAA", 30, 10)
    active(feed, "BBB", 100, 0, value_vnd=BN - 1)  # too little to say anything
    active(feed, "CCC", 1, 2)
    active(feed, "DDD", 0, 0)  # an auction is nobody's
    active(feed, "EEE", 9, 1, value_vnd=BN - 1, total_value_vnd=BN)  # of what was seen
    assert feed.top("HOSE-BUYING") == [("AAA", 750_000), ("CCC", 333_333)]
    assert feed.top("HOSE-SELLING") == [("CCC", 333_333), ("AAA", 750_000)]


def flow(feed, code, buy_vnd, sell_vnd):
    feed.put(FOREIGN, code, buy_value_vnd=buy_vnd, sell_value_vnd=sell_vnd)


def test_top_net_buyers_are_net_buyers_only_and_sellers_net_sellers_only():
    feed = Feed()
    flow(feed, "AAA", 500, 200)
    flow(feed, "BBB", 100, 900)
    flow(feed, "CCC", 400, 400)
    flow(feed, "DDD", 900, 100)
    assert feed.top("ALL-FBUY") == [("DDD", 800), ("AAA", 300)]
    assert feed.top("ALL-FSELL") == [("BBB", -800)]


def test_foreign_lists_show_price_and_volume_of_the_share():
    feed = Feed()
    flow(feed, "AAA", 500, 200)
    feed.quoted("AAA", 10_700, 10_000, volume=300)
    row = feed.latest(MOVERS, "ALL-FBUY")
    assert row["top_price_e2"][0] == 10_700_00
    assert row["top_reference_price_e2"][0] == 10_000_00
    assert row["top_volume_shares"][0] == 300
    assert row["top_value_vnd"][0] == 3_210_000


def test_equals_stand_in_order_of_their_code():
    feed = Feed()
    for code in ("MMM", "AAA", "ZZZ", "BBB"):
        feed.quoted(code, 10_100, 10_000)
    assert [code for code, _ in feed.top("ALL-GAIN")] == ["AAA", "BBB", "MMM", "ZZZ"]
    assert [code for code, _ in feed.top("ALL-VALUE")] == ["AAA", "BBB", "MMM", "ZZZ"]


def test_a_list_has_ten_entries_at_most():
    feed = Feed()
    for place in range(14):
        feed.quoted(f"S{place:02}", 10_000 + 100 * place, 10_000)
    assert [code for code, _ in feed.top("ALL-GAIN")] == [f"S{n:02}" for n in range(13, 3, -1)]


def test_lists_are_per_exchange_and_for_vn30():
    feed = Feed()
    for code, venue in (("AAA", Venue.HOSE), ("BBB", Venue.HNX), ("CCC", Venue.UPCOM)):
        feed.introduce(code, venue)
        feed.quoted(code, 10_100, 10_000)
    feed.put(REFERENCE, "AAA", indices=IndexMember.VN30)
    codes = {key: [code for code, _ in feed.top(f"{key}-GAIN")]
             for key in ("ALL", "HOSE", "HNX", "UPCOM", "VN30")}  # fmt: skip
    assert codes == {"ALL": ["AAA", "BBB", "CCC"], "HOSE": ["AAA"], "HNX": ["BBB"],
                     "UPCOM": ["CCC"], "VN30": ["AAA"]}  # fmt: skip
