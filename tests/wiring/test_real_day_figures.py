"""The real day of 15 July 2021 through everything: frames, intake, rings, all stages, the board.

What the day must end on comes from two places and from nothing else: `published`, which reads the
tables with the csv module, and the messages as they stand in the frames, read by the json module.
How single rooms tell that day is proven beside them (tests/board/test_real_day.py,
tests/trackers/test_real_bars.py); here they must all tell the same one.
"""

import ast
import datetime as dt
import json
import operator
from collections import Counter, defaultdict
from functools import cache, reduce
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from engine.clock import DAY_S, ICT_OFFSET_S
from engine.feed.reference_rows import Reference, ReferenceRow
from engine.feed.synthetic import ALL_TYPES, SMALL, Day, frames, plan_day, read_day
from engine.market.days import day_number
from engine.schema.codes import BarFlag, IndexMember, LimitEvent, Phase, Side
from engine.wiring.local import LocalTape
from tests.wiring import published
from tests.wiring.published import Quarter

pytestmark = pytest.mark.jit  # forty thousand messages through all stages

SCOPES = ("ALL", "HOSE", "HNX", "UPCOM", "VN30")
FUTURE, SPOT = "VN30F2107", "VN30"
TYPES = ALL_TYPES - {"X"}  # X-TRADE and X-QUOTE stand for it; OL and B must not count twice
BREADTH = ("advances", "unchanged", "declines", "ceilings", "floors")
BAR_CHANNELS = ("bar.1m", "bar.5m", "bar.15m", "bar.1h", "bar.1d")
KEYS = ("open", "high", "low", "close")
IN_A_BAR = (
    *(f"{key}_price_e2" for key in KEYS),
    *("volume_shares", "value_vnd", "trade_count", "buy_volume_shares", "sell_volume_shares"),
)
SHARDS = 2


class Played(NamedTuple):
    """The tape after the day, and what was said on the way."""

    tape: LocalTape
    told: dict[tuple[str, str], list[dict[str, Any]]]  # (type, code) -> messages in order
    bars: dict[tuple[str, str], dict[tuple[str, str], Any]]  # channel, code -> start, phase -> bar
    cells: dict[str, Counter]  # code -> (phase, side, what) -> sum over rows of channel trade
    at_limit: dict[str, int]  # code -> volume matched at a limit, by channel limits
    rows: Counter  # channel -> rows


@cache
def played() -> Played:
    """Play the day once, in bites of eight frames: none of them spans three minutes."""
    day = plan_day(*read_day(None, None), seed=15, **SMALL._asdict())
    midnight_ms = (day_number(day.date) * DAY_S - ICT_OFFSET_S) * 1_000
    tape = LocalTape(shards=SHARDS, symbols_max=1_024, board=True)
    seen = Played(tape, defaultdict(list), defaultdict(dict), defaultdict(Counter), {}, Counter())
    tape.intake.reference(morning(day), (midnight_ms + 8 * 3_600_000) * 1_000_000)
    for number, (time_ms, frame) in enumerate(frames(day, 1, TYPES), 1):
        tape.intake.on_frame(frame, (midnight_ms + time_ms) * 1_000_000)
        for message in json.loads(frame)["M"]:
            told = json.loads(message["A"][0])
            content = json.loads(told["Content"])
            code = content.get("Symbol") or content["IndexId"].upper()
            seen.told[told["DataType"], code].append(content)
        if number % 8 == 0:
            drain(seen)
    drain(seen)
    return seen


def morning(day: Day) -> Reference:
    """Return what REST says before the open; the members of the VN30 are a setting."""
    inside = published.members()
    return Reference(
        day.date,
        tuple(
            ReferenceRow(
                code=symbol.code,
                venue=symbol.venue,
                lot_shares=100,
                ceiling_e2=symbol.ladder.ceiling_e2,
                floor_e2=symbol.ladder.floor_e2,
                reference_e2=symbol.reference_e2,
                listed_shares=0,
                security_type="",
                name="",
                indices=IndexMember.VN30 if symbol.code in inside else IndexMember.NONE,
            )
            for symbol in day.symbols
        ),
    )


def drain(seen: Played) -> None:
    """Fold what was collected, as `LocalTape.drain` does, and look at every row on its way."""
    tape = seen.tape
    tape.intake.flush()
    codes = tape.symbols.rows["code"]
    for number, shard in enumerate(tape.shards):
        while shard.reader.lag_slots:
            for channel, rows in shard.step():
                tape.board.take(channel, rows, number)
                seen.rows[channel.name] += len(rows)
                if channel.name in WATCHED:
                    for row in rows:
                        WATCHED[channel.name](seen, codes[row["symbol_id"]].decode(), row, channel)
        assert shard.reader.lapped_slots == 0


