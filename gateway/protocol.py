"""The conversation with one client, as a function: (conversation, message, world) -> step. Pure.

No socket, no clock, no state: what a message leads to can be read and tested as a table.

    sub    {"op":"sub","id":7,"topics":["trade.FPT","stats.*"],"mode":"conflate","interval_ms":50,
            "snapshot":true}
    unsub  {"op":"unsub","id":8,"topics":["trade.FPT"]}
    list   {"op":"list","id":9}
    ping   {"op":"ping","id":10}
    recent {"op":"recent","id":3,"channel":"alerts","limit":100,"type":"price_limit",
            "severity":"warning"}

A message that makes no sense gets an error frame and the connection lives on; a client that sends
nothing else, or too much, is told 4029 and closed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, Final, Protocol, TypeVar, cast

import orjson

from engine.schema.channels import BY_NAME, CHANNELS, Channel
from engine.schema.codes import AlertType, Severity
from gateway.encode import ch_of
from gateway.errors import ErrorCode, error
from gateway.groups import Mode, Spec, Subscriptions
from gateway.recent import Query
from gateway.topics import Topic, parse

ERRORS_MAX: Final = 20  # in a row
MESSAGES_PER_SECOND_MAX: Final = 100
ID_CHARS_MAX: Final = 64
SECOND_NS: Final = 1_000_000_000
RECENT_DEFAULT: Final = 100  # rows
REMEMBERED: Final = [channel.name for channel in CHANNELS if channel.keep]

Code = TypeVar("Code", bound=IntEnum)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client is told in `hello` and held to."""

    topics_max: int
    message_bytes_max: int
    conflate_ms: int
    intervals_ms: tuple[int, ...]

    def interval(self, wish_ms: int) -> int:
        """Return the offered interval for a wish: the next longer one, or the longest."""
        return next((step for step in self.intervals_ms if step >= wish_ms), self.intervals_ms[-1])


class World(Protocol):
    """What the conversation may look up."""

    def key_id(self, channel: Channel, code: str) -> int:
        """Return the id of a channel's key, 0 if unknown."""
        ...

    def seq_of(self, channel: Channel, code: str) -> int:
        """Return the seq of a key's latest row, 0 if none."""
        ...

    def codes(self, *, board: bool) -> list[str]:
        """Return all codes of symbols, or of the board, sorted."""
        ...

    def recent(self, query: Query) -> list[object]:
        """Return the last rows of a channel, newest last."""
        ...


@dataclass(frozen=True, slots=True)
class Conversation:
    """All there is to know about a client between two messages."""

    subscriptions: Subscriptions = field(default_factory=dict)
    errors_in_a_row: int = 0
    window_start_ns: int = 0
    window_messages: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """What a message led to."""

    conversation: Conversation
    reply: Mapping[str, object]
    snapshot: frozenset[str] = frozenset()  # topics whose keys are to be shown now
    bad: bool = False
    close: ErrorCode | None = None  # after the reply


class _Refusal(Exception):
    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def step(
    conversation: Conversation, message: bytes, world: World, limits: Limits, now_ns: int
) -> Step:
    """Answer one message.

    Parameters
    ----------
    conversation
        As the last step left it.
    message
        The client's text message, any bytes.
    world
        Symbols and sequence numbers.
    limits
        In force for this connection.
    now_ns
        The time: for `pong` and the rate limit.

    Returns
    -------
    Step
        Always with a reply. Never an exception for anything a client can send.
    """
    conversation = _count(conversation, now_ns)
    request_id: object = None
    try:
        if conversation.window_messages > MESSAGES_PER_SECOND_MAX:
            raise _Refusal(
                ErrorCode.RATE_LIMITED, f"more than {MESSAGES_PER_SECOND_MAX} messages in a second"
            )
        request = _request(message, limits)
        request_id = _request_id(request)
        done = _answer(conversation, request, request_id, world, limits, now_ns)
    except _Refusal as refusal:
        errors = conversation.errors_in_a_row + 1
        after = replace(conversation, errors_in_a_row=errors)
        if errors >= ERRORS_MAX:
            text = f"{errors} bad messages in a row, the last: {refusal}"
            return Step(
                after,
                error(ErrorCode.RATE_LIMITED, text, request_id),
                bad=True,
                close=ErrorCode.RATE_LIMITED,
            )
        return Step(after, error(refusal.code, str(refusal), request_id), bad=True)
    return replace(done, conversation=replace(done.conversation, errors_in_a_row=0))


