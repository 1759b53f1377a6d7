"""Foreign flow of one symbol: figures of the day in, deltas and trailing sums out.

Sources: market-behaviour section 6, ssi-wire 3.5. The feed tells cumulative figures; what a trader
asks is what came since the last message. This file keeps that for any state that has
`FLOW_FIELDS`, and knows no row: channel ``foreign`` and the alert rules each embed the fields and
call `watch_flow` for every slot they accept. Rules:

* The first message of a trading date is the base of its deltas. Unless all four figures are 0 it
  is a BASELINE: part of the day was not seen, and its figures are no flow.
* A later message is compared with the one before it, figure by figure. If any of the four fell, it
  is a RESET: all deltas are 0 and its figures are the new base, so that flow is never negative.
* The first message since the feed was away is FOUND: what it shows beyond the one before came some
  time in the outage, so its figures are a new base too. One in which a figure fell is a RESET.
* Four figures of 0 after one that was not 0 today are a zero snapshot: it tells nothing, not even
  the time or the room. It is no reset, and no news after an outage.
* A message stamped before the newest one that does not show growth is old news and changes nothing:
  taken for a reset it would count the same flow twice.
* Sums are of steps of 5 s, the newest 60 of them: five minutes. "Before" is the same sum as it was
  twelve steps, one minute, ago. Steps are counted since 1970 and the current one is in the sum; the
  sums run along with time, because quotes ask for them all day.
* Time passes with every FOREIGN, TRADE and QUOTE slot of the symbol, so that sums fall while
  foreigners are silent. It begins with the day's first FOREIGN message.
* Room used is what current room fell since the message before; a rise counts negative. A room of 0
  of 0 is not told and leaves the known one standing. A message that is a base uses no room.
"""

from typing import Any

import numpy as np

from engine.jit import kernel
from engine.schema.codes import SlotKind
from engine.shard.groups import trade_day

FOREIGN, TRADE, QUOTE = int(SlotKind.FOREIGN), int(SlotKind.TRADE), int(SlotKind.QUOTE)
FLOW_KINDS = frozenset({SlotKind.FOREIGN, SlotKind.TRADE, SlotKind.QUOTE})

# What `watch_flow` answers.
NOTHING = 0  # no figure and no sum is another one than before
PASSED = 1  # only time passed, and it changed a sum
TOLD = 2  # a message changed a figure, a delta, the room or a sum
BASELINE = 3  # the day's first message, with figures that are no flow of ours
RESET = 4  # a figure fell
FOUND = 5  # the first message since the feed was away: a new base

STEP_S = 5
WINDOW_STEPS = 60  # five minutes
BEFORE_STEPS = 12  # one minute
RING_STEPS = 80  # more than both together
assert WINDOW_STEPS + BEFORE_STEPS <= RING_STEPS

BUY_VOLUME, SELL_VOLUME, BUY_VALUE, SELL_VALUE = range(4)  # places in flow_told and flow_delta

# Read any of them after `watch_flow`; only this file writes.
FLOW_FIELDS: list[Any] = [
    ("flow_day", "<i8"),  # trading date of the figures; 0: none yet
    ("flow_exch_s", "<i8"),  # newest stamp of a FOREIGN message that was taken
    ("flow_outage_no", "<i8"),  # the market's outages as of the last message that was taken
    ("flow_since_exch_s", "<i8"),  # stamp of the base: the newest BASELINE, RESET or FOUND
    ("flow_told", "<i8", (4,)),  # cumulative figures: shares, shares, VND, VND
    ("flow_delta", "<i8", (4,)),  # of the last message; 0 when it is a base
    ("flow_total_room_shares", "<i8"),
    ("flow_current_room_shares", "<i8"),
    ("flow_room_told", "<i8"),  # 1: the room is known today
    ("flow_net_volume_5m_shares", "<i8"),
    ("flow_net_value_5m_vnd", "<i8"),
    ("flow_net_volume_5m_before_shares", "<i8"),
    ("flow_net_value_5m_before_vnd", "<i8"),
    ("flow_room_used_5m_shares", "<i8"),
    ("flow_step", "<i8"),  # newest step, counted since 1970
    ("flow_busy_step", "<i8"),  # the newest step with anything in it
    ("flow_net_volume_shares", "<i8", (RING_STEPS,)),  # by step
    ("flow_net_value_vnd", "<i8", (RING_STEPS,)),
    ("flow_room_used_shares", "<i8", (RING_STEPS,)),
]