def see_bar(seen: Played, code: str, row: Any, channel: Any) -> None:
    """Keep the newest form of both bars of a row."""
    assert row["unplaced_volume_shares"] == 0, (channel.name, code)
    for prefix in ("prev_", ""):
        if row[f"{prefix}start_exch_s"]:
            start = clock(int(row[f"{prefix}start_exch_s"]))
            phase = Phase(int(row[f"{prefix}bar_phase"])).name
            assert BarFlag(int(row[f"{prefix}bar_flags"])) == BarFlag.NONE, (channel.name, code)
            seen.bars[channel.name, code][start, phase] = {
                name: int(row[prefix + name]) for name in IN_A_BAR
            }


def see_trade(seen: Played, code: str, row: Any, _: Any) -> None:
    """Sum up the tape by phase and side."""
    cell = Phase(int(row["phase"])), Side(int(row["side"]))
    seen.cells[code][(*cell, "volume_shares")] += int(row["volume_shares"])
    seen.cells[code][(*cell, "value_vnd")] += int(row["value_vnd"])
    seen.cells[code][(*cell, "count")] += 1


def see_limit(seen: Played, code: str, row: Any, _: Any) -> None:
    """Sum up what was matched in each visit, when it ends."""
    if row["limit_event"] == LimitEvent.LEAVE:
        seen.at_limit[code] = seen.at_limit.get(code, 0) + int(row["hit_volume_shares"])


WATCHED = {
    **dict.fromkeys(BAR_CHANNELS, see_bar),
    "trade": see_trade,
    "limits": see_limit,
}


def clock(exch_s: int) -> str:
    """Return a stamp's hour and minute in Vietnam."""
    second = (exch_s + ICT_OFFSET_S) % DAY_S
    return f"{second // 3_600:02}:{second // 60 % 60:02}"


