"""A row or two of every channel, the same every time, and the frames clients were promised for it.

``python -m tests.gateway.gallery`` renews the golden file; look at what changed before you do.
"""

from pathlib import Path

import numpy as np

from engine.schema import channels as ch
from engine.schema.codes import (
    AlertState,
    AlertType,
    BarFlag,
    BasisState,
    ContractFlag,
    DeltaFlag,
    FeedSession,
    Instrument,
    LimitEvent,
    LimitState,
    Phase,
    Severity,
    Side,
    TradingStatus,
    Underlying,
    Venue,
    WeightsSource,
)
from gateway.directory import Directory
from gateway.encode import REQUESTED, json_codecs
from tests.gateway.client import split_frames
from tests.gateway.market import MORNING_S, Market

GOLDEN = Path(__file__).parent / "golden" / "frames.jsonl"
DAY = 18_823  # 2021-07-15


def payloads(frames):
    return split_frames("".join(frames).encode("latin-1"))


def stats_of(market, code="FPT", **values):
    row = market.stats(code, **values)
    row["phase_side_volume_shares"][Phase.ATO, Side.NEUTRAL] = 1_000
    row["phase_side_value_vnd"][Phase.ATO, Side.NEUTRAL] = 25_000_000
    row["phase_side_count"][Phase.ATO, Side.NEUTRAL] = 1
    row["phase_side_volume_shares"][Phase.CONTINUOUS, Side.BUY] = 600
    row["phase_side_volume_shares"][Phase.CONTINUOUS, Side.SELL] = 200
    row["phase_disagree_count"][Phase.CONTINUOUS] = 3
    return row


def padded(channel, field, *values):
    """A field that is an array, its first cells filled."""
    cells = np.zeros(channel.dtype[field].shape, channel.dtype[field].base)
    cells[: len(values)] = values
    return cells


def first_rows(market):
    """Channel, row and what the receiver had before it."""
    yield (
        ch.TRADE,
        market.trade(
            "FPT", 2_530_000, 1_200, Side.BUY, bid_price_e2=2_525_000, ask_price_e2=2_530_000
        ),
        0,
    )
    yield (
        ch.TRADE,
        market.trade(
            "FPT", 2_525_000, 800, Side.SELL, side_quote=Side.BUY, flags=DeltaFlag.DISAGREE
        ),
        1,
    )
    yield ch.TRADE, market.trade("VN30F2108", 143_210, 3, Side.BUY), REQUESTED
    yield ch.QUOTE, market.quote("FPT", 2_525_000, 2_530_000, 4_400, 1_900), 0
    yield ch.QUOTE, market.quote("VN30F2108", 143_200, 143_210), 0
    yield (
        ch.BOOK,
        market.book("FPT", [(2_525_000, 4_400), (2_520_000, 9_000)], [(2_530_000, 1_900)]),
        0,
    )
    yield (
        ch.STATS,
        stats_of(
            market,
            reference_price_e2=2_500_000,
            last_price_e2=2_525_000,
            open_price_e2=2_500_000,
            high_price_e2=2_530_000,
            low_price_e2=2_500_000,
            volume_shares=1_800,
            value_vnd=45_500_000,
            trade_count=3,
            trade_day=DAY,
        ),
        0,
    )


