"""The connection: made, greeted, read, watched, and made again when it ends."""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from gateway.client.ledger import Event, Ledger
from gateway.client.messages import Format, Refused, State
from gateway.client.reading import Reader
from gateway.client.retry import Backoff
from gateway.client.wishes import Wish, requests

FRAME_BYTES_MAX: Final = 16 * 1_048_576  # a `list_ok` names every symbol there is
SILENT_HEARTBEATS: Final = 3
WATCH_S: Final = 1.0
ASK_AGAIN_S: Final = 5.0  # for topics that a gateway which just started does not know yet
UNAUTHORIZED: Final = 4001
UNKNOWN_TOPIC: Final = 4004
# Close codes after which coming back is no use, and those that invite to come back at once.
FINAL: Final = {4000, 4001, 4003, 4009}
AT_ONCE: Final = {1012, 4008, 4010, 4500}
HTTP_LATER: Final = {429, 500, 502, 503, 504}


class Address(NamedTuple):
    """Where to connect, and as whom."""

    url: str
    token: str | None
    format: Format
    socket_options: Mapping[str, Any]


class Listener(NamedTuple):
    """Whom the link tells what it hears."""

    event: Callable[[Event], None]
    notice: Callable[[Mapping[str, Any]], None]  # every control message
    state: Callable[[State], None]
    room: Callable[[], Awaitable[None]]  # returns when more may be read


class _Cut(ConnectionError):
    """The connection ended while something was said."""