@kernel
def watch_flow(own: Any, head: Any, foreign: Any, outage_no: Any) -> Any:
    """Let a slot of the symbol move the flow on; return what it was: NOTHING ... FOUND.

    Parameters
    ----------
    own
        A record with FLOW_FIELDS, written.
    head
        Head of the slot, not of an older trading date. Kinds outside FLOW_KINDS do nothing.
    foreign
        The slot's FOREIGN view; looked at when it is one.
    outage_no
        How many outages the market has had: the ``outage_no`` of row 0 of ``away.FIELDS``.
    """
    kind = head["kind"]
    if kind == FOREIGN:
        return take(own, head, foreign, outage_no)
    if kind in (TRADE, QUOTE):
        return pass_time(own, head)
    return NOTHING


@kernel
def net_volume_shares(own: Any) -> Any:
    """Return the day's net buying in shares, of the exchange's figures."""
    return own["flow_told"][BUY_VOLUME] - own["flow_told"][SELL_VOLUME]


@kernel
def net_value_vnd(own: Any) -> Any:
    """Return the day's net buying in VND, of the exchange's figures."""
    return own["flow_told"][BUY_VALUE] - own["flow_told"][SELL_VALUE]


@kernel
def pass_time(own: Any, head: Any) -> Any:
    """Move the windows to the slot's stamp; return PASSED if a sum changed, else NOTHING."""
    step = np.int64(head["exch_s"]) // STEP_S
    if step <= own["flow_step"] or trade_day(head["exch_s"]) != own["flow_day"]:
        return NOTHING
    return PASSED if move_to(own, step) else NOTHING


@kernel
def move_to(own: Any, step: Any) -> Any:
    """Let time pass up to `step`; return whether a sum changed. Time never moves back."""
    newest = own["flow_step"]
    if step <= newest:
        return False
    if newest - own["flow_busy_step"] >= RING_STEPS:  # nothing is in the windows: most symbols
        own["flow_step"] = step
        return False
    volume, volume_before = (
        own["flow_net_volume_5m_shares"],
        own["flow_net_volume_5m_before_shares"],
    )
    value, value_before = own["flow_net_value_5m_vnd"], own["flow_net_value_5m_before_vnd"]
    room = own["flow_room_used_5m_shares"]
    for each in range(newest + 1, min(step, newest + RING_STEPS) + 1):  # then nothing is left
        pass_step(own, each)
    own["flow_step"] = step
    return (
        volume != own["flow_net_volume_5m_shares"]
        or volume_before != own["flow_net_volume_5m_before_shares"]
        or value != own["flow_net_value_5m_vnd"]
        or value_before != own["flow_net_value_5m_before_vnd"]
        or room != own["flow_room_used_5m_shares"]
    )


@kernel
def pass_step(own: Any, step: Any) -> None:
    """Begin `step`, the one after the newest: take out of the sums what is too old for them."""
    leaves = (step - WINDOW_STEPS) % RING_STEPS
    enters_before = (step - BEFORE_STEPS) % RING_STEPS
    leaves_before = (step - BEFORE_STEPS - WINDOW_STEPS) % RING_STEPS
    volume, value = own["flow_net_volume_shares"], own["flow_net_value_vnd"]
    room = own["flow_room_used_shares"]
    own["flow_net_volume_5m_shares"] -= volume[leaves]
    own["flow_net_volume_5m_before_shares"] += volume[enters_before] - volume[leaves_before]
    own["flow_net_value_5m_vnd"] -= value[leaves]
    own["flow_net_value_5m_before_vnd"] += value[enters_before] - value[leaves_before]
    own["flow_room_used_5m_shares"] -= room[leaves]
    blank = step % RING_STEPS
    volume[blank] = 0
    value[blank] = 0
    room[blank] = 0


@kernel
def figure(foreign: Any, place: Any) -> Any:
    """Return one of the four cumulative figures of a FOREIGN slot."""
    if place == BUY_VOLUME:
        return foreign["buy_volume_shares"]
    if place == SELL_VOLUME:
        return foreign["sell_volume_shares"]
    if place == BUY_VALUE:
        return foreign["buy_value_vnd"]
    return foreign["sell_value_vnd"]


@kernel
def is_zero_snapshot(own: Any, day: Any, foreign: Any) -> Any:
    """Return whether all figures of a FOREIGN slot of `day` are 0, and one was not before."""
    told_any = False
    for place in range(4):
        if figure(foreign, place) != 0:
            return False
        told_any = told_any or own["flow_told"][place] != 0
    return told_any and own["flow_day"] == day


