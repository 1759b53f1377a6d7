"""An answer that is only written when its reader does not have it yet."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request gets.

    Attributes
    ----------
    etag
        Names the state that is shown, with its quotes: equal tags mean equal bodies.
    body
        Writes it, as JSON.
    """

    etag: str
    body: Callable[[], bytes]


def etag_of(*parts: object) -> str:
    """Return an entity tag of what an answer is made of: epochs, ids, sequence numbers, words.

    Parameters
    ----------
    parts
        Text, integers, or numpy arrays, which are taken by their bytes.
    """
    digest = hashlib.blake2b(digest_size=12)
    for part in parts:
        data = part.tobytes() if hasattr(part, "tobytes") else repr(part).encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return f'"{digest.hexdigest()}"'


def has_it(if_none_match: str | None, etag: str) -> bool:
    """Return whether an If-None-Match header names this state (weak comparison)."""
    if not if_none_match:
        return False
    told = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in told or etag in told


def told(value: Any) -> bytes:
    """Write a value that is no row."""
    return orjson.dumps(value)


def listed(texts: Iterable[str]) -> bytes:
    """Join objects that are JSON already."""
    return b"[" + ",".join(texts).encode("ascii") + b"]"


def document(members: dict[str, bytes]) -> bytes:
    """Join members that are JSON already into one object."""
    return b"{" + b",".join(b'"%s":%s' % (k.encode(), v) for k, v in members.items()) + b"}"
