"""Where a simulated process dies: armed by an event, blown when the process passes the place."""

from tests.simulation.errors import Crash
from tests.simulation.script import Point


class Fuse:
    """At most one armed place per process."""

    def __init__(self) -> None:
        self._armed: dict[str, tuple[Point, int]] = {}
        self.blown: dict[Point, int] = {}  # how often, for the tests' own coverage

    def arm(self, role: str, point: Point, nth: int) -> None:
        """Let `role` die when it passes `point` for the nth time from now."""
        self._armed[role] = (point, nth)

    def clear(self) -> None:
        """Let everybody live."""
        self._armed.clear()

    def is_due(self, role: str, point: Point) -> bool:
        """Count a pass; return whether this is the one to die at, and then disarm."""
        armed = self._armed.get(role)
        if armed is None or armed[0] is not point:
            return False
        if armed[1] > 1:
            self._armed[role] = (point, armed[1] - 1)
            return False
        del self._armed[role]
        self.blown[point] = self.blown.get(point, 0) + 1
        return True

    def pass_by(self, role: str, point: Point) -> None:
        """Die here if it is time."""
        if self.is_due(role, point):
            raise Crash(f"{role} {point}")
