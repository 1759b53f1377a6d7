"""What a line of the day becomes in v3, and who is told."""

import json
from collections import defaultdict

import orjson
import pytest

from tests.tools.played import almanac, day, lines, played, record
from tools.simulator.v3_puts import put_lines, with_puts
from tools.simulator.v3_subscription import Subscription
from tools.simulator.v3_topics import parse


def texts(frames):
    """Return the texts of unmasked WebSocket frames."""
    found = []
    while frames:
        size, at = frames[1], 2
        if size == 126:
            size, at = int.from_bytes(frames[2:4]), 4
        found.append(frames[at : at + size])
        frames = frames[at + size :]
    return found


def subscribed(*topics):
    subscription = Subscription(almanac())
    subscription.subscribe([parse(topic) for topic in topics])
    return subscription


def told(subscription, some):
    return [json.loads(text) for text in texts(subscription.frames(some, 10, lambda: 1))]


ONE = {
    "trade.HPG": lambda code, _board: code == "HPG",
    "trade.*": lambda _code, _board: True,
    "trade.B-HPG": lambda code, _board: code in ("BSI", "HPG"),
    "trade.HNX@*": lambda _code, board: board == "HNX",
    "trade.DER@*": lambda _code, board: board == "DERIVATIVES",
    "trade.VN30@*": lambda code, _board: code == "HPG",
    "trade.VN30": lambda _code, _board: False,
    "trade.NOBODY@*": lambda _code, _board: False,
}


@pytest.mark.parametrize("topic", ONE)
def test_a_filter_takes_what_it_names(topic):
    boards = {symbol.code: symbol.venue.name for symbol in day().symbols}
    codes = {code for code, board in boards.items() if ONE[topic](code, board)}
    subscription = subscribed(topic)
    assert {frame["data"]["s"] for frame in told(subscription, played())} == codes
    assert {code for code in boards if subscription.wants("X-TRADE", code)} == codes


def test_a_line_is_told_once_however_many_topics_ask_for_it():
    some = [line for line in played() if line[1] == "X-TRADE" and line[2] == "HPG"]
    subscription = subscribed("trade.HPG", "trade.*", "trade.A-Z", "trade.VN30@*", "trade.HPG@1m")
    topics = [frame["topic"] for frame in told(subscription, some)]
    assert topics == ["trade.HPG", "trade.HPG@1m"] * len(some)
    subscription.unsubscribe([parse("trade.HPG@1m")])
    assert [frame["topic"] for frame in told(subscription, some)] == ["trade.HPG"] * len(some)


KEYS = {
    "trade.ACB": "t s p q si v o h l a",
    "quote.ACB": "t s bids asks",
    "room.ACB": "t s tr cr bq bv sq sv",
    "oddlot.ACB": "t s p q bids asks",
    "market.ACB": "s b t ce fl ref",
    "market.FLAG": "b t f",
    "trade.index.VN30": "s b ss t v c cr adv dec nc ce fl tmv tmq tvp tqp tq tv",
    "trade.ACB@5m": "st t s o h l c v",
}


def test_payloads_have_the_documented_keys_in_the_documented_order():
    frames = told(
        subscribed(*("market.flag" if name == "market.FLAG" else name for name in KEYS)), played()
    )
    assert {frame["topic"] for frame in frames} == set(KEYS)
    for frame in frames:
        assert list(frame) == ["channel", "topic", "data"]
        assert list(frame["data"]) == KEYS[frame["topic"]].split()


def test_a_future_is_quoted_in_points_and_so_is_its_average():
    code = day().future_code
    frames = [frame["data"] for frame in told(subscribed(f"trade.{code}"), played())]
    value = sum(frame["p"] * frame["q"] for frame in frames)
    assert frames[-1]["a"] == pytest.approx(value / frames[-1]["v"], abs=0.001)
    assert frames[-1]["l"] <= frames[-1]["a"] <= frames[-1]["h"]