def _count(conversation: Conversation, now_ns: int) -> Conversation:
    """Count the message in its second."""
    if now_ns - conversation.window_start_ns >= SECOND_NS:
        return replace(conversation, window_start_ns=now_ns, window_messages=1)
    return replace(conversation, window_messages=conversation.window_messages + 1)


def _request(message: bytes, limits: Limits) -> dict[str, Any]:
    if len(message) > limits.message_bytes_max:
        raise _Refusal(
            ErrorCode.TOO_LARGE,
            f"message of {len(message)} bytes, limit {limits.message_bytes_max}",
        )
    try:
        request = orjson.loads(message)
    except orjson.JSONDecodeError as failure:
        raise _Refusal(ErrorCode.BAD_REQUEST, f"not JSON: {failure}") from None
    if not isinstance(request, dict):
        raise _Refusal(ErrorCode.BAD_REQUEST, "a message is a JSON object")
    return request


def _request_id(request: dict[str, Any]) -> object:
    request_id = request.get("id")
    if request_id is None or (isinstance(request_id, int) and not isinstance(request_id, bool)):
        return request_id
    if isinstance(request_id, str) and len(request_id) <= ID_CHARS_MAX:
        return request_id
    raise _Refusal(ErrorCode.BAD_REQUEST, f"id is an integer or up to {ID_CHARS_MAX} characters")


def _answer(
    conversation: Conversation,
    request: dict[str, Any],
    request_id: object,
    world: World,
    limits: Limits,
    now_ns: int,
) -> Step:
    op = request.get("op")
    head = {} if request_id is None else {"id": request_id}
    if op == "ping":
        return Step(conversation, {"op": "pong", **head, "now_ns": now_ns})
    if op == "list":
        return Step(
            conversation,
            {
                "op": "list_ok",
                **head,
                "channels": channel_table(limits),
                "topics": {
                    topic: _granted(specs) for topic, specs in conversation.subscriptions.items()
                },
                "symbols": world.codes(board=False),
                "board_keys": world.codes(board=True),
            },
        )
    if op == "recent":
        query = _query(request)
        rows = world.recent(query)
        return Step(
            conversation, {"op": "recent_ok", **head, "channel": query.channel.name, "rows": rows}
        )
    if op == "sub":
        return _subscribe(conversation, request, head, world, limits)
    if op == "unsub":
        return _unsubscribe(conversation, request, head)
    known = "sub, unsub, list, recent, ping"
    raise _Refusal(ErrorCode.BAD_REQUEST, f"op {str(op)[:32]!r} is not one of {known}")


def channel_table(limits: Limits) -> dict[str, object]:
    """Return the channels a client may subscribe to, with their defaults."""
    return {
        channel.name: {
            **_plain(_default(channel, limits)),
            "keys": "board_keys" if channel.board else "symbols",
            "recent_max": channel.keep,
            "meaning": channel.meaning,
            "meaning_vi": channel.meaning_vi,
        }
        for channel in CHANNELS
        if channel.public
    }


def _topics(request: dict[str, Any]) -> list[str]:
    topics = request.get("topics")
    if (
        not isinstance(topics, list)
        or not topics
        or not all(isinstance(topic, str) for topic in topics)
    ):
        raise _Refusal(ErrorCode.BAD_REQUEST, 'topics is a list of names such as "trade.FPT"')
    return list(dict.fromkeys(topics))


def _subscribe(
    conversation: Conversation,
    request: dict[str, Any],
    head: dict[str, object],
    world: World,
    limits: Limits,
) -> Step:
    wish = _wish(request, limits)
    snapshot = request.get("snapshot", True)
    if not isinstance(snapshot, bool):
        raise _Refusal(ErrorCode.BAD_REQUEST, "snapshot is true or false")
    subscriptions = dict(conversation.subscriptions)
    granted: dict[str, object] = {}
    refused: dict[str, int] = {}
    changed: set[str] = set()
    for text in _topics(request):
        topic = parse(text)
        if topic is None or not (topic.wildcard or world.key_id(topic.channels[0], topic.pattern)):
            refused[text] = int(ErrorCode.UNKNOWN_TOPIC)
            continue
        if text not in subscriptions and len(subscriptions) >= limits.topics_max:
            refused[text] = int(ErrorCode.TOPIC_LIMIT)
            continue
        specs = {channel.code: wish or _default(channel, limits) for channel in topic.channels}
        if subscriptions.get(text) != specs:
            subscriptions[text] = specs
            changed.add(text)
        granted[text] = _grant(topic, specs, world, names=not snapshot, since="since" in request)
    reply: dict[str, object] = {"op": "sub_ok", **head, "topics": granted}
    if refused:
        reply["err"] = refused
    return Step(
        replace(conversation, subscriptions=subscriptions),
        reply,
        frozenset(changed) if snapshot else frozenset(),
    )


