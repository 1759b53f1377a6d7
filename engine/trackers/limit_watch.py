"""At the ceiling or the floor: what one slot changes for one symbol.

Used by channel ``limits`` and by the alert rule ``price_limit``. Each keeps LIMIT_FIELDS of its own
per symbol and hands every accepted slot to the watcher of its kind::

    event = watch_match(own, head, rows.trade[i], note)          # TRADE
    event = watch_queue(own, head, rows.quote[i], note)          # QUOTE
    event = watch_limits(own, head, rows.reference[i], note)     # REFERENCE
    if event == LEAVE: ... then  event = land(own, head, note)   # from one limit to the other

Slots with NoteFlag.STALE_DAY are not for them. Each answers with a LimitEvent. What it was about is
in `own`; ``event_flags`` (DeltaFlag) says how good the news is.

Sources: market-behaviour section 5 (limit monitor: since when, residual queue, time locked, unlock
with size), ssi-wire 3.3 (auction books). Rules:

Limits
    Of today only, as TRADE or REFERENCE slots tell them; 0 is not told. The first slot of a newer
    trading date forgets everything.
Where the price is
    The last match, or what a BASELINE or CORRECTION has instead. Repeats and late matches do not
    move it. ENTER when it comes to a limit, LEAVE when it goes away; a symbol that goes from one
    limit to the other does both. Further matches at the limit are no event: they add to
    ``hit_volume_shares``, and so does a late match that is not older than the entry.
Baseline
    When an ENTER was not seen happening (a BASELINE, or the limit became known after the price)
    its flag is BASELINE, and ``visit_flags`` keep it until the price leaves: since is then not the
    true beginning and the volume hit not all of it.
Lock
    Only a book that comes while the price is at a limit can lock: orders wait at the limit price
    on its side (bids at the ceiling, asks at the floor), and the other side has no order at all.
    While locked, a book with orders at the limit and no priced order against them keeps the lock,
    orders at price 0 (ATO/ATC) notwithstanding; QUEUE when the number waiting changed.
    Any other book unlocks, except one that cannot know: a crossed one, one whose level 1 is
    at price 0, and outside CONTINUOUS an empty one. A book of a halted symbol is not looked at.
    LEAVE unlocks too. What waited by the last book is then ``left_queue_shares``, which begins at
    0 with each ENTER.
Time
    Lock time is time of the exchange's stamps, lunch included; ``locked_s`` is of locks that ended.
Outage
    With the symbol's first news since the feed was away its queue is forgotten; whether it is still
    locked, the next book that knows tells: QUEUE, or UNLOCK with no queue. Time is then counted up
    to the last news before the outage, if the lock is gone. All these say AFTER_OUTAGE.
"""

from typing import Any

import numpy as np

from engine.jit import kernel
from engine.schema.codes import DeltaFlag, LimitEvent, LimitState, NoteFlag, Phase, TradeEvent
from engine.schema.slots import LEVEL_COUNT
from engine.shard.auction_book import auction_flags
from engine.shard.book import first_price
from engine.shard.groups import trade_day

MATCH, LATE = int(TradeEvent.MATCH), int(TradeEvent.LATE)
BASELINE, CORRECTION = int(TradeEvent.BASELINE), int(TradeEvent.CORRECTION)
NOTE_AFTER_OUTAGE = int(NoteFlag.AFTER_OUTAGE)
FLAG_BASELINE, FLAG_CORRECTED = int(DeltaFlag.BASELINE), int(DeltaFlag.CORRECTED)
FLAG_AFTER_OUTAGE = int(DeltaFlag.AFTER_OUTAGE)
ELSEWHERE, CEILING, FLOOR = int(LimitState.NONE), int(LimitState.CEILING), int(LimitState.FLOOR)
NOTHING, ENTER, LOCK = int(LimitEvent.NONE), int(LimitEvent.ENTER), int(LimitEvent.LOCK)
QUEUE, UNLOCK, LEAVE = int(LimitEvent.QUEUE), int(LimitEvent.UNLOCK), int(LimitEvent.LEAVE)
HALT, CONTINUOUS = int(Phase.HALT), int(Phase.CONTINUOUS)

LIMIT_FIELDS: list[Any] = [
    ("watch_day", "<i8"),  # trading date of everything below
    ("queue_shares", "<i8"),  # waiting at the limit by the last book that knew
    ("left_queue_shares", "<i8"),  # what waited when this visit last unlocked or left
    ("hit_volume_shares", "<i8"),  # matched at the limit in this visit, as far as it was seen
    ("ceiling_price_e2", "<i4"),  # 0: not told today
    ("floor_price_e2", "<i4"),
    ("last_price_e2", "<i4"),  # 0: no match today
    ("limit_price_e2", "<i4"),  # of this visit, or of the last one
    ("since_exch_s", "<u4"),  # its entry
    ("locked_since_exch_s", "<u4"),  # 0: not locked
    ("locked_seen_exch_s", "<u4"),  # newest news of the symbol while locked, before an outage
    ("locked_s", "<u4"),
    ("enter_count", "<u4"),  # today
    ("limit_state", "u1"),  # LimitState
    ("locked", "u1"),
    ("unsure", "u1"),  # the feed was away and no book has told about the queue since
    ("reserved_watch", "u1"),
    ("visit_flags", "<u2"),  # DeltaFlag of the entry: BASELINE or none
    ("event_flags", "<u2"),  # DeltaFlag of the last event
]


