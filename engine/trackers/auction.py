"""Auctions: channel ``auction``, what ATO and ATC would match now, and what they matched.

Sources: market-behaviour sections 1, 2 and 5, ssi-wire 3.2 (EstMatchedPrice) and 3.3 (books with
ATO/ATC orders at price 0). The note's phase says which slots belong to an auction. Rules:

Beginning
    The first TRADE or QUOTE slot of an auction's phase begins it: everything blank, book included,
    and a row. An auction that is not newer than the one shown (a straggler of ATO once ATC
    has begun) changes nothing, nor does a slot of any other phase, except the two below.
Indicative price
    The exchange's estimate as the last trade message has it, 0 when it has none. A match, which
    ends the call, does not speak of it, nor does a message of the past (LATE, or a REPEAT with
    another total than the last message).
Indicative volume
    What the visible levels could match at that price: the smaller of the bids at or above it and
    the asks at or below it, orders at price 0 (ATO/ATC) counted on either side. What the larger
    side has more is its surplus. Without a price all three are 0: which price would match is
    the exchange's to say, and ten levels are not the whole book.
Market orders
    Orders at price 0, by side. Since KRX they come at a price, and are then among the others.
Uncross
    Matches whose phase is the auction's, late ones too, wherever their stamp lies: price and
    stamp of the last, sums of volume and value. A match of an auction that never began begins it.
    The indicative figures stay as the call left them.
Correction
    A correction after the uncross may have taken from it: flag CORRECTED until the next auction.
Outage
    With the first news since the feed was away, estimate and book are forgotten until told anew.

Flags CROSSED and MARKET_ORDERS are of the last book. A row is published when anything in it
changed: one per symbol and group.
"""

from typing import Any

import numpy as np

from engine.jit import kernel
from engine.schema import channels
from engine.schema.codes import DeltaFlag, NoteFlag, Phase, SlotKind, TradeEvent
from engine.schema.deltas import AUCTION_DELTA
from engine.schema.slots import LEVEL_COUNT
from engine.shard.auction_book import auction_flags
from engine.shard.book import first_price
from engine.shard.groups import LAST, NO_PARAMS, STALE_DAY, blank_row, publish, stamp, trade_day
from engine.shard.stage import Stage

TRADE, QUOTE = int(SlotKind.TRADE), int(SlotKind.QUOTE)
ATO, ATC = int(Phase.ATO), int(Phase.ATC)
MATCH, LATE = int(TradeEvent.MATCH), int(TradeEvent.LATE)
REPEAT, CORRECTION = int(TradeEvent.REPEAT), int(TradeEvent.CORRECTION)
AFTER_OUTAGE = int(NoteFlag.AFTER_OUTAGE)
CORRECTED = int(DeltaFlag.CORRECTED)

BOOK_FIELDS: list[Any] = [
    ("bid_price_e2", "<i4", (LEVEL_COUNT,)),
    ("bid_volume_shares", "<i4", (LEVEL_COUNT,)),
    ("ask_price_e2", "<i4", (LEVEL_COUNT,)),
    ("ask_volume_shares", "<i4", (LEVEL_COUNT,)),
]

STATE = np.dtype(
    [
        ("row", AUCTION_DELTA),
        ("out_row", "<i8"),
        ("total_volume_shares", "<i8"),  # of the last trade message that was not of the past
        ("total_day", "<i8"),  # its trading date
        ("auction", "u1"),  # Phase of the auction that the row is about; 0: none yet
        ("corrected", "u1"),
        ("book", BOOK_FIELDS),  # the last of this auction
    ]
)


@kernel
def is_newer(own: Any, day: Any, phase: Any) -> Any:
    """Return whether the auction of `phase` on `day` comes after the one shown."""
    shown_day = own["row"]["trade_day"]
    return day > shown_day or (day == shown_day and phase > own["auction"])


@kernel
def begin(state: Any, symbol_id: Any, day: Any, phase: Any) -> None:
    """Show another auction: blank, but its place in the stream goes on."""
    blank_row(state, symbol_id, day)
    own = state[symbol_id]
    own["book"] = state[0]["book"]
    own["auction"] = phase
    own["corrected"] = 0


@kernel
def keep_book(book: Any, told: Any) -> None:
    """Remember the levels of a QUOTE slot."""
    for level in range(LEVEL_COUNT):
        book["bid_price_e2"][level] = told["bid_price_e2"][level]
        book["bid_volume_shares"][level] = told["bid_volume_shares"][level]
        book["ask_price_e2"][level] = told["ask_price_e2"][level]
        book["ask_volume_shares"][level] = told["ask_volume_shares"][level]


@kernel
def is_past(own: Any, trade: Any, note: Any, day: Any) -> Any:
    """Return whether a TRADE slot tells of the past; remember its total when it does not."""
    total = trade["total_volume_shares"]
    same_day = own["total_day"] == day
    if note["event"] == LATE or (
        note["event"] == REPEAT and same_day and total != own["total_volume_shares"]
    ):
        return True
    own["total_day"] = day
    own["total_volume_shares"] = total
    return False


