"""Foreign buying and selling as a desk follows it: deltas, speed, room, totals and rankings.

The feed tells cumulative figures. Every scenario says such figures for shares of its own and reads
what clients get; where there is arithmetic, the scenario does it again from the whole history.
"""

import datetime as dt
import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from engine.feed.synthetic import iter_messages, plan_day, read_table
from engine.feed.synthetic.table import SHIPPED_TABLE
from tests.e2e.studio import DAY, Record, Studio, Viewer, foreign, quote, studio

pytestmark = pytest.mark.e2e

BILLION = 1_000_000_000
PRICE = 20_000
FIGURES = ("buy_volume_shares", "sell_volume_shares", "buy_value_vnd", "sell_value_vnd")
DELTAS = tuple(f"delta_{name}" for name in FIGURES)


class Floor:
    """The exchange, a desk that gets every row of ``foreign``, and one that watches the board."""

    def __init__(self, exchange: Studio, desk: Viewer, board: Viewer) -> None:
        self.exchange, self.desk, self.board = exchange, desk, board

    def hear(self, code: str, *records: Record) -> list[dict[str, Any]]:
        """Let the exchange say this; return all rows of a symbol.

        One by one: of messages that arrive together, a row shows the last.
        """
        for record in records:
            self.exchange.say(record)
            self.exchange.settle(self.desk)
        return self.desk.rows(f"foreign.{code}")


@pytest.fixture(scope="module")
def floor() -> Iterator[Floor]:
    """One engine for all scenarios of this file."""
    with (
        studio() as exchange,
        exchange.view("foreign.*", mode="all") as desk,
        exchange.view("foreign.summary.*", "movers.*", mode="all") as board,
    ):
        yield Floor(exchange, desk, board)


@pytest.fixture
def code(floor: Floor) -> str:
    """Return a share nobody has heard of."""
    return floor.exchange.fresh()


def shares(code: str, time: str, bought: int, sold: int, **more: Any) -> Record:
    """Return cumulative figures at one price for all."""
    return foreign(code, time, (bought, PRICE * bought), (sold, PRICE * sold), **more)


def billions(code: str, bought: float, sold: float, **more: Any) -> Record:
    """Return cumulative figures by value."""
    return shares(
        code, "10:00:00", int(bought * BILLION / PRICE), int(sold * BILLION / PRICE), **more
    )


def clock(second: int) -> str:
    """Return a second of the day as the feed writes it."""
    return str(dt.timedelta(seconds=second)).zfill(8)


