"""Session statistics: channel ``stats``, the day so far by phase and side.

Sources: market-behaviour sections 1, 4 and 11. Rules:

* Every accepted TRADE slot changes the row, repeats included (the estimated price of an auction
  moves with them): one row per symbol and group.
* Counts, volume, value, largest trade and the phase x side tables are of matches only, late ones
  included. Totals are the exchange's, as carried. ``volume == total - missed`` always; a
  correction makes missed smaller, below zero if need be.
* A message of the past (LATE, or a REPEAT with another total than the current one) says nothing
  about now: totals, last price and estimated price stay. A late match is counted where and when it
  was made: it widens the range by its own price, may be the day's first or last trade by its
  stamp, and is the open when it covers the day's first share and no open is known.
* OHLC is of matches. High and low are also widened by the exchange's own, which know of matches
  we missed. Open is the first match if nothing was missed before it, else the exchange's open
  from the first message that carries one; until then 0: no number is better than a wrong one.
* A baseline gives the last price, which some match had: it widens the range too. A correction
  gives last, open, high and low where the message has them, because the match that is gone may
  have made ours.
* Reference, ceiling, floor and prior close keep their last positive value; the estimated price
  is as carried (0 = none). REFERENCE slots tell the first three too; one that changes none of
  them publishes nothing.
* The first TRADE slot, or the first REFERENCE slot with news, of a newer trading date starts a
  blank row; seq goes on. Flags BASELINE and CORRECTED stay for the day.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.jit import kernel
from engine.schema import channels
from engine.schema.codes import DeltaFlag, NoteFlag, SlotKind, TradeEvent
from engine.schema.deltas import STATS_DELTA
from engine.shard.groups import LAST, NO_PARAMS, STALE_DAY, blank_row, publish, stamp, trade_day
from engine.shard.stage import Stage

TRADE, REFERENCE = int(SlotKind.TRADE), int(SlotKind.REFERENCE)
MATCH, REPEAT, LATE = int(TradeEvent.MATCH), int(TradeEvent.REPEAT), int(TradeEvent.LATE)
BASELINE, CORRECTION = int(TradeEvent.BASELINE), int(TradeEvent.CORRECTION)
DISAGREE = int(NoteFlag.DISAGREE)
FLAG_BASELINE, FLAG_CORRECTED = int(DeltaFlag.BASELINE), int(DeltaFlag.CORRECTED)

STATE = np.dtype(
    [
        ("row", STATS_DELTA),
        ("out_row", "<i8"),
        ("open_known", "<i8"),  # 1: the day's first match or the exchange has told the open
    ]
)


@kernel
def begin_day(state: Any, symbol_id: Any, day: Any) -> None:
    """Begin a trading date: a blank row, and no open known."""
    blank_row(state, symbol_id, day)
    state[symbol_id]["open_known"] = 0


@kernel
def widen(row: Any, high_e2: Any, low_e2: Any) -> None:
    """Stretch the day's range; 0 is no price."""
    if high_e2 > row["high_price_e2"]:
        row["high_price_e2"] = high_e2
    if low_e2 > 0 and (row["low_price_e2"] == 0 or low_e2 < row["low_price_e2"]):
        row["low_price_e2"] = low_e2


@kernel
def carry_limits(row: Any, told: Any) -> None:
    """Take over the limits of the day from a TRADE or REFERENCE slot that has them."""
    if told["reference_price_e2"] > 0:
        row["reference_price_e2"] = told["reference_price_e2"]
    if told["ceiling_price_e2"] > 0:
        row["ceiling_price_e2"] = told["ceiling_price_e2"]
    if told["floor_price_e2"] > 0:
        row["floor_price_e2"] = told["floor_price_e2"]


@kernel
def limits_changed(row: Any, told: Any, day: Any) -> Any:
    """Return whether a REFERENCE slot of `day` tells a price that the row does not say."""
    same_day = row["trade_day"] == day
    for told_e2, known_e2 in (
        (told["reference_price_e2"], row["reference_price_e2"]),
        (told["ceiling_price_e2"], row["ceiling_price_e2"]),
        (told["floor_price_e2"], row["floor_price_e2"]),
    ):
        if told_e2 > 0 and not (same_day and told_e2 == known_e2):
            return True
    return False


@kernel
def carry(row: Any, trade: Any) -> None:
    """Take over what the message says outright."""
    carry_limits(row, trade)
    if trade["prior_close_price_e2"] > 0:
        row["prior_close_price_e2"] = trade["prior_close_price_e2"]
    row["estimated_price_e2"] = trade["estimated_price_e2"]
    row["total_volume_shares"] = trade["total_volume_shares"]
    row["total_value_vnd"] = trade["total_value_vnd"]


@kernel
def add_match(own: Any, head: Any, trade: Any, note: Any, first: Any) -> None:
    """Count one match. `first`: the exchange had counted no volume today before this message."""
    row = own["row"]
    price_e2 = trade["last_price_e2"]
    if first and note["missed_volume_shares"] == 0:
        row["open_price_e2"] = price_e2
        own["open_known"] = 1
    widen(row, price_e2, price_e2)
    row["last_price_e2"] = price_e2
    if row["trade_count"] == 0:
        row["first_trade_exch_s"] = head["exch_s"]
    row["last_trade_exch_s"] = head["exch_s"]
    count_match(row, note)


@kernel
def add_late(own: Any, head: Any, trade: Any, note: Any) -> None:
    """Count one match that arrived after later ones."""
    row = own["row"]
    price_e2 = trade["last_price_e2"]
    if not own["open_known"] and trade["total_volume_shares"] == note["volume_shares"]:
        row["open_price_e2"] = price_e2
        own["open_known"] = 1
    widen(row, price_e2, price_e2)
    exch_s = head["exch_s"]
    if row["trade_count"] == 0 or exch_s < row["first_trade_exch_s"]:
        row["first_trade_exch_s"] = exch_s
    if exch_s > row["last_trade_exch_s"]:
        row["last_trade_exch_s"] = exch_s
    count_match(row, note)