@kernel
def begin_day(own: Any, day: Any, step: Any) -> None:
    """Forget all figures and empty the windows."""
    own["flow_day"] = day
    own["flow_exch_s"] = 0
    own["flow_total_room_shares"] = 0
    own["flow_current_room_shares"] = 0
    own["flow_room_told"] = 0
    own["flow_net_volume_5m_shares"] = 0
    own["flow_net_value_5m_vnd"] = 0
    own["flow_net_volume_5m_before_shares"] = 0
    own["flow_net_value_5m_before_vnd"] = 0
    own["flow_room_used_5m_shares"] = 0
    own["flow_step"] = step
    own["flow_busy_step"] = step - RING_STEPS
    for place in range(4):
        own["flow_told"][place] = 0
        own["flow_delta"][place] = 0
    for place in range(RING_STEPS):
        own["flow_net_volume_shares"][place] = 0
        own["flow_net_value_vnd"][place] = 0
        own["flow_room_used_shares"][place] = 0


@kernel
def take(own: Any, head: Any, foreign: Any, outage_no: Any) -> Any:
    """Take a FOREIGN message; return what it is, NOTHING when it changed nothing."""
    exch_s = np.int64(head["exch_s"])
    day = trade_day(exch_s)
    if own["flow_day"] != day:
        begin_day(own, day, exch_s // STEP_S)
        own["flow_outage_no"] = outage_no
        told_any = rebase(own, exch_s, foreign)
        return BASELINE if told_any else TOLD
    if is_zero_snapshot(own, day, foreign):
        return NOTHING
    grew, fell = False, False
    for place in range(4):
        delta = figure(foreign, place) - own["flow_told"][place]
        grew = grew or delta > 0
        fell = fell or delta < 0
    if exch_s < own["flow_exch_s"] and (fell or not grew):
        return NOTHING
    moved = move_to(own, exch_s // STEP_S)
    found = own["flow_outage_no"] != outage_no
    own["flow_outage_no"] = outage_no
    if fell or found:
        rebase(own, exch_s, foreign)
        return RESET if fell else FOUND
    changed = count(own, exch_s, foreign)
    return TOLD if moved or changed else NOTHING


@kernel
def rebase(own: Any, exch_s: Any, foreign: Any) -> Any:
    """Make the message the base of later deltas; return whether any figure is not 0."""
    told_any = False
    for place in range(4):
        told = figure(foreign, place)
        own["flow_told"][place] = told
        own["flow_delta"][place] = 0
        told_any = told_any or told != 0
    take_room(own, foreign)
    own["flow_exch_s"] = max(own["flow_exch_s"], exch_s)
    own["flow_since_exch_s"] = exch_s
    return told_any


@kernel
def count(own: Any, exch_s: Any, foreign: Any) -> Any:
    """Add a message in which no figure fell; return whether figures, deltas or room changed."""
    changed = False
    for place in range(4):
        told = figure(foreign, place)
        delta = told - own["flow_told"][place]
        changed = changed or delta != 0 or own["flow_delta"][place] != 0
        own["flow_told"][place] = told
        own["flow_delta"][place] = delta
    own["flow_exch_s"] = max(own["flow_exch_s"], exch_s)
    room_known, total_before = own["flow_room_told"], own["flow_total_room_shares"]
    fall = take_room(own, foreign)
    changed = changed or room_known != own["flow_room_told"] or fall != 0
    changed = changed or total_before != own["flow_total_room_shares"]
    net_volume = own["flow_delta"][BUY_VOLUME] - own["flow_delta"][SELL_VOLUME]
    net_value = own["flow_delta"][BUY_VALUE] - own["flow_delta"][SELL_VALUE]
    place = own["flow_step"] % RING_STEPS
    if net_volume != 0 or net_value != 0 or fall != 0:
        own["flow_busy_step"] = own["flow_step"]
    own["flow_net_volume_shares"][place] += net_volume
    own["flow_net_value_vnd"][place] += net_value
    own["flow_room_used_shares"][place] += fall
    own["flow_net_volume_5m_shares"] += net_volume
    own["flow_net_value_5m_vnd"] += net_value
    own["flow_room_used_5m_shares"] += fall
    return changed


@kernel
def take_room(own: Any, foreign: Any) -> Any:
    """Take over the room if it is told; return by how much a known room fell."""
    total, current = foreign["total_room_shares"], foreign["current_room_shares"]
    if total == 0 and current == 0:
        return np.int64(0)
    fall = np.int64(0)
    if own["flow_room_told"] != 0:
        fall = own["flow_current_room_shares"] - current
    own["flow_total_room_shares"] = total
    own["flow_current_room_shares"] = current
    own["flow_room_told"] = 1
    return fall