class Link:
    """Keeps one connection.

    Attributes
    ----------
    wishes
        Topics to subscribe to on every connection.
    ledger
        What is known of every key, over all connections.
    up
        Set while requests can be made.
    """

    def __init__(self, address: Address, listener: Listener, backoff: Backoff) -> None:
        self.wishes: dict[str, Wish] = {}
        self.ledger = Ledger()
        self.up = asyncio.Event()
        self._address, self._listener, self._backoff = address, listener, backoff
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Mapping[str, Any]]] = {}
        self._resumes: set[int] = set()
        self._unknown: set[str] = set()  # wishes that the gateway does not know, perhaps yet
        self._asked_s = 0.0
        self._socket: ClientConnection | None = None
        self._hello: Mapping[str, Any] = {}
        self._last_word: Mapping[str, Any] = {}
        self._reader = Reader(self.ledger, listener.event)
        self._heard_s = 0.0
        self._reading = False

    async def run(self) -> None:
        """Connect, again and again, until cancelled.

        Raises
        ------
        Refused
            It is no use to try again.
        """
        loop = asyncio.get_running_loop()
        while True:
            self._listener.state(State("connecting"))
            began_s = loop.time()
            try:
                reason, at_once = await self._once()
            finally:
                self._down()
            self._backoff.lived(loop.time() - began_s)
            wait_s = self._backoff.wait_s(at_once=at_once)
            self._listener.state(State("waiting", reason=reason, retry_in_s=wait_s))
            await asyncio.sleep(wait_s)

    async def ask(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make a request and return its answer.

        Raises
        ------
        Refused
            The gateway answered with an error.
        ConnectionError
            The connection ended first; the request may or may not have been heard.
        """
        if self._socket is None or not self.up.is_set():
            raise ConnectionError("not connected")
        number = next(self._ids)
        future = asyncio.get_running_loop().create_future()
        self._answers[number] = future
        try:
            await self._say({**request, "id": number})
            answer: Mapping[str, Any] = await future
        finally:
            self._answers.pop(number, None)
        if answer["op"] == "error":
            raise Refused(answer["code"], answer["message"])
        return answer

    # --- one connection ---------------------------------------------------------------------------

    async def _once(self) -> tuple[str, bool]:
        """Live one connection; return why it ended and whether to come back at once."""
        address = self._address
        headers = {"Authorization": f"Bearer {address.token}"} if address.token else {}
        options: dict[str, Any] = {
            "compression": None,
            "max_size": FRAME_BYTES_MAX,
            "ping_interval": None,  # heartbeats tell more
            "close_timeout": 1.0,
            "additional_headers": headers,
            "subprotocols": [Subprotocol(f"vntape.v1.{address.format}")],
            **address.socket_options,
        }
        try:
            socket = await open_socket(address.url, **options)
        except InvalidStatus as refusal:
            status = refusal.response.status_code
            text = bytes(refusal.response.body or b"").decode(errors="replace").strip()[:200]
            if status in HTTP_LATER:
                return f"HTTP {status} {text}", False
            raise Refused(status, text or "the gateway refused the upgrade") from None
        except (OSError, TimeoutError, InvalidHandshake, EOFError) as failure:
            return f"cannot connect: {failure}", False
        async with socket:
            return await self._talk(socket)

    async def _talk(self, socket: ClientConnection) -> tuple[str, bool]:
        self._socket, self._last_word = socket, {}
        loop = asyncio.get_running_loop()
        self._heard_s = loop.time()
        watch = loop.create_task(self._watch(socket))
        try:
            while True:
                self._reading = True
                message = await socket.recv(decode=False)
                self._reading = False
                self._heard_s = loop.time()
                frame = self._reader.read(message)
                if frame is not None:
                    await self._control(frame)
                await self._listener.room()
        except (ConnectionClosed, _Cut):
            return self._ended(socket)
        finally:
            watch.cancel()

    def _ended(self, socket: ClientConnection) -> tuple[str, bool]:
        code = socket.close_code or 1006
        word = self._last_word if self._last_word.get("code") == code else {}
        reason = str(word.get("message") or word.get("reason") or socket.close_reason or "cut off")
        retry = word.get("retry")
        if retry == "none" or (retry is None and code in FINAL):
            raise Refused(code, reason)
        at_once = retry == "reconnect" or (retry is None and code in AT_ONCE)
        return f"{code} {reason}", at_once

    def _down(self) -> None:
        """Forget the connection; who waits for an answer hears that it will not come."""
        self._socket = None
        self.up.clear()
        self._resumes.clear()
        self._unknown.clear()
        for future in self._answers.values():
            if not future.done():
                future.set_exception(ConnectionError("the connection ended"))

    async def _watch(self, socket: ClientConnection) -> None:
        """Cut a line that says nothing: a heartbeat would have come."""
        loop = asyncio.get_running_loop()
        while True:
            beat_s = self._hello.get("heartbeat_ms", 10_000) / 1_000
            await asyncio.sleep(min(beat_s / 2, WATCH_S))
            if self._reading and loop.time() - self._heard_s > SILENT_HEARTBEATS * beat_s:
                socket.transport.abort()
                return

    async def _say(self, request: Mapping[str, Any]) -> None:
        assert self._socket is not None
        try:
            await self._socket.send(json.dumps(request, separators=(",", ":")))
        except ConnectionClosed:
            self.up.clear()
            raise _Cut("the connection ended") from None

    # --- what comes -------------------------------------------------------------------------------

    async def _control(self, frame: Mapping[str, Any]) -> None:
        op = frame.get("op")
        for event in self.ledger.control(frame):
            self._listener.event(event)
        self._listener.notice(frame)
        future = self._answers.get(frame.get("id", 0))
        if future is not None:
            if not future.done():
                future.set_result(frame)
        elif op == "hello":
            self._hello = frame
            self.ledger.connected(frame["epoch"])
            await self._greet(frame)
        elif op == "auth_ok":
            await self._prepare()
        elif op == "schema_ok":
            self._reader.learn(frame, self._hello["schema"])
            await self._subscribe()
        elif op in ("error", "bye", "shutdown"):
            self._last_word = frame
        elif op == "heartbeat":
            self._show(frame)
            await self._ask_again()
        elif op == "sub_ok":
            self._refusals(frame)

    async def _greet(self, hello: Mapping[str, Any]) -> None:
        if hello.get("auth") != "required":
            await self._prepare()
        elif self._address.token is None:
            raise Refused(UNAUTHORIZED, "this gateway wants a token")
        else:
            await self._say({"op": "auth", "token": self._address.token})

    async def _prepare(self) -> None:
        """Ask for the layouts of binary frames, unless they are known."""
        if self._reader.begin(self._hello["schema"]) or self._address.format == "json":
            await self._subscribe()
        else:
            await self._say({"op": "schema"})

    async def _subscribe(self) -> None:
        """Ask for everything wanted, from where we were; then others may ask."""
        wishes = dict(self.wishes)
        size = self._hello.get("limits", {}).get("message_bytes", 65_536)
        positions = self.ledger.positions()
        for request in requests(wishes, positions, self.ledger.epochs, size):
            await self._resume(request)
        self.up.set()
        self._show(self._hello)

    async def _resume(self, request: Mapping[str, Any]) -> None:
        number = next(self._ids)
        self._resumes.add(number)
        await self._say({**request, "id": number})

    def _refusals(self, answer: Mapping[str, Any]) -> None:
        """Note what a request of ours was refused: the unknown may be known later."""
        if answer.get("id") in self._resumes:
            self._resumes.discard(answer["id"])
            for topic, code in answer.get("err", {}).items():
                if code == UNKNOWN_TOPIC:
                    self._unknown.add(topic)
                else:
                    self.wishes.pop(topic, None)

    async def _ask_again(self) -> None:
        now_s = asyncio.get_running_loop().time()
        wanted = {topic: self.wishes[topic] for topic in self._unknown if topic in self.wishes}
        if wanted and now_s - self._asked_s > ASK_AGAIN_S:
            self._asked_s = now_s
            self._unknown.clear()
            size = self._hello["limits"]["message_bytes"]
            for request in requests(wanted, {}, "", size):
                await self._resume(request)

    def _show(self, frame: Mapping[str, Any]) -> None:
        if self.up.is_set():
            self._listener.state(State("up", frame["feed"]["state"], frame["session"]))
