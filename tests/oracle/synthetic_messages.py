"""The slow, obvious twin of engine.feed.synthetic.render: dicts and json.dumps, three times."""

import json
from decimal import ROUND_HALF_UP, Decimal, localcontext

from engine.feed.synthetic import Day, EventKind
from engine.schema.codes import FeedSession, Side, Venue

SIDES = {Side.BUY: "BU", Side.SELL: "SD", Side.UNKNOWN: "Unknown"}


def dumps(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def hub_message(data_type, record):
    envelope = dumps({"DataType": data_type, "Content": dumps(record)})
    return dumps({"H": "FcMarketDataV2Hub", "M": "Broadcast", "A": [envelope]}).encode()


def rounded(numerator, denominator, places):
    with localcontext() as context:
        context.prec = 60
        quotient = Decimal(int(numerator)) / Decimal(int(denominator))
        return float(quotient.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)) + 0.0


def price(value_e2):
    return int(value_e2) / 100


def messages(day: Day):
    """Yield (time_ms, type, code, bytes) of every type, as iter_messages(day, ALL_TYPES)."""
    date = day.date.strftime("%d/%m/%Y")
    last_trade = {}
    last_book = {}
    for event in day.events:
        time_ms, place = int(event["time_ms"]), int(event["symbol"])
        second = time_ms // 1000
        now = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
        session = FeedSession(event["session"]).name
        kind = EventKind(event["kind"])
        table = day.table_of(kind)
        row = None if table is None else table[event["row"]]
        if kind is EventKind.INDEX:
            index = day.indices[place]
            yield time_ms, "MI", index.code, hub_message("MI", mi(index, row, date, now, session))
            continue
        symbol = day.symbols[place]

        def x(estimate, symbol=symbol, now=now, session=session, zero=False):
            return hub_message(
                "X",
                x_record(
                    symbol,
                    date,
                    now,
                    session,
                    None if zero else last_trade.get(symbol.code),
                    None if zero else last_book.get(symbol.code),
                    estimate,
                    "Normal" if zero and symbol.venue is Venue.DERIVATIVES else symbol.status,
                ),
            )

        if kind is EventKind.SNAPSHOT:
            yield time_ms, "X", symbol.code, x(0, zero=True)
        elif kind is EventKind.QUOTE:
            last_book[symbol.code] = row
            estimate = 0
            if row["estimate_rung"] >= 0:
                estimate = symbol.ladder.prices_e2[row["estimate_rung"]]
            yield time_ms, "X", symbol.code, x(estimate)
            record = {
                "TradingDate": date,
                "Time": now,
                "Exchange": symbol.wire_venue,
                "Symbol": symbol.code,
                "RType": "X-QUOTE",
                **book(symbol, row, "Ask"),
                **book(symbol, row, "Bid"),
                "TradingSession": session,
            }
            yield time_ms, "X-QUOTE", symbol.code, hub_message("X-QUOTE", record)
        elif kind is EventKind.TRADE:
            last_trade[symbol.code] = row
            yield time_ms, "X", symbol.code, x(0)
            yield (
                time_ms,
                "X-TRADE",
                symbol.code,
                hub_message("X-TRADE", x_trade(symbol, row, date, now, session)),
            )
            last = price(row["price_e2"])
            yield (
                time_ms,
                "B",
                symbol.code,
                hub_message(
                    "B",
                    {
                        "RType": "B",
                        "TradingDate": date,
                        "Time": now,
                        "Symbol": symbol.code,
                        "Open": last,
                        "High": last,
                        "Low": last,
                        "Close": last,
                        "Volume": float(row["volume"]),
                        "Value": 0.0,
                    },
                ),
            )
        elif kind is EventKind.STATUS:
            yield (
                time_ms,
                "F",
                symbol.code,
                hub_message(
                    "F",
                    {
                        "RType": "F",
                        "MarketId": symbol.wire_venue,
                        "TradingDate": date,
                        "Time": now,
                        "Symbol": symbol.code,
                        "TradingSession": session,
                        "TradingStatus": symbol.status,
                        "Exchange": symbol.wire_venue,
                        "TradingOlSession": "",
                    },
                ),
            )
        elif kind is EventKind.FOREIGN:
            yield (
                time_ms,
                "R",
                symbol.code,
                hub_message(
                    "R",
                    {
                        "RType": "R",
                        "TradingDate": date,
                        "Time": now,
                        "Isin": symbol.code,
                        "Symbol": symbol.code,
                        "TotalRoom": float(symbol.foreign_cap_shares),
                        "CurrentRoom": float(row["room"]),
                        "BuyVol": float(row["buy_volume"]),
                        "SellVol": float(row["sell_volume"]),
                        "BuyVal": float(row["buy_value_vnd"]),
                        "SellVal": float(row["sell_value_vnd"]),
                        "MarketId": symbol.wire_venue,
                        "Exchange": symbol.wire_venue,
                    },
                ),
            )
        else:
            yield (
                time_ms,
                "OL",
                symbol.code,
                hub_message("OL", odd_lot(symbol, place, row, date, now, session)),
            )