@kernel
def begin_watch_day(own: Any, day: Any) -> None:
    """Forget yesterday, limits included, when `day` is another one."""
    if own["watch_day"] == day:
        return
    own["watch_day"] = day
    own["queue_shares"] = 0
    own["left_queue_shares"] = 0
    own["hit_volume_shares"] = 0
    own["ceiling_price_e2"] = 0
    own["floor_price_e2"] = 0
    own["last_price_e2"] = 0
    own["limit_price_e2"] = 0
    own["since_exch_s"] = 0
    own["locked_since_exch_s"] = 0
    own["locked_seen_exch_s"] = 0
    own["locked_s"] = 0
    own["enter_count"] = 0
    own["limit_state"] = ELSEWHERE
    own["locked"] = 0
    own["unsure"] = 0
    own["visit_flags"] = 0
    own["event_flags"] = 0


@kernel
def begin_slot(own: Any, head: Any, note: Any) -> None:
    """Do what every slot does first: roll the day, and doubt the queue after an outage."""
    begin_watch_day(own, trade_day(head["exch_s"]))
    if own["limit_state"] == ELSEWHERE:
        return
    if note["flags"] & NOTE_AFTER_OUTAGE:
        own["queue_shares"] = 0
        own["unsure"] = 1
    elif own["locked"] and not own["unsure"] and head["exch_s"] > own["locked_seen_exch_s"]:
        own["locked_seen_exch_s"] = head["exch_s"]


@kernel
def flags_of(own: Any, note: Any) -> Any:
    """Return AFTER_OUTAGE when this is news of that kind, else 0."""
    if own["unsure"] or note["flags"] & NOTE_AFTER_OUTAGE:
        return FLAG_AFTER_OUTAGE
    return 0


@kernel
def learn_limits(own: Any, told: Any) -> None:
    """Take over today's limits from a TRADE or REFERENCE slot that has them."""
    if told["ceiling_price_e2"] > 0:
        own["ceiling_price_e2"] = told["ceiling_price_e2"]
    if told["floor_price_e2"] > 0:
        own["floor_price_e2"] = told["floor_price_e2"]


@kernel
def limit_at(own: Any, price_e2: Any) -> Any:
    """Return the LimitState of a price; 0 is no price."""
    if price_e2 <= 0:
        return ELSEWHERE
    if price_e2 == own["ceiling_price_e2"]:
        return CEILING
    if price_e2 == own["floor_price_e2"]:
        return FLOOR
    return ELSEWHERE


@kernel
def end_lock(own: Any, exch_s: Any) -> None:
    """Count the time of the lock that ends at `exch_s`, or ended nobody knows when, and unlock."""
    end_s = own["locked_seen_exch_s"] if own["unsure"] else exch_s
    if end_s > own["locked_since_exch_s"]:
        own["locked_s"] += end_s - own["locked_since_exch_s"]
    own["locked"] = 0
    own["locked_since_exch_s"] = 0
    own["left_queue_shares"] = own["queue_shares"]


@kernel
def leave(own: Any, head: Any, flags: Any) -> Any:
    """Take the symbol away from its limit, and with that off its lock."""
    if own["locked"]:
        end_lock(own, head["exch_s"])
    own["limit_state"] = ELSEWHERE
    own["queue_shares"] = 0
    own["unsure"] = 0
    own["event_flags"] = flags
    return LEAVE


@kernel
def enter(own: Any, head: Any, state: Any, volume: Any, flags: Any) -> Any:
    """Begin a visit; `volume` is of the match that brought the price there."""
    own["limit_state"] = state
    own["limit_price_e2"] = own["last_price_e2"]
    own["since_exch_s"] = head["exch_s"]
    own["enter_count"] += 1
    own["hit_volume_shares"] = volume
    own["left_queue_shares"] = 0
    own["visit_flags"] = flags & FLAG_BASELINE
    own["event_flags"] = flags
    return ENTER


@kernel
def place(own: Any, head: Any, volume: Any, flags: Any, seen: Any) -> Any:
    """Compare the last price with the limits; `seen`: this slot moved the price.

    `volume` is of the match that this slot tells, 0 when it tells none.
    """
    state = limit_at(own, own["last_price_e2"])
    now = own["limit_state"]
    if now == ELSEWHERE:
        if state == ELSEWHERE:
            return NOTHING
        return enter(own, head, state, volume, flags if seen else flags | FLAG_BASELINE)
    if state == now and own["last_price_e2"] == own["limit_price_e2"]:
        own["hit_volume_shares"] += volume
        return NOTHING
    return leave(own, head, flags)


