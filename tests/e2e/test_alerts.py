"""Alerts as a desk hears them: each when it must be told, and not when it must not.

Every scenario is a share of its own and says what the exchange sends; what is told of it is read
as the sentences a trader reads, severity first. Most steps expect silence.
"""

from collections.abc import Iterator
from typing import Any

import pytest

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

# A gap stays open until a scenario closes it: without backfill it is unexplained at once.
OPEN_GAPS = ("feed.backfill=on", "feed.backfill_delay_ms=600000")
RULE = "rules.big_sale=trade.value_vnd > 1e9 and trade.side == 'SELL'"
BILLION = 1_000_000_000
CEILING, FLOOR, REFERENCE = 10_700, 9_300, 10_000
LIMITS = (CEILING, FLOOR, REFERENCE)
JULY, AUGUST = "41I1F7000", "41I1F8000"  # futures on VN30; no other scenario has an index


class Floor:
    """The exchange, and a desk that hears every alert."""

    def __init__(self, exchange: Studio, desk: Viewer) -> None:
        self.exchange, self.desk = exchange, desk
        self._heard: dict[str, int] = {}

    def alerts(self, code: str) -> list[dict[str, Any]]:
        """Return every alert of a symbol so far."""
        return self.desk.rows(f"alerts.{code}")

    def hear(self, code: str, *records: Record) -> list[str]:
        """Let the exchange say this; return what is told of a symbol that was not told before."""
        self.exchange.say(*records)
        self.exchange.settle(self.desk)
        return self.heard(code)

    def heard(self, code: str) -> list[str]:
        """Return the alerts of a symbol since the last time somebody asked."""
        told = self.alerts(code)
        news = told[self._heard.get(code, 0) :]
        self._heard[code] = len(told)
        return [f"{alert['severity']}: {alert['text_en']}" for alert in news]


class Stock:
    """A share whose day adds up: a scenario tells its matches one by one."""

    def __init__(self, floor: Floor, code: str = "") -> None:
        self.floor = floor
        self.code = code or floor.exchange.fresh()
        self.total = 0

    def match(
        self, time: str, volume: int, price: float = REFERENCE, *, missed: int = 0, **more: Any
    ) -> Record:
        """Return a match; `missed` was traded before it and is shown by its total alone."""
        self.total += missed + volume
        return trade(self.code, time, price, volume, self.total, limits=LIMITS, **more)

    def foreigners(self, time: str, bought_vnd: float, sold_vnd: float, **more: Any) -> Record:
        """Return what foreigners have bought and sold today."""
        return foreign(
            self.code,
            time,
            (bought_vnd / REFERENCE, bought_vnd),
            (sold_vnd / REFERENCE, sold_vnd),
            **more,
        )

    def hear(self, *records: Record) -> list[str]:
        """Let the exchange say this; return what is told of this share."""
        return self.floor.hear(self.code, *records)


@pytest.fixture(scope="module")
def floor() -> Iterator[Floor]:
    """One engine and one desk for all scenarios of this file."""
    with studio(*OPEN_GAPS, RULE) as exchange, exchange.view("alerts.*") as desk:
        yield Floor(exchange, desk)


@pytest.fixture
def stock(floor: Floor) -> Stock:
    """A share nobody has heard of."""
    return Stock(floor)


# volume_spike -----------------------------------------------------------------------------------


def test_a_spike_is_judged_by_ten_trades_before_it_and_not_by_itself(stock: Stock) -> None:
    calm = [stock.match(f"10:00:{second:02}", 100) for second in range(9)]
    assert stock.hear(*calm, stock.match("10:00:30", 1_000)) == []  # nine trades are no mean
    assert stock.hear(stock.match("10:01:00", 570)) == []  # exactly three times the mean of 190
    # 2,470 shares in eleven trades before it. Were it in the mean itself, it would be 2.9 times.
    assert stock.hear(stock.match("10:02:00", 800)) == [
        f"INFO: {stock.code}: volume spike, 800 shares at 10,000 in one match, 3.6 times the mean "
        "of 11 trades in the 20 min before."
    ]
    assert stock.hear(stock.match("10:30:00", 5_000)) == []  # the trailing 20 minutes are empty