def book(symbol, quote, side):
    levels = symbol.book(quote)
    prices, volumes = levels[:2] if side == "Bid" else levels[2:]
    record = {f"{side}Price{i + 1}": price(prices[i]) for i in range(10)}
    return record | {f"{side}Vol{i + 1}": float(volumes[i]) for i in range(10)}


def average(symbol, trade):
    value, volume = int(trade["total_value_vnd"]), int(trade["total_volume"])
    if symbol.venue is Venue.DERIVATIVES:
        return value / volume
    return rounded(value, volume, 3)


def change(symbol, price_e2):
    reference = symbol.reference_e2
    return {
        "Change": price(price_e2) - price(reference),
        "RatioChange": rounded((int(price_e2) - reference) * 100, reference, 2),
    }


def limits(symbol):
    return {
        "Isin": symbol.code,
        "Symbol": symbol.code,
        "Ceiling": price(symbol.ladder.ceiling_e2),
        "Floor": price(symbol.ladder.floor_e2),
        "RefPrice": price(symbol.reference_e2),
    }


def x_trade(symbol, trade, date, now, session):
    ladder = symbol.ladder.prices_e2
    extremes = [price(ladder[trade["high_rung"]]), price(ladder[trade["low_rung"]])]
    if symbol.venue is not Venue.DERIVATIVES:
        extremes = [int(extreme) for extreme in extremes]
    return {
        "RType": "X-TRADE",
        "TradingDate": date,
        "Time": now,
        **limits(symbol),
        "AvgPrice": average(symbol, trade),
        "PriorVal": price(symbol.prior_close_e2),
        "LastPrice": price(trade["price_e2"]),
        "LastVol": float(trade["volume"]),
        "TotalVal": float(trade["total_value_vnd"]),
        "TotalVol": float(trade["total_volume"]),
        "MarketId": symbol.wire_venue,
        "Exchange": symbol.wire_venue,
        "TradingSession": session,
        "TradingStatus": symbol.status,
        **change(symbol, trade["price_e2"]),
        "EstMatchedPrice": 0.0,
        "Highest": extremes[0],
        "Lowest": extremes[1],
        "Side": SIDES[Side(trade["side"])],
    }


