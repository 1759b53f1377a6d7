"""When to try again: at once after a good connection, then later and later, never in step."""

import random
from typing import Final

FIRST_S: Final = 1.0
LONGEST_S: Final = 30.0
STEADY_S: Final = 5.0  # a connection that lived so long was a good one


class Backoff:
    """Full jitter: a random part of a bound that doubles, so that a thousand clients spread out."""

    def __init__(self, random_source: random.Random | None = None) -> None:
        self._random = random_source or random.Random()
        self._failures = 0

    def lived(self, seconds: float) -> None:
        """Tell how long the last connection lived."""
        if seconds >= STEADY_S:
            self._failures = 0

    def wait_s(self, *, at_once: bool) -> float:
        """Return how long to wait before the next attempt.

        Parameters
        ----------
        at_once
            The gateway said `reconnect`: the first attempt need not wait, those after it do.
        """
        self._failures += 1
        if at_once and self._failures == 1:
            return 0.0
        bound_s = min(FIRST_S * 2.0 ** min(self._failures - 1, 10), LONGEST_S)
        return self._random.uniform(0.0, bound_s)
