"""Which index futures there are, and the two prices a basis is made of: for every stage with one.

Source: market-behaviour section 8. A stage embeds `CONTRACT_FIELDS` in its state and shows every
slot to `watch_contracts` or `watch_basis`. Rules:

* A contract is a future on VN30 or VN100, by its own introduction (a SYMBOL slot); so are the two
  indices. Bond futures have no spot in the feed and are not followed. Both families of codes say
  the same things there (``market.symbology``); an alias (VN30F1M) has no expiry.
* Up to CONTRACTS_MAX contracts are followed. One more takes the place of the one that expired
  first, if any has expired; else it is not followed.
* The day is the newest trading date that a contract's TRADE slot or an index's INDEX slot has told.
  It begins without any price, and a slot of an older date says nothing: there is no basis to a spot
  or a price of yesterday.
* The price is that of the last match: from a MATCH, from a BASELINE, and from a CORRECTION, where
  they have one. So is the volume of today, as the exchange counts it. LATE and repeated messages
  say nothing about now.
* The spot is the last index value of today, as ``index_value`` has it: never the prior close that
  is told again before the first match.
* A basis is news for the contract whose price was told, and for all contracts of an index whose
  value was told, equal or not: the spot is younger then.
* A row about a contract has the phase of the slot that changed it when that was the contract's own;
  else HALT while the contract's last TRADE slot says so, or what its venue's clock shows.
"""

from typing import Any

import numpy as np

from engine.clock import DAY_S, ICT_OFFSET_S
from engine.jit import inlined_kernel, kernel
from engine.schema.codes import Instrument, Phase, SlotKind, TradeEvent, Underlying
from engine.shard.groups import STALE_DAY, stamp, trade_day
from engine.shard.phases import clock_phase
from engine.trackers.index_value import todays_value_e2

TRADE, INDEX, SYMBOL = int(SlotKind.TRADE), int(SlotKind.INDEX), int(SlotKind.SYMBOL)
MATCH, BASELINE = int(TradeEvent.MATCH), int(TradeEvent.BASELINE)
CORRECTION = int(TradeEvent.CORRECTION)
HALT = int(Phase.HALT)
FUTURE, INDEX_INSTRUMENT = int(Instrument.FUTURE), int(Instrument.INDEX)
NO_UNDERLYING, VN30, VN100 = (
    int(Underlying.NONE),
    int(Underlying.VN30),
    int(Underlying.VN100),
)

CONTRACTS_MAX = 16  # four of VN30 and four of VN100 are alive at a time
UNDERLYING_COUNT = len(Underlying)
NO_PLACE = -1

# Slots that `watch_contracts` learns from: the `kinds` of a stage that embeds it.
CONTRACT_KINDS = frozenset({SlotKind.SYMBOL, SlotKind.TRADE, SlotKind.INDEX})

# The first six are the market's, in row 0; the others a contract's own, in its row.
CONTRACT_FIELDS: list[Any] = [
    ("contracts_day", "<i8"),  # trading date of all prices here, days since 1970 (ICT)
    ("contract_count", "<i8"),
    ("contract_id", "<u4", (CONTRACTS_MAX,)),  # symbol ids, the first contract_count
    ("spot_id", "<u4", (UNDERLYING_COUNT,)),  # symbol id of the index by Underlying
    ("spot_value_e2", "<i4", (UNDERLYING_COUNT,)),  # 0: not told today
    ("spot_exch_s", "<u4", (UNDERLYING_COUNT,)),
    ("contract_volume_shares", "<i8"),  # contracts today, the exchange's
    ("contract_place", "<i8"),  # index into contract_id
    ("contract_price_e2", "<i4"),  # 0: no match today
    ("contract_price_exch_s", "<u4"),
    ("contract_expiry_day", "<u4"),  # 0: none
    ("contract_underlying", "u1"),  # Underlying; NONE: not a contract that is followed
    ("contract_venue", "u1"),
    ("contract_halted", "u1"),  # by its last TRADE slot today
]