def x_record(symbol, date, now, session, trade, quote, estimate_e2, status):
    ladder = symbol.ladder.prices_e2
    last_e2 = 0 if trade is None else trade["price_e2"]
    if trade is None:
        day = [0.0, 0.0, 0.0, 0.0, "NaN"]
        match = [0.0, 0.0, 0.0, 0.0]
    else:
        day = [
            price(ladder[symbol.open_rung]),
            price(ladder[trade["high_rung"]]),
            price(ladder[trade["low_rung"]]),
            price(last_e2),
            average(symbol, trade),
        ]
        match = [
            price(last_e2),
            float(trade["volume"]),
            float(trade["total_value_vnd"]),
            float(trade["total_volume"]),
        ]
    record = {"RType": "X", "TradingDate": date, "Time": now, **limits(symbol)}
    record |= dict(zip(("Open", "High", "Low", "Close", "AvgPrice"), day, strict=True))
    record["PriorVal"] = price(symbol.prior_close_e2)
    record |= dict(zip(("LastPrice", "LastVol", "TotalVal", "TotalVol"), match, strict=True))
    for side in ("Bid", "Ask"):
        if quote is None:
            record |= {f"{side}{part}{i + 1}": 0.0 for part in ("Price", "Vol") for i in range(10)}
        else:
            record |= book(symbol, quote, side)
    return record | {
        "MarketId": symbol.wire_venue,
        "Exchange": symbol.wire_venue,
        "TradingSession": session,
        "TradingStatus": status,
        **change(symbol, last_e2),
        "EstMatchedPrice": price(estimate_e2),
        "Side": None,
        "CloseQtty": 0.0,
    }


def mi(index, row, date, now, session):
    volume, value = int(row["volume"]), int(row["value_vnd"])
    put_volume, put_value = int(row["put_through_volume"]), int(row["put_through_value_vnd"])
    moved = int(row["value_e2"]) - index.prior_e2
    return {
        "IndexId": index.code,
        "IndexValue": price(row["value_e2"]),
        "PriorIndexValue": price(index.prior_e2),
        "TradingDate": date,
        "Time": now,
        "TotalTrade": 0.0,
        "TotalQtty": float(volume),
        "TotalValue": float(value),
        "IndexName": index.code,
        "Advances": int(row["advances"]),
        "NoChanges": int(row["unchanged"]),
        "Declines": int(row["declines"]),
        "Ceilings": int(row["ceilings"]),
        "Floors": int(row["floors"]),
        "Change": price(moved),
        "RatioChange": rounded(moved * 100, index.prior_e2, 2),
        "TotalQttyPt": float(put_volume),
        "TotalValuePt": float(put_value),
        "Exchange": index.wire_venue,
        "AllQty": float(volume + put_volume),
        "AllValue": float(value + put_value),
        "IndexType": "",
        "TradingSession": session,
        "MarketId": index.wire_venue,
        "RType": "MI",
        "TotalQttyOd": 0.0,
        "TotalValueOd": 0.0,
    }


def odd_lot(symbol, place, row, date, now, session):
    ladder = symbol.ladder.prices_e2

    def level(name, i):
        rung = row[f"{name.lower()}_rung"] + (i if name == "Ask" else -i)
        return rung if 0 <= rung < ladder.size else None

    def vnd(rung):
        return 0 if rung is None else int(ladder[rung]) // 100

    record = {
        "RType": "OL",
        "TradingDate": date,
        "Time": now,
        "StockNo": place + 1,
        "Symbol": symbol.code,
        "Ceiling": symbol.ladder.ceiling_e2 // 100,
        "Floor": symbol.ladder.floor_e2 // 100,
        "RefPrice": symbol.reference_e2 // 100,
        "Open": vnd(row["open_rung"]),
        "High": vnd(row["high_rung"]),
        "Low": vnd(row["low_rung"]),
        "LastPrice": vnd(row["rung"]),
        "LastVol": int(row["volume"]),
        "TotalVal": int(row["total_value_vnd"]),
        "TotalVol": int(row["total_volume"]),
    }
    for side in ("Bid", "Ask"):
        record |= {f"{side}Price{i + 1}": vnd(level(side, i)) for i in range(3)}
        record |= {
            f"{side}Vol{i + 1}": 0
            if level(side, i) is None
            else int(row[f"{side.lower()}_volume"][i])
            for i in range(3)
        }
    last_e2 = int(ladder[row["rung"]])
    return record | {
        "Exchange": symbol.wire_venue,
        "TradingSession": session,
        "TradingStatus": symbol.status,
        "Change": (last_e2 - symbol.reference_e2) // 100,
        "RatioChange": change(symbol, last_e2)["RatioChange"],
        "StockType": "Stock",
    }