def test_an_auction_print_and_volume_we_missed_are_no_spikes(stock: Stock) -> None:
    calm = [stock.match(f"14:29:{second:02}", 100) for second in range(12)]
    assert stock.hear(*calm) == []
    assert stock.hear(stock.match("14:29:30", 100, missed=50_000)) == [
        f"WARNING: {stock.code}: gap 1 opened, 50,000 shares traded and were not shown."
    ]
    assert stock.hear(stock.match("14:45:00", 60_000, session="ATC")) == []


# price_limit ------------------------------------------------------------------------------------


def test_the_ceiling_is_told_once_when_entered_and_once_when_left_with_its_queue(
    stock: Stock,
) -> None:
    code = stock.code
    assert stock.hear(stock.match("10:00:00", 100, 10_600)) == []
    entered = [f"CRITICAL: {code} is at its ceiling of 10,700."]
    assert stock.hear(stock.match("10:01:00", 200, CEILING)) == entered
    for second in (5, 10, 15):  # once per entry, not once per tick
        assert stock.hear(stock.match(f"10:01:{second:02}", 100, CEILING)) == []
    locked = quote(code, "10:02:00", [(CEILING, 5_000), (10_650, 900)], [])
    assert stock.hear(locked) == []
    assert stock.hear(stock.match("10:02:30", 100, 10_650)) == [
        f"WARNING: {code} left its ceiling of 10,700 after 1 min 30 s, at 10,650; "
        "5,000 shares were queued there."
    ]
    assert stock.hear(stock.match("10:03:00", 100, CEILING)) == entered  # another entry


def test_from_ceiling_to_floor_is_one_leave_and_one_entry(stock: Stock) -> None:
    code = stock.code
    assert stock.hear(stock.match("10:00:00", 100)) == []
    assert stock.hear(stock.match("10:01:00", 100, CEILING)) == [
        f"CRITICAL: {code} is at its ceiling of 10,700."
    ]
    assert stock.hear(stock.match("10:05:00", 100, FLOOR)) == [
        f"WARNING: {code} left its ceiling of 10,700 after 4 min, at 9,300.",
        f"CRITICAL: {code} is at its floor of 9,300.",
    ]


# foreign_acceleration ---------------------------------------------------------------------------


def test_foreign_buying_accelerates_against_what_it_was_five_minutes_ago(stock: Stock) -> None:
    assert stock.hear(stock.foreigners("09:30:00", 10 * BILLION, 0)) == []  # a baseline
    assert stock.hear(stock.foreigners("09:31:00", 15 * BILLION, 0)) == []  # too young to judge
    assert stock.hear(stock.foreigners("09:37:00", 19 * BILLION, 0)) == []  # 27 % of 15 bn
    assert stock.hear(stock.foreigners("09:38:00", 20 * BILLION, 0)) == [
        f"WARNING: {stock.code}: foreigners net bought 5 bn VND in 5 min, 33% of the net value "
        "before; today they net bought 20 bn VND."
    ]
    assert stock.hear(stock.foreigners("09:39:30", 22 * BILLION, 0)) == []  # it still runs


