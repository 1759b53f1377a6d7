"""What clients see when the exchange goes away, or a part of vntape dies, and comes back.

Each scenario has a quarter of an hour of the market of its own (`Hours`): alerts of one type repeat
after a minute of the exchange's time, and outages are alerts of one key that all scenarios share.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from typing import Any

import pytest

from tests.e2e.running import wait_for
from tests.e2e.studio import (
    DAY,
    Record,
    Studio,
    Viewer,
    foreign,
    index,
    quote,
    status,
    studio,
    trade,
)

pytestmark = pytest.mark.e2e

AWAY = ("connecting", "down")
BARS = ("1m", "5m", "15m", "1h", "1d")
HIDDEN = {"symbol"}  # the bus' own
SILENT = {"reference", "put_through"}  # nothing in them: no REST here, and v2 tells no deals
BIG_SHARES = 70_000
RULES = (  # the operator's own
    f"rules.large=trade.volume_shares >= {BIG_SHARES}",
    "rules.dear=stats.last_price > 50000 and stats.last_price < 60000",
)
ALERT_COUNT = r"([\d,]+) alerts"  # in the status line

Time = Callable[[int], str]


@pytest.fixture(scope="module")
def tape() -> Iterator[Studio]:
    with studio(*RULES) as made:
        yield made


@pytest.fixture(scope="module")
def hours() -> Iterator[int]:
    return count(1)


@pytest.fixture
def at(hours: Iterator[int]) -> Time:
    """Return what makes a stamp of seconds since the scenario's own start, 09:15 at the least."""
    start_s = 9 * 3600 + 12 * 60 * next(hours)

    def stamp(second: int) -> str:
        now_s = start_s + second
        assert now_s < 11 * 3600 + 30 * 60, "the morning is over"
        return f"{now_s // 3600:02}:{now_s // 60 % 60:02}:{now_s % 60:02}"

    return stamp


def iso(time: str) -> str:
    return f"{DAY}T{time}+07:00"


def feed_states(viewer: Viewer) -> list[str]:
    """Return the feed's state as every heartbeat told it."""
    return [f["feed"]["state"] for f in viewer.model.controls if f["op"] == "heartbeat"]


def alerts_of(viewer: Viewer, code: str) -> list[tuple[str, str]]:
    """Return (type, state) of every alert of a symbol, in order."""
    return [(row["alert_type"], row["alert_state"]) for row in viewer.rows(f"alerts.{code}")]


def news_of(viewer: Viewer, topic: str) -> list[dict[str, Any]]:
    """Return the `data` of the frames of a topic that are news."""
    named = viewer.model.topic_of
    return [
        frame["data"]
        for frame in list(viewer.model.frames)
        if frame["op"] in ("snap", "d") and frame["n"] and named[frame["ch"]] == topic
    ]


# The exchange goes away --------------------------------------------------------------------------


def test_everyone_is_told_when_the_exchange_goes_away_and_when_it_is_back(
    tape: Studio, at: Time
) -> None:
    code = tape.fresh()
    tape.say(trade(code, at(0), 20_000, 100, 100))
    with tape.view(f"trade.{code}*") as trader, tape.view("feed.*", "alerts.FEED*") as desk:
        trader.wait(f"trade.{code}", total_volume_shares=100)
        before = desk.wait("feed.FEED", feed_state="LIVE")["outage_count"]
        with tape.outage():
            told = desk.wait("alerts.FEED", alert_state="BEGIN")
            assert (told["severity"], told["alert_type"]) == ("CRITICAL", "FEED")
            assert told["feed_state"].lower() in AWAY
            assert desk.wait("feed.FEED", outage_count=before + 1)["outage_to_ns"] == 0
            trader.until("a heartbeat", lambda: any(s in AWAY for s in feed_states(trader)))
            with tape.view(f"trade.{code}") as late:
                hello = next(f for f in late.model.controls if f["op"] == "hello")
                assert hello["feed"]["state"] in AWAY
                late.wait(f"trade.{code}", total_volume_shares=100)
        over = desk.wait("alerts.FEED", alert_state="END")
        assert over["severity"] == "INFO"
        assert over["id"] != told["id"]
        assert over["text_vi"] != over["text_en"]
        row = desk.wait("feed.FEED", feed_state="LIVE", outage_count=before + 1)
        assert 0 < row["outage_from_ns"] < row["outage_to_ns"]
        trader.until(
            "a heartbeat that all is well",
            lambda: (states := feed_states(trader)) and states[-1] == "live",
        )
        assert not trader.closed