@kernel
def place_for(state: Any, symbol_id: Any) -> Any:
    """Return the place in the table that a contract may take, or NO_PLACE.

    Its own if it has one, else a free one, else that of the contract that expired first.
    """
    market = state[0]
    count = market["contract_count"]
    best = NO_PLACE
    for at in range(count):
        if market["contract_id"][at] == symbol_id:
            return at
        expiry = state[market["contract_id"][at]]["contract_expiry_day"]
        if 0 < expiry < market["contracts_day"] and (
            best == NO_PLACE or expiry < state[market["contract_id"][best]]["contract_expiry_day"]
        ):
            best = at
    return count if count < CONTRACTS_MAX else best


@kernel
def forget_figures(own: Any) -> None:
    """Take away what a contract was told today."""
    own["contract_price_e2"] = 0
    own["contract_price_exch_s"] = 0
    own["contract_volume_shares"] = 0
    own["contract_halted"] = 0


@kernel
def learn_contract(state: Any, symbol_id: Any, venue: Any, symbol: Any) -> None:
    """Take over what the introduction of a future says, if it is an index future."""
    own = state[symbol_id]
    underlying = symbol["underlying"]
    if symbol["instrument"] != FUTURE or underlying not in (VN30, VN100):
        own["contract_underlying"] = NO_UNDERLYING
        return
    place = place_for(state, symbol_id)
    if place == NO_PLACE:
        return
    market = state[0]
    if place == market["contract_count"]:
        market["contract_count"] += 1
        forget_figures(own)
    elif market["contract_id"][place] != symbol_id:
        state[market["contract_id"][place]]["contract_underlying"] = NO_UNDERLYING
        forget_figures(own)  # of the time before it lost its own place
    market["contract_id"][place] = symbol_id
    own["contract_place"] = place
    own["contract_underlying"] = underlying
    own["contract_expiry_day"] = symbol["expiry_day"]
    own["contract_venue"] = venue


@kernel
def learn(state: Any, head: Any, symbol: Any) -> None:
    """Take over what a SYMBOL slot says; `state` is written.

    Parameters
    ----------
    state
        Rows with `CONTRACT_FIELDS`, shape (symbol_capacity,).
    head, symbol
        The slot: its head, and its SYMBOL view.
    """
    symbol_id = head["symbol_id"]
    if not 0 < symbol_id < state.shape[0]:
        return
    if symbol["instrument"] != INDEX_INSTRUMENT:
        learn_contract(state, symbol_id, head["venue"], symbol)
    elif symbol["code"] == b"VN30":
        state[0]["spot_id"][VN30] = symbol_id
    elif symbol["code"] == b"VN100":
        state[0]["spot_id"][VN100] = symbol_id


@kernel
def underlying_of_index(market: Any, symbol_id: Any) -> Any:
    """Return the Underlying whose spot a symbol is, NO_UNDERLYING for any other symbol."""
    if symbol_id == market["spot_id"][VN30]:
        return VN30
    return VN100 if symbol_id == market["spot_id"][VN100] else NO_UNDERLYING


@kernel
def begin_day(state: Any, day: Any) -> None:
    """Forget all prices; who the contracts are stays."""
    market = state[0]
    market["contracts_day"] = day
    market["spot_value_e2"][:] = 0
    market["spot_exch_s"][:] = 0
    for at in range(market["contract_count"]):
        forget_figures(state[market["contract_id"][at]])


@kernel
def tell_spot(market: Any, underlying: Any, head: Any, index: Any, phase: Any) -> Any:
    """Take over the index value if it is one of today; return whether it is."""
    value_e2 = todays_value_e2(index, phase)
    if value_e2 == 0:
        return False
    market["spot_value_e2"][underlying] = value_e2
    market["spot_exch_s"][underlying] = head["exch_s"]
    return True


@kernel
def tell_price(own: Any, head: Any, trade: Any, event: Any) -> Any:
    """Take over volume and price of a message that moves them; return whether it has a price."""
    if event not in (MATCH, BASELINE, CORRECTION):
        return False
    own["contract_volume_shares"] = trade["total_volume_shares"]
    if trade["last_price_e2"] <= 0:
        return False
    own["contract_price_e2"] = trade["last_price_e2"]
    own["contract_price_exch_s"] = head["exch_s"]
    return True


@kernel
def contracts_on(state: Any, underlying: Any) -> Any:
    """Return a bit for each contract on this underlying that has a price today."""
    market = state[0]
    found = np.int64(0)
    for at in range(market["contract_count"]):
        own = state[market["contract_id"][at]]
        if own["contract_underlying"] == underlying and own["contract_price_e2"] > 0:
            found |= np.int64(1) << at
    return found