def values(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    """Return some fields of a row."""
    return tuple(row[name] for name in names)


# Updates and deltas -----------------------------------------------------------------------------


def test_every_update_is_told_with_what_came_since_the_one_before(floor: Floor, code: str) -> None:
    rows = floor.hear(
        code,
        shares(code, "09:00:00", 0, 0),
        shares(code, "09:16:00", 1_000, 0),
        shares(code, "09:17:00", 1_000, 400),
        shares(code, "09:18:00", 1_500, 600),
    )
    assert [values(row, "delta_buy_volume_shares", "delta_sell_volume_shares") for row in rows] == [
        (0, 0),
        (1_000, 0),
        (0, 400),
        (500, 200),
    ]
    last = rows[-1]
    assert values(last, *FIGURES) == (1_500, 600, 1_500 * PRICE, 600 * PRICE)
    assert values(last, "net_volume_shares", "net_value_vnd") == (900, 900 * PRICE)
    assert all(row["flags"] == [] for row in rows)  # the day began at zero: nothing was missed


def test_the_first_figures_of_a_day_are_a_baseline_and_no_flow(floor: Floor, code: str) -> None:
    first, second = floor.hear(
        code,
        shares(code, "10:00:00", 5_000_000, 1_000_000),
        shares(code, "10:00:30", 5_000_100, 1_000_000),
    )
    assert first["flags"] == second["flags"] == ["BASELINE"]
    assert values(first, *DELTAS) == (0, 0, 0, 0)
    assert values(first, "net_volume_5m_shares", "net_speed_shares_per_min") == (0, 0)
    assert values(second, "delta_buy_volume_shares", "net_volume_5m_shares") == (100, 100)


def test_both_spellings_of_the_wire_are_understood(floor: Floor, code: str) -> None:
    plain = shares(code, "09:20:00", 300, 200)
    renamed = {
        f"F{key}" if key in ("BuyVol", "SellVol", "BuyVal", "SellVal") else key: value
        for key, value in shares(code, "09:21:00", 700, 200).items()
    }
    assert "FBuyVol" in renamed
    _, row = floor.hear(code, plain, renamed)
    assert values(row, *FIGURES) == (700, 200, 700 * PRICE, 200 * PRICE)
    assert row["delta_buy_volume_shares"] == 400


# The synthetic day ------------------------------------------------------------------------------


def test_a_synthetic_day_only_grows_and_its_deltas_add_up(floor: Floor) -> None:
    codes = ("AAA", "ACB", "ANV", "BCG", "BID")
    day = plan_day(
        read_table(SHIPPED_TABLE),
        seed=4,
        trades_max=3_000,
        foreign_interval_s=1_800,
        date=dt.date.fromisoformat(DAY),
        symbols=codes,
    )
    said: dict[str, list[Record]] = {}
    for _, _, code, message in iter_messages(day, {"R"}):
        (envelope,) = json.loads(message)["A"]
        record = json.loads(json.loads(envelope)["Content"])
        said.setdefault(code, []).append(record)
        floor.hear(code, record)
    wire = ("BuyVol", "SellVol", "BuyVal", "SellVal")
    active = [code for code in codes if said[code][-1]["BuyVol"]]
    assert active, "the day has no foreign flow: choose another seed"
    for code in codes:
        records, rows = said[code], floor.desk.rows(f"foreign.{code}")
        for before, after in pairwise(records):  # what was said only grew
            assert all(after[name] >= before[name] for name in wire)
        for before, after in pairwise(rows):  # and so did what was told
            assert all(after[name] >= before[name] for name in FIGURES)
        assert values(rows[-1], *FIGURES) == tuple(records[-1][name] for name in wire)
        for name, key in zip(FIGURES, wire, strict=True):
            told = [row[f"delta_{name}"] for row in rows]
            assert min(told) >= 0
            assert sum(told) == records[-1][key] - records[0][key]
        assert all(row["reset_count"] == 0 and "RESET" not in row["flags"] for row in rows)


# Speed and acceleration -------------------------------------------------------------------------


def test_speed_and_acceleration_follow_the_stamps_of_five_simulated_minutes(
    floor: Floor, code: str
) -> None:
    start = 9 * 3_600 + 30 * 60
    flow = [0, 1_000, 3_000, 0, 500, 8_000, -2_000, -2_500, 700, 0, 12_000, -40, 10, -9_000, 600]
    # Distances of 55, 60, 295 and 300 s: a window that is one step off shows.
    after = [0, 20, 60, 115, 120, 175, 240, 295, 300, 315, 355, 360, 415, 475, 595]
    moments = [start + second for second in after]

    def five_minutes(until: int) -> int:
        """Net buying of the trailing five minutes, from all that was ever said."""
        return sum(
            moved
            for moment, moved in zip(moments, flow, strict=True)
            if until - 300 < moment <= until
        )

    def expected(now: int) -> tuple[float, ...]:
        speed, before = five_minutes(now) / 5, five_minutes(now - 60) / 5
        change = round(speed - before, 1)
        return speed, change, PRICE * speed, PRICE * change

    def told(row: dict[str, Any]) -> tuple[float, ...]:
        return values(
            row,
            "net_speed_shares_per_min",
            "net_acceleration_shares_per_min",
            "net_speed_vnd_per_min",
            "net_acceleration_vnd_per_min",
        )

    bought = sold = 0
    records = []
    for moment, moved in zip(moments, flow, strict=True):
        bought, sold = bought + max(moved, 0), sold + max(-moved, 0)
        records.append(shares(code, clock(moment), bought, sold))
    rows = {row["exch_time"][11:19]: told(row) for row in floor.hear(code, *records)}
    assert rows == {clock(moment): expected(moment) for moment in moments}
    # Foreigners fall silent; the share goes on being quoted, and the speed runs out with time.
    for later in (60, 295, 300):
        now = moments[-1] + later
        row = floor.hear(code, quote(code, clock(now), [(19_990, 100)], [(20_010, 100)]))[-1]
        assert row["exch_time"][11:19] == clock(now)
        assert told(row) == expected(now)
    assert told(row)[0] == 0


# Resets -----------------------------------------------------------------------------------------


def test_figures_that_fall_are_a_reset_and_never_a_negative_flow(floor: Floor, code: str) -> None:
    rows = floor.hear(
        code,
        shares(code, "09:30:00", 0, 0),
        shares(code, "09:31:00", 10_000, 2_000),
        shares(code, "09:32:00", 4_000, 2_500),  # the buying fell
        shares(code, "09:33:00", 4_600, 2_500),
    )
    assert [row["flags"] for row in rows] == [[], [], ["RESET"], ["RESET"]]
    assert [row["reset_count"] for row in rows] == [0, 0, 1, 1]
    assert values(rows[2], *DELTAS) == (0, 0, 0, 0)
    assert values(rows[2], "buy_volume_shares", "sell_volume_shares") == (4_000, 2_500)
    assert [row["net_volume_5m_shares"] for row in rows] == [0, 8_000, 8_000, 8_600]
    assert rows[3]["delta_buy_volume_shares"] == 600  # from the new base
    assert all(row[name] >= 0 for row in rows for name in DELTAS)
    # Old news that comes late is no reset: the next message would count the same flow twice.
    late = shares(code, "09:31:30", 3_000, 2_000)
    assert floor.hear(code, late) == rows
    assert floor.hear(code, shares(code, "09:34:00", 5_000, 2_500))[-1]["reset_count"] == 1


# Room -------------------------------------------------------------------------------------------


def test_room_used_and_the_time_until_it_is_gone(floor: Floor, code: str) -> None:
    def room(time: str, left: int, total: int = 1_000_000) -> Record:
        bought = 600_000 - left if total else 100_000
        return shares(code, time, bought, 0, room=(total, left))

    def last(*records: Record) -> tuple[Any, ...]:
        row = floor.hear(code, *records)[-1]
        return values(
            row, "current_room_shares", "room_used_pct", "room_used_5m_shares", "exhausted_in_s"
        )

    assert last(room("10:00:00", 600_000)) == (600_000, 40, 0, None)  # it does not fall
    assert last(room("10:01:00", 540_000)) == (540_000, 46, 60_000, 2_700)
    assert last(room("10:02:00", 500_000)) == (500_000, 50, 100_000, 1_500)
    # 0 of 0 is not told, and what is known stands.
    assert last(room("10:03:00", 0, total=0)) == (500_000, 50, 100_000, 1_500)
    # Five minutes after the first fall that one is forgotten; room that comes back is no use of it.
    assert last(room("10:06:00", 500_000)) == (500_000, 50, 40_000, 3_750)
    back = foreign(
        code, "10:06:30", (100_000, 100_000 * PRICE), (50_000, 0), room=(1_000_000, 550_000)
    )
    assert last(back) == (550_000, 45, -10_000, None)


# The board --------------------------------------------------------------------------------------


def test_the_market_total_is_the_sum_of_its_shares(floor: Floor) -> None:
    """HNX is this scenario's alone, and its stamps are the newest: old flow is no market speed."""
    exchange, board = floor.exchange, floor.board
    buyer, seller, even = (exchange.fresh() for _ in range(3))

    def say(code: str, time: str, bought: int, sold: int) -> None:
        exchange.say(shares(code, time, bought, sold, exchange="HNX"))

    for code in (buyer, seller, even):
        say(code, "15:40:00", 0, 0)
    say(buyer, "15:41:00", 150_000, 0)
    say(seller, "15:41:05", 20_000, 70_000)
    say(even, "15:41:10", 40_000, 40_000)
    topic = "foreign.summary.HNX"
    total = board.wait(topic, buy_volume_shares=210_000, sell_volume_shares=110_000)
    assert values(total, "symbol_count", "net_buyer_count", "net_seller_count") == (3, 1, 1)
    assert values(total, "net_volume_shares", "net_value_vnd") == (100_000, 100_000 * PRICE)
    assert values(total, "net_speed_shares_per_min", "net_acceleration_shares_per_min") == (
        20_000,
        20_000,
    )
    assert total["venue"] == "HNX"
    say(seller, "15:42:00", 20_000, 270_000)  # one share changes, the total follows
    total = board.wait(topic, sell_volume_shares=310_000)
    assert total["net_value_vnd"] == -100_000 * PRICE
    everyone = board.until(
        "the whole market with HNX in it",
        lambda: (
            board.data("foreign.summary.ALL").get("sell_volume_shares", 0) >= 310_000
            and board.data("foreign.summary.ALL")
        ),
    )
    assert everyone["symbol_count"] >= 3


def test_top_buyers_are_net_buyers_only_and_top_sellers_net_sellers_only(floor: Floor) -> None:
    """UPCOM is this scenario's alone; for the whole market its figures are larger than anyone's."""
    exchange, board = floor.exchange, floor.board
    net = {500.0: "", 900.0: "", 700.0: "", -800.0: "", -600.0: "", 0.0: ""}  # bn VND
    for value in net:
        net[value] = exchange.fresh()
        exchange.say(
            billions(net[value], max(value, 0) + 2_000, max(-value, 0) + 2_000, exchange="UPCOM")
        )

    def listed(key: str) -> list[tuple[str, float]]:
        top = board.data(f"movers.{key}").get("top", [])
        return [(entry["code"], entry["measure"] / BILLION) for entry in top]

    buyers = [(net[value], value) for value in (900, 700, 500)]
    sellers = [(net[value], value) for value in (-800, -600)]
    board.until("the buyers", lambda: listed("UPCOM-FBUY") == buyers)
    board.until("the sellers", lambda: listed("UPCOM-FSELL") == sellers)
    board.until("the market's buyers", lambda: listed("ALL-FBUY")[:3] == buyers)
    board.until("the market's sellers", lambda: listed("ALL-FSELL")[:2] == sellers)
    # A buyer turns seller: it leaves one list for the other, whatever is left behind.
    exchange.say(billions(net[900], 2_900, 4_000, exchange="UPCOM"))
    board.until("the buyers without it", lambda: listed("UPCOM-FBUY") == buyers[1:])
    board.until("the sellers with it", lambda: listed("UPCOM-FSELL")[0] == (net[900], -1_100))
    board.until("the market's buyers without it", lambda: listed("ALL-FBUY")[:2] == buyers[1:])
    board.until("the market's sellers with it", lambda: listed("ALL-FSELL")[0][0] == net[900])
    for key, sign in (("FBUY", 1), ("FSELL", -1)):  # never anybody else, in any row so far
        for scope in ("ALL", "HOSE", "HNX", "UPCOM"):
            for row in board.rows(f"movers.{scope}-{key}"):
                measures = [sign * entry["measure"] for entry in row["top"]]
                assert all(measure > 0 for measure in measures)
                assert measures == sorted(measures, reverse=True)
