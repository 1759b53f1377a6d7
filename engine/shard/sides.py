"""Who was the aggressor of a match, by each rule: market-behaviour section 3."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.jit import kernel
from engine.schema.codes import NoteFlag, Phase, Side, SideRule

UNKNOWN, BUY, SELL, NEUTRAL = int(Side.UNKNOWN), int(Side.BUY), int(Side.SELL), int(Side.NEUTRAL)
NONE, EXCHANGE = int(SideRule.NONE), int(SideRule.EXCHANGE)
BY_QUOTE, TICK, AUCTION = int(SideRule.QUOTE), int(SideRule.TICK), int(SideRule.AUCTION)
DISAGREE = int(NoteFlag.DISAGREE)
ATO, ATC = int(Phase.ATO), int(Phase.ATC)
PLO, PUT_THROUGH = int(Phase.PLO), int(Phase.PUT_THROUGH)

RULES = (SideRule.EXCHANGE, SideRule.QUOTE, SideRule.TICK)  # what a precedence may name

PRECEDENCE_FIELDS: list[Any] = [("precedence", "u1", (len(RULES),))]

# What is remembered per symbol and day. Best prices are 0 while the book cannot be used.
SIDE_FIELDS: list[Any] = [
    ("bid_price_e2", "<i4"),
    ("ask_price_e2", "<i4"),
    ("last_price_e2", "<i4"),  # price of the last match, seen or told
    ("last_tick", "u1"),  # Side of the last change of price between matches
]


def fill_precedence(params: NDArray[np.void], precedence: Sequence[str]) -> None:
    """Write the order of the side rules into ``params[0]``; the rest of the row becomes NONE.

    Raises
    ------
    ConfigError
        A name that is no rule, or a rule named twice.
    """
    allowed = [rule.name for rule in RULES]
    for name in precedence:
        if name not in allowed:
            raise ConfigError(f"side precedence names {name!r}; use {', '.join(allowed)}")
    if len(set(precedence)) != len(precedence):
        raise ConfigError(f"side precedence {tuple(precedence)} names a rule twice")
    codes = [int(SideRule[name]) for name in precedence]
    params[0]["precedence"] = codes + [NONE] * (len(RULES) - len(codes))


@kernel
def watch_book(own: Any, book: Any) -> None:
    """Remember the best bid and ask of a QUOTE slot, or 0 and 0 when they cannot judge a side."""
    bid, ask = book["bid_price_e2"][0], book["ask_price_e2"][0]
    usable = 0 < bid < ask and book["bid_volume_shares"][0] > 0 and book["ask_volume_shares"][0] > 0
    own["bid_price_e2"] = bid if usable else 0
    own["ask_price_e2"] = ask if usable else 0


@kernel
def forget_direction(own: Any, price_e2: Any) -> None:
    """Go on from `price_e2` after volume that was not seen as a match."""
    own["last_price_e2"] = price_e2
    own["last_tick"] = UNKNOWN


@kernel
def tick_side(own: Any, price_e2: Any) -> Any:
    """Return the TICK rule's side of a match at `price_e2` and remember the price.

    ``last_tick`` is the direction of the last change, so an equal price has the side it would
    have against the last different price.
    """
    last = own["last_price_e2"]
    if last > 0 and price_e2 > last:
        own["last_tick"] = BUY
    elif last > 0 and price_e2 < last:
        own["last_tick"] = SELL
    own["last_price_e2"] = price_e2
    return own["last_tick"]


@kernel
def quote_side(own: Any, price_e2: Any) -> Any:
    """Return the QUOTE rule's side of a match at `price_e2` against the book in force."""
    if own["ask_price_e2"] == 0:
        return UNKNOWN
    if price_e2 >= own["ask_price_e2"]:
        return BUY
    if price_e2 <= own["bid_price_e2"]:
        return SELL
    return UNKNOWN


@kernel
def judge(note: Any, own: Any, params: Any, told: Any, price_e2: Any) -> None:
    """Write the side of a match, the rule that decided and what each rule said.

    Parameters
    ----------
    note
        NOTE record, written; its phase is already the match's.
    own
        The symbol's state, SIDE_FIELDS: book read, tick memory written.
    params
        PRECEDENCE_FIELDS, shape (1,).
    told
        Side as the feed says it.
    price_e2
        Price of the match.
    """
    note["bid_price_e2"] = own["bid_price_e2"]
    note["ask_price_e2"] = own["ask_price_e2"]
    decide(note, params, told, quote_side(own, price_e2), tick_side(own, price_e2))


@kernel
def decide(note: Any, params: Any, told: Any, by_quote: Any, tick: Any) -> None:
    """Write what each rule said and the side that follows; arguments as in `judge`.

    A late match is judged here directly, with UNKNOWN for QUOTE and TICK: the book and the
    prices in force when it was made are gone.
    """
    exchange = told if told in (BUY, SELL) else UNKNOWN
    note["side_exchange"] = exchange
    note["side_quote"] = by_quote
    note["side_tick"] = tick
    phase = note["phase"]
    if phase in (ATO, ATC, PLO, PUT_THROUGH):
        note["side"] = NEUTRAL
        note["side_rule"] = AUCTION
        return
    # No auction is left here, and a match is never PRE, BREAK, CLOSED or HALT: CONTINUOUS.
    if exchange != UNKNOWN and by_quote != UNKNOWN and exchange != by_quote:
        note["flags"] |= DISAGREE
    for rule in params[0]["precedence"]:
        said = UNKNOWN
        if rule == EXCHANGE:
            said = exchange
        elif rule == BY_QUOTE:
            said = by_quote
        elif rule == TICK:
            said = tick
        if said != UNKNOWN:
            note["side"] = said
            note["side_rule"] = rule
            return