CONTRACT, LIMITS = (
    "41I1F8000",
    (21_400, 18_600, 20_000),
)  # of August 2025; ceiling, floor, reference


def round_of_the_market(codes: dict[str, str], turn: int, at: Time) -> list[Record]:
    """Return messages that are news on every channel that v2 can fill; `turn` is 0, 1 ..."""
    base, more, ato = 300 * turn, 1_000 * turn, f"09:05:{turn:02}"
    stock, locked, auction = codes["stock"], codes["locked"], codes["auction"]
    # Something was traded before the first of them; the second is a block, and worth an alert.
    trades = [
        trade(stock, at(base + i), 20_000 + 100 * i, 300_000, n, limits=LIMITS)
        for i, n in enumerate((400_000 + 900 * more, 700_000 + 900 * more))
    ]
    at_limit = [(20_000, 21_400), (21_400, 20_000)][turn % 2]
    return [
        *trades,
        quote(stock, at(base + 2), [(20_000, 500 + more)], [(20_100, 700)]),
        *(
            trade(locked, at(base + i), price, 100, 100 * (2 * turn + i + 1), limits=LIMITS)
            for i, price in enumerate(at_limit)
        ),
        trade(auction, ato, 0, 0, 0, session="ATO", EstMatchedPrice=20_000 + turn),
        quote(auction, ato, [(0, 1_000 + more)], [(20_000, 800)], session="ATO"),
        foreign(stock, at(base), (100 + more, 2_000_000 + more), (50, 1_000_000)),
        index("VN30", at(base), 1_400 + turn, 1_390, volume=10_000 + more),
        trade(CONTRACT, at(base + 1), 1_405 + turn, 5, 5 * (turn + 1), exchange="DERIVATIVES"),
        {
            **quote(stock, at(base), [(20_000, 50)], [(20_100, 70)]),
            **trade(stock, at(base), 20_050 + turn, 37, 300_037 + more, limits=LIMITS),
            "RType": "OL",
        },
        status(stock, at(base + 3), word=("N", "ST")[turn % 2]),
    ]


def test_a_client_of_any_channel_survives_and_hears_news_again(tape: Studio, at: Time) -> None:
    codes = {name: tape.fresh() for name in ("stock", "locked", "auction")}
    stock = codes["stock"]
    topics = {
        **dict.fromkeys(("trade", "quote", "book", "stats", "gaps", "foreign", "odd_lot"), stock),
        **{f"bar.{interval}": stock for interval in BARS},
        "limits": codes["locked"],
        "auction": codes["auction"],
        "alerts": stock,
        "status": stock,
        **dict.fromkeys(("index", "index.series", "attribution"), "VN30"),
        **dict.fromkeys(("basis", "basis.trend"), CONTRACT),
        **dict.fromkeys(("market", "foreign.summary"), "HOSE"),
        "movers": "HOSE-VALUE",
        "feed": "FEED",
        **dict.fromkeys(SILENT, stock),
    }
    with ExitStack() as stack:
        clients = {
            channel: stack.enter_context(tape.view(f"{channel}.{code}*"))
            for channel, code in topics.items()
        }
        listed = clients["trade"].ask({"op": "list"})["channels"]
        assert set(topics) == set(listed), "a client of every channel"

        def everyone_hears_more_than(known: dict[str, int]) -> None:
            for channel in topics.keys() - SILENT:
                clients[channel].until(f"news on {channel}", lambda c=channel: seq(c) > known[c])

        def seq(channel: str) -> int:
            return clients[channel].model.seq.get(f"{channel}.{topics[channel]}") or 0

        tape.say(*round_of_the_market(codes, 0, at))
        everyone_hears_more_than(dict.fromkeys(topics, 0))
        for client in clients.values():
            tape.settle(client)
        known = {channel: seq(channel) for channel in topics}
        with tape.outage():
            clients["feed"].until("the outage", lambda: seq("feed") > known["feed"])
        tape.say(*round_of_the_market(codes, 1, at))
        everyone_hears_more_than(known)
        for client in clients.values():
            assert client.ask({"op": "ping"})["op"] == "pong"
            assert not client.closed
            assert not [f for f in client.model.controls if f["op"] == "gap"], "nothing was lost"


