"""A timer that is right to some microseconds. The loop's own ones are right to a millisecond.

A pass of the gateway often takes less than that, and waits as long as it took: rounded up, that
would be most of what a client waits for.
"""

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable
from typing import Final

CLOCK_MONOTONIC: Final = 1
FLAGS: Final = 0o2004000  # linux/timerfd.h: TFD_NONBLOCK | TFD_CLOEXEC
SPEC: Final = struct.Struct("@qqqq")  # struct itimerspec: interval, then value
SPEC_ZERO: Final = SPEC.pack(0, 0, 0, 0)
LEAST_NS: Final = 1_000  # zero would disarm it
COUNT_BYTES: Final = 8
LIBC: Final = ctypes.CDLL(None, use_errno=True)  # os.timerfd_create is from Python 3.13 on


class GapTimer:
    """Calls back once, a while from now.

    Parameters
    ----------
    loop
        A running one.
    due
        What to call; the timer can be started again in it.

    Raises
    ------
    OSError
        The system gives no timer.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, due: Callable[[], None]) -> None:
        self._loop = loop
        self._due = due
        self._fd = LIBC.timerfd_create(CLOCK_MONOTONIC, FLAGS)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self.armed = False
        loop.add_reader(self._fd, self._ring)

    def start(self, wait_s: float) -> None:
        """Call back in so many seconds, and at the latest once the loop turns again after them."""
        wait_ns = max(int(wait_s * 1e9), LEAST_NS)
        if LIBC.timerfd_settime(self._fd, 0, SPEC.pack(0, 0, *divmod(wait_ns, 10**9)), None):
            raise OSError(ctypes.get_errno(), "timerfd_settime")
        self.armed = True

    def cancel(self) -> None:
        """Do not call back."""
        if self.armed:
            LIBC.timerfd_settime(self._fd, 0, SPEC_ZERO, None)
            self.armed = False

    def close(self) -> None:
        """Give the descriptor back."""
        self.armed = False
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _ring(self) -> None:
        try:
            os.read(self._fd, COUNT_BYTES)
        except BlockingIOError:  # started anew, or cancelled, after it was readable
            return
        if self.armed:
            self.armed = False
            self._due()
