"""Which contracts lead: ContractFlag FRONT and MOST_ACTIVE, per underlying and day.

Source: market-behaviour section 8. Rules, among the contracts of one underlying that were
introduced (``contracts``):

* FRONT is the one that expires first, on or after the day. So it rolls the day after its expiry. A
  contract without an expiry (the alias VN30F1M) never is the front.
* MOST_ACTIVE is the one with the largest volume today as the exchange counts it; no volume is no
  activity. Of equals, the earlier expiry; an alias comes last, because it is another one's double.
* What is still equal (one contract under its old and its new code): the one introduced first.
"""

from typing import Any

import numpy as np

from engine.jit import kernel
from engine.schema.codes import ContractFlag, Underlying
from engine.trackers.contracts import NO_PLACE

FRONT, MOST_ACTIVE = int(ContractFlag.FRONT), int(ContractFlag.MOST_ACTIVE)
FIRST_UNDERLYING, END_OF_UNDERLYINGS = int(Underlying.VN30), int(Underlying.VN100) + 1
NO_EXPIRY_DAY = 2**32  # behind every date: a contract without an expiry comes last

LEADER_FIELDS: list[Any] = [("contract_flags", "<i8")]  # ContractFlag, in a contract's own row


@kernel
def expiry_of(own: Any) -> Any:
    """Return the day to order a contract by."""
    expiry = np.int64(own["contract_expiry_day"])
    return expiry if expiry > 0 else np.int64(NO_EXPIRY_DAY)


@kernel
def front_of(state: Any, underlying: Any) -> Any:
    """Return the place of the contract on `underlying` that expires next, or NO_PLACE."""
    market = state[0]
    best, best_expiry = NO_PLACE, np.int64(NO_EXPIRY_DAY)
    for at in range(market["contract_count"]):
        own = state[market["contract_id"][at]]
        expiry = expiry_of(own)
        if own["contract_underlying"] == underlying and (
            market["contracts_day"] <= expiry < best_expiry
        ):
            best, best_expiry = at, expiry
    return best


@kernel
def most_active_of(state: Any, underlying: Any) -> Any:
    """Return the place of the most traded contract on `underlying` today, or NO_PLACE."""
    market = state[0]
    best, best_expiry, most = NO_PLACE, np.int64(NO_EXPIRY_DAY), np.int64(0)
    for at in range(market["contract_count"]):
        own = state[market["contract_id"][at]]
        volume, expiry = own["contract_volume_shares"], expiry_of(own)
        if own["contract_underlying"] == underlying and (
            volume > most or (volume == most and volume > 0 and expiry < best_expiry)
        ):
            best, best_expiry, most = at, expiry, volume
    return best


@kernel
def mark_leaders(state: Any) -> Any:
    """Say anew who is FRONT and MOST_ACTIVE; return a bit for each contract where that changed."""
    market = state[0]
    changed = np.int64(0)
    for underlying in range(FIRST_UNDERLYING, END_OF_UNDERLYINGS):
        front, active = front_of(state, underlying), most_active_of(state, underlying)
        for at in range(market["contract_count"]):
            own = state[market["contract_id"][at]]
            if own["contract_underlying"] != underlying:
                continue
            marks = FRONT * (at == front) + MOST_ACTIVE * (at == active)
            if own["contract_flags"] != marks:
                own["contract_flags"] = marks
                changed |= np.int64(1) << at
    return changed
