"""What foreigners do, for both rules that ask: ``foreign_acceleration`` and ``room_exhausted``.

The flow is kept once (``trackers.flow``), moved on by the same slots as on channel ``foreign``, so
that an alert's numbers are those of the channel. After an outage the first FOREIGN message is a
base like the day's first: what it shows may be the flow of the whole outage.
"""

from typing import Any

from engine.alerts import foreign_acceleration, room_exhausted
from engine.alerts.foreign_acceleration import rearm_acceleration
from engine.alerts.room_exhausted import rearm_room
from engine.jit import kernel
from engine.schema.codes import SlotKind
from engine.trackers.flow import FLOW_FIELDS, NOTHING, TOLD, pass_time, watch_flow

FOREIGN = int(SlotKind.FOREIGN)

FIELDS: list[Any] = [
    *FLOW_FIELDS,
    *foreign_acceleration.FIELDS,
    *room_exhausted.FIELDS,
    ("foreign_outage_no", "<u4"),  # the outages as of the last FOREIGN message
    ("foreign_back_exch_s", "<u4"),  # the first FOREIGN message after today's last outage; 0: none
]

ask_acceleration = foreign_acceleration.foreign_acceleration
ask_room = room_exhausted.room_exhausted


@kernel
def forget_foreign(own: Any) -> None:
    """Begin a trading date; the flow rolls by itself."""
    own["foreign_back_exch_s"] = 0
    foreign_acceleration.forget_acceleration(own)
    room_exhausted.forget_room(own)


@kernel
def first_since_outage(state: Any, symbol_id: Any, exch_s: Any) -> Any:
    """Return whether this FOREIGN message is the symbol's first since the feed was away."""
    own = state[symbol_id]
    if own["foreign_outage_no"] == state[0]["outage_no"]:
        return False
    own["foreign_outage_no"] = state[0]["outage_no"]
    own["foreign_back_exch_s"] = exch_s
    return True


@kernel
def foreign(
    state: Any, symbol_id: Any, head: Any, told: Any, note: Any, params: Any, out: Any, count: Any
) -> Any:
    """Ask both rules about a FOREIGN, TRADE or QUOTE slot; return the new count.

    `told` is the slot's FOREIGN view.
    """
    own = state[symbol_id]
    # Time passes before the message is counted: a calm five minutes arms the rule again.
    if pass_time(own, head) != NOTHING:
        rearm_acceleration(own, params)
        rearm_room(own, params)
    if head["kind"] != FOREIGN:
        return count
    found = first_since_outage(state, symbol_id, head["exch_s"])
    moved = watch_flow(own, head, told)
    if moved == NOTHING:
        return count
    since_exch_s = max(own["flow_since_exch_s"], own["foreign_back_exch_s"])
    count = ask_acceleration(state, symbol_id, head, note, since_exch_s, params, out, count)
    found = found or moved != TOLD
    return ask_room(state, symbol_id, head, note, found, since_exch_s, params, out, count)
