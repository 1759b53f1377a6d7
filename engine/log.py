"""Log lines for operators: one JSON object a line on stderr, never one per message.

The same event from the same process is written at most once a second; what was held back is
counted in the next line (`suppressed`). Callers pass facts as fields; a secret has no field.
"""

import json
import sys
from typing import Any, Literal

from engine.clock import Clock, SystemClock

Level = Literal["info", "warning", "error"]
QUIET_NS = 1_000_000_000


class Log:
    """The log of one process. `role` is what the supervisor calls it, for example ``shard-0``."""

    def __init__(self, role: str, clock: Clock | None = None) -> None:
        self._role = role
        self._clock = clock or SystemClock()
        self._last_ns: dict[str, int] = {}
        self._suppressed: dict[str, int] = {}

    def write(self, level: Level, event: str, **fields: Any) -> bool:
        """Write one line, unless the same event was written less than a second ago.

        Returns
        -------
        bool
            Whether it was written. Who must have a thing said tries again later.
        """
        now_ns = self._clock.now_ns()
        if now_ns - self._last_ns.get(event, -QUIET_NS) < QUIET_NS:
            self._suppressed[event] = self._suppressed.get(event, 0) + 1
            return False
        self._last_ns[event] = now_ns
        held = self._suppressed.pop(event, 0)
        line = {
            "ts_ns": now_ns,
            "level": level,
            "role": self._role,
            "event": event,
            **fields,
            **({"suppressed": held} if held else {}),
        }
        print(json.dumps(line, ensure_ascii=False, default=str), file=sys.stderr, flush=True)
        return True
