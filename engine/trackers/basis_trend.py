"""The basis minute by minute: channel ``basis.trend``, one row per contract.

Source: market-behaviour section 8. Prices are ``contracts``, minutes are ``series``. Rules:

* Each minute that had a basis has an entry: the last basis of that minute, and its spot. Of one
  contract only: what other contracts do is not in its row.
* The minute is that of the stamp of the slot that made the basis: a match of the contract, or a
  value of its index. A stamp older than the running minute belongs to the running one.
* A value of the index in its BREAK, or after its market has CLOSED, makes no entry when it is the
  one of the running minute: it repeats itself then. The closing auction's is another one. So a
  day has fewer minutes than the row has room for; if not, further ones are not kept.
* Published with the first basis of each minute: then the minute before has its last basis, and the
  running one its first. A minute that is over before another begins (lunch, the close, a full row)
  is published again when a newer minute tells so, if its last basis is another than its first.
* The first basis of a newer trading date begins a blank row; seq goes on.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.jit import kernel
from engine.schema import channels
from engine.schema.codes import Phase, SlotKind
from engine.schema.deltas import BASIS_TREND_DELTA
from engine.shard.groups import LAST, blank_row, publish
from engine.shard.phases import PHASE_FIELDS, fill_phase_params
from engine.shard.stage import Stage, StageSettings
from engine.trackers.contracts import (
    CONTRACT_FIELDS,
    CONTRACT_KINDS,
    CONTRACTS_MAX,
    basis_e2,
    stamp_contract,
    watch_basis,
)
from engine.trackers.series import FULL, begin_minute, place_of

INDEX = int(SlotKind.INDEX)
BREAK, CLOSED = int(Phase.BREAK), int(Phase.CLOSED)

STATE = np.dtype(
    [
        ("row", BASIS_TREND_DELTA),
        ("out_row", "<i8"),
        *CONTRACT_FIELDS,
        # the last of the running minute, which the row does not say yet
        ("running_basis_e2", "<i4"),
        ("running_spot_e2", "<i4"),
    ]
)

PARAMS = np.dtype([*PHASE_FIELDS])


def fill_params(params: NDArray[np.void], settings: StageSettings) -> None:  # noqa: ARG001
    """Write the timetables into ``params[0]``."""
    fill_phase_params(params)


@kernel
def write_last(row: Any, own: Any) -> Any:
    """Put the running basis and its spot into the last entry; return whether that is news."""
    last = row["series_count"] - 1
    news = (
        row["series_basis_e2"][last] != own["running_basis_e2"]
        or row["series_spot_value_e2"][last] != own["running_spot_e2"]
    )
    row["series_basis_e2"][last] = own["running_basis_e2"]
    row["series_spot_value_e2"][last] = own["running_spot_e2"]
    return news


@kernel
def add(state: Any, symbol_id: Any, exch_s: Any, idle: Any) -> Any:
    """Add the contract's present basis to its series; return whether the row changed.

    `idle`: an index told it that does not trade now, and may just repeat itself.
    """
    market, own = state[0], state[symbol_id]
    row = own["row"]
    if row["trade_day"] != market["contracts_day"]:
        blank_row(state, symbol_id, market["contracts_day"])
    place = place_of(row, exch_s)
    count = np.int64(row["series_count"])
    spot_e2 = market["spot_value_e2"][own["contract_underlying"]]
    over = place != count - 1  # the running minute, if there is one
    finished = over and count > 0 and write_last(row, own)
    if place == FULL or (idle and count > 0 and spot_e2 == own["running_spot_e2"]):
        return finished
    if over:
        begin_minute(row, exch_s)
    own["running_basis_e2"] = basis_e2(state, symbol_id)
    own["running_spot_e2"] = spot_e2
    if over:
        write_last(row, own)
    return over


@kernel
def basis_trend(rows: Any, notes: Any, state: Any, params: Any, out: Any) -> Any:
    """Publish one row per contract and minute. See ``Stage`` for the arguments."""
    market = state[0]
    count = 0
    base = 0
    for i in range(rows.count):
        head, note = rows.head[i], notes[i]
        told = watch_basis(rows, i, note, state)
        idle = head["kind"] == INDEX and note["phase"] in (BREAK, CLOSED)
        if told:
            for at in range(market["contract_count"]):
                symbol_id = market["contract_id"][at]
                if (told >> at) & 1 and add(state, symbol_id, head["exch_s"], idle):
                    own = state[symbol_id]
                    stamp_contract(own["row"], own, params, head, note, symbol_id)
                    count = publish(state, symbol_id, out, base, count)
        if head["flags"] & LAST:
            base = count
    return count


STAGE = Stage(
    "basis_trend",
    "market",
    STATE,
    PARAMS,
    channels.BASIS_TREND,
    basis_trend,
    "the last basis of every minute, per contract",
    rows_per_slot=CONTRACTS_MAX,
    kinds=CONTRACT_KINDS,
    fill=fill_params,
)
