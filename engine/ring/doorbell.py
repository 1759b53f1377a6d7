"""The doorbell: an eventfd that wakes a reader asleep. Made by the supervisor, inherited by both.

It carries no data and no count that matters: one ring, or a hundred, mean "look at write_seq".
"""

import os


def new_doorbell() -> int:
    """Make a doorbell and return its descriptor; pass it to children with ``pass_fds``.

    It never blocks: `ring` on a bell nobody answers returns at once, `hush` on a silent one too.
    """
    return os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)


def ring(doorbell_fd: int) -> None:
    """Wake whoever sleeps on it."""
    try:
        os.eventfd_write(doorbell_fd, 1)
    except BlockingIOError:
        pass  # 2**64 - 2 rings unanswered: it is as loud as it gets


def hush(doorbell_fd: int) -> None:
    """Forget the rings so far."""
    try:
        os.eventfd_read(doorbell_fd)
    except BlockingIOError:
        pass  # it was silent
