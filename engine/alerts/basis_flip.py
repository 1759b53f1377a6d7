"""Alert ``basis_flip``: an index future turns from premium to discount, or back.

Source: market-behaviour sections 8 and 10. Which contracts there are, and when one has a new basis,
is ``trackers.contracts``. Rules, for each contract by itself:

* A basis confirms a side when it is at least ``basis_flip_band_e2`` away from zero: premium above,
  discount below. In between, nothing is confirmed and the last side stands.
* Warning: the side confirmed is another one than the last one told or adopted today. It is asked
  with every match of the contract and every value of its index.
* A turn that is held back as a repeat changes no side: the first basis after the repeat time that
  still confirms it tells it, late. If the basis has turned back by then there is nothing to tell.
* A side that was found, not seen turning, is adopted in silence: the first of a day, that of a
  BASELINE or CORRECTION, and after an outage that of the first basis of which both prices were
  told since. A price of before and a spot of after an outage make no basis to believe in.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.alerts.history import begin_alert, is_repeat, tell
from engine.config import AlertsConfig
from engine.jit import inlined_kernel, kernel
from engine.schema.codes import (
    AlertState,
    AlertType,
    BasisState,
    NoteFlag,
    Severity,
    SlotKind,
    TradeEvent,
)
from engine.trackers.contracts import (
    CONTRACT_FIELDS,
    CONTRACTS_MAX,
    basis_e2,
    has_basis,
    stamp_contract,
    watch_contracts,
)

TYPE = np.int64(AlertType.BASIS_FLIP)
NO_STATE, WARNING = np.int64(AlertState.NONE), np.int64(Severity.WARNING)
TRADE = int(SlotKind.TRADE)
BASELINE, CORRECTION = int(TradeEvent.BASELINE), int(TradeEvent.CORRECTION)
AFTER_OUTAGE = int(NoteFlag.AFTER_OUTAGE)
UNCONFIRMED = int(BasisState.NONE)
PREMIUM, DISCOUNT = int(BasisState.PREMIUM), int(BasisState.DISCOUNT)

ROWS_PER_SLOT = CONTRACTS_MAX  # a value of the index may turn all of them

FIELDS: list[Any] = [
    *CONTRACT_FIELDS,
    ("flip_side", "u1"),  # BasisState told or adopted last, today
    ("flip_price_outage_no", "<u4"),  # outages as of the contract's last price
    ("flip_spot_outage_no", "<u4"),  # and of the last spot since it had a price
]
PARAMS: list[Any] = [("flip_band_e2", "<i8")]  # and shard.phases.PHASE_FIELDS


def fill_basis_flip(params: NDArray[np.void], settings: AlertsConfig) -> None:
    """Write the rule's number into ``params[0]``."""
    params[0]["flip_band_e2"] = settings.basis_flip_band_e2


@kernel
def forget_side(own: Any) -> None:
    """Begin a trading date of the contract; its prices roll by themselves."""
    own["flip_side"] = UNCONFIRMED


@kernel
def side_of(basis: Any, band: Any) -> Any:
    """Return the BasisState that a basis confirms, or UNCONFIRMED."""
    if basis > 0 and basis >= band:
        return PREMIUM
    if basis < 0 and -basis >= band:
        return DISCOUNT
    return UNCONFIRMED


@kernel
def was_found(market: Any, own: Any, head: Any, note: Any) -> Any:
    """Return whether a basis may have turned while nobody looked; remember what was told now."""
    now = market["outage_no"]
    found = own["flip_price_outage_no"] != now or own["flip_spot_outage_no"] != now
    if head["kind"] != TRADE:
        own["flip_spot_outage_no"] = now
        return found
    own["flip_price_outage_no"] = now
    return found or note["event"] in (BASELINE, CORRECTION) or note["flags"] & AFTER_OUTAGE != 0


@kernel
def judge_basis(
    state: Any, symbol_id: Any, head: Any, note: Any, params: Any, out: Any, count: Any
) -> Any:
    """Ask the rule about one contract whose price or spot was told; return the new count."""
    own = state[symbol_id]
    found = was_found(state[0], own, head, note)
    if not has_basis(state, symbol_id):
        return count
    basis, band = basis_e2(state, symbol_id), params[0]["flip_band_e2"]
    side, before = side_of(basis, band), own["flip_side"]
    if side == UNCONFIRMED:
        return count
    if before == side:
        return count
    if before == UNCONFIRMED or found:
        own["flip_side"] = side
        return count
    exch_s = head["exch_s"]
    if is_repeat(own, params, TYPE, NO_STATE, WARNING, exch_s):
        return count
    own["flip_side"] = side
    begin_alert(state, symbol_id, head, note["phase"], exch_s, TYPE, NO_STATE, WARNING)
    row = own["row"]
    stamp_contract(row, own, params, head, note, symbol_id)
    row["price_e2"] = own["contract_price_e2"]
    row["level_e2"] = row["price_e2"] - basis
    row["measured"] = basis
    row["threshold"] = band
    return tell(own, out, count)


@inlined_kernel
def basis_flip(state: Any, rows: Any, i: Any, note: Any, params: Any, out: Any, count: Any) -> Any:
    """Ask the rule about slot `i`; return the new count, at most ROWS_PER_SLOT more."""
    told = watch_contracts(rows, i, note, state)
    if told == 0:
        return count
    market, head = state[0], rows.head[i]
    for at in range(market["contract_count"]):
        if (told >> at) & 1:
            symbol_id = market["contract_id"][at]
            count = judge_basis(state, symbol_id, head, note, params, out, count)
    return count
