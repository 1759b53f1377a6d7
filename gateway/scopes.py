"""What a token opens: topics within its scopes. Pure.

A scope is a topic (gateway.topics): `*`, `trade.*`, `trade.VN30*` or `trade.FPT`. A wish is allowed
when one scope covers all it could name, now or later.
"""

from collections.abc import Iterable
from functools import lru_cache

from gateway.topics import Topic, parse

REMEMBERED = 4_096  # scopes; a tokens file has fewer

_parse = lru_cache(REMEMBERED)(parse)


def allows(scopes: Iterable[str], topic: Topic) -> bool:
    """Return whether one of the scopes covers the whole topic.

    A scope that names no channel opens nothing.
    """
    return any(_covers(scope, topic) for scope in scopes)


def unknown(scopes: Iterable[str]) -> list[str]:
    """Return the scopes that name no public channel: most likely slips of the pen."""
    return [scope for scope in scopes if _parse(scope) is None]


def _covers(text: str, topic: Topic) -> bool:
    scope = _parse(text)
    if scope is None or not set(topic.channels) <= set(scope.channels):
        return False
    if scope.wildcard:
        return topic.pattern.startswith(scope.pattern)
    return not topic.wildcard and topic.pattern == scope.pattern
