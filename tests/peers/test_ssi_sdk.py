"""SSI's own v3 SDK (PyPI `ssi-sdk`, unmodified) finds in our simulator what it expects.

Its stream insists on TLS, so each test has a certificate of its own, which the child trusts by
OpenSSL's SSL_CERT_FILE; REST goes to the plain port.
"""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager

import pytest

from engine.clock import ManualClock, SystemClock
from tests.peers.child import child
from tests.peers.tls import certificate, front
from tests.tools.played import (
    CONSUMER_ID,
    SECRET,
    SYMBOLS,
    almanac,
    day,
    played,
    record,
    run,
    simulator,
)
from tools.simulator.player import Pace
from tools.simulator.v3_auth import AuthOptions, Keys
from tools.simulator.v3_service import FastConnectV3, V3Options

pytestmark = pytest.mark.peer

OTP = "314159"
NOON_MS = 12 * 3_600_000
SPEED = 10_000.0  # market time per clock time; the clock moves when the test says so


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"))


def service(**options):
    return FastConnectV3(almanac(), V3Options(keys=Keys(CONSUMER_ID, SECRET, OTP), **options))


@asynccontextmanager
async def sdk(pem, server, task, otp=OTP):
    """Run the SDK against a started simulator."""
    async with (
        front(pem, server.port) as tls_port,
        child(
            "sdk_client.py",
            f"http://127.0.0.1:{server.port}",
            f"wss://127.0.0.1:{tls_port}/ws/v3",
            CONSUMER_ID,
            SECRET,
            otp,
            task,
            SSL_CERT_FILE=str(pem),
        ) as peer,
    ):
        yield peer


