"""Which fields of delta rows are codes, and whose words they are: one table for all who show them.

A field of WORDS holds one value of its enumeration, one of FLAGS a set of them, and one of TRUTHS
is 0 or 1.
"""

from collections.abc import Mapping
from enum import IntEnum, IntFlag
from typing import Final

from engine.schema import codes

WORDS: Final[Mapping[str, type[IntEnum]]] = {
    "phase": codes.Phase,
    "venue": codes.Venue,
    "side": codes.Side,
    "side_rule": codes.SideRule,
    "side_exchange": codes.Side,
    "side_quote": codes.Side,
    "side_tick": codes.Side,
    "instrument": codes.Instrument,
    "feed_state": codes.FeedState,
    "gap_state": codes.GapState,
    "gap_cause": codes.GapCause,
    "gap_outcome": codes.GapOutcome,
    "bar_phase": codes.Phase,
    "prev_bar_phase": codes.Phase,
    "underlying": codes.Underlying,
    "basis_state": codes.BasisState,
    "limit_state": codes.LimitState,
    "limit_event": codes.LimitEvent,
    "alert_type": codes.AlertType,
    "severity": codes.Severity,
    "alert_state": codes.AlertState,
    "weights_source": codes.WeightsSource,
    "session": codes.FeedSession,
    "trading_status": codes.TradingStatus,
    "odd_lot_session": codes.FeedSession,
}
FLAGS: Final[Mapping[str, type[IntFlag]]] = {
    "flags": codes.DeltaFlag,
    "indices": codes.IndexMember,
    "contract_flags": codes.ContractFlag,
    "bar_flags": codes.BarFlag,
    "prev_bar_flags": codes.BarFlag,
}
TRUTHS: Final = frozenset({"locked", "halted"})
