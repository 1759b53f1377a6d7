"""How long to wait before the next connection. Pure: time and chance are arguments."""

import random

# Nothing at our end will change these soon: a wrong key, an address that is not allowed.
REFUSALS = frozenset({400, 401, 403, 404})
TOO_MANY_REQUESTS = 429
QUOTA_WAIT_S = 30.0


def backoff_s(failures: int, base_ms: int, cap_ms: int, rng: random.Random) -> float:
    """Return a delay: exponential with full jitter, so that many clients spread out.

    Uniform between 0 and ``min(cap, base * 2**failures)``.
    """
    return rng.uniform(0.0, min(cap_ms, base_ms * 2 ** min(failures, 32)) / 1_000)


class Backoff:
    """The delays of one feed.

    ======================  ======================================================================
    an ordinary failure     full jitter below a limit that doubles from `base_ms` to `cap_ms`
    a refusal (REFUSALS)    the first like any other: a token may just have become invalid;
                            the next ones in a row between half of `cap_ms` and all of it
    too many requests       `QUOTA_WAIT_S` and the ordinary delay on top
    a connection that was   begins anew: it was a new incident
    live for `cap_ms`
    ======================  ======================================================================

    Parameters
    ----------
    base_ms, cap_ms
        The longest delay before the first reconnect and before any.
    rng
        Chance, seeded by the caller.
    """

    def __init__(self, base_ms: int, cap_ms: int, rng: random.Random) -> None:
        self._base_ms = base_ms
        self._cap_ms = cap_ms
        self._rng = rng
        self._refused = False
        self.failures = 0

    def after_life(self, live_s: float) -> None:
        """Note how long a connection was live that ended without a failure."""
        if live_s > self._cap_ms / 1_000:
            self.failures, self._refused = 0, False

    def after_failure(self, status: int, live_s: float) -> float:
        """Note a failure and return the delay in seconds.

        Parameters
        ----------
        status
            HTTP status of the failure, 0 when it had none.
        live_s
            How long the connection had been live; 0: it never was.
        """
        self.after_life(live_s)
        again, self._refused = self._refused, status in REFUSALS
        delay_s = backoff_s(self.failures, self._base_ms, self._cap_ms, self._rng)
        self.failures += 1
        if again and self._refused:
            cap_s = self._cap_ms / 1_000
            return self._rng.uniform(cap_s / 2, cap_s)
        return delay_s + (QUOTA_WAIT_S if status == TOO_MANY_REQUESTS else 0.0)
