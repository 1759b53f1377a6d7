"""Which bar a moment belongs to: bars are aligned to the exchange's clock and keep phases apart.

Sources: market-behaviour sections 2 and 9. A bar is known by its key: start and phase in one
integer, so that an earlier bar has a smaller key, and the auction before a session a smaller one
than the session, should both begin in the same interval.
"""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.clock import DAY_S, ICT_OFFSET_S
from engine.jit import kernel
from engine.market.sessions import MINUTE_COUNT, MINUTE_S
from engine.schema.codes import PHASE_COUNT, Phase
from engine.shard.groups import trade_day
from engine.shard.phases import PHASE_FIELDS, era_of, fill_phase_params, known_venue
from engine.shard.stage import FillParams, StageSettings

CONTINUOUS, PLO = int(Phase.CONTINUOUS), int(Phase.PLO)

PARAMS = np.dtype([("interval_s", "<i8"), *PHASE_FIELDS])


def _fill(params: NDArray[np.void], _settings: StageSettings, *, interval_s: int) -> None:
    fill_phase_params(params)
    params[0]["interval_s"] = interval_s


def fill_of(interval_s: int) -> FillParams:
    """Return what writes the parameters of bars of `interval_s`: whole minutes that divide a day.

    An interval must divide the hour, or be a whole day.
    """
    assert interval_s == DAY_S or 3600 % interval_s == interval_s % MINUTE_S == 0
    return partial(_fill, interval_s=interval_s)


@kernel
def make_key(start_exch_s: Any, phase: Any) -> Any:
    """Return the key of the bar of `phase` that starts at `start_exch_s`; never 0."""
    return np.int64(start_exch_s) * PHASE_COUNT + np.int64(phase)


@kernel
def booked_minute(params: Any, day: Any, venue: Any, minute: Any, phase: Any) -> Any:
    """Return the minute of the day that an event of `phase`, stamped in `minute`, is booked to.

    Of CONTINUOUS and PLO: the last minute at or before the stamp in which the venue's clock shows
    that phase; when there is none, the first after it. Of an auction the stamp's own.
    """
    if phase not in (CONTINUOUS, PLO):
        return minute
    clock = params[0]["phase"]
    era, place = era_of(params, day), known_venue(venue)
    for each in range(minute, -1, -1):
        if clock[era, place, each] == phase:
            return each
    for each in range(minute + 1, MINUTE_COUNT):
        if clock[era, place, each] == phase:
            return each
    return minute


@kernel
def key_at(params: Any, exch_s: Any, venue: Any, phase: Any) -> Any:
    """Return the key of the bar that an event of a matching `phase` stamped `exch_s` belongs to."""
    day = trade_day(exch_s)
    midnight_s = day * DAY_S - ICT_OFFSET_S
    interval_s = params[0]["interval_s"]
    if interval_s == DAY_S:
        return make_key(midnight_s, CONTINUOUS)
    minute = (np.int64(exch_s) - midnight_s) // MINUTE_S
    second = booked_minute(params, day, venue, minute, phase) * MINUTE_S
    return make_key(midnight_s + second // interval_s * interval_s, phase)


@kernel
def key_of_match_at(params: Any, exch_s: Any, venue: Any) -> Any:
    """Return the key of the bar that a match stamped `exch_s` would belong to, by the clock."""
    day = trade_day(exch_s)
    minute = (np.int64(exch_s) + ICT_OFFSET_S - day * DAY_S) // MINUTE_S
    phase = params[0]["match_phase"][era_of(params, day), known_venue(venue), minute]
    return key_at(params, exch_s, venue, phase)
