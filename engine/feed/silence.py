"""How long a link may be silent: what every protocol's link knows and the watchdog asks."""

WARN_FRACTION = 2 / 3  # SignalR's own clients warn at this part of the timeout


class Silence:
    """The silence of one link, in seconds on any clock that never jumps.

    Attributes
    ----------
    silence_s
        How long silence may last.
    """

    def __init__(self, silence_s: float, now_s: float) -> None:
        self.silence_s = silence_s
        self._heard_s = now_s

    @property
    def warn_s(self) -> float:
        """When silence becomes suspicious."""
        return self._heard_s + WARN_FRACTION * self.silence_s

    @property
    def dead_s(self) -> float:
        """When silence means that the link is dead."""
        return self._heard_s + self.silence_s

    def heard(self, now_s: float) -> None:
        """Restart the silence: something arrived, or it was us who did not read."""
        self._heard_s = now_s
