"""The topic grammar of v3."""

import pytest

from tools.simulator.v3_topics import parse


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ("trade.SSI", "trade.SSI"),
        ("TRADE.ssi@TICK", "trade.SSI"),
        ("quote.*", "quote.*"),
        ("room.A-HZZ", "room.A-HZZ"),
        ("trade.VN30@*", "trade.VN30@*"),
        ("oddlot.hose@*", "oddlot.HOSE@*"),
        ("trade.*@1m", "trade.*@1m"),
        ("trade.index.*", "trade.index.*"),
        ("trade.index.vn30@5m", "trade.index.VN30@5m"),
        ("indexsummary.VN30", "indexsummary.VN30"),
        ("market.FLAG", "market.flag"),
        ("market.HOSE", "market.HOSE"),
    ],
)
def test_topics_that_exist(text, listed):
    assert str(parse(text)) == listed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "trade",
        "trade.",
        "trade.SSI,VND",
        "trade.SSI@15m",
        "quote.SSI@1m",
        "market.SSI@*",
        "trade.*@*",
        "trade.A-B@*",
        "trade.index.*@1m",
        "trade.SSI@",
        "asset.1",
        "order.*",
        "trade.SSI\n",
        7,
        None,
    ],
)
def test_topics_that_do_not(text):
    assert parse(text) is None