@inlined_kernel
def watch_contracts(rows: Any, i: Any, note: Any, state: Any) -> Any:
    """Learn from one slot; return which contracts' price or spot it told.

    Parameters
    ----------
    rows, i, note
        Slot `i` of a batch, of any kind, and its note.
    state
        Rows with `CONTRACT_FIELDS`, shape (symbol_capacity,), written.

    Returns
    -------
    int64
        Bit k for the contract ``state[0]["contract_id"][k]``; each has a price today, its spot
        need not be known. A new trading date shows in ``state[0]["contracts_day"]``.
    """
    head = rows.head[i]
    kind = head["kind"]
    if kind == SYMBOL:
        learn(state, head, rows.symbol[i])
        return np.int64(0)
    if kind not in (TRADE, INDEX) or note["flags"] & STALE_DAY:
        return np.int64(0)
    market, symbol_id = state[0], head["symbol_id"]
    own = state[symbol_id]
    spot_of = NO_UNDERLYING
    if kind == INDEX:
        spot_of = underlying_of_index(market, symbol_id)
        if spot_of == NO_UNDERLYING:
            return np.int64(0)
    elif own["contract_underlying"] == NO_UNDERLYING:
        return np.int64(0)
    day = trade_day(head["exch_s"])
    if day < market["contracts_day"]:
        return np.int64(0)
    if day > market["contracts_day"]:
        begin_day(state, day)
    if kind == INDEX:
        if tell_spot(market, spot_of, head, rows.index[i], note["phase"]):
            return contracts_on(state, spot_of)
        return np.int64(0)
    own["contract_venue"] = head["venue"]
    own["contract_halted"] = note["phase"] == HALT
    if tell_price(own, head, rows.trade[i], note["event"]):
        return np.int64(1) << own["contract_place"]
    return np.int64(0)


@kernel
def has_basis(state: Any, symbol_id: Any) -> Any:
    """Return whether both prices of a contract's basis were told today."""
    own = state[symbol_id]
    spot_e2 = state[0]["spot_value_e2"][own["contract_underlying"]]
    return own["contract_price_e2"] > 0 and spot_e2 > 0


@kernel
def basis_e2(state: Any, symbol_id: Any) -> Any:
    """Return price - spot of a contract that `has_basis`, in points x 100."""
    own = state[symbol_id]
    spot_e2 = state[0]["spot_value_e2"][own["contract_underlying"]]
    return np.int64(own["contract_price_e2"]) - spot_e2


@inlined_kernel
def watch_basis(rows: Any, i: Any, note: Any, state: Any) -> Any:
    """Learn from one slot; return which contracts have a new basis, as bits.

    Like `watch_contracts`, without the contracts whose spot is not known. The basis of the
    contract of bit k is ``basis_e2(state, state[0]["contract_id"][k])``. A price from a BASELINE
    or a CORRECTION is told here too: ask ``note["event"]`` of a TRADE slot where that matters.
    """
    told = watch_contracts(rows, i, note, state)
    if told == 0:
        return told
    market = state[0]
    for at in range(market["contract_count"]):
        if not has_basis(state, market["contract_id"][at]):
            told &= ~(np.int64(1) << at)
    return told


@kernel
def stamp_contract(row: Any, own: Any, params: Any, head: Any, note: Any, symbol_id: Any) -> None:
    """Write the head of a contract's row, except seq and updates, from a slot of anybody.

    Parameters
    ----------
    row
        A delta row of the contract `symbol_id`, written. It has no flags after that.
    own
        The contract's state, with `CONTRACT_FIELDS`.
    params
        With ``shard.phases.PHASE_FIELDS``.
    head, note
        The slot that changed the row: the contract's own, its index's or another contract's.
    symbol_id
        Whose row.
    """
    phase = note["phase"]
    if head["symbol_id"] != symbol_id:
        exch_ict_s = np.int64(head["exch_s"]) + ICT_OFFSET_S
        day = exch_ict_s // DAY_S
        phase = clock_phase(params, day, exch_ict_s - day * DAY_S, own["contract_venue"])
        if own["contract_halted"]:
            phase = np.uint8(HALT)
    stamp(row, head, phase, 0)
    row["symbol_id"] = symbol_id
    row["venue"] = own["contract_venue"]
