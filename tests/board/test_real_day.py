"""The real day of 15 July 2021: breadth and rankings, counted once by the board and once from the
published table by the few lines of plain Python below."""

import csv
from pathlib import Path

import pytest

import engine.feed
from engine.schema.channels import MARKET
from engine.schema.codes import Venue
from tests.board.feed import Feed

TABLE = Path(engine.feed.__file__).parent / "data" / "market-day-2021-07-15.csv"
VENUES = ["HOSE", "HNX", "UPCOM"]


def published() -> list[dict]:
    with TABLE.open(encoding="utf-8") as lines:
        return [
            {
                "code": line["symbol"],
                "venue": line["exchange"],
                "prior": int(line["prior_close_vnd"]),
                "close": int(line["close_vnd"]),
                "volume": int(line["volume_shares"]),
            }
            for line in csv.DictReader(lines)
        ]


LINES = published()


def of(scope: str) -> list[dict]:
    return [line for line in LINES if scope in ("ALL", line["venue"])]


@pytest.fixture(scope="module")
def board() -> Feed:
    feed = Feed(capacity=1_024)
    feed.time("15:00:00")
    for line in LINES:
        feed.introduce(line["code"], Venue[line["venue"]], shard=len(line["code"]) % 2)
        feed.quoted(line["code"], line["close"], line["prior"], line["volume"])
    feed.rows = {
        (channel.name, int(row["symbol_id"]) - 1_024): row
        for channel, rows in feed.board.summarise()
        for row in rows
    }
    return feed


def row_of(feed: Feed, channel: str, key: str):
    return feed.rows[channel, feed.twin.keys.index(key)]


@pytest.mark.parametrize("scope", ["ALL", *VENUES])
def test_breadth_is_what_the_published_table_adds_up_to(board, scope):
    traded = [line for line in of(scope) if line["volume"]]
    row = row_of(board, MARKET.name, scope)
    assert row["symbol_count"] == len(of(scope))
    assert row["untraded"] == len(of(scope)) - len(traded)
    assert row["advances"] == sum(line["close"] > line["prior"] for line in traded)
    assert row["declines"] == sum(line["close"] < line["prior"] for line in traded)
    assert row["unchanged"] == sum(line["close"] == line["prior"] for line in traded)
    assert row["volume_shares"] == sum(line["volume"] for line in traded)
    assert row["advances"] + row["declines"] + row["unchanged"] == len(traded)


def test_the_day_was_a_rising_one(board):
    """Counted with awk over the table, so that both sides cannot be wrong together."""
    row = row_of(board, MARKET.name, "ALL")
    assert row["symbol_count"] == 701
    counted = {"advances": 385, "unchanged": 93, "declines": 139, "untraded": 84}
    assert {name: int(row[name]) for name in counted} == counted


@pytest.mark.parametrize("scope", ["ALL", *VENUES])
@pytest.mark.parametrize("name", ["VALUE", "GAIN", "LOSS"])
def test_rankings_are_those_of_the_published_table(board, scope, name):
    ranked = []
    for line in of(scope):
        ppm = (line["close"] - line["prior"]) * 1_000_000 // line["prior"]
        value = line["close"] * line["volume"]
        if name == "VALUE" and value:
            ranked.append((-value, line["code"]))
        elif name == "GAIN" and line["volume"] and line["close"] > line["prior"]:
            ranked.append((-ppm, line["code"]))
        elif name == "LOSS" and line["volume"] and line["close"] < line["prior"]:
            ranked.append((ppm, line["code"]))
    ranked = sorted(ranked)[:10]
    row = row_of(board, "movers", f"{scope}-{name}")
    assert row["top_count"] == len(ranked) == 10
    assert [code.decode() for code in row["top_code"].tolist()] == [code for _, code in ranked]
    sign = 1 if name == "LOSS" else -1
    assert row["top_measure"].tolist() == [sign * measure for measure, _ in ranked]