@kernel
def count_match(row: Any, note: Any) -> None:
    """Add one match to the counts, sums and tables."""
    row["trade_count"] += 1
    volume, value = note["volume_shares"], note["value_vnd"]
    row["volume_shares"] += volume
    row["value_vnd"] += value
    if volume > row["largest_trade_shares"]:
        row["largest_trade_shares"] = volume
    phase, side = note["phase"], note["side"]
    row["phase_side_volume_shares"][phase, side] += volume
    row["phase_side_value_vnd"][phase, side] += value
    row["phase_side_count"][phase, side] += 1
    if note["flags"] & DISAGREE:
        row["phase_disagree_count"][phase] += 1


@kernel
def follow(own: Any, trade: Any) -> None:
    """After a correction the exchange's prices replace ours."""
    row = own["row"]
    if trade["last_price_e2"] > 0:
        row["last_price_e2"] = trade["last_price_e2"]
    if trade["high_price_e2"] > 0:
        row["high_price_e2"] = trade["high_price_e2"]
    if trade["low_price_e2"] > 0:
        row["low_price_e2"] = trade["low_price_e2"]
    if trade["open_price_e2"] > 0:
        row["open_price_e2"] = trade["open_price_e2"]
        own["open_known"] = 1


@kernel
def apply(own: Any, head: Any, trade: Any, note: Any) -> None:
    """Fold one accepted TRADE slot into the symbol's state; publishes nothing."""
    row = own["row"]
    event = note["event"]
    flags = row["flags"]
    row["missed_volume_shares"] += note["missed_volume_shares"]
    past = trade["total_volume_shares"] != row["total_volume_shares"]
    if event == LATE or (event == REPEAT and past):
        if event == LATE:
            add_late(own, head, trade, note)
        else:
            row["repeat_count"] += 1
        stamp(row, head, note["phase"], flags)
        return
    first = row["total_volume_shares"] == 0
    carry(row, trade)
    if event == MATCH:
        add_match(own, head, trade, note, first)
    elif event == REPEAT:
        row["repeat_count"] += 1
    elif event == BASELINE:
        flags |= FLAG_BASELINE
        if trade["last_price_e2"] > 0:
            row["last_price_e2"] = trade["last_price_e2"]
            widen(row, trade["last_price_e2"], trade["last_price_e2"])
    elif event == CORRECTION:
        flags |= FLAG_CORRECTED
        row["correction_count"] += 1
        follow(own, trade)
    if trade["total_volume_shares"] > 0:
        widen(row, trade["high_price_e2"], trade["low_price_e2"])
        if not own["open_known"] and trade["open_price_e2"] > 0:
            row["open_price_e2"] = trade["open_price_e2"]
            own["open_known"] = 1
    stamp(row, head, note["phase"], flags)


@kernel
def stats(rows: Any, notes: Any, state: Any, params: Any, out: Any) -> Any:  # noqa: ARG001
    """Publish one row per symbol that a group told news of. See ``Stage``."""
    count = 0
    base = 0
    for i in range(rows.count):
        head = rows.head[i]
        kind = head["kind"]
        if kind in (TRADE, REFERENCE) and not notes[i]["flags"] & STALE_DAY:
            symbol_id = head["symbol_id"]
            own = state[symbol_id]
            row = own["row"]
            day = trade_day(head["exch_s"])
            news = kind == TRADE or limits_changed(row, rows.reference[i], day)
            if news and row["trade_day"] != day:
                begin_day(state, symbol_id, day)
            if kind == TRADE:
                apply(own, head, rows.trade[i], notes[i])
            elif news:
                carry_limits(row, rows.reference[i])
                stamp(row, head, notes[i]["phase"], row["flags"])
            if news:
                count = publish(state, symbol_id, out, base, count)
        if head["flags"] & LAST:
            base = count
    return count


def check_invariants(stats_rows: NDArray[np.void]) -> list[str]:
    """Say which rows of channel ``stats`` do not add up; an empty list is good.

    Parameters
    ----------
    stats_rows
        STATS_DELTA rows of any number of symbols, any shape. Blank rows add up.

    Returns
    -------
    list of str
        One sentence per broken sum: phases and sides against the total (market-behaviour
        section 4) and volume against the exchange's total less the missed volume.
    """
    rows = np.atleast_1d(stats_rows).ravel()
    axes = (1, 2)
    checks = [
        (
            "phase x side volume",
            rows["phase_side_volume_shares"].sum(axes),
            "volume",
            rows["volume_shares"],
        ),
        ("phase x side value", rows["phase_side_value_vnd"].sum(axes), "value", rows["value_vnd"]),
        (
            "phase x side count",
            rows["phase_side_count"].sum(axes),
            "trade count",
            rows["trade_count"],
        ),
        (
            "volume",
            rows["volume_shares"],
            "total - missed",
            rows["total_volume_shares"] - rows["missed_volume_shares"],
        ),
    ]
    return [
        f"symbol {rows['symbol_id'][i]} day {rows['trade_day'][i]}: {left_name} is {left[i]}, "
        f"{right_name} is {right[i]}"
        for left_name, left, right_name, right in checks
        for i in np.flatnonzero(left != right)
    ]


STAGE = Stage(
    "stats",
    "symbol",
    STATE,
    NO_PARAMS,
    channels.STATS,
    stats,
    "the day so far: prices, counts, and volume and value by phase and side",
    kinds=frozenset({SlotKind.TRADE, SlotKind.REFERENCE}),
)
