"""What ends a simulated process, and what ends a simulation."""


class Crash(BaseException):
    """A process dies here. No `except Exception` may survive it, as none survives SIGKILL."""


class Violation(AssertionError):
    """Something that must never happen has happened."""