def test_bars_are_the_prints_of_their_minutes():
    """The twin: bars kept print by print, as a server that remembers would."""
    code = "HPG"
    open_bar = {}
    frames = told(subscribed(f"trade.{code}@1m"), played())
    prints = [record(line) for line in played() if line[1] == "X-TRADE" and line[2] == code]
    assert len(frames) == len(prints)
    for each, frame in zip(prints, frames, strict=True):
        start, price = f"2021/07/15 {each['Time'][:5]}:00", each["LastPrice"]
        if open_bar.get("st") != start:
            open_bar = {"st": start, "s": code, "o": price, "h": price, "l": price, "v": 0}
        open_bar["h"], open_bar["l"] = max(price, open_bar["h"]), min(price, open_bar["l"])
        open_bar |= {"t": f"2021/07/15 {each['Time']}", "c": price}
        open_bar["v"] += each["LastVol"]
        assert frame["data"] == open_bar


def test_a_market_order_of_an_old_auction_is_a_word_in_place_of_a_price():
    line = next(line for line in played() if line[1] == "X-QUOTE" and line[2] == "ACB")
    changed = record(line) | {"BidPrice1": 0.0, "BidVol1": 700.0, "TradingSession": "ATO"}
    envelope = {"DataType": "X-QUOTE", "Content": json.dumps(changed)}
    message = orjson.dumps({"H": "h", "M": "Broadcast", "A": [json.dumps(envelope)]})
    (frame,) = told(subscribed("quote.*"), [(*line[:3], message)])
    assert frame["data"]["bids"][0] == ["ATO", 700]


def test_faulty_lines_stay_faulty():
    line = next(line for line in played() if line[1] == "X-TRADE")
    code, wanted = line[2], subscribed("trade.*")
    unknown = orjson.dumps(
        {"A": [json.dumps({"DataType": "X-NEW", "Content": json.dumps({"Symbol": code})})]}
    )
    (frame,) = told(wanted, [(*line[:3], unknown)])
    assert frame["topic"] == f"x-new.{code}"
    inside = orjson.dumps({"A": [json.dumps({"DataType": "X-TRADE", "Content": '{"Sym'})]})
    for cut in (line[3][:-40], inside):
        (text,) = texts(wanted.frames([(*line[:3], cut)], 10, lambda: 1))
        with pytest.raises(json.JSONDecodeError):
            json.loads(text)
    zero = record(line) | {"AvgPrice": "NaN", "LastPrice": 0.0, "LastVol": 0.0, "TotalVol": 0.0}
    message = orjson.dumps(
        {"A": [json.dumps({"DataType": "X-TRADE", "Content": json.dumps(zero)})]}
    )
    (frame,) = told(wanted, [(*line[:3], message)])
    assert (frame["data"]["p"], frame["data"]["v"]) == (0, 0)
    assert "a" not in frame["data"]


def test_the_greeting_is_for_new_topics_only():
    last = {(kind, code): message for _, kind, code, message in played()}
    greeting = [(0, kind, code, message) for (kind, code), message in last.items()]
    subscription = subscribed("trade.HPG")
    assert [frame["topic"] for frame in told(subscription, greeting)] == ["trade.HPG"]
    assert subscription.subscribe([parse("quote.HPG"), parse("trade.HPG")])
    assert [frame["topic"] for frame in told(subscription, greeting)] == ["quote.HPG"]
    assert not subscription.subscribe([parse("quote.HPG")])
    assert told(subscription, greeting) == []
    live = [line for line in played() if line[2] == "HPG"]
    assert {frame["topic"] for frame in told(subscription, live)} == {"trade.HPG", "quote.HPG"}


def test_put_through_deals_keep_the_hours_the_limits_and_their_own_sums():
    puts = put_lines(almanac(), seed=1)
    assert puts == put_lines(almanac(), seed=1)
    assert puts != put_lines(almanac(), seed=2)
    sums = defaultdict(lambda: [0, 0])
    for time_ms, kind, code, message in puts:
        deal, facts = record((0, kind, code, message)), almanac().facts[code]
        assert kind == "PUT"
        assert 9 <= time_ms / 3_600_000 < 11.5 or 13 <= time_ms / 3_600_000 < 15
        assert facts.floor_e2 <= deal["Price"] * 100 <= facts.ceiling_e2
        assert deal["Quantity"] >= 20_000
        sums[code][0] += deal["Quantity"]
        sums[code][1] += deal["Quantity"] * deal["Price"]
        assert [deal["TotalQuantity"], deal["TotalValue"]] == sums[code]
    times = [line[0] for line in with_puts(lines(), puts)]
    assert times == sorted(times)
    assert len(times) == len(lines()) + len(puts)