def ohlcv(row: Any, volume: str = "volume_shares") -> tuple[int, ...]:
    """Return four prices in VND and a volume."""
    prices = [int(row[f"{key}_price_e2"]) for key in ("open", "high", "low")]
    last = row["close_price_e2"] if "close_price_e2" in names(row) else row["last_price_e2"]
    assert all(price % 100 == 0 for price in [*prices, int(last)])
    return (*(price // 100 for price in [*prices, int(last)]), int(row[volume]))


def names(row: Any) -> Any:
    return row if isinstance(row, dict) else row.dtype.names


def one_day(code: str) -> Any:
    (bar,) = played().bars["bar.1d", code].values()
    return bar


TRADED = [stock for stock in published.stocks() if stock.volume]


# --- prices and volumes of every stock ------------------------------------------------------------


def test_the_script_that_knows_the_answers_uses_nothing_of_the_engine():
    tree = ast.parse(Path(published.__file__).read_text(encoding="utf-8"))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported == {"csv", "pathlib", "typing"}


def test_statistics_of_all_symbols_end_on_the_published_figures():
    stats = played().tape.latest("stats")
    assert len(TRADED) > 600
    for stock in TRADED:
        wanted = (stock.open, stock.high, stock.low, stock.close, stock.volume)
        assert ohlcv(stats[stock.code]) == wanted, stock.code
        assert ohlcv(stats[stock.code], "total_volume_shares") == wanted, stock.code
        assert int(stats[stock.code]["reference_price_e2"]) == stock.prior * 100, stock.code


def test_bars_of_the_day_of_all_symbols_are_the_published_figures():
    for stock in TRADED:
        wanted = (stock.open, stock.high, stock.low, stock.close, stock.volume)
        assert ohlcv(one_day(stock.code)) == wanted, stock.code
        assert list(played().bars["bar.1d", stock.code]) == [("00:00", "CONTINUOUS")]


def test_symbols_that_did_not_trade_end_without_a_trade():
    untraded = [stock for stock in published.stocks() if not stock.volume]
    assert len(untraded) == 84
    stats, trades = played().tape.latest("stats"), played().tape.latest("trade")
    for stock in untraded:
        row = stats[stock.code]  # there because the morning told its limits
        assert ohlcv(row) == (0, 0, 0, 0, 0), stock.code
        assert int(row["trade_count"]) == 0
        assert stock.code not in trades
        assert not any((channel, stock.code) in played().bars for channel in BAR_CHANNELS)


# --- the market as a whole ------------------------------------------------------------------------


@pytest.mark.parametrize("scope", SCOPES)
def test_breadth_of_the_market_is_what_the_table_adds_up_to(scope):
    row = played().tape.summaries("market")[scope]
    assert {name: int(row[name]) for name in published.breadth(scope)} == published.breadth(scope)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("ranking", ["GAIN", "LOSS"])
def test_gainers_and_losers_are_those_of_the_table(scope, ranking):
    row = played().tape.summaries("movers")[f"{scope}-{ranking}"]
    assert entries(row) == published.ranked(scope, ranking)
    by_code = {stock.code: stock for stock in published.stocks()}
    for place, (code, _) in enumerate(entries(row)):
        stock = by_code[code]
        assert int(row["top_price_e2"][place]) == stock.close * 100
        assert int(row["top_reference_price_e2"][place]) == stock.prior * 100
        assert int(row["top_volume_shares"][place]) == stock.volume


@pytest.mark.parametrize("scope", SCOPES)
def test_the_ranking_by_value_is_possible_by_the_table_and_exact_by_the_messages(scope):
    """The table has no values: of a stock it says that low and high times volume are the bounds."""
    listed = {stock.code: stock for stock in published.scope(scope) if stock.volume}
    ours = entries(played().tape.summaries("movers")[f"{scope}-VALUE"])
    assert len(ours) == 10
    for code, value_vnd in ours:
        stock = listed[code]
        assert stock.low * stock.volume <= value_vnd <= stock.high * stock.volume, code
    last_in = ours[-1][1]
    inside = dict(ours)
    assert {code for code, one in listed.items() if one.low * one.volume > last_in} <= set(inside)
    told = sorted((-int(last("X-TRADE", code)["TotalVal"]), code) for code in listed)
    assert ours == [(code, -minus) for minus, code in told[:10]]


@pytest.mark.parametrize("scope", SCOPES)
def test_foreign_rankings_and_sums_are_those_of_the_messages(scope):
    net = {}
    for stock in published.scope(scope):
        if ("R", stock.code) in played().told:
            flow = last("R", stock.code)
            net[stock.code] = int(flow["BuyVal"]) - int(flow["SellVal"])
    buyers = sorted((-value, code) for code, value in net.items() if value > 0)[:10]
    sellers = sorted((value, code) for code, value in net.items() if value < 0)[:10]
    movers = played().tape.summaries("movers")
    assert entries(movers[f"{scope}-FBUY"]) == [(code, -minus) for minus, code in buyers]
    assert entries(movers[f"{scope}-FSELL"]) == [(code, value) for value, code in sellers]
    row = played().tape.summaries("foreign.summary")[scope]
    assert int(row["buy_value_vnd"]) - int(row["sell_value_vnd"]) == sum(net.values())
    assert int(row["symbol_count"]) == len(net) > 10


def entries(row: Any) -> list[tuple[str, int]]:
    """Return code and measure of a ranking, best first."""
    count = int(row["top_count"])
    codes = [code.decode() for code in row["top_code"][:count].tolist()]
    return list(zip(codes, row["top_measure"][:count].tolist(), strict=True))


def last(kind: str, code: str) -> dict[str, Any]:
    return played().told[kind, code][-1]


# --- indices --------------------------------------------------------------------------------------

INDEX_SCOPES = {"VNINDEX": "HOSE", "VN30": "VN30", "HNXINDEX": "HNX", "HNXUPCOMINDEX": "UPCOM"}
TOLD_BREADTH = ("Advances", "NoChanges", "Declines", "Ceilings", "Floors")


@pytest.mark.parametrize("code", INDEX_SCOPES)
def test_breadth_of_an_index_is_kept_after_the_close(code):
    told = [tuple(each[name] for name in TOLD_BREADTH) for each in played().told["MI", code]]
    assert told[-1] == (0, 0, 0, 0, 0), "the feed forgets the day's breadth"
    of_the_day = [counters for counters in told if any(counters)][-1]
    row = played().tape.latest("index")[code]
    assert tuple(int(row[name]) for name in BREADTH) == of_the_day
    counted = published.breadth(INDEX_SCOPES[code])
    counted["unchanged"] += counted["untraded"]  # the exchange counts those who did not trade
    assert dict(zip(BREADTH, of_the_day, strict=True)) == {name: counted[name] for name in BREADTH}


@pytest.mark.parametrize("code", INDEX_SCOPES)
def test_an_index_ends_on_what_the_messages_say_and_on_the_volume_of_the_table(code):
    row, told = played().tape.latest("index")[code], played().told["MI", code]
    assert int(row["value_e2"]) == round(told[-1]["IndexValue"] * 100)
    assert int(row["prior_value_e2"]) == round(told[-1]["PriorIndexValue"] * 100)
    values = [round(each["IndexValue"] * 100) for each in told]
    range_e2 = (values[0], max(values), min(values))
    assert tuple(int(row[f"{key}_value_e2"]) for key in ("open", "high", "low")) == range_e2
    assert (
        int(row["matched_volume_shares"]) == published.breadth(INDEX_SCOPES[code])["volume_shares"]
    )
    assert int(row["put_through_volume_shares"]) == told[-1]["TotalQttyPt"]


def test_messages_that_come_after_the_close_still_belong_to_their_date():
    """Foreign figures at 15:05 and later, and the last index values."""
    late = 0
    for channel, kind in (("foreign", "R"), ("index", "MI")):
        for code, row in played().tape.latest(channel).items():
            told = last(kind, code)
            assert clock(int(row["exch_s"])) <= told["Time"][:5]
            if told["Time"] >= "15:05:00" and clock(int(row["exch_s"])) >= "15:05":
                late += 1
            assert int(row["trade_day"]) * DAY_S - ICT_OFFSET_S == midnight_s(told)
    assert late > 10


def midnight_s(told: dict[str, Any]) -> int:
    """Return the stamp of the midnight that begins a message's trading date."""
    day, month, year = map(int, told["TradingDate"].split("/"))
    return day_number(dt.date(year, month, day)) * DAY_S - ICT_OFFSET_S


# --- the future -----------------------------------------------------------------------------------


def test_fifteen_minute_bars_of_the_future_are_the_published_ones():
    """A match stamped in the first seconds after the session is in our last bar before it."""
    wanted = {(start, "CONTINUOUS"): bar for start, bar in published.quarters().items()}
    wanted["14:45", "ATC"] = wanted.pop(("14:45", "CONTINUOUS"))
    for late, home in (("11:30", "11:15"), ("14:30", "14:15")):
        stamped_late = wanted.pop((late, "CONTINUOUS"))
        wanted[home, "CONTINUOUS"] = wanted[home, "CONTINUOUS"].and_then(stamped_late)
    ours = {key: as_quarter(bar) for key, bar in played().bars["bar.15m", FUTURE].items()}
    ours["09:00", "CONTINUOUS"] = ours.pop(("09:00", "ATO")).and_then(ours["09:00", "CONTINUOUS"])
    assert ours == wanted
    whole = reduce(Quarter.and_then, published.quarters().values())
    assert as_quarter(one_day(FUTURE)) == whole
    stats = played().tape.latest("stats")[FUTURE]
    assert (int(stats["last_price_e2"]), int(stats["volume_shares"])) == (whole.close, whole.volume)


def as_quarter(bar: dict[str, int]) -> Quarter:
    return Quarter(*(bar[f"{key}_price_e2"] for key in KEYS), bar["volume_shares"])


def test_the_basis_of_every_minute_is_price_less_spot_and_ends_quarters_on_published_closes():
    row = played().tape.latest("basis.trend")[FUTURE]
    count = int(row["series_count"])
    ours = {
        clock(stamp): (basis, spot)
        for stamp, basis, spot in zip(
            row["series_exch_s"][:count].tolist(),
            row["series_basis_e2"][:count].tolist(),
            row["series_spot_value_e2"][:count].tolist(),
            strict=True,
        )
    }
    assert len(ours) == count > 200
    closes = {}
    for minute, (basis, spot) in ours.items():
        assert spot == spot_at(minute), minute
        hour, minutes = int(minute[:2]), int(minute[3:])
        closes[f"{hour:02}:{minutes // 15 * 15:02}"] = basis + spot
    wanted = {start: bar.close for start, bar in published.quarters().items()}
    del wanted["09:00"]  # the shares' opening auction ends at 09:15: no index, no basis
    assert closes == wanted


def spot_at(minute: str) -> int:
    """Return the last value of the VN30 up to a minute's end, x 100."""
    told = [each for each in played().told["MI", SPOT] if each["Time"][:5] <= minute]
    return round(told[-1]["IndexValue"] * 100)


def test_the_days_last_basis_is_the_published_close_less_the_index():
    row = played().tape.latest("basis")[FUTURE]
    close = published.quarters()["14:45"].close
    spot = round(last("MI", SPOT)["IndexValue"] * 100)
    assert (int(row["price_e2"]), int(row["spot_value_e2"])) == (close, spot)
    assert int(row["basis_e2"]) == close - spot
    total = sum(bar.volume for bar in published.quarters().values())
    assert int(row["total_volume_shares"]) == total


# --- one volume on every channel ------------------------------------------------------------------


def test_rows_of_the_tape_add_up_to_the_statistics_by_phase_and_side():
    stats = played().tape.latest("stats")
    assert len(played().cells) == len(TRADED) + 1
    for code, cells in played().cells.items():
        for phase in Phase:
            for side in Side:
                for what in ("volume_shares", "value_vnd", "count"):
                    told = int(stats[code][f"phase_side_{what}"][phase, side])
                    assert cells[phase, side, what] == told, (code, phase.name, side.name, what)


def test_phases_and_sides_add_up_to_the_total_and_nothing_was_missed():
    for code, row in played().tape.latest("stats").items():
        volumes = row["phase_side_volume_shares"]
        total = int(row["volume_shares"])
        assert int(volumes.sum()) == sum(volumes.sum(axis=1).tolist()) == total, code
        assert sum(volumes.sum(axis=0).tolist()) == total, code
        assert int(row["phase_side_value_vnd"].sum()) == int(row["value_vnd"]), code
        assert int(row["phase_side_count"].sum()) == int(row["trade_count"]), code
        assert int(row["missed_volume_shares"]) == 0, code
        assert int(row["total_volume_shares"]) == total, code
    assert played().rows["gaps"] == 0


@pytest.mark.parametrize("channel", BAR_CHANNELS)
def test_bars_and_unplaced_volume_add_up_to_the_statistics(channel):
    unplaced = played().tape.latest(channel)
    for code, row in played().tape.latest("stats").items():
        if not row["trade_count"]:
            continue
        held = played().bars[channel, code].values()

        def summed(name, held=held):
            return sum(map(operator.itemgetter(name), held))

        loose = int(unplaced[code]["unplaced_volume_shares"])
        assert summed("volume_shares") + loose == int(row["volume_shares"]), code
        assert summed("value_vnd") == int(row["value_vnd"]), code
        assert summed("trade_count") == int(row["trade_count"]), code
        for side in (Side.BUY, Side.SELL):
            told = int(row["phase_side_volume_shares"][:, side].sum())
            assert summed(f"{side.name.lower()}_volume_shares") == told, (code, side.name)


def test_minute_bars_keep_the_phases_of_the_statistics_apart():
    for code, row in played().tape.latest("stats").items():
        by_phase = Counter()
        for (_, phase), bar in played().bars.get(("bar.1m", code), {}).items():
            by_phase[phase] += bar["volume_shares"]
        for phase in Phase:
            told = int(row["phase_side_volume_shares"][phase].sum())
            assert by_phase[phase.name] == told, (code, phase.name)


def test_the_last_auction_matched_what_the_statistics_book_to_it():
    stats = played().tape.latest("stats")
    shown = Counter()
    for code, row in played().tape.latest("auction").items():
        if code in stats:
            closing = int(stats[code]["phase_side_volume_shares"][Phase.ATC].sum())
            assert int(row["uncross_volume_shares"]) == closing, code
            shown[closing > 0] += 1
    assert shown[True] > 100


def test_volume_at_a_limit_is_that_of_the_matches_there():
    """By the messages: what was matched at the day's ceiling or floor price."""
    limits = played().tape.latest("limits")
    assert len(limits) > 20
    for code, row in limits.items():
        matched = sum(
            int(each["LastVol"])
            for each in played().told["X-TRADE", code]
            if each["LastPrice"] in (each["Ceiling"], each["Floor"])
        )
        staying = int(row["hit_volume_shares"]) if row["limit_event"] != LimitEvent.LEAVE else 0
        assert played().at_limit.get(code, 0) + staying == matched, code


@pytest.mark.parametrize("scope", SCOPES)
def test_a_market_s_sums_are_those_of_its_symbols(scope):
    row = played().tape.summaries("market")[scope]
    stats = played().tape.latest("stats")
    mine = [stats[stock.code] for stock in published.scope(scope)]
    for name in ("volume_shares", "value_vnd", "missed_volume_shares"):
        assert int(row[name]) == sum(int(each[name]) for each in mine), name
    for side in (Side.BUY, Side.SELL):
        for what in ("volume_shares", "value_vnd"):
            total = sum(int(each[f"phase_side_{what}"][:, side].sum()) for each in mine)
            assert int(row[f"{side.name.lower()}_{what}"]) == total


def test_odd_lots_and_bars_of_the_feed_stand_apart():
    """Both were in the frames, and the figures above are still the published ones."""
    odd_lots = played().tape.latest("odd_lot")
    assert len(odd_lots) > 50
    assert sum(len(told) for (kind, _), told in played().told.items() if kind == "B") > 5_000
    assert played().rows["put_through"] == 0
