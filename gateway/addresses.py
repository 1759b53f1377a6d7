"""Who is at the other end, and how much one address may ask of this gateway. Pure.

Behind a proxy every connection comes from the proxy. It says in X-Forwarded-For who came to it, and
is believed when the configuration names it. Others may write there what they like.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from engine.errors import ConfigError

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

HEADER: Final = "X-Forwarded-For"
HOPS_MAX: Final = 32  # a longer list is no list of proxies
SECOND_NS: Final = 1_000_000_000
TALKERS_MAX: Final = 65_536  # addresses remembered within one second
LINE_BITS: Final = 64  # who has one IPv6 address has all of its /64


def is_loopback(host: str) -> bool:
    """Return whether a host name or address can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Return the proxies of `gateway.trusted_proxies`.

    Raises
    ------
    ConfigError
        Names the entry that is no address and no network, or that would believe everybody.
    """
    found = []
    for text in texts:
        try:
            network = ipaddress.ip_network(text)
        except ValueError as error:
            raise ConfigError(
                f"gateway.trusted_proxies: {text!r} is no address or network ({error}); "
                "write 10.0.0.7 or 10.0.0.0/24"
            ) from None
        if network.prefixlen == 0:
            raise ConfigError(
                f"gateway.trusted_proxies: {text!r} is everybody, so anybody could claim any "
                "address; name your proxies"
            )
        found.append(network)
    return tuple(found)


class Addresses:
    """Connections and messages of each client address.

    Parameters
    ----------
    connections_max
        Connections of one address.
    messages_max
        Messages one address may send within a second, over all its connections.
    trusted
        Proxies that are believed: addresses and networks.

    Raises
    ------
    ConfigError
        See `networks`.
    """

    def __init__(self, connections_max: int, messages_max: int, trusted: Iterable[str]) -> None:
        self._connections_max = connections_max
        self._messages_max = messages_max
        self._trusted = networks(trusted)
        self._connections: dict[str, int] = {}
        self._second = 0
        self._messages: dict[str, int] = {}  # of this second

    def of(self, peer: str, headers: Mapping[str, str]) -> str:
        """Return the address a client is counted under.

        Parameters
        ----------
        peer
            Who is at the other end of the socket.
        headers
            Of the request. Read only when the peer is a trusted proxy: the last address in
            X-Forwarded-For that is no trusted proxy. Where that cannot be read, the peer.

        Returns
        -------
        str
            An IPv4 address, or the /64 of an IPv6 address: who has one address has them all.
        """
        nearest = _address(peer)
        if nearest is None:
            return peer
        if not self._trusts(nearest):
            return _line(nearest)
        hops = ",".join(every(headers, HEADER)).split(",")
        client = nearest
        for hop in reversed(hops[-HOPS_MAX:]):
            address = _address(hop.strip())
            if address is None:
                return _line(nearest)
            client = address
            if not self._trusts(address):
                break
        return _line(client)

    def enter(self, address: str) -> bool:
        """Count a connection; False, and not counted, when the address has its fill."""
        count = self._connections.get(address, 0)
        if count >= self._connections_max:
            return False
        self._connections[address] = count + 1
        return True

    def leave(self, address: str) -> None:
        """Forget a connection that `enter` let in."""
        count = self._connections[address] - 1
        if count:
            self._connections[address] = count
        else:
            del self._connections[address]

    def said(self, address: str, now_ns: int) -> bool:
        """Count a message; False when the address has said too much within this second.

        Who reconnects does not start anew.
        """
        second = now_ns // SECOND_NS
        if second != self._second:
            self._second = second
            self._messages.clear()
        count = self._messages.get(address, 0)
        if count >= self._messages_max or (not count and len(self._messages) >= TALKERS_MAX):
            return False
        self._messages[address] = count + 1
        return True

    def __len__(self) -> int:
        """Return how many addresses are connected."""
        return len(self._connections)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def every(headers: Mapping[str, str], name: str) -> list[str]:
    """Return all values of a header that may stand in a request more than once, in order."""
    getall = getattr(headers, "getall", None)
    if getall is not None:  # a multidict, as servers have them
        return list(getall(name, ()))
    return [headers[name]] if name in headers else []


def _address(text: str) -> Address | None:
    """Read an address as proxies write it: bare, with a port, or in brackets."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or address
    return address


def _line(address: Address) -> str:
    if isinstance(address, ipaddress.IPv4Address) or address.is_loopback:
        return str(address)
    return str(ipaddress.IPv6Network((int(address), LINE_BITS), strict=False))