@kernel
def watch_match(own: Any, head: Any, trade: Any, note: Any) -> Any:
    """Return the LimitEvent of an accepted TRADE slot (`own` is written)."""
    begin_slot(own, head, note)
    event, price_e2 = note["event"], trade["last_price_e2"]
    if event == LATE:
        if (
            own["limit_state"] != ELSEWHERE
            and price_e2 == own["limit_price_e2"]
            and head["exch_s"] >= own["since_exch_s"]
        ):
            own["hit_volume_shares"] += note["volume_shares"]
        return NOTHING
    learn_limits(own, trade)
    before_e2 = own["last_price_e2"]
    flags = flags_of(own, note)
    if event == CORRECTION:
        flags |= FLAG_CORRECTED
        if trade["total_volume_shares"] == 0:
            own["last_price_e2"] = 0
        elif price_e2 > 0:
            own["last_price_e2"] = price_e2
    elif event == BASELINE:
        flags |= FLAG_BASELINE
        if price_e2 > 0:
            own["last_price_e2"] = price_e2
    elif event == MATCH:
        own["last_price_e2"] = price_e2
    volume = note["volume_shares"] if event == MATCH else np.int64(0)
    return place(own, head, volume, flags, own["last_price_e2"] != before_e2)


@kernel
def watch_limits(own: Any, head: Any, told: Any, note: Any) -> Any:
    """Return the LimitEvent of an accepted REFERENCE slot (`own` is written)."""
    begin_slot(own, head, note)
    learn_limits(own, told)
    return place(own, head, np.int64(0), flags_of(own, note), False)


@kernel
def land(own: Any, head: Any, note: Any) -> Any:
    """After a LEAVE: return ENTER when the same slot brought the price to a limit, else NONE."""
    state = limit_at(own, own["last_price_e2"])
    if state == ELSEWHERE:
        return NOTHING
    return enter(own, head, state, note["volume_shares"], own["event_flags"])


@kernel
def waiting_at(prices: Any, volumes: Any, price_e2: Any) -> Any:
    """Return the volume of a side at one price."""
    total = np.int64(0)
    for level in range(LEVEL_COUNT):
        if prices[level] == price_e2:
            total += volumes[level]
    return total


@kernel
def priced(prices: Any, volumes: Any) -> Any:
    """Return the volume of a side at any price; orders at price 0 (ATO/ATC) have none."""
    total = np.int64(0)
    for level in range(LEVEL_COUNT):
        if prices[level] > 0:
            total += volumes[level]
    return total


@kernel
def watch_queue(own: Any, head: Any, book: Any, note: Any) -> Any:
    """Return the LimitEvent of an accepted QUOTE slot (`own` is written)."""
    begin_slot(own, head, note)
    if own["limit_state"] == ELSEWHERE or note["phase"] == HALT:
        return NOTHING
    bids, bid_volumes = book["bid_price_e2"], book["bid_volume_shares"]
    asks, ask_volumes = book["ask_price_e2"], book["ask_volume_shares"]
    if own["limit_state"] == CEILING:
        queue = waiting_at(bids, bid_volumes, own["limit_price_e2"])
        against = priced(asks, ask_volumes) > 0
        market_against = waiting_at(asks, ask_volumes, 0) > 0
    else:
        queue = waiting_at(asks, ask_volumes, own["limit_price_e2"])
        against = priced(bids, bid_volumes) > 0
        market_against = waiting_at(bids, bid_volumes, 0) > 0
    flags = flags_of(own, note)
    if queue > 0 and not against:
        if own["locked"]:
            return still_locked(own, head, queue, flags)
        if market_against:
            return NOTHING
        own["locked"] = 1
        own["locked_since_exch_s"] = head["exch_s"]
        own["locked_seen_exch_s"] = head["exch_s"]
        event = LOCK
    elif cannot_know(book, note["phase"]):
        return NOTHING
    elif own["locked"]:
        end_lock(own, head["exch_s"])
        event = UNLOCK
    else:
        own["unsure"] = 0
        return NOTHING
    own["queue_shares"] = queue
    own["unsure"] = 0
    own["event_flags"] = flags
    return event


@kernel
def still_locked(own: Any, head: Any, queue: Any, flags: Any) -> Any:
    """Keep the lock; return QUEUE when the book tells another number."""
    if own["queue_shares"] == queue and not own["unsure"]:
        return NOTHING
    own["unsure"] = 0
    own["locked_seen_exch_s"] = max(own["locked_seen_exch_s"], head["exch_s"])
    own["queue_shares"] = queue
    own["event_flags"] = flags
    return QUEUE


@kernel
def cannot_know(book: Any, phase: Any) -> Any:
    """Return whether a book without a lock may hide one: of an auction, or a blank message."""
    bid, ask = first_price(book["bid_price_e2"]), first_price(book["ask_price_e2"])
    if auction_flags(bid, ask, book) != 0:
        return True
    return bid == 0 and ask == 0 and phase != CONTINUOUS
