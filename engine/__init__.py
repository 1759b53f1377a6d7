"""vntape's engine: SSI frames in, explained deltas out.

The path of a message, in the order the packages meet it:

    feed -> decode -> ring -> shard (stages) -> bus

``schema`` says what every record is, ``market`` what every number must mean,
``wiring`` is the only place where these rooms meet.

Assertions are load-bearing here (a bug must crash and be restarted), so the
engine refuses to run under ``python -O``.
"""

if not __debug__:  # pragma: no cover - cannot be reached by a test run with assertions on
    raise SystemExit("vntape needs its assertions: run without -O and without PYTHONOPTIMIZE")

__version__ = "0.1.0"