def test_what_was_traded_meanwhile_is_missed_volume_and_never_a_match(
    tape: Studio, at: Time
) -> None:
    code = tape.fresh()
    with tape.view(f"trade.{code}*", f"stats.{code}*", f"gaps.{code}*", f"bar.1m.{code}*") as seen:
        tape.say(*(trade(code, at(i), 20_000, 100, 100 * (i + 1), side="BU") for i in range(3)))
        with tape.outage():
            pass
        # 250 shares were traded while we were away; the next match tells it.
        tape.say(trade(code, at(125), 20_100, 40, 590, side="SD"))
        tape.settle(seen)
        stats = seen.wait(f"stats.{code}", total_volume_shares=590)
        assert stats["volume_shares"] == 340
        assert stats["missed_volume_shares"] == 250
        assert stats["volume_shares"] + stats["missed_volume_shares"] == 590
        assert stats["trade_count"] == 4
        matches = news_of(seen, f"trade.{code}")
        assert [row["volume_shares"] for row in matches] == [100, 100, 100, 40]
        assert [row["missed_volume_shares"] for row in matches] == [0, 0, 0, 250]
        assert matches[-1]["flags"] == ["MISSED_BEFORE", "AFTER_OUTAGE"]
        seen.wait(f"gaps.{code}", gap_state="CLOSED", gap_outcome="UNEXPLAINED")  # no REST here
        gap, _ = news_of(seen, f"gaps.{code}")
        assert (gap["gap_no"], gap["gap_state"], gap["gap_cause"]) == (1, "OPEN", "OUTAGE")
        assert gap["open_volume_shares"] == gap["day_missed_volume_shares"] == 250
        assert (gap["from_exch_time"], gap["to_exch_time"]) == (iso(at(2)), iso(at(125)))
        bar = seen.wait(f"bar.1m.{code}", volume_shares=40)
        assert bar["bar_flags"] == bar["prev_bar_flags"] == ["SUSPECT"]
        assert bar["missed_volume_shares"] == 250
        assert bar["prev_volume_shares"] == 300


def test_the_snapshot_after_a_reconnect_is_no_trade_and_leaves_no_gap(
    tape: Studio, at: Time
) -> None:
    code = tape.fresh()
    with tape.view(f"trade.{code}*", f"stats.{code}*", f"gaps.{code}*", f"bar.1m.{code}*") as seen:
        last = trade(code, at(1), 20_000, 100, 200)
        tape.say(trade(code, at(0), 20_000, 100, 100), last)
        for turn in range(2):  # as SSI does after every reconnect
            with tape.outage():
                pass
            tape.say(last)
            tape.settle(seen)
            stats = seen.wait(f"stats.{code}", repeat_count=turn + 1)
            assert stats["volume_shares"] == stats["total_volume_shares"] == 200
        tape.say(trade(code, at(90), 20_000, 100, 300))
        seen.wait(f"stats.{code}", total_volume_shares=300, missed_volume_shares=0, trade_count=3)
        assert seen.wait(f"bar.1m.{code}", volume_shares=100)["bar_flags"] == []
        assert seen.data(f"bar.1m.{code}")["prev_bar_flags"] == []
        assert len(news_of(seen, f"trade.{code}")) == 3
        assert not seen.data(f"gaps.{code}")


