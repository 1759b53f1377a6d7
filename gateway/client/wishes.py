"""What is asked for when a connection is there again: the same topics, from where we were. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from gateway.client.ledger import namers

HEAD_BYTES: Final = 512  # of a request: all but its topics and positions


class Wish(NamedTuple):
    """How a topic is wanted. None: as the gateway likes."""

    mode: str | None = None
    interval_ms: int | None = None
    snapshot: bool = True

    def request(self) -> dict[str, Any]:
        """Return the fields of a `sub` request."""
        found: dict[str, Any] = {"op": "sub"}
        if self.mode is not None:
            found["mode"] = self.mode
        if self.interval_ms is not None:
            found["interval_ms"] = self.interval_ms
        if not self.snapshot:
            found["snapshot"] = False
        return found


def requests(
    wishes: Mapping[str, Wish], positions: Mapping[str, int], epochs: str, message_bytes: int
) -> Iterator[dict[str, Any]]:
    """Return `sub` requests, without ids, for all wishes.

    Parameters
    ----------
    wishes
        Topic -> how it is wanted.
    positions
        Key -> last seq, the most important first: what does not fit in a message is left out, and
        begins anew with a snapshot.
    epochs
        The numbering of the positions.
    message_bytes
        Longest message the gateway takes.
    """
    room = message_bytes - HEAD_BYTES
    at: dict[str, list[tuple[str, int]]] = {}  # topic -> positions of its keys
    for key, seq in positions.items():
        topic = next((topic for topic in namers(key) if topic in wishes), None)
        if topic is not None:
            at.setdefault(topic, []).append((key, seq))
    groups: dict[Wish, list[str]] = {}
    for topic, wish in wishes.items():
        groups.setdefault(wish, []).append(topic)
    for wish, topics in groups.items():
        for part in _parts(topics, at, room):
            request = {**wish.request(), "topics": part}
            seqs: dict[str, int] = {}
            left = room - sum(_size(topic) for topic in part)
            for topic in part:
                for key, seq in at.get(topic, ()):
                    left -= _size(key) + len(str(seq))
                    if left >= 0:
                        seqs[key] = seq
            if seqs:
                request["since"] = {"epoch": epochs, "seq": seqs}
            yield request


def _parts(
    topics: list[str], at: Mapping[str, list[tuple[str, int]]], room: int
) -> Iterator[list[str]]:
    """Cut topics into requests that have room for their positions too, where that can be."""
    part: list[str] = []
    used = 0
    for topic in topics:
        size = _size(topic) + sum(_size(key) + len(str(seq)) for key, seq in at.get(topic, ()))
        size = min(size, room)
        if part and used + size > room:
            yield part
            part, used = [], 0
        part.append(topic)
        used += size
    if part:
        yield part


def _size(name: str) -> int:
    """Return how many bytes a name takes as a JSON string, with what stands around it."""
    return len(json.dumps(name)) + 2
