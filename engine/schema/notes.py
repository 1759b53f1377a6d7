"""The note: what classify says about each slot of a batch, for the stages after it.

One field and two flags are the ledger's: which gap a slot opened or closed.
"""

from engine.schema.record import record

NOTE = record(
    "note",
    [
        ("event", "u1"),  # TradeEvent
        ("phase", "u1"),  # Phase the slot belongs to
        ("flags", "u1"),  # NoteFlag
        ("side", "u1"),  # Side decided
        ("side_rule", "u1"),  # SideRule that decided
        ("side_exchange", "u1"),  # Side each rule would have given
        ("side_quote", "u1"),
        ("side_tick", "u1"),
        ("volume_shares", "i8"),  # volume of the match itself
        ("value_vnd", "i8"),  # its value
        # volume the exchange counted that no message showed (may be negative after a correction)
        ("missed_volume_shares", "i8"),
        ("bid_price_e2", "i4"),  # best bid and ask in force before the trade, 0 when not usable
        ("ask_price_e2", "i4"),
        ("cause", "u1"),  # GapCause of the missed volume
        ("reserved", "u1", (3,)),
        ("gap_no", "u4"),  # by the ledger: the gap that GAP_OPENED or GAP_CLOSED speak of
    ],
    size_bytes=48,
)
