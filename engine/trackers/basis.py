"""Index futures against their spot: channel ``basis``, one row per contract.

Source: market-behaviour section 8. Which contracts there are, and what their price and spot of
today are, is said in ``contracts``. Rules:

* basis = price - spot, in points x 100, exactly. It is recomputed when the contract trades and
  when its index ticks. Until both are known today the state is NONE and the basis 0.
* A TRADE slot of a contract may change its row; an index value may change the row of every contract
  on that index that has a price today. A row that would say nothing new is not published. The best
  bid and ask go along as the last QUOTE slot told them: a quote alone publishes nothing.
* FRONT and MOST_ACTIVE (``leaders``) are looked at with every TRADE slot of a contract and every
  index value; a contract whose flags changed is published too, whoever changed them.
* The first slot of a newer day, of whatever contract or index, publishes every contract's row
  blank: no price, no spot, no basis, and the flags of today.
* BASELINE and CORRECTED stay for the day; AFTER_OUTAGE is on the first row since the contract was
  heard of again.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.jit import kernel
from engine.schema import channels
from engine.schema.codes import (
    BasisState,
    DeltaFlag,
    NoteFlag,
    SlotKind,
    TradeEvent,
)
from engine.schema.deltas import BASIS_DELTA
from engine.shard.groups import LAST, STALE_DAY, publish, trade_day
from engine.shard.phases import PHASE_FIELDS, fill_phase_params
from engine.shard.stage import Stage, StageSettings
from engine.trackers.contracts import (
    CONTRACT_FIELDS,
    CONTRACT_KINDS,
    CONTRACTS_MAX,
    NO_UNDERLYING,
    basis_e2,
    has_basis,
    stamp_contract,
    watch_contracts,
)
from engine.trackers.leaders import LEADER_FIELDS, mark_leaders

TRADE, QUOTE = int(SlotKind.TRADE), int(SlotKind.QUOTE)
BASELINE, CORRECTION = int(TradeEvent.BASELINE), int(TradeEvent.CORRECTION)
AFTER_OUTAGE = int(NoteFlag.AFTER_OUTAGE)
FLAG_BASELINE, FLAG_CORRECTED = int(DeltaFlag.BASELINE), int(DeltaFlag.CORRECTED)
FLAG_AFTER_OUTAGE = int(DeltaFlag.AFTER_OUTAGE)
UNKNOWN, PREMIUM = int(BasisState.NONE), int(BasisState.PREMIUM)
DISCOUNT, PAR = int(BasisState.DISCOUNT), int(BasisState.PAR)

STATE = np.dtype(
    [
        ("row", BASIS_DELTA),
        ("out_row", "<i8"),
        *CONTRACT_FIELDS,
        *LEADER_FIELDS,
        # what the contract's own slots told, published with its next row
        ("quote_day", "<i8"),  # trading date of the book below
        ("bid_price_e2", "<i4"),
        ("ask_price_e2", "<i4"),
        ("reference_price_e2", "<i4"),
        ("delta_flags", "<i4"),
    ]
)

PARAMS = np.dtype([*PHASE_FIELDS])


def fill_params(params: NDArray[np.void], settings: StageSettings) -> None:  # noqa: ARG001
    """Write the timetables into ``params[0]``."""
    fill_phase_params(params)


@kernel
def begin_day(state: Any) -> None:
    """Forget what the contracts' own slots told; ``contracts`` has forgotten the prices."""
    market = state[0]
    for at in range(market["contract_count"]):
        own = state[market["contract_id"][at]]
        own["reference_price_e2"] = 0
        own["delta_flags"] = 0


@kernel
def is_told(head: Any, note: Any, state: Any) -> Any:
    """Return whether a slot is a TRADE slot of a contract and of the current day."""
    if head["kind"] != TRADE or note["flags"] & STALE_DAY:
        return False
    if state[head["symbol_id"]]["contract_underlying"] == NO_UNDERLYING:
        return False
    return trade_day(head["exch_s"]) == state[0]["contracts_day"]


@kernel
def listen(own: Any, trade: Any, note: Any) -> None:
    """Take over what a contract's TRADE slot says beside price and volume."""
    if trade["reference_price_e2"] > 0:
        own["reference_price_e2"] = trade["reference_price_e2"]
    if note["flags"] & AFTER_OUTAGE:
        own["delta_flags"] |= FLAG_AFTER_OUTAGE
    if note["event"] == BASELINE:
        own["delta_flags"] |= FLAG_BASELINE
    elif note["event"] == CORRECTION:
        own["delta_flags"] |= FLAG_CORRECTED