@kernel
def estimate(own: Any) -> Any:
    """Work out volume and surplus at the indicative price; return whether they changed."""
    row, book = own["row"], own["book"]
    price_e2 = row["indicative_price_e2"]
    buy, sell = np.int64(0), np.int64(0)
    market_buy, market_sell = np.int64(0), np.int64(0)
    for level in range(LEVEL_COUNT):
        bid_e2, bid_volume = book["bid_price_e2"][level], book["bid_volume_shares"][level]
        ask_e2, ask_volume = book["ask_price_e2"][level], book["ask_volume_shares"][level]
        if bid_e2 == 0:
            market_buy += bid_volume
        elif bid_e2 >= price_e2:
            buy += bid_volume
        if ask_e2 == 0:
            market_sell += ask_volume
        elif ask_e2 <= price_e2:
            sell += ask_volume
    buy += market_buy
    sell += market_sell
    if price_e2 <= 0:
        buy = np.int64(0)
        sell = np.int64(0)
    volume = min(buy, sell)
    news = (
        row["indicative_volume_shares"] != volume
        or row["buy_surplus_shares"] != buy - volume
        or row["sell_surplus_shares"] != sell - volume
        or row["market_buy_shares"] != market_buy
        or row["market_sell_shares"] != market_sell
    )
    row["indicative_volume_shares"] = volume
    row["buy_surplus_shares"] = buy - volume
    row["sell_surplus_shares"] = sell - volume
    row["market_buy_shares"] = market_buy
    row["market_sell_shares"] = market_sell
    return news


@kernel
def add_print(row: Any, head: Any, trade: Any, note: Any) -> None:
    """Add one match of the auction."""
    row["uncross_price_e2"] = trade["last_price_e2"]
    row["uncross_volume_shares"] += note["volume_shares"]
    row["uncross_value_vnd"] += note["value_vnd"]
    row["uncross_exch_s"] = head["exch_s"]


@kernel
def learn_trade(own: Any, head: Any, trade: Any, note: Any, of_auction: Any, past: Any) -> Any:
    """Let a TRADE slot speak; return whether it had news.

    `of_auction`: its phase is that of the auction shown. `past`: it tells of the past.
    """
    row, event = own["row"], note["event"]
    news = False
    if of_auction and event in (MATCH, LATE):
        add_print(row, head, trade, note)
        news = True
    elif of_auction and not past and row["indicative_price_e2"] != trade["estimated_price_e2"]:
        row["indicative_price_e2"] = trade["estimated_price_e2"]
        news = True
    same_day = row["trade_day"] == trade_day(head["exch_s"])
    if event == CORRECTION and same_day and row["uncross_volume_shares"] > 0:
        news |= own["corrected"] == 0
        own["corrected"] = 1
    return news


@kernel
def auction(rows: Any, notes: Any, state: Any, params: Any, out: Any) -> Any:  # noqa: ARG001
    """Publish one row per changed symbol and group. See ``Stage`` for the arguments."""
    count = 0
    base = 0
    for i in range(rows.count):
        head, note = rows.head[i], notes[i]
        kind, phase = head["kind"], note["phase"]
        called = phase in (ATO, ATC)
        # A book outside an auction is none of its.
        if (kind == TRADE or (kind == QUOTE and called)) and not note["flags"] & STALE_DAY:
            symbol_id = head["symbol_id"]
            own = state[symbol_id]
            row = own["row"]
            day = trade_day(head["exch_s"])
            news = called and is_newer(own, day, phase)
            if news:
                begin(state, symbol_id, day, phase)
            of_auction = called and phase == own["auction"] and day == row["trade_day"]
            if of_auction and note["flags"] & AFTER_OUTAGE:
                news |= row["indicative_price_e2"] != 0
                row["indicative_price_e2"] = 0
                own["book"] = state[0]["book"]
            if kind == TRADE:
                past = is_past(own, rows.trade[i], note, day)
                news |= learn_trade(own, head, rows.trade[i], note, of_auction, past)
            elif of_auction:
                keep_book(own["book"], rows.quote[i])
            if of_auction:
                news |= estimate(own)
            if news or of_auction:
                book = own["book"]
                flags = auction_flags(
                    first_price(book["bid_price_e2"]), first_price(book["ask_price_e2"]), book
                )
                if own["corrected"]:
                    flags |= CORRECTED
                if news or flags != row["flags"]:
                    stamp(row, head, own["auction"], flags)
                    count = publish(state, symbol_id, out, base, count)
        if head["flags"] & LAST:
            base = count
    return count


STAGE = Stage(
    "auction",
    "symbol",
    STATE,
    NO_PARAMS,
    channels.AUCTION,
    auction,
    "what an auction would match now, and what it matched",
    kinds=frozenset({SlotKind.TRADE, SlotKind.QUOTE}),
)
