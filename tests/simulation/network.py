"""ZeroMQ for one process without threads: the sockets of the bus, delivered when a test says so.

It has the calls that `Publisher`, `Subscriber` and `Accounts` make, so that the real ones run on
it. A message a PUB socket sent is on its way until `deliver`; until then it is in its sender's
buffers, and gone when that process is killed. ROUTER, DEALER and PUSH messages arrive at once: a
question is lost with whoever was to answer it.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import zmq

Parts = list[bytes]


class SimSocket:
    """One end. Bound ends are found by address; connected ones are looked up when they send."""

    def __init__(self, network: "SimNetwork", kind: int) -> None:
        self.kind = kind
        self.address = ""
        self.waiting: deque[Parts] = deque()  # arrived here, not read yet
        self.flight: deque[bytes] = deque()  # sent from here (PUB), not delivered yet
        self.closed = False
        self._network = network

    def setsockopt(self, _option: int, _value: object) -> None:
        """Take any option; none has a meaning here."""

    set = setsockopt

    def getsockopt(self, option: int) -> int:
        """Return what a loop would ask for."""
        return zmq.POLLIN if option == zmq.EVENTS and self.waiting else 0

    def bind(self, address: str) -> None:
        """Become the one at this address."""
        self.address = address
        self._network.bound[address] = self

    def connect(self, address: str) -> None:
        """Look for whoever is at this address, now and later."""
        self.address = address
        self._network.connected.append(self)

    def send(self, data: Any, _flags: int = 0, *, copy: bool = True) -> None:
        """Send one part."""
        message = bytes(data)
        if self.kind == zmq.PUB:
            self._network.before_send(self.address)
            self.flight.append(message)
            return
        peer = self._network.bound.get(self.address)
        if peer is None or peer.closed:
            raise zmq.Again
        name = self._network.name_of(self)
        peer.waiting.append([name, message] if self.kind == zmq.DEALER else [message])

    def send_multipart(self, parts: Parts, *_: object, **__: object) -> None:
        """Send to the peer the first part names (ROUTER)."""
        peer = self._network.peer(bytes(parts[0]))
        if peer is None or peer.closed:
            raise zmq.ZMQError(zmq.EHOSTUNREACH)
        peer.waiting.append([bytes(part) for part in parts[1:]])

    def recv_multipart(self, _flags: int = 0) -> Parts:
        """Read one message, or raise Again."""
        if not self.waiting:
            raise zmq.Again
        return self.waiting.popleft()

    def recv(self, _flags: int = 0) -> bytes:
        """Read a message of one part, or raise Again."""
        return self.recv_multipart()[0]

    def close(self) -> None:
        """Die: what was on its way from here is gone."""
        self.closed = True
        self.flight.clear()
        self.waiting.clear()
        self._network.forget(self)


class SimNetwork:
    """All sockets; stands in for ``zmq.Context``.

    Parameters
    ----------
    before_send
        Told the address before each PUB message; may raise, which is how a sender dies here.
    """

    def __init__(self, before_send: Callable[[str], None]) -> None:
        self.before_send = before_send
        self.bound: dict[str, SimSocket] = {}
        self.connected: list[SimSocket] = []
        self._names: dict[bytes, SimSocket] = {}

    def socket(self, kind: int) -> Any:
        """Make one end."""
        return SimSocket(self, kind)

    def deliver(self, address: str, count: int, *, drop: bool = False) -> int:
        """Move messages of a PUB socket to every SUB socket there; return how many."""
        sender = self.bound.get(address)
        moved = 0
        while sender is not None and sender.flight and moved < count:
            message = sender.flight.popleft()
            moved += 1
            for reader in self.connected:
                if not drop and reader.kind == zmq.SUB and reader.address == address:
                    reader.waiting.append([message])
        return moved

    def name_of(self, socket: SimSocket) -> bytes:
        """Return the identity a ROUTER sees."""
        for name, known in self._names.items():
            if known is socket:
                return name
        name = len(self._names).to_bytes(4, "big")
        self._names[name] = socket
        return name

    def peer(self, name: bytes) -> SimSocket | None:
        """Return whose identity this is."""
        return self._names.get(name)

    def forget(self, socket: SimSocket) -> None:
        """Take a closed end out."""
        if self.bound.get(socket.address) is socket:
            del self.bound[socket.address]
        if socket in self.connected:
            self.connected.remove(socket)