def test_a_match_is_not_judged_by_the_book_of_before_the_outage(tape: Studio, at: Time) -> None:
    code = tape.fresh()
    with tape.view(f"trade.{code}*") as seen:
        tape.say(
            trade(code, at(0), 20_000, 100, 100),
            quote(code, at(1), [(19_900, 500)], [(20_000, 500)]),
            trade(code, at(2), 20_000, 100, 200),
        )
        seen.wait(f"trade.{code}", total_volume_shares=200, side="BUY", side_rule="QUOTE")
        with tape.outage():
            pass
        tape.say(trade(code, at(60), 20_100, 100, 300))
        first = seen.wait(f"trade.{code}", total_volume_shares=300)
        assert (first["side"], first["side_rule"]) == ("UNKNOWN", "NONE")
        assert first["flags"] == ["AFTER_OUTAGE"]
        assert (first["bid_price"], first["ask_price"]) == (0, 0)
        tape.say(trade(code, at(61), 20_200, 100, 400))
        second = seen.wait(f"trade.{code}", total_volume_shares=400)
        assert (second["side"], second["side_rule"], second["flags"]) == ("BUY", "TICK", [])


def test_what_had_changed_meanwhile_raises_no_alert_but_what_changes_then_does(
    tape: Studio, at: Time
) -> None:
    spike, block, hot, room, limit, halted = (tape.fresh() for _ in range(6))
    future, gap = "41I1F9000", tape.fresh()
    bn = 1_000_000_000
    few, none = (10**9, 10**6), (10**9, 0)
    with tape.view("alerts.*", "trade.*", "foreign.*", "basis.*") as seen:
        tape.say(
            *(trade(spike, at(i), 2_000, 100, 100 * (i + 1)) for i in range(11)),
            trade(block, at(0), 100_000, 100, 100),
            trade(gap, at(0), 20_000, 100, 100),
            trade(limit, at(0), 20_000, 100, 100, limits=LIMITS),
            status(halted, at(0)),
            foreign(hot, at(0), (0, 0), (0, 0)),
            foreign(hot, at(1), (100_000, 2 * bn), (0, 0)),
            foreign(room, at(0), (100, bn), (0, 0), room=few),
            index("VN30", at(0), 1_400, 1_390),
            trade(future, at(1), 1_402, 1, 1, exchange="DERIVATIVES"),
        )
        tape.settle(seen)
        assert not alerts_of(seen, spike)
        with tape.outage():
            pass
        tape.say(  # as if each had happened while nobody looked
            trade(spike, at(330), 2_000, 20_000, 21_100),
            trade(block, at(330), 100_000, 100_000, 100_100),
            trade(gap, at(330), 20_000, 100, 5_000),
            trade(limit, at(330), 21_400, 100, 200, limits=LIMITS),
            status(halted, at(330), word="H"),
            foreign(hot, at(330), (500_000, 10 * bn), (0, 0)),
            foreign(room, at(330), (100, bn), (0, 0), room=none),
            index("VN30", at(330), 1_410, 1_390),
            trade(future, at(331), 1_402, 1, 2, exchange="DERIVATIVES"),
        )
        tape.settle(seen)
        found = {code: alerts_of(seen, code) for code in (spike, block, gap, hot, room, future)}
        assert found == {code: [] for code in found}, "adopted in silence"
        # Except what is true now.
        assert alerts_of(seen, limit) == [("PRICE_LIMIT", "BEGIN")]
        assert alerts_of(seen, halted) == [("HALT", "BEGIN")]
        tape.say(
            trade(spike, at(340), 2_000, 200_000, 221_100),
            trade(block, at(340), 100_000, 100_000, 200_100),
            trade(gap, at(340), 20_000, 100, 6_000),
            trade(limit, at(340), 21_400, 100, 300, limits=LIMITS),
            status(halted, at(340), word="H"),
            foreign(room, at(340), (100, bn), (0, 0), room=few),
            foreign(room, at(341), (100, bn), (0, 0), room=none),
            index("VN30", at(340), 1_400, 1_390),
            foreign(hot, at(640), (800_000, 16 * bn), (0, 0)),
        )
        tape.settle(seen)
        assert alerts_of(seen, spike) == [("VOLUME_SPIKE", "NONE"), ("RULE", "NONE")]
        assert alerts_of(seen, block)[0] == ("BLOCK_TRADE", "NONE")
        assert alerts_of(seen, gap)[0] == ("FEED", "BEGIN")
        assert seen.rows(f"alerts.{gap}")[0]["gap_cause"] == "SKIPPED"
        assert alerts_of(seen, limit) == [("PRICE_LIMIT", "BEGIN")]
        assert alerts_of(seen, halted) == [("HALT", "BEGIN")]
        assert alerts_of(seen, room) == [("ROOM_EXHAUSTED", "BEGIN")]
        assert alerts_of(seen, future) == [("BASIS_FLIP", "NONE")]
        assert alerts_of(seen, hot) == [("FOREIGN_ACCELERATION", "NONE")]


