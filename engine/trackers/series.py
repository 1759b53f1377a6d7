"""A day minute by minute in one row: where the entry of a stamp goes.

A row with a series has ``series_count``, ``series_exch_s`` (the start of each minute) and one array
per quantity, SERIES_MINUTES long. An entry is the last of its minute. A stage publishes once per
minute: the last entry is of the running minute, as it was when the row was published; what comes
later in that minute is kept beside the row, and goes into it when the first message of a newer
minute ends it. So the row in the state always is the row that was published.
"""

from typing import Any

import numpy as np

from engine.jit import kernel
from engine.schema.deltas import SERIES_MINUTES

MINUTE_S = 60
FULL = -1  # no place: the day has more minutes than a row holds


@kernel
def minute_of(exch_s: Any) -> Any:
    """Return the start of the minute of an exchange stamp; UTC and ICT minutes are the same."""
    stamp = np.int64(exch_s)
    return stamp - stamp % MINUTE_S


@kernel
def place_of(row: Any, exch_s: Any) -> Any:
    """Return the place in the series for a value of `exch_s`.

    Parameters
    ----------
    row
        A row with a series, read.
    exch_s
        Stamp of the value.

    Returns
    -------
    int
        ``series_count - 1`` when the running minute is meant: the stamp lies in it, or in an older
        one, because it is the newest that is known all the same. ``series_count`` when a newer
        minute begins. FULL when one begins and there is no room for it.
    """
    count = np.int64(row["series_count"])
    if count > 0 and minute_of(exch_s) <= row["series_exch_s"][count - 1]:
        return count - 1
    return count if count < SERIES_MINUTES else np.int64(FULL)


@kernel
def begin_minute(row: Any, exch_s: Any) -> None:
    """Append an entry for the minute of `exch_s`; there must be room (see `place_of`).

    The caller writes the quantities at the place that `place_of` gave.
    """
    count = row["series_count"]
    row["series_exch_s"][count] = minute_of(exch_s)
    row["series_count"] = count + 1
