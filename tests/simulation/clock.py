"""Two clocks of one machine: the one on the wall, which jumps, and the one that only passes."""


class SimClock:
    """Moves when told. `now_ns` is the wall clock, as ``engine.clock.Clock``."""

    def __init__(self, start_ns: int) -> None:
        self._wall_ns = start_ns
        self._passed_ns = start_ns

    def now_ns(self) -> int:
        """Return UTC nanoseconds as the machine believes them."""
        return self._wall_ns

    def passed_ns(self) -> int:
        """Return the time as it really passes."""
        return self._passed_ns

    def pass_ns(self, delta_ns: int) -> None:
        """Let time pass."""
        assert delta_ns >= 0, f"time passes backwards by {-delta_ns} ns"
        self._wall_ns += delta_ns
        self._passed_ns += delta_ns

    def jump_ns(self, delta_ns: int) -> None:
        """Set the wall clock forward or back."""
        self._wall_ns += delta_ns
