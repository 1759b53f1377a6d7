"""The rule block_trade, case by case; the story is in tests/tables/alerts_block_trade.txt."""

from engine.schema.codes import AlertType, Phase, Severity
from tests.alerts.market import Market


def market() -> Market:
    """Return a market with one stock."""
    one = Market()
    one.symbol("FPT")
    one.at("09:30:00")
    one.match("FPT", "50000")
    return one


def test_one_match_of_five_billion_is_a_block():
    assert market().match("FPT", "50000", 99_999) == []
    (row,) = market().match("FPT", "50000", 100_000)
    assert (row["alert_type"], row["severity"]) == (AlertType.BLOCK_TRADE, Severity.INFO)
    assert row["value_vnd"] == row["measured"] == row["threshold"] == 5_000_000_000
    assert (row["price_e2"], row["volume_shares"]) == (5_000_000, 100_000)
    assert row["phase"] == Phase.CONTINUOUS


def test_a_put_through_deal_of_twenty_billion_is_a_block():
    assert market().deal("FPT", "50000", 399_999) == []
    (row,) = market().deal("FPT", "50000", 400_000)
    assert (row["value_vnd"], row["threshold"]) == (20_000_000_000, 20_000_000_000)
    assert row["phase"] == Phase.PUT_THROUGH


def test_a_deal_that_is_repeated_is_told_once():
    one = market()
    assert len(one.deal("FPT", "50000", 400_000, 400_000)) == 1
    assert one.at("09:45:00").deal("FPT", "50000", 400_000, 400_000) == []
    assert len(one.deal("FPT", "50000", 400_000, 800_000)) == 1


def test_the_days_first_deal_is_no_news_when_there_were_deals_before_it():
    assert market().deal("FPT", "50000", 400_000, 900_000) == []


def test_volume_nobody_showed_is_no_block():
    one = market()
    (row,) = one.match("FPT", "50000", 100, skipped=900_000)
    assert row["alert_type"] == AlertType.FEED
    assert one.at("09:40:00").untold("FPT", "50000", 900_000) != []
    assert {row["alert_type"] for row in one.at("09:50:00").untold("FPT", "50000", 900_000)} == {
        AlertType.FEED
    }


def test_never_from_a_baseline_a_repeat_a_late_match_or_the_first_news_after_an_outage():
    one = Market()
    one.symbol("FPT")
    assert one.untold("FPT", "50000", 900_000) == []
    assert one.send(one.trade("FPT", "50000", 900_000, 900_000)) == []
    late = market()
    late.match("FPT", "50000", 100, skipped=200_000)
    rows = late.late("FPT", "50000", 200_000, 200_100)
    assert {row["alert_type"] for row in rows} == {AlertType.FEED}  # the gap closes
    back = market()
    back.feed_is("LIVE")
    back.feed_is("DOWN")
    assert back.match("FPT", "50000", 900_000) == []
    assert len(back.match("FPT", "50000", 900_000)) == 1
