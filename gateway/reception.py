"""Who comes in, what they say, and when they have to go: the gateway's side of every conversation.

What a message leads to is decided in gateway.protocol; here it is done. Clients are answered in
turns, so that many who come back at once do not stop the tape.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import orjson
from picows import WSTransport, WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener

from engine.clock import Clock
from engine.log import Log
from engine.schema.channels import Channel
from engine.tokens import LiveTokens, Token
from gateway.addresses import Addresses
from gateway.connection import Connection, Line
from gateway.conversation import Conversation, Limits, State, Step
from gateway.errors import ErrorCode, error
from gateway.fanout import Fanout
from gateway.frames import frame_bytes
from gateway.presets import PRESETS
from gateway.protocol import refuse, step
from gateway.recent import Query
from gateway.resume import Recovery, Since, is_ahead, positions_of
from gateway.settings import GatewaySettings
from gateway.sinks import Client
from gateway.status import LOAD_HEARTBEAT_NS, FeedStateSource, heartbeat, hello
from gateway.travels import Travels
from gateway.upgrade import Verdict, judge, rules_of

LOOK_NS: Final = 1_000_000_000  # clients are looked after so often
SERVICE_RESTART: Final = 1012
PING: Final = b"\x89\x00"
PINGS: Final = 3  # in the time after which a silent client is cut off
TALK_S: Final = 0.002  # of answering, before the next pass may run
HOLD_NS: Final = 250_000_000  # how far gateways side by side may be apart
COUNTED: Final = {  # error code -> counter
    int(ErrorCode.UNAUTHORIZED): "unauthorized",
    int(ErrorCode.FORBIDDEN): "forbidden",
    int(ErrorCode.TOO_LARGE): "too_large",
    int(ErrorCode.RATE_LIMITED): "rate_limited",
}


class Reception:
    """All conversations of a gateway. It is the World they look things up in.

    Parameters
    ----------
    settings
        Checked settings.
    fanout
        Where subscriptions lead to.
    cell
        GATEWAY_COUNTERS, one record.
    clock
        The time.
    feed_state
        Asked at every heartbeat; None means nobody knows.
    log
        Where trouble is told.
    travel_command
        Starts a time travel; empty: there is none.
    changed
        Called when subscriptions changed: an interval may be due sooner.
    fail
        Takes an exception that is a bug of ours.

    Raises
    ------
    ConfigError
        The tokens file cannot be used.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        fanout: Fanout,
        cell: np.void,
        clock: Clock,
        feed_state: FeedStateSource,
        log: Log,
        travel_command: Sequence[str],
        changed: Callable[[], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self.settings = settings
        self.fanout = fanout
        self.limits = Limits(
            settings.topics_max,
            settings.message_bytes_max,
            settings.conflate_ms,
            settings.intervals_ms(),
        )
        self.travels = Travels(
            fanout, travel_command, settings.replays_max, clock.now_ns, self._joined, fail, log
        )
        self.bad_requests = 0
        self._cells = cell
        self._clock = clock
        self._feed_state = feed_state
        self._log = log
        self._arm_flush = changed
        self._fail = fail
        self._rules = rules_of(settings)
        self._tokens: LiveTokens | None = None
        if settings.tokens_file:
            self._tokens = LiveTokens(settings.tokens_file, self._trouble, clock)
        self._addresses = Addresses(
            settings.address_clients_max, settings.address_messages_max, settings.trusted_proxies
        )
        self._connections: dict[Client, Connection] = {}
        self._looked_ns = 0
        self._heartbeat_due_ns = 0  # nobody needs a heartbeat before
        self._told_state = feed_state()
        self._held: dict[Connection, Since] = {}  # whose request waits for the bus
        self._talkers: dict[Connection, None] = {}  # who said something, in order
        self._talking = False  # is their turn coming

    def __len__(self) -> int:
        return len(self._connections)

    def open(self) -> None:
        """Begin, inside a running loop."""
        self._loop = asyncio.get_running_loop()
        self._empty = asyncio.Event()  # set while nobody is here
        self._empty.set()

    async def part(self, patience_s: float) -> None:
        """Tell everybody, close, and wait a moment for the frames to leave."""
        goodbye = frame_bytes(
            orjson.dumps(
                {
                    "op": "shutdown",
                    "code": SERVICE_RESTART,
                    "reason": "the gateway is stopping",
                    "retry": "reconnect",
                }
            )
        )
        for client in list(self._connections):
            if not client.closed:
                self.fanout.send(client, goodbye, self.now_ns())
                self.fanout.close(client, SERVICE_RESTART, "shutdown")
        try:
            await asyncio.wait_for(self._empty.wait(), patience_s)
        except TimeoutError:
            pass  # those who do not read are cut off
        await self.travels.close()

    # --- now and then ---------------------------------------------------------------------------

    def tick(self) -> None:
        """Do what time brings; call it some times a second."""
        self._heartbeats()
        if self.now_ns() - self._looked_ns >= LOOK_NS:
            self._look_after()

    def after_pass(self, now_ns: int) -> None:
        """Let those go on who waited for the bus."""
        self.travels.after_pass(now_ns)
        if self._held:
            self._let_go(now_ns)

    def _heartbeats(self) -> None:
        now_ns = self._clock.now_ns()
        idle_ns = self.settings.heartbeat_ms * 1_000_000
        busy_ns = max(LOAD_HEARTBEAT_NS, idle_ns)
        data: bytes | None = None
        state = self._feed_state()
        news, self._told_state = state != self._told_state, state  # a feed that dies is told now
        if now_ns < self._heartbeat_due_ns and not news:
            return
        due_ns = now_ns + idle_ns
        for client in list(self._connections):
            mine_ns = min(client.last_heard_ns + idle_ns, client.told_ns + busy_ns)
            if mine_ns > now_ns:
                due_ns = min(due_ns, mine_ns)
            if (mine_ns <= now_ns or news) and not client.closed and not client.sink.buffered():
                if data is None:
                    data = frame_bytes(
                        orjson.dumps(
                            heartbeat(
                                state,
                                self.fanout.epoch(),
                                self.fanout.tally.latest_exch_s,
                                self.fanout.tally.lag_ns,
                                now_ns,
                            )
                        )
                    )
                client.told_ns = now_ns
                self.fanout.send(client, data, now_ns)
        self._heartbeat_due_ns = due_ns

    def _look_after(self) -> None:
        """Part with those who give no sign of life, said no token, or lost theirs; ping others."""
        now_ns = self._looked_ns = self._clock.now_ns()
        silence_ns = self.settings.silence_ms * 1_000_000
        for client, connection in list(self._connections.items()):
            if client.closed:
                continue
            waiting = client.sink.buffered()
            if waiting < connection.waiting_bytes:
                connection.alive_ns = now_ns  # it takes what it is sent, be it slowly
            connection.waiting_bytes = waiting
            conversation = connection.conversation
            if conversation.state is State.WAITING:
                if now_ns - connection.began_ns >= self.settings.auth_ms * 1_000_000:
                    self._part_with(
                        client, ErrorCode.UNAUTHORIZED, "no token was said in time", "unauthorized"
                    )
            elif not self._may_stay(connection):
                self._part_with(
                    client, ErrorCode.UNAUTHORIZED, "the token was revoked", "unauthorized"
                )
            elif now_ns - connection.alive_ns >= silence_ns:
                text = f"nothing was heard of you for {self.settings.silence_ms} ms"
                self._part_with(client, ErrorCode.IDLE, text, "idle_closed")
            elif (
                now_ns - max(connection.alive_ns, connection.pinged_ns) >= silence_ns // PINGS
                and not waiting
            ):
                connection.pinged_ns = now_ns
                self.fanout.send(client, PING, now_ns)

    def _may_stay(self, connection: Connection) -> bool:
        """Return whether a client's token is still good, with the scopes it had."""
        token = connection.conversation.token
        if token is None or self._tokens is None:
            return True
        current = self._tokens.current(token)
        return current is not None and current.scopes == token.scopes

    def _part_with(self, client: Client, code: ErrorCode, text: str, counter: str) -> None:
        """Say why, and close."""
        self._cells[counter] += 1
        self.fanout.send(client, frame_bytes(orjson.dumps(error(code, text))), self.now_ns())
        self.fanout.close(client, code, code.name.lower())

    # --- clients --------------------------------------------------------------------------------

    def route(self, request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        """Answer an HTTP request: with a WebSocket, or a polite no."""
        try:
            verdict = judge(request.path, request.headers, self._rules, self._find_token)
        except Exception as failure:  # a bug: picows would tell the client of it
            self._fail(failure)
            verdict = Verdict(500, {}, b"the gateway has a bug and is restarted\n")
        # Browsers may say "keep-alive, Upgrade"; picows takes the word "upgrade" alone.
        words = [word.strip().lower() for word in request.headers.get("Connection", "").split(",")]
        if "upgrade" in words:
            request.headers["Connection"] = "upgrade"
        if verdict.status >= 400:
            self._cells["refused_upgrades"] += 1
        if verdict.status == 401:
            self._cells["unauthorized"] += 1
        return WSUpgradeResponseWithListener(
            _response(verdict), Connection(self, verdict) if verdict.status == 101 else None
        )

    def nobody(self) -> None:
        """Count a connection that never made a request that can be answered."""
        self._cells["refused_upgrades"] += 1

    def connected(self, connection: Connection, transport: WSTransport) -> None:
        """Greet a new connection, or turn it away when there are too many."""
        settings = self.settings
        wire = transport.underlying_transport
        line = Line(transport, self._loop, settings.kernel_buffer_bytes, settings.silence_ms)
        connection.line = line
        now_ns = self._clock.now_ns()
        client = Client(line, connection.verdict.format)
        address = self._addresses.of(
            str((wire.get_extra_info("peername") or ("",))[0]), transport.request.headers
        )
        full = len(self._connections) >= settings.clients_max
        if full or not self._addresses.enter(address):
            most = settings.clients_max if full else settings.address_clients_max
            text = f"this gateway serves {most} connections" + ("" if full else " of one address")
            self._part_with(client, ErrorCode.CONNECTION_LIMIT, text, "connection_limited")
            return
        connection.address = address
        connection.began_ns = connection.alive_ns = connection.pinged_ns = now_ns
        connection.client = client
        client.told_ns = now_ns
        token = connection.verdict.token
        if self._tokens is not None and token is None:
            connection.conversation = Conversation(state=State.WAITING)
        else:
            connection.conversation = Conversation(token=token)
        self._connections[client] = connection
        self._empty.clear()
        self.fanout.add(client)
        self._cells["clients"] = len(self._connections)
        self.fanout.send(
            client,
            frame_bytes(
                orjson.dumps(
                    hello(
                        settings,
                        self.limits,
                        client.format,
                        connection.conversation,
                        self.fanout.epoch(),
                        self._feed_state(),
                        self.fanout.tally.latest_exch_s,
                        now_ns,
                        needs_token=self._tokens is not None,
                    )
                )
            ),
            now_ns,
        )
        if connection.conversation.state is State.OPEN:
            self._subscribe_preset(connection)

    def _subscribe_preset(self, connection: Connection) -> None:
        """Subscribe to the theme of the path that was asked for."""
        preset = connection.verdict.preset
        if preset is not None:
            request = {"op": "sub", "topics": list(PRESETS[preset])}
            self._take(
                connection,
                step(
                    connection.conversation,
                    orjson.dumps(request),
                    self,
                    self.limits,
                    self.now_ns(),
                ),
            )

    def heard(self, connection: Connection) -> None:
        """Answer a client when it is its turn."""
        self._talkers[connection] = None
        if not self._talking:
            self._talking = True
            self._loop.call_soon(self._talk)

    def _talk(self) -> None:
        """Answer for a moment, then let the tape have its turn.

        A thousand clients that come back at once ask for more than a pass can wait for.
        """
        self._talking = False
        end_s = time.monotonic() + TALK_S
        try:
            while self._talkers and time.monotonic() < end_s:
                connection = next(iter(self._talkers))
                del self._talkers[connection]
                if connection.answer():
                    self._talkers[connection] = None  # behind the others
        except Exception as failure:  # a bug: the process dies with it
            self._fail(failure)
            return
        if self._talkers:
            self._talking = True
            self._loop.call_soon(self._talk)

    def said(self, connection: Connection, message: bytes) -> None:
        """Answer one message of a client."""
        now_ns = self.now_ns()
        before = connection.conversation
        if self._addresses.said(connection.address, now_ns):
            done = step(before, message, self, self.limits, now_ns)
            if done.since is not None and self._hold(connection, done.since, message, now_ns):
                return
        else:
            most = self.settings.address_messages_max
            done = refuse(
                before, ErrorCode.RATE_LIMITED, f"more than {most} messages in a second from you"
            )
        self._take(connection, done)
        if before.state is State.WAITING and done.conversation.state is State.OPEN:
            self._subscribe_preset(connection)

    def _hold(self, connection: Connection, since: Since, message: bytes, now_ns: int) -> bool:
        """Let a client wait that has seen more than we have, at a gateway a moment ahead of us."""
        if connection.held_until_ns or not is_ahead(
            since, self.fanout.mirror, self.fanout.directory
        ):
            connection.held_until_ns = 0
            return False
        connection.hold(message, now_ns + HOLD_NS)
        self._held[connection] = since
        return True

    def _let_go(self, now_ns: int) -> None:
        """Answer those who waited, once we are as far as they are, or they waited long enough."""
        for connection, since in list(self._held.items()):
            ahead = is_ahead(since, self.fanout.mirror, self.fanout.directory)
            if not ahead or now_ns >= connection.held_until_ns:
                del self._held[connection]
                connection.held = False
                if connection.wire is not None and not connection.wire.is_reading():
                    connection.wire.resume_reading()
                self.heard(connection)

    def _take(self, connection: Connection, done: Step) -> None:
        """Do what a message led to."""
        client, cells = connection.client, self._cells
        assert client is not None
        now_ns = self.now_ns()
        before, after = connection.conversation, done.conversation
        connection.conversation = after
        if done.bad:
            self.bad_requests += 1
            counter = COUNTED.get(int(done.reply.get("code", 0)))  # type: ignore[call-overload]
            if counter:
                cells[counter] += 1
        cells["forbidden"] += done.forbidden
        if before.travel is not None and after.travel is None:
            self.travels.stop(connection)
        if after.subscriptions == before.subscriptions:
            self.fanout.answer(client, reply_frame(done, {}), now_ns)
        else:
            self.fanout.change(
                client,
                after.subscriptions,
                done.shown,
                lambda recoveries: reply_frame(done, recoveries),
                now_ns,
                snapshot=done.snapshot,
                positions=None
                if done.since is None
                else positions_of(done.since, self.fanout.mirror, self.fanout.directory),
            )
            cells["subscriptions"] += len(after.subscriptions) - len(before.subscriptions)
            self._arm_flush()
        if done.travel is not None:
            cells["replays"] += 1
            self.travels.begin(connection, done.travel)
        if done.close is not None:
            self.fanout.close(client, done.close, done.close.name.lower())

    def too_large(self, client: Client) -> None:
        """Part with a client whose message does not end."""
        text = f"a message has at most {self.limits.message_bytes_max} bytes"
        self._part_with(client, ErrorCode.TOO_LARGE, text, "too_large")

    def _joined(self, connection: Connection, conversation: Conversation) -> None:
        """Take note that a time travel is over."""
        before, connection.conversation = connection.conversation, conversation
        self._cells["subscriptions"] += len(conversation.subscriptions) - len(before.subscriptions)
        self._arm_flush()

    def disconnected(self, connection: Connection, *, broken: bool) -> None:
        """Forget a client that is gone."""
        self._cells["broken_frames"] += broken
        client = connection.client
        if client is None or self._connections.pop(client, None) is None:
            return
        self._addresses.leave(connection.address)
        self._held.pop(connection, None)
        self._talkers.pop(connection, None)
        self.travels.stop(connection)
        self.fanout.remove(client, self._clock.now_ns())
        self._cells["clients"] = len(self._connections)
        self._cells["subscriptions"] -= len(connection.conversation.subscriptions)
        if not self._connections:
            self._empty.set()

    def resumed(self, connection: Connection) -> None:
        """Go on with a client whose transport has drained."""
        client = connection.client
        if client is None or client.closed:
            return
        connection.alive_ns = self.now_ns()
        if connection.wire is not None and not connection.held and not connection.wire.is_reading():
            connection.wire.resume_reading()
        self.fanout.resumed(client, self._clock.now_ns())
        self.travels.drained(connection)
        self.heard(connection)
        self._arm_flush()

    def now_ns(self) -> int:
        """Return the time."""
        return self._clock.now_ns()

    # --- gateway.conversation.World -------------------------------------------------------------

    def key_id(self, channel: Channel, code: str) -> int:
        """Return the id of a channel's key, 0 if unknown."""
        return self.fanout.key_id(channel, code)

    def seq_of(self, channel: Channel, code: str) -> int:
        """Return the seq of a key's latest row, 0 if none."""
        return self.fanout.seq_of(channel, code)

    def codes(self, *, board: bool) -> list[str]:
        """Return all codes of symbols, or of the board, sorted."""
        return self.fanout.directory.codes(board=board)

    def recent(self, query: Query) -> list[object]:
        """Return the last rows of a channel, newest last."""
        return [orjson.Fragment(text) for text in self.fanout.recent(query)]

    def token_of(self, secret: str) -> Token | None:
        """Return the token with this secret, None when there is none."""
        return self._find_token(secret)

    def _trouble(self, text: str) -> None:
        self._log.write("error", text)

    def replays_free(self) -> int:
        """Return how many more time travels there may be."""
        return self.travels.free()

    def _find_token(self, secret: str) -> Token | None:
        return None if self._tokens is None else self._tokens.find(secret)


def reply_frame(done: Step, recoveries: Mapping[str, Recovery]) -> bytes:
    """Return the answer's frame, with how far each topic went back when that was asked."""
    reply = done.reply
    if done.since is not None:
        granted = reply["topics"]
        assert isinstance(granted, dict)
        reply = {
            **reply,
            "topics": {
                text: {**entry, **_went(recoveries.get(text))} for text, entry in granted.items()
            },
        }
    return frame_bytes(orjson.dumps(reply))


def _went(recovery: Recovery | None) -> dict[str, object]:
    if recovery is None:  # it was subscribed already: nothing was missed
        return {"recovered": True, "replayed": 0}
    return {"recovered": recovery.recovered, "replayed": recovery.rows}


def _response(verdict: Verdict) -> WSUpgradeResponse:
    if verdict.status == 101:
        answer = WSUpgradeResponse.create_101_response(verdict.headers)
    elif verdict.status == 200:
        answer = WSUpgradeResponse.create_ok_response(verdict.body, verdict.headers)
    else:
        answer = WSUpgradeResponse.create_error_response(
            verdict.status, verdict.body, verdict.headers
        )
    assert isinstance(answer, WSUpgradeResponse)
    return answer