@asynccontextmanager
async def serving(some=(), v3=None, **options):
    server = simulator(list(some), v3=v3 or service(), **options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def expected_counts(some):
    """Count, line by line, what the SDK's subscriptions (sdk_client.stream) are owed."""
    boards = {symbol.code: symbol.venue.name for symbol in day().symbols}
    first = {
        board: min(code for code in boards if boards[code] == board) for board in boards.values()
    }
    counts = Counter()
    for _, kind, code, _ in some:
        board = boards.get(code)
        if kind == "X-TRADE":
            counts["TradeMessage"] += 1
            counts["IntervalMessage"] += 1 + (code == "HPG")  # @5m of all, @1m of one
        elif kind == "X-QUOTE" and (code in ("ACB", "HPG") or board == "HNX"):
            counts["QuoteMessage"] += 1
        elif kind == "R" and ("A" <= code <= "HZZ" or board == "HNX"):
            counts["ForeignRoomMessage"] += 1
        elif kind == "PUT":
            counts["PutMessage"] += 1
        elif kind == "OL":
            counts["OddLotMessage"] += 1
        elif kind == "F":
            counts["MarketDataMessage"] += board == "HOSE" or code == "WCS"
            counts["MarketFlagMessage"] += code == first[board]
        elif kind == "MI":
            counts["IndexTickMessage"] += code in ("VN30", "HNXIndex")
            counts["IntervalMessage"] += code == "VN30"
            counts["IndexSummaryMessage"] += code == "VN30"
    return counts


def test_the_stream_delivers_everything_and_outlives_a_close_of_the_server(pem):
    """Half the day, a close, the SDK comes back and subscribes by itself, the other half."""
    whole = played()
    first_ms, last_ms = whole[0][0], whole[-1][0]
    morning = [line for line in whole if line[0] <= NOON_MS]
    evening = whole[len(morning) :]

    async def body():
        clock = ManualClock(SystemClock().now_ns())
        async with (
            serving(
                whole,
                clock=clock,
                pace=Pace(SPEED, first_ms - 1, None),
                snapshot=False,
            ) as server,
            sdk(pem, server, "stream") as peer,
        ):
            before = []
            while "listed" not in (line := await peer.line()):
                before.append(line)
            listed = line["listed"]
            clock.advance_ns(int((NOON_MS - first_ms + 1) * 1e6 / SPEED))
            got = []
            count = sum(expected_counts(morning).values())
            while len(got) < count:
                got.append(await peer.until("data"))
            for connection in list(server.connections):
                if connection.is_websocket:
                    connection.close(1001, "going away")
            states = [(await peer.until("state", "data"))["state"] for _ in range(2)]
            while not any(
                each.subscription and sorted(each.subscription.names) == sorted(listed["data"])
                for each in server.connections
            ):
                await asyncio.sleep(0.01)
            clock.advance_ns(int((last_ms - NOON_MS + 1) * 1e6 / SPEED))
            rest_of_it = []
            count = sum(expected_counts(evening).values())
            while len(rest_of_it) < count:
                rest_of_it.append(await peer.until("data"))
            return before, listed, states, got, rest_of_it

    before, listed, states, got, rest_of_it = run(body())
    assert states == ["disconnected", "reconnected"]
    assert [line["state"] for line in before if "state" in line] == ["connected"]
    (heartbeat,) = [line["heartbeat"] for line in before if "heartbeat" in line]
    assert (heartbeat["status"], heartbeat["message"]) == ("ok", "pong")
    acks = [line["ack"] for line in before if "ack" in line]
    refused = [ack for ack in acks if ack["status"] != "ok"]
    assert [ack["channel"] for ack in refused] == ["TRADING"]
    assert refused[0]["message"].startswith("Denied (scope)")
    assert listed["trading"] == []
    assert {"trade.*", "quote.HPG", "room.A-HZZ", "market.flag", "trade.HNX@*"} <= set(
        listed["data"]
    )
    assert "room.VNM" not in listed["data"]
    assert Counter(line["data"] for line in got) == expected_counts(morning)
    assert Counter(line["data"] for line in rest_of_it) == expected_counts(evening)
    told = got + rest_of_it
    check_prints(whole, told)
    check_books(whole, told)
    check_the_rest(told)


def of(told, name):
    return [line["fields"] for line in told if line["data"] == name]


def check_prints(whole, told):
    prints = [record(line) for line in whole if line[1] == "X-TRADE"]
    trades = of(told, "TradeMessage")
    sides = {"BU": "B", "SD": "S"}
    for ours, sdks in zip(prints, trades, strict=True):
        assert sdks["symbol"] == ours["Symbol"]
        assert sdks["trading_time"] == f"2021/07/15 {ours['Time']}"
        assert sdks["price"] == ours["LastPrice"]
        assert sdks["quantity"] == ours["LastVol"]
        assert sdks["total_volume"] == ours["TotalVol"]
        assert sdks["side"] == sides.get(ours["Side"], "U")
        assert (sdks["high"], sdks["low"]) == (ours["Highest"], ours["Lowest"])
    for symbol in SYMBOLS:
        mine = [trade for trade in trades if trade["symbol"] == symbol]
        assert {trade["open"] for trade in mine} == {mine[0]["price"]}
        value = sum(trade["price"] * trade["quantity"] for trade in mine)
        assert mine[-1]["avg"] == pytest.approx(value / mine[-1]["total_volume"], abs=0.001)


def check_books(whole, told):
    wanted = {line["symbol"] for line in of(told, "QuoteMessage")}
    books = [record(line) for line in whole if line[1] == "X-QUOTE" and line[2] in wanted]
    for ours, sdks in zip(books, of(told, "QuoteMessage"), strict=True):
        for side, prices in (("Bid", sdks["bid_prices"]), ("Ask", sdks["ask_prices"])):
            assert prices == [
                ours[f"{side}Price{level}"] for level in range(1, 11) if ours[f"{side}Vol{level}"]
            ]


def check_the_rest(told):
    for name in ("MarketDataMessage", "MarketFlagMessage", "PutMessage", "ForeignRoomMessage"):
        for line in of(told, name):
            assert all(value not in (None, "") for value in line.values()), (name, line)
    assert {line["board"] for line in of(told, "MarketFlagMessage")} == {"HOSE", "HNX", "DER"}
    flags = [line["flag"] for line in of(told, "MarketFlagMessage") if line["board"] == "HOSE"]
    assert {"ATO", "LO", "BREAK", "ATC", "C"} <= set(flags)
    for line in of(told, "IndexTickMessage"):
        assert all(value not in (None, "") for value in line.values()), line
    assert {line["index"] for line in of(told, "IndexSummaryMessage")} == {"VN30"}
    for bar in of(told, "IntervalMessage"):
        assert bar["low"] <= min(bar["open"], bar["close"])
        assert bar["high"] >= max(bar["open"], bar["close"])
        assert bar["interval_time"] <= bar["trading_time"]
    # The bars of five minutes hold the day's volume when each is taken at its last word.
    bars = {
        (bar["symbol"], bar["interval_time"]): bar["volume"]
        for bar in of(told, "IntervalMessage")
        if bar["symbol"] == "ACB"
    }
    trades = [trade for trade in of(told, "TradeMessage") if trade["symbol"] == "ACB"]
    assert sum(bars.values()) == trades[-1]["total_volume"]


def test_its_lookups_parse():
    async def body():
        async with (
            serving() as server,
            child(
                "sdk_client.py",
                f"http://127.0.0.1:{server.port}",
                "wss://127.0.0.1/ws/v3",
                CONSUMER_ID,
                SECRET,
                "",  # market data needs no OTP
                "rest",
            ) as peer,
        ):
            return [await peer.until("rest") for _ in range(19)]

    got = run(body())
    answers = {line["rest"]: line["answer"] for line in got if "answer" in line}
    assert len(answers) == len(got), [line for line in got if "failed" in line]
    trades = [record(line) for line in played() if line[1] == "X-TRADE" and line[2] == "HPG"]
    last = trades[-1]

    assert {each["index"] for each in answers["indexes"]} == {"VN30", "VNINDEX", "HNXINDEX"}
    assert [each["index"] for each in answers["indexes_by_board"]] == ["HNXINDEX"]
    for name in ("index_summary", "index_summary_of", "board_summary"):
        assert answers[name]["trading_date"] == "2021/07/15"
        assert answers[name]["index_value"] > 0
        assert answers[name]["total_match"] > 0
    assert answers["securities_info"]["symbol_name_vi"] == "Company HPG"
    assert answers["securities_info"]["lot_size"] == 100
    assert answers["securities_info"]["listed_shares"] > 0
    assert {each["symbol"] for each in answers["securities_by_index"]} == {"HPG"}
    assert {each["symbol"] for each in answers["securities_by_board"]} == {
        symbol.code for symbol in day().symbols if symbol.venue.name == "HNX"
    }
    for name in ("summary", "summary_by_index"):
        (summary,) = answers[name]
        assert summary["total_match"] == last["TotalVol"]
        assert summary["total_match_value"] == last["TotalVal"]
        assert summary["high_price"] == last["Highest"]
        assert summary["close_price"] == last["LastPrice"]
        assert summary["price_change"] == last["Change"]
        assert summary["price_change_percent"] == last["RatioChange"]
        assert summary["total_buy"] + summary["total_sell"] <= summary["total_match"]
    limits = {each["symbol"]: each for each in answers["master_data"]}
    assert set(limits) == {symbol.code for symbol in day().symbols}
    assert (limits["HPG"]["ceiling"], limits["HPG"]["floor"], limits["HPG"]["ref_price"]) == (
        last["Ceiling"],
        last["Floor"],
        last["RefPrice"],
    )
    minutes = answers["minutes"]
    assert sum(bar["volume"] for bar in minutes) == last["TotalVol"]
    assert minutes[0]["trading_date"] == "2021/07/15 14:45:00"  # newest first
    assert answers["minutes_paged"] == minutes[::-1]
    assert sum(bar["value"] for bar in answers["hours"]) == last["TotalVal"]
    (bar,) = answers["days"]
    assert (bar["open_price"], bar["close_price"]) == (trades[0]["LastPrice"], last["LastPrice"])
    for nothing in ("today", "summary_today", "master_data_today", "actions"):
        assert answers[nothing] == []


def test_a_token_without_an_otp_may_not_stream(pem):
    async def body():
        async with serving() as server, sdk(pem, server, "watch", otp="") as peer:
            while (state := await peer.until("state"))["state"] != "failed":
                pass
            return state

    assert run(body())["error"] == "AuthenticationError"


def test_a_wrong_otp_does_not_sign_in(pem):
    async def body():
        async with serving() as server, sdk(pem, server, "stream", otp="271828") as peer:
            return await peer.until("failed")

    failed = run(body())
    assert failed["failed"] == "AuthenticationError"
    assert "401100" in failed["text"]


def test_a_smart_otp_is_waited_for_and_a_session_refreshed(pem):
    async def body():
        v3 = service(auth=AuthOptions(approval_polls=2))
        async with serving(v3=v3) as server, sdk(pem, server, "smart") as peer:
            await peer.until("signed_in")
            return await peer.until("listed", "failed")

    assert "listed" in run(body())


def test_a_refused_stream_comes_back_with_a_new_token(pem):
    async def body():
        v3 = service()
        v3.refusals.append(401)
        async with serving(v3=v3) as server, sdk(pem, server, "watch") as peer:
            return [(await peer.until("state"))["state"] for _ in range(3)]

    assert run(body()) == ["connected", "disconnected", "reconnected"]
