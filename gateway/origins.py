"""Which web pages may connect. Pure.

A browser says where a page came from (`Origin`), and no page can make it lie. Programs send none.
"""

import re
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from engine.errors import ConfigError
from gateway.addresses import is_loopback

USUAL_PORTS: Final = {"http": 80, "https": 443}
ORIGIN_CHARS_MAX: Final = 300
HOST: Final = r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?"
ORIGIN = re.compile(r"(https?)://" + HOST)
AUTHORITY = re.compile(HOST)


class Origin(NamedTuple):
    """Where a page came from."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        usual = self.port == USUAL_PORTS[self.scheme]
        return f"{self.scheme}://{self.host}" + ("" if usual else f":{self.port}")


def parse(text: str) -> Origin | None:
    """Return an origin, or None when it is not `http(s)://host` or `http(s)://host:port`."""
    if len(text) > ORIGIN_CHARS_MAX:
        return None
    match = ORIGIN.fullmatch(text.lower())
    if match is None:
        return None
    scheme, host, port = match.groups()
    return Origin(scheme, host, int(port) if port else USUAL_PORTS[scheme])


def allow_list(texts: Iterable[str]) -> frozenset[Origin]:
    """Return the origins of `gateway.origins`.

    Raises
    ------
    ConfigError
        Names the entry that is no origin, and says what one looks like.
    """
    found = set()
    for text in texts:
        origin = parse(text)
        if origin is None:
            raise ConfigError(
                f"gateway.origins: {text!r} is no origin; write https://desk.example or "
                "https://desk.example:8443, without a path and without *"
            )
        found.add(origin)
    return frozenset(found)


def may_connect(
    origin: str | None, host: str, allowed: Collection[Origin], *, anonymous: bool
) -> bool:
    """Return whether a page may connect.

    Parameters
    ----------
    origin
        The header `Origin`; None: no browser, nothing to protect.
    host
        The header `Host`: how the page's reader calls us.
    allowed
        The allow list.
    anonymous
        Whether clients need no token. Then a page of the same host is not enough: any name can be
        made to point at 127.0.0.1, and the page behind it would read the tape of this machine.
    """
    if origin is None:
        return True
    theirs = parse(origin)
    if theirs is None:
        return False
    if theirs in allowed:
        return True
    ours = AUTHORITY.fullmatch(host.lower()) if len(host) <= ORIGIN_CHARS_MAX else None
    if ours is None:
        return False
    name, port = ours.groups()
    if is_loopback(theirs.host) and is_loopback(name):
        return True
    # Host leaves the usual port out, and does not say which scheme that is the usual port of.
    our_port = int(port) if port else USUAL_PORTS[theirs.scheme]
    return not anonymous and (name, our_port) == (theirs.host, theirs.port)