@kernel
def watch_book(own: Any, head: Any, book: Any, note: Any) -> None:
    """Keep the top of a contract's book for its next row."""
    if own["contract_underlying"] == NO_UNDERLYING:
        return
    own["quote_day"] = trade_day(head["exch_s"])
    own["bid_price_e2"] = book["bid_price_e2"][0]
    own["ask_price_e2"] = book["ask_price_e2"][0]
    if note["flags"] & AFTER_OUTAGE:
        own["delta_flags"] |= FLAG_AFTER_OUTAGE


@kernel
def state_of(basis: Any) -> Any:
    """Return the BasisState of a known basis."""
    if basis == 0:
        return PAR
    return PREMIUM if basis > 0 else DISCOUNT


@kernel
def refresh(state: Any, symbol_id: Any) -> Any:
    """Write what is known of a contract into its row; return whether the row did not say it.

    Bid and ask go along and are no reason to publish.
    """
    market, own = state[0], state[symbol_id]
    row, underlying = own["row"], own["contract_underlying"]
    if underlying == NO_UNDERLYING:
        return False
    basis, basis_state = np.int64(0), UNKNOWN
    if has_basis(state, symbol_id):
        basis = basis_e2(state, symbol_id)
        basis_state = state_of(basis)
    # The basis and its state follow from price and spot.
    if (
        row["seq"] > 0
        and row["price_e2"] == own["contract_price_e2"]
        and row["price_exch_s"] == own["contract_price_exch_s"]
        and row["spot_value_e2"] == market["spot_value_e2"][underlying]
        and row["spot_exch_s"] == market["spot_exch_s"][underlying]
        and row["reference_price_e2"] == own["reference_price_e2"]
        and row["total_volume_shares"] == own["contract_volume_shares"]
        and row["expiry_day"] == own["contract_expiry_day"]
        and row["trade_day"] == market["contracts_day"]
        and row["underlying"] == underlying
        and row["contract_flags"] == own["contract_flags"]
    ):
        return False
    row["price_e2"] = own["contract_price_e2"]
    row["spot_value_e2"] = market["spot_value_e2"][underlying]
    row["basis_e2"] = basis
    row["reference_price_e2"] = own["reference_price_e2"]
    has_book = own["quote_day"] == market["contracts_day"]
    row["bid_price_e2"] = own["bid_price_e2"] if has_book else np.int32(0)
    row["ask_price_e2"] = own["ask_price_e2"] if has_book else np.int32(0)
    row["price_exch_s"] = own["contract_price_exch_s"]
    row["spot_exch_s"] = market["spot_exch_s"][underlying]
    row["expiry_day"] = own["contract_expiry_day"]
    row["trade_day"] = market["contracts_day"]
    row["total_volume_shares"] = own["contract_volume_shares"]
    row["underlying"] = underlying
    row["basis_state"] = basis_state
    row["contract_flags"] = own["contract_flags"]
    return True


@kernel
def show(
    state: Any, symbol_id: Any, params: Any, head: Any, note: Any, out: Any, base: Any, count: Any
) -> Any:
    """Publish the row of a contract if there is anything to say; return the new count."""
    if not refresh(state, symbol_id):
        return count
    own = state[symbol_id]
    stamp_contract(own["row"], own, params, head, note, symbol_id)
    own["row"]["flags"] = own["delta_flags"]
    own["delta_flags"] &= ~FLAG_AFTER_OUTAGE
    return publish(state, symbol_id, out, base, count)


@kernel
def basis(rows: Any, notes: Any, state: Any, params: Any, out: Any) -> Any:
    """Publish one row per changed contract and group. See ``Stage`` for the arguments."""
    market = state[0]
    count = 0
    base = 0
    for i in range(rows.count):
        head, note = rows.head[i], notes[i]
        if head["kind"] == QUOTE and not note["flags"] & STALE_DAY:
            watch_book(state[head["symbol_id"]], head, rows.quote[i], note)
        day = market["contracts_day"]
        changed = watch_contracts(rows, i, note, state)
        if market["contracts_day"] != day:
            begin_day(state)
            changed = (np.int64(1) << market["contract_count"]) - 1
        if is_told(head, note, state):
            own = state[head["symbol_id"]]
            listen(own, rows.trade[i], note)
            changed |= np.int64(1) << own["contract_place"]
        if changed:
            changed |= mark_leaders(state)
            for at in range(market["contract_count"]):
                if (changed >> at) & 1:
                    symbol_id = market["contract_id"][at]
                    count = show(state, symbol_id, params, head, note, out, base, count)
        if head["flags"] & LAST:
            base = count
    return count


STAGE = Stage(
    "basis",
    "market",
    STATE,
    PARAMS,
    channels.BASIS,
    basis,
    "price, spot and basis of every index future, and which contract leads",
    rows_per_slot=CONTRACTS_MAX,
    kinds=CONTRACT_KINDS | {SlotKind.QUOTE},
    fill=fill_params,
)