def bars(market):
    for channel, interval_s in zip(ch.BARS, (60, 300, 900, 3_600, 86_400), strict=True):
        start_s = MORNING_S if interval_s < 3_600 else MORNING_S - 1_800
        if interval_s == 86_400:
            start_s = DAY * 86_400 - 7 * 3_600
        values = {
            "interval_s": interval_s,
            "trade_day": DAY,
            "start_exch_s": start_s,
            "bar_phase": Phase.CONTINUOUS,
            "bar_flags": BarFlag.SUSPECT,
            "open_price_e2": 2_525_000,
            "high_price_e2": 2_535_000,
            "low_price_e2": 2_520_000,
            "close_price_e2": 2_530_000,
            "trade_count": 14,
            "missed_count": 1,
            "volume_shares": 21_300,
            "value_vnd": 538_420_000,
            "buy_volume_shares": 12_100,
            "sell_volume_shares": 9_200,
            "missed_volume_shares": 700,
        }
        if channel is ch.BAR_1M:
            values |= {
                "unplaced_volume_shares": 200,
                "prev_start_exch_s": start_s - 60,
                "prev_bar_phase": Phase.CONTINUOUS,
                "prev_bar_flags": BarFlag.LATE,
                "prev_open_price_e2": 2_520_000,
                "prev_high_price_e2": 2_525_000,
                "prev_low_price_e2": 2_515_000,
                "prev_close_price_e2": 2_525_000,
                "prev_trade_count": 9,
                "prev_volume_shares": 8_900,
                "prev_value_vnd": 224_280_000,
                "prev_buy_volume_shares": 3_000,
                "prev_sell_volume_shares": 5_900,
            }
        yield channel, market.put(channel, "FPT", **values), 0


def flows(market):
    flow = {
        "buy_volume_shares": 310_000,
        "sell_volume_shares": 120_000,
        "buy_value_vnd": 7_843_000_000,
        "sell_value_vnd": 3_036_000_000,
        "net_volume_5m_shares": 41_000,
        "net_value_5m_vnd": 1_037_300_000,
        "net_volume_5m_before_shares": 36_000,
        "net_value_5m_before_vnd": 910_800_000,
        "trade_day": DAY,
    }
    yield (
        ch.FOREIGN,
        market.put(
            ch.FOREIGN,
            "FPT",
            **flow,
            flags=DeltaFlag.RESET,
            delta_buy_volume_shares=2_000,
            delta_buy_value_vnd=50_600_000,
            total_room_shares=444_664_926,
            current_room_shares=4_446_649,
            room_used_5m_shares=41_000,
            reset_count=1,
        ),
        0,
    )
    yield (
        ch.FOREIGN_SUMMARY,
        market.put(
            ch.FOREIGN_SUMMARY,
            "HOSE",
            **flow,
            symbol_count=371,
            net_buyer_count=122,
            net_seller_count=140,
        ),
        0,
    )


def indices(market):
    yield (
        ch.INDEX,
        market.put(
            ch.INDEX,
            "VN30",
            flags=DeltaFlag.NO_BREADTH,
            value_e2=142_873,
            prior_value_e2=141_902,
            open_value_e2=142_010,
            high_value_e2=143_105,
            low_value_e2=141_866,
            advances=19,
            unchanged=2,
            declines=9,
            ceilings=1,
            breadth_exch_s=MORNING_S - 60,
            matched_volume_shares=104_220_300,
            matched_value_vnd=4_918_000_000_000,
            put_through_volume_shares=1_200_000,
            put_through_value_vnd=61_000_000_000,
            total_volume_shares=105_420_300,
            total_value_vnd=4_979_000_000_000,
            trade_count=70_131,
            trade_day=DAY,
        ),
        0,
    )
    minutes = [MORNING_S - 60, MORNING_S, MORNING_S + 60]
    yield (
        ch.INDEX_SERIES,
        market.put(
            ch.INDEX_SERIES,
            "VN30",
            trade_day=DAY,
            series_count=3,
            series_exch_s=padded(ch.INDEX_SERIES, "series_exch_s", *minutes),
            series_value_e2=padded(ch.INDEX_SERIES, "series_value_e2", 142_850, 142_873, 142_900),
        ),
        0,
    )
    yield (
        ch.BASIS,
        market.put(
            ch.BASIS,
            "VN30F2108",
            price_e2=143_210,
            spot_value_e2=142_873,
            basis_e2=337,
            reference_price_e2=142_000,
            bid_price_e2=143_200,
            ask_price_e2=143_220,
            price_exch_s=MORNING_S + 20,
            spot_exch_s=MORNING_S + 15,
            expiry_day=DAY + 35,
            trade_day=DAY,
            total_volume_shares=4_210,
            underlying=Underlying.VN30,
            basis_state=BasisState.PREMIUM,
            contract_flags=ContractFlag.FRONT | ContractFlag.MOST_ACTIVE,
            venue=Venue.DERIVATIVES,
        ),
        0,
    )
    trend = ch.BASIS_TREND
    yield (
        trend,
        market.put(
            trend,
            "VN30F2108",
            trade_day=DAY,
            series_count=2,
            series_exch_s=padded(trend, "series_exch_s", *minutes[:2]),
            series_basis_e2=padded(trend, "series_basis_e2", -40, 337),
            series_spot_value_e2=padded(trend, "series_spot_value_e2", 142_850, 142_873),
            venue=Venue.DERIVATIVES,
        ),
        0,
    )