def _wish(request: dict[str, Any], limits: Limits) -> Spec | None:
    """Return the delivery asked for, None when each channel's default is meant."""
    mode, interval = request.get("mode"), request.get("interval_ms")
    if mode not in (None, "all", "conflate"):
        raise _Refusal(ErrorCode.BAD_REQUEST, "mode is all or conflate")
    if interval is not None and (
        not isinstance(interval, int) or isinstance(interval, bool) or interval < 0
    ):
        raise _Refusal(ErrorCode.BAD_REQUEST, "interval_ms is an integer, 0 or more")
    if mode is None and interval is None:
        return None
    if mode == "all":
        return Spec("all", 0)
    return Spec("conflate", limits.interval(limits.conflate_ms if interval is None else interval))


def _default(channel: Channel, limits: Limits) -> Spec:
    mode: Mode = channel.default_mode
    return Spec(mode, 0 if mode == "all" else limits.conflate_ms)


def _plain(spec: Spec) -> dict[str, object]:
    return {"mode": spec.mode, "interval_ms": spec.interval_ms}


def _granted(specs: Mapping[int, Spec]) -> dict[str, object]:
    """Return how a topic is delivered: one way, or one per channel for `*`."""
    if len(specs) == 1:
        return _plain(next(iter(specs.values())))
    return {"channels": {CHANNELS[code].name: _plain(spec) for code, spec in specs.items()}}


def _grant(
    topic: Topic, specs: Mapping[int, Spec], world: World, *, names: bool, since: bool
) -> dict[str, object]:
    """Return a topic's entry in `sub_ok`."""
    entry = _granted(specs)
    if since:
        entry["recovered"] = False  # nothing is kept to replay from: complete or not at all
    if not topic.wildcard:
        channel = topic.channels[0]
        return {
            "ch": ch_of(channel, world.key_id(channel, topic.pattern)),
            **entry,
            "seq": world.seq_of(channel, topic.pattern),
        }
    codes = {
        board: [code for code in world.codes(board=board) if code.startswith(topic.pattern)]
        for board in {channel.board for channel in topic.channels}
    }
    entry["keys"] = sum(len(codes[channel.board]) for channel in topic.channels)
    if names:  # without snapshots nothing else would tell which `ch` is which
        entry["names"] = {
            f"{channel.name}.{code}": ch_of(channel, world.key_id(channel, code))
            for channel in topic.channels
            for code in codes[channel.board]
        }
    return entry


def _query(request: dict[str, Any]) -> Query:
    """Return what `recent` asks for; an error names the field."""
    channel = BY_NAME.get(request["channel"]) if isinstance(request.get("channel"), str) else None
    if channel is None or not channel.keep:
        raise _Refusal(ErrorCode.BAD_REQUEST, f"channel is one of {', '.join(REMEMBERED)}")
    limit = request.get("limit", min(RECENT_DEFAULT, channel.keep))
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= channel.keep:
        raise _Refusal(ErrorCode.BAD_REQUEST, f"limit is an integer, 1 to {channel.keep}")
    kind, least = _code(request, "type", AlertType), _code(request, "severity", Severity)
    return Query(channel, limit, kind, least or Severity.NONE)


def _code(request: dict[str, Any], name: str, kind: type[Code]) -> Code | None:
    """Return the code that a field of the request names in any case, None without the field."""
    word = request.get(name)
    if word is None:
        return None
    known = {code.name.lower(): code for code in kind if code}
    if not isinstance(word, str) or word.lower() not in known:
        raise _Refusal(ErrorCode.BAD_REQUEST, f"{name} is one of {', '.join(known)}")
    return known[word.lower()]


def _unsubscribe(
    conversation: Conversation, request: dict[str, Any], head: dict[str, object]
) -> Step:
    subscriptions = dict(conversation.subscriptions)
    gone = [topic for topic in _topics(request) if subscriptions.pop(topic, None) is not None]
    missing = {
        topic: int(ErrorCode.UNKNOWN_TOPIC)
        for topic in cast("list[str]", request["topics"])
        if topic not in gone
    }
    reply: dict[str, object] = {"op": "unsub_ok", **head, "topics": gone}
    if missing:
        reply["err"] = missing
    return Step(replace(conversation, subscriptions=subscriptions), reply)