# A known gap: rows of stats, bars, foreign ... do not say AFTER_OUTAGE, so that the rule book
# cannot know first news on them; on trade, limits and basis it does.
def test_a_rule_on_statistics_is_only_armed_by_the_first_news(tape: Studio, at: Time) -> None:
    code = tape.fresh()
    with tape.view(f"alerts.{code}*", f"stats.{code}*") as seen:
        tape.say(*(trade(code, at(i), 49_000, 100, 100 * (i + 1)) for i in range(2)))
        with tape.outage():
            pass
        tape.say(trade(code, at(60), 51_000, 100, 300))
        tape.settle(seen)
        seen.wait(f"stats.{code}", last_price=51_000)
        assert alerts_of(seen, code) == []


# A part of vntape dies ---------------------------------------------------------------------------

BOARD = ("market.*", "movers.*", "foreign.summary.*", "attribution.*")
SUMS = {
    "symbol_count": lambda row: 1,
    "volume_shares": lambda row: row["volume_shares"],
    "missed_volume_shares": lambda row: row["missed_volume_shares"],
    "value_vnd": lambda row: row["value_vnd"],
    "buy_volume_shares": lambda row: cells(row, "BUY"),
}


def cells(row: dict[str, Any], side: str) -> int:
    return sum(phase.get(side, {}).get("volume_shares", 0) for phase in row["phase_side"].values())


def summed(viewer: Viewer) -> dict[str, int]:
    """Add up the stocks' statistics as this client knows them."""
    stocks = [
        row
        for topic, row in list(viewer.model.data.items())
        if topic.startswith("stats.") and row["venue"] == "HOSE"
    ]
    return {name: sum(map(of, stocks)) for name, of in SUMS.items()}


def board_agrees(viewer: Viewer) -> bool:
    """Return whether market.HOSE is what this client adds up by itself."""
    row = viewer.data("market.HOSE")
    return bool(row) and {name: row[name] for name in SUMS} == summed(viewer)


def test_the_board_is_right_again_after_an_outage(tape: Studio, at: Time) -> None:
    first, second = tape.fresh(), tape.fresh()
    with tape.view("stats.*", "market.*", "movers.HOSE-GAIN", "movers.HOSE-FBUY") as seen:
        tape.say(trade(first, at(0), 20_000, 500, 500, side="BU", limits=LIMITS))
        seen.until("a board that agrees", lambda: board_agrees(seen))
        gaps = seen.data("market.HOSE")["missed_volume_shares"]
        with tape.outage():
            pass
        tape.say(
            trade(first, at(60), 21_300, 500, 3_000, side="BU", limits=LIMITS),
            trade(second, at(60), 20_000, 100, 100, limits=LIMITS),
            foreign(second, at(60), (10_000_000, 200_000_000_000), (0, 0)),
        )
        seen.until(
            "the missed volume in the sums",
            lambda: (
                board_agrees(seen)
                and seen.data("market.HOSE")["missed_volume_shares"] == gaps + 2_000
            ),
        )
        gainer = {"code": first, "price": 21_300, "reference_price": 20_000}
        seen.until(
            "the gainer",
            lambda: any(
                gainer.items() <= each.items()
                for each in seen.data("movers.HOSE-GAIN").get("top", [])
            ),
        )
        buyer = seen.until(
            "the buyer",
            lambda: next(
                (e for e in seen.data("movers.HOSE-FBUY").get("top", []) if e["code"] == second), 0
            ),
        )
        assert buyer["measure"] == 200_000_000_000