def test_foreign_selling_accelerates_too_but_nothing_does_from_next_to_nothing(
    stock: Stock,
) -> None:
    small = Stock(stock.floor)
    assert stock.hear(stock.foreigners("09:30:00", 0, 2 * BILLION)) == []
    assert stock.hear(stock.foreigners("09:36:00", 0, 3 * BILLION)) == [
        f"WARNING: {stock.code}: foreigners net sold 1 bn VND in 5 min, 50% of the net value "
        "before; today they net sold 3 bn VND."
    ]
    assert small.hear(small.foreigners("09:30:00", BILLION // 2, 0)) == []
    assert small.hear(small.foreigners("09:36:00", 9 * BILLION, 0)) == []  # half a billion before


# basis_flip -------------------------------------------------------------------------------------


def test_two_contracts_do_not_flip_each_other_and_small_crossings_flip_nobody(floor: Floor) -> None:
    def contract(code: str, time: str, price: float, total: int) -> Record:
        return trade(code, time, price, 1, total, exchange="DERIVATIVES")

    def both(*records: Record) -> tuple[list[str], list[str]]:
        return floor.hear(JULY, *records), floor.heard(AUGUST)

    silence: tuple[list[str], list[str]] = ([], [])
    # One at a premium of 5 points, one at a discount of 5, trade after trade.
    assert both(index("VN30", "10:00:00", 1500.0, 1490.0)) == silence
    for turn in range(3):
        assert both(contract(JULY, f"10:01:0{turn}", 1505.0, turn + 1)) == silence
        assert both(contract(AUGUST, f"10:01:0{turn}", 1495.0, turn + 1)) == silence
    assert both(contract(JULY, "10:02:00", 1499.6, 4)) == silence  # across, by less than the band
    assert both(contract(JULY, "10:02:30", 1500.2, 5)) == silence
    assert both(contract(JULY, "10:03:00", 1499.5, 6)) == (
        [
            f"WARNING: {JULY} turned to a discount of 0.50 points, 1,499.50 against a spot of "
            "1,500.00."
        ],
        [],
    )
    assert both(index("VN30", "10:04:30", 0.0, 1490.0)) == silence  # a zero snapshot is no spot
    assert both(index("VN30", "10:05:00", 1490.0, 1490.0)) == (
        [
            f"WARNING: {JULY} turned to a premium of 9.50 points, 1,499.50 against a spot of "
            "1,490.00."
        ],
        [
            f"WARNING: {AUGUST} turned to a premium of 5.00 points, 1,495.00 against a spot of "
            "1,490.00."
        ],
    )


# block_trade ------------------------------------------------------------------------------------


def test_a_block_is_one_match_of_five_billion_and_not_what_was_missed(stock: Stock) -> None:
    code = stock.code
    assert stock.hear(stock.match("10:00:00", 499_900)) == []  # 4.999 bn VND
    assert stock.hear(stock.match("10:01:00", 100_000, missed=400_000)) == [
        f"WARNING: {code}: gap 1 opened, 400,000 shares traded and were not shown."
    ]
    block = f"INFO: {code}: block trade of 500,000 shares at 10,000, worth 5 bn VND."
    assert stock.hear(stock.match("10:02:00", 500_000)) == [block]


def test_the_same_alert_is_told_again_after_sixty_seconds_and_not_before(stock: Stock) -> None:
    other = Stock(stock.floor)

    def block(of: Stock) -> list[str]:
        return [f"INFO: {of.code}: block trade of 600,000 shares at 10,000, worth 6 bn VND."]

    assert stock.hear(stock.match("10:00:00", 600_000)) == block(stock)
    assert stock.hear(stock.match("10:00:59", 600_000)) == []
    assert other.hear(other.match("10:00:59", 600_000)) == block(other)  # a symbol is not another
    assert stock.hear(stock.match("10:01:00", 600_000)) == block(stock)
    assert stock.hear(stock.match("10:01:59", 600_000)) == []


# halt -------------------------------------------------------------------------------------------


def test_a_halt_is_told_when_it_begins_and_when_trading_goes_on(stock: Stock) -> None:
    code = stock.code
    assert stock.hear(status(code, "09:50:00")) == []
    assert stock.hear(status(code, "10:00:00", word="H")) == [
        f"CRITICAL: {code}: trading is halted."
    ]
    assert stock.hear(status(code, "10:10:00", word="H")) == []
    assert stock.hear(quote(code, "10:11:00", [(9_990, 100)], [(10_010, 100)])) == []
    assert stock.hear(status(code, "10:30:00")) == [f"INFO: {code}: trading resumed after 30 min."]
    assert stock.hear(stock.match("10:31:00", 100)) == []


def test_a_share_that_begins_its_day_suspended_is_told_and_the_close_does_not_resume_it(
    stock: Stock,
) -> None:
    assert stock.hear(status(stock.code, "09:00:00", word="S")) == [
        f"CRITICAL: {stock.code}: trading is halted."
    ]
    assert stock.hear(status(stock.code, "14:50:00", session="C")) == []


# room_exhausted ---------------------------------------------------------------------------------


def test_foreign_room_is_told_as_it_runs_out_when_it_is_gone_and_when_it_is_back(
    stock: Stock,
) -> None:
    def room(time: str, left: int, bought: int) -> Record:
        return foreign(stock.code, time, (bought, 1_000 * bought), (0, 0), room=(1_000_000, left))

    assert stock.hear(room("09:30:00", 400_000, 0)) == []
    assert stock.hear(room("09:33:00", 310_000, 90_000)) == []  # fast, but seen for 3 minutes only
    assert stock.hear(room("09:36:00", 250_000, 150_000)) == [  # 150,000 in five minutes
        f"WARNING: {stock.code}: foreign room of 250,000 shares will be used up in about "
        "8 min 20 s at the present speed."
    ]
    assert stock.hear(room("09:37:00", 200_000, 200_000)) == []
    gone = [f"CRITICAL: {stock.code}: foreign room is exhausted."]
    assert stock.hear(room("09:39:00", 0, 400_000)) == gone
    assert stock.hear(room("09:40:00", 0, 400_000)) == []
    assert stock.hear(room("09:49:00", 1_000, 400_000)) == [
        f"INFO: {stock.code}: there is foreign room again, 1,000 shares, after 10 min."
    ]


# What was found, and what is nothing -------------------------------------------------------------


def test_nothing_is_told_from_a_baseline_or_a_zero_snapshot(stock: Stock) -> None:
    code = stock.code
    zeros = [
        trade(code, "08:30:00", 0, 0, 0, session="C"),
        quote(code, "08:30:00", [], []),
        foreign(code, "08:30:00", (0, 0), (0, 0), room=(0, 0)),
    ]
    assert stock.hear(*zeros) == []
    found = Stock(stock.floor)  # first heard of at ten, locked at its ceiling
    day = [
        found.match("10:00:00", 5_000_000, CEILING, missed=5_000_000),
        quote(found.code, "10:00:01", [(CEILING, 900_000)], []),
        found.foreigners("10:00:02", 500 * BILLION, 0, room=(1_000_000, 0)),
        found.match("10:00:03", 100, CEILING),
        found.foreigners("10:00:05", 501 * BILLION, 0, room=(1_000_000, 0)),
    ]
    assert found.hear(*day) == []
    # Nor from what a server that starts anew says of a day that has begun.
    assert found.hear(*(dict(zero, Symbol=found.code) for zero in zeros)) == []
    # What was found is also not told when it ends.
    assert found.hear(found.match("10:01:00", 100, 10_650)) == []


# The operator's own rules -----------------------------------------------------------------------


def test_an_operators_rule_fires_when_it_becomes_true_not_as_long_as_it_is(stock: Stock) -> None:
    def sale(time: str, volume: int) -> Record:
        return stock.match(time, volume, side="SD")

    fired = [f"INFO: {stock.code} meets rule big_sale."]
    assert stock.hear(sale("10:00:00", 100)) == []
    assert stock.hear(stock.match("10:00:10", 200_000, side="BU")) == []
    assert stock.hear(sale("10:00:20", 100_000)) == []  # one billion is not more than one
    assert stock.hear(sale("10:00:30", 200_000)) == fired
    assert stock.hear(sale("10:05:00", 200_000)) == []  # it held before
    assert stock.hear(sale("10:05:10", 100), sale("10:05:20", 200_000)) == fired
    assert stock.hear(sale("10:05:30", 100), sale("10:05:40", 200_000)) == []  # within a minute
    first, second = stock.floor.alerts(stock.code)
    assert (first["alert_type"], first["rule"]) == ("RULE", "big_sale")
    assert first["id"] == f"{DAY.replace('-', '')}-rule.big_sale-{stock.code}-1"
    assert second["id"].endswith("-2")
    assert (first["price"], first["volume_shares"]) == (10_000, 200_000)
    assert first["text_vi"] == f"{stock.code} thỏa điều kiện big_sale."


# What an alert says, and asking for it later ----------------------------------------------------


def test_an_alert_has_an_id_its_numbers_and_a_sentence_in_two_languages(stock: Stock) -> None:
    code = stock.code
    stock.hear(stock.match("10:00:00", 100, 10_600), stock.match("10:01:00", 300, CEILING))
    (alert,) = stock.floor.alerts(code)
    expected = {
        "id": f"20250715-price_limit-{code}-1",
        "alert_type": "PRICE_LIMIT",
        "alert_state": "BEGIN",
        "severity": "CRITICAL",
        "limit_state": "CEILING",
        "exch_time": "2025-07-15T10:01:00+07:00",
        "trade_date": "2025-07-15",
        "phase": "CONTINUOUS",
        "price": 10_700,
        "level": 10_700,
        "volume_shares": 300,
        "text_en": f"{code} is at its ceiling of 10,700.",
        "text_vi": f"{code} chạm giá trần 10.700.",
    }
    assert {name: alert[name] for name in expected} == expected
    assert alert["recv_ns"] > 0


def test_recent_filters_by_type_and_by_least_severity(stock: Stock) -> None:
    code, desk = stock.code, stock.floor.desk
    stock.hear(
        stock.match("10:00:00", 100),
        stock.match("10:01:00", 100, CEILING),
        stock.match("10:02:00", 100),
        stock.match("10:03:00", 600_000, side="BU"),  # no big sale
    )
    told = stock.floor.alerts(code)
    kinds = [(alert["alert_type"], alert["severity"]) for alert in told]
    assert kinds == [
        ("PRICE_LIMIT", "CRITICAL"),
        ("PRICE_LIMIT", "WARNING"),
        ("BLOCK_TRADE", "INFO"),
    ]

    def recent(**filters: Any) -> list[dict[str, Any]]:
        answer = desk.ask({"op": "recent", "channel": "alerts", "limit": 500, **filters})
        assert answer["op"] == "recent_ok", answer
        rows = [each["data"] for each in answer["rows"]]
        ranks = ["INFO", "WARNING", "CRITICAL"]
        for row in rows:  # whoever it is about
            assert row["alert_type"] == filters.get("type", row["alert_type"]).upper()
            assert row["severity"] in ranks[ranks.index(filters.get("severity", "info").upper()) :]
        topics = [each["topic"] for each in answer["rows"]]
        return [row for row, topic in zip(rows, topics, strict=True) if topic == f"alerts.{code}"]

    assert recent() == told  # the newest last
    assert recent(type="price_limit") == told[:2]
    assert recent(severity="warning") == told[:2]
    assert recent(type="price_limit", severity="critical") == told[:1]
    assert recent(type="halt") == []
    assert recent(limit=1) == told[2:]
    refused = desk.ask({"op": "recent", "channel": "alerts", "type": "earthquake"})
    assert (refused["op"], refused["code"]) == ("error", 4000)
    assert refused["message"].startswith("type ")


# feed -------------------------------------------------------------------------------------------


def test_a_gap_is_told_when_it_opens_and_when_what_was_missed_arrives(stock: Stock) -> None:
    code = stock.code
    assert stock.hear(stock.match("10:00:00", 100)) == []
    late = trade(code, "10:00:30", REFERENCE, 700, 800)
    assert stock.hear(stock.match("10:01:00", 100, missed=700)) == [
        f"WARNING: {code}: gap 1 opened, 700 shares traded and were not shown."
    ]
    assert stock.hear(late) == [f"INFO: {code}: gap 1 closed after 0 s."]


def test_a_feed_that_goes_away_is_told_and_told_to_be_back_but_not_twice_a_minute(
    floor: Floor, stock: Stock
) -> None:
    exchange = floor.exchange

    def outage(watch: Viewer) -> None:
        """Cut the line and wait until it is live again."""
        before = len(states(watch))
        exchange.drop()
        watch.until(
            "the feed away and live again",
            lambda: "LIVE" in states(watch)[before:] and states(watch)[-1] == "LIVE",
        )
        exchange.wait_connected()

    def states(watch: Viewer) -> list[str]:
        return [row["feed_state"] for row in watch.rows("feed.FEED")]

    stock.hear(stock.match("15:10:00", 100))  # the market's time, later than any scenario's
    floor.heard("FEED")
    with exchange.view("feed.*") as watch:
        outage(watch)
        away, back = floor.hear("FEED")
        assert away == "CRITICAL: The market data feed is away."
        assert back.startswith("INFO: The market data feed is back after ")
        outage(watch)
        assert floor.hear("FEED") == []
        assert stock.hear(stock.match("15:12:00", 100, missed=900)) == []  # the outage was told
        outage(watch)
        assert floor.hear("FEED")[0] == away
