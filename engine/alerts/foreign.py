"""What foreigners do, for both rules that ask: ``foreign_acceleration`` and ``room_exhausted``.

The flow is kept once (``trackers.flow``), moved on by the same slots as on channel ``foreign``, so
that an alert's numbers are those of the channel. What the flow calls a base (the day's first
message, a reset, the first one after an outage) was found, not seen happening.
"""

from typing import Any

from engine.alerts import foreign_acceleration, room_exhausted
from engine.alerts.foreign_acceleration import rearm_acceleration
from engine.alerts.room_exhausted import rearm_room
from engine.jit import kernel
from engine.schema.codes import SlotKind
from engine.shard.groups import trade_day
from engine.trackers.flow import (
    FLOW_FIELDS,
    NOTHING,
    TOLD,
    is_zero_snapshot,
    pass_time,
    watch_flow,
)

FOREIGN = int(SlotKind.FOREIGN)

FIELDS: list[Any] = [
    *FLOW_FIELDS,
    *foreign_acceleration.FIELDS,
    *room_exhausted.FIELDS,
]

ask_acceleration = foreign_acceleration.foreign_acceleration
ask_room = room_exhausted.room_exhausted


@kernel
def forget_foreign(own: Any) -> None:
    """Begin a trading date; the flow rolls by itself."""
    foreign_acceleration.forget_acceleration(own)
    room_exhausted.forget_room(own)


@kernel
def foreign(
    state: Any, symbol_id: Any, head: Any, told: Any, note: Any, params: Any, out: Any, count: Any
) -> Any:
    """Ask both rules about a FOREIGN, TRADE or QUOTE slot; return the new count.

    `told` is the slot's FOREIGN view.
    """
    own = state[symbol_id]
    is_told = head["kind"] == FOREIGN
    if is_told and is_zero_snapshot(own, trade_day(head["exch_s"]), told):
        return count
    # Time passes before the message is counted: a calm five minutes arms the rule again.
    if pass_time(own, head) != NOTHING:
        rearm_acceleration(own, params)
        rearm_room(own, params)
    if not is_told:
        return count
    moved = watch_flow(own, head, told, state[0]["outage_no"])
    if moved == NOTHING:
        return count
    since_exch_s, found = own["flow_since_exch_s"], moved != TOLD
    count = ask_acceleration(state, symbol_id, head, note, since_exch_s, params, out, count)
    return ask_room(state, symbol_id, head, note, found, since_exch_s, params, out, count)