def test_a_killed_board_says_again_what_it_said_and_goes_on(tape: Studio, at: Time) -> None:
    code = tape.fresh()
    with tape.view(*BOARD, f"trade.{code}*", "stats.*") as seen:
        tape.say(
            trade(code, at(0), 20_500, 5_000, 5_000, side="BU", limits=LIMITS),
            foreign(code, at(1), (1_000, 20_500_000), (0, 0)),
            index("VN30", at(0), 1_402, 1_390),
        )
        tape.settle(seen)
        seen.until("a board that agrees", lambda: board_agrees(seen))
        topics = [topic for topic in seen.model.data if not topic.startswith(("trade.", "stats."))]
        assert {"market.HOSE", "movers.HOSE-GAIN", "foreign.summary.HOSE"} <= set(topics)
        before = {topic: seen.data(topic) for topic in topics}
        epoch = seen.model.epoch["market.HOSE"]
        tape.kill("board")
        seen.until("another epoch", lambda: seen.model.epoch["market.HOSE"] != epoch)
        (gap,) = [f for f in seen.model.controls if f["op"] == "gap"]
        assert (gap["reason"], gap["shard"]) == ("epoch", 1)
        for topic in topics:
            seen.until(f"{topic} as it was", lambda t=topic: said(seen, t) == said_in(before[t]))
        assert seen.model.seq["market.HOSE"] == 1
        # Everything else did not notice, and the board is no monument.
        tape.say(trade(code, at(60), 20_600, 1_000, 6_000, side="SD", limits=LIMITS))
        seen.wait(f"trade.{code}", total_volume_shares=6_000)
        assert [row["volume_shares"] for row in news_of(seen, f"trade.{code}")] == [5_000, 1_000]
        seen.until("sums that go on", lambda: board_agrees(seen))


