"""Whether an index tells a value of today: for every stage that asks, so that all answer alike.

Source: market-behaviour section 7. Before its first match an index repeats the prior close. Its
total volume does not tell: put-through deals are in it, and are reported from the call of the
opening auction on. So in PRE and ATO a value is one of today once the index has matched volume; at
any other time every positive value is.
"""

from typing import Any

import numpy as np

from engine.jit import kernel
from engine.schema.codes import Phase

PRE, ATO = int(Phase.PRE), int(Phase.ATO)


@kernel
def todays_value_e2(told: Any, phase: Any) -> Any:
    """Return the value of an INDEX slot if it is one of today's trading, else 0.

    Parameters
    ----------
    told
        The slot's INDEX view, read.
    phase
        Phase of the slot's note.

    Returns
    -------
    int64
        Points x 100.
    """
    if told["value_e2"] <= 0 or (phase in (PRE, ATO) and told["matched_volume_shares"] == 0):
        return np.int64(0)
    return np.int64(told["value_e2"])