def orders(market):
    yield (
        ch.LIMITS,
        market.put(
            ch.LIMITS,
            "FPT",
            limit_state=LimitState.CEILING,
            limit_event=LimitEvent.LOCK,
            locked=1,
            since_exch_s=MORNING_S,
            locked_since_exch_s=MORNING_S + 30,
            locked_s=95,
            limit_price_e2=2_675_000,
            price_e2=2_675_000,
            queue_shares=812_300,
            left_queue_shares=40_000,
            hit_volume_shares=96_500,
            enter_count=2,
            trade_day=DAY,
        ),
        0,
    )
    yield (
        ch.AUCTION,
        market.put(
            ch.AUCTION,
            "FPT",
            phase=Phase.ATC,
            indicative_price_e2=2_535_000,
            indicative_volume_shares=120_400,
            buy_surplus_shares=3_600,
            market_buy_shares=52_000,
            market_sell_shares=18_100,
            trade_day=DAY,
        ),
        0,
    )
    yield (
        ch.PUT_THROUGH,
        market.put(
            ch.PUT_THROUGH,
            "FPT",
            phase=Phase.PUT_THROUGH,
            price_e2=2_600_000,
            deal_count=2,
            volume_shares=1_000_000,
            value_vnd=26_000_000_000,
            total_volume_shares=1_400_000,
            total_value_vnd=36_200_000_000,
            trade_day=DAY,
        ),
        0,
    )
    odd = ch.ODD_LOT
    yield (
        odd,
        market.put(
            odd,
            "FPT",
            last_price_e2=2_520_000,
            reference_price_e2=2_500_000,
            ceiling_price_e2=2_675_000,
            floor_price_e2=2_325_000,
            open_price_e2=2_510_000,
            high_price_e2=2_525_000,
            low_price_e2=2_510_000,
            trade_count=12,
            last_volume_shares=35,
            total_volume_shares=611,
            total_value_vnd=15_397_200,
            bid_price_e2=padded(odd, "bid_price_e2", 2_515_000, 2_510_000),
            bid_volume_shares=padded(odd, "bid_volume_shares", 80, 45),
            ask_price_e2=padded(odd, "ask_price_e2", 2_525_000),
            ask_volume_shares=padded(odd, "ask_volume_shares", 60),
            trade_day=DAY,
        ),
        0,
    )


def alerts(market):
    yield (
        ch.ALERTS,
        market.put(
            ch.ALERTS,
            "FPT",
            alert_type=AlertType.PRICE_LIMIT,
            severity=Severity.CRITICAL,
            alert_state=AlertState.BEGIN,
            limit_state=LimitState.CEILING,
            alert_no=1,
            price_e2=2_675_000,
            level_e2=2_675_000,
            volume_shares=5_000,
            value_vnd=133_750_000,
            count=1,
            trade_day=DAY,
        ),
        0,
    )
    yield (
        ch.ALERTS,
        market.put(
            ch.ALERTS,
            "FPT",
            alert_type=AlertType.RULE,
            severity=Severity.INFO,
            alert_state=AlertState.NONE,
            limit_state=LimitState.NONE,
            alert_no=3,
            price_e2=0,
            level_e2=0,
            volume_shares=0,
            value_vnd=0,
            count=0,
            rule=b"buyers",
        ),
        1,
    )