def said_in(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the board without its stamps: they say when, not what."""
    return {name: value for name, value in row.items() if name not in ("recv_ns", "exch_time")}


def said(viewer: Viewer, topic: str) -> dict[str, Any]:
    return said_in(viewer.data(topic))


def test_a_killed_shard_goes_on_with_the_same_numbers_and_tells_no_alert_twice(
    tape: Studio, at: Time
) -> None:
    code = tape.fresh()
    topics = [f"{channel}.{code}*" for channel in ("trade", "stats", "gaps", "foreign", "limits")]
    topics += [f"bar.{interval}.{code}*" for interval in BARS] + ["alerts.*"]
    with tape.view(*topics) as seen, tape.view("feed.*", "trade.*") as other:
        tape.say(
            trade(code, at(0), 20_000, 100, 100, limits=LIMITS),
            trade(code, at(1), 21_400, 100, 200, limits=LIMITS),
            trade(code, at(2), 21_400, BIG_SHARES, 200 + BIG_SHARES, limits=LIMITS),
            trade(code, at(3), 21_400, 100, 70_400, limits=LIMITS),
            quote(code, at(4), [(21_400, 9_000)], []),
            foreign(code, at(4), (0, 0), (0, 0)),
            foreign(code, at(5), (1_000, 21_400_000), (0, 0)),
        )
        seen.wait(f"gaps.{code}", gap_state="CLOSED")
        tape.settle(seen)
        told = [("PRICE_LIMIT", "BEGIN"), ("FEED", "BEGIN"), ("RULE", "NONE"), ("FEED", "END")]
        assert alerts_of(seen, code) == told
        before = dict(seen.model.seq), dict(seen.model.data)
        frames, counted = len(seen.model.frames), tape.engine.status(ALERT_COUNT)[1]
        tape.kill("shard")
        tape.settle(seen)  # it is back, and has read everything anew
        assert tape.engine.status(ALERT_COUNT)[1] == counted
        assert (seen.model.seq, seen.model.data) == before
        assert [f for f in seen.model.frames[frames:] if f["op"] in ("snap", "d")] == []
        tape.say(trade(code, at(70), 21_400, BIG_SHARES, 140_400, limits=LIMITS))
        seen.until("the rule's alert", lambda: len(alerts_of(seen, code)) > len(told))
        tape.say(
            trade(code, at(71), 21_300, 100, 140_500, limits=LIMITS),
            foreign(code, at(71), (2_000, 42_800_000), (0, 0)),
        )
        tape.settle(seen)
        assert alerts_of(seen, code) == [*told, ("RULE", "NONE"), ("PRICE_LIMIT", "END")]
        stats = seen.wait(f"stats.{code}", total_volume_shares=140_500)
        assert stats["missed_volume_shares"] == 100
        assert seen.data(f"foreign.{code}")["net_volume_5m_shares"] == 2_000
        limits = news_of(seen, f"limits.{code}")
        assert [row["limit_event"] for row in limits] == ["ENTER", "LOCK", "LEAVE"]
        assert limits[-1]["left_queue_shares"] == 9_000
        bar = seen.data(f"bar.1m.{code}")
        assert (bar["volume_shares"], bar["prev_volume_shares"]) == (70_100, 70_300)
        for viewer in (seen, other):
            # The gateway cannot know that nothing was lost with the shard, and asks it. Every
            # number came (`Model` counts them), and they are of the same epoch.
            assert {f["reason"] for f in viewer.model.controls if f["op"] == "gap"} == {"bus"}
        rows = seen.ask({"op": "recent", "channel": "alerts", "limit": 500})["rows"]
        ids = [row["data"]["id"] for row in rows]
        assert len(ids) == len(set(ids))


def test_a_killed_gateway_shows_the_same_to_a_client_that_comes_back(
    tape: Studio, at: Time
) -> None:
    code, other = tape.fresh(), tape.fresh()
    tape.say(
        trade(code, at(0), 20_000, 100, 100, limits=LIMITS),
        trade(code, at(1), 21_400, 100, 200, limits=LIMITS),
        trade(other, at(2), 20_000, 300_000, 300_000, limits=LIMITS),
        quote(code, at(3), [(21_400, 9_000)], []),
        foreign(code, at(4), (1_000, 20_000_000), (0, 0)),
    )
    with tape.view("*") as seen:
        tape.settle(seen)
        seen.until("a board that agrees", lambda: board_agrees(seen))
        tape.kill("gateway")
        wait_for("the end of the connection", lambda: seen.closed)
    before = seen.model
    with wait_for("the gateway to be back", lambda: reconnected(tape)) as again:
        again.until(
            "all that was known",
            lambda: all(again.model.seq.get(topic) == seq for topic, seq in before.seq.items()),
        )
        assert again.model.data == before.data
        rows = again.ask({"op": "recent", "channel": "alerts", "limit": 500})["rows"]
        latest = {topic: d for topic, d in before.data.items() if topic.startswith("alerts.")}
        assert {row["topic"]: row["data"] for row in rows} == latest
        assert len(rows) == len(latest)
        stamps = [row["data"]["recv_ns"] for row in rows]
        assert stamps == sorted(stamps), "newest last"
        tape.say(trade(code, at(70), 21_300, 100, 300, limits=LIMITS))
        assert again.wait(f"alerts.{code}", alert_state="END")["alert_no"] == 2


def reconnected(tape: Studio) -> Viewer | None:
    try:
        return tape.view("*")
    except OSError:
        return None