def board(market):
    yield (
        ch.MARKET,
        market.put(
            ch.MARKET,
            "HOSE",
            advances=180,
            unchanged=61,
            declines=120,
            ceilings=9,
            floors=3,
            untraded=10,
            symbol_count=371,
            volume_shares=311_042_600,
            value_vnd=9_870_000_000_000,
            buy_volume_shares=160_000_000,
            sell_volume_shares=140_000_000,
            buy_value_vnd=5_010_000_000_000,
            sell_value_vnd=4_440_000_000_000,
            missed_volume_shares=700,
            put_through_volume_shares=4_100_000,
            put_through_value_vnd=152_000_000_000,
            trade_day=DAY,
        ),
        0,
    )
    yield (
        ch.MOVERS,
        market.put(
            ch.MOVERS,
            "HOSE-GAIN",
            trade_day=DAY,
            top_count=2,
            top_code=padded(ch.MOVERS, "top_code", b"FPT", b"HPG"),
            top_price_e2=padded(ch.MOVERS, "top_price_e2", 2_675_000, 4_600_000),
            top_reference_price_e2=padded(
                ch.MOVERS, "top_reference_price_e2", 2_500_000, 4_550_000
            ),
            top_volume_shares=padded(ch.MOVERS, "top_volume_shares", 2_310_000, 18_204_100),
            top_value_vnd=padded(ch.MOVERS, "top_value_vnd", 61_100_000_000, 835_300_000_000),
            top_measure=padded(ch.MOVERS, "top_measure", 70_000, 10_989),
        ),
        0,
    )
    part = ch.ATTRIBUTION
    yield (
        part,
        market.put(
            part,
            "VN30 on the board",
            trade_day=DAY,
            weights_source=WeightsSource.LISTED,
            value_e2=142_873,
            prior_value_e2=141_902,
            constituent_count=30,
            priced_count=30,
            points_e4=97_020,
            top_count=1,
            bottom_count=2,
            top_code=padded(part, "top_code", b"HPG"),
            top_points_e4=padded(part, "top_points_e4", 31_250),
            bottom_code=padded(part, "bottom_code", b"VIC", b"FPT"),
            bottom_points_e4=padded(part, "bottom_points_e4", -12_300, -5),
        ),
        0,
    )


def states(market):
    yield (
        ch.STATUS,
        market.put(
            ch.STATUS,
            "FPT",
            phase=Phase.HALT,
            session=FeedSession.LO,
            trading_status=TradingStatus.HALTED,
            odd_lot_session=FeedSession.LO,
            halted=1,
            since_exch_s=MORNING_S + 20,
            halt_count=1,
            trade_day=DAY,
        ),
        0,
    )


def a_market():
    """Symbols and board keys, both kinds of VN30 among them."""
    market = Market("FPT", "VN30F2108", epoch=1_626_314_400_000_000_000)
    market.latest["symbol"][2]["value_multiplier"] = 100_000
    market.list("VN30", instrument=Instrument.INDEX)
    for code in ("HOSE", "HOSE-GAIN"):
        market.list(code, instrument=Instrument.BOARD)
    market.list("VN30", instrument=Instrument.BOARD, name="VN30 on the board")
    return market


def golden_frames():
    """A little of everything."""
    market = a_market()
    directory = Directory(64)
    directory.learn(market.latest["symbol"][1 : len(market.ids) + 1])
    table = json_codecs(directory)
    market.clock_s = MORNING_S + 2
    return [
        payload
        for part in (first_rows, bars, flows, indices, orders, alerts, board, states)
        for channel, row, prev in part(market)
        for payload in payloads(
            table[channel.code].texts(
                np.array([row], channel.dtype), np.array([prev]), [str(market.epoch)]
            )
        )
    ]


if __name__ == "__main__":
    GOLDEN.write_bytes(b"\n".join(golden_frames()) + b"\n")
