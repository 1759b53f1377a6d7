"""What each verb of the conversation does: (conversation, what was said) -> step. Pure.

auth   {"op":"auth","id":1,"token":"..."}
sub    {"op":"sub","id":7,"topics":["trade.FPT","stats.*"],"mode":"conflate","interval_ms":50,
        "snapshot":true,"since":{"epoch":"...","seq":{"trade.FPT":1812}}}
set    {"op":"set","id":5,"topics":["trade.*"],"mode":"skip"}
unsub  {"op":"unsub","id":8,"topics":["trade.FPT"]}
replay {"op":"replay","id":9,"topics":["trade.FPT"],"from":"09:15:00","speed":20}
list   {"op":"list","id":9}
recent {"op":"recent","id":3,"channel":"alerts","limit":100,"type":"price_limit",
        "severity":"warning"}
schema {"op":"schema","id":2}
ping   {"op":"ping","id":10}
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from engine.schema.channels import CHANNELS, Channel
from gateway import arguments
from gateway.conversation import Conversation, Limits, Refusal, Said, State, Step, Travel, World
from gateway.encode import ch_of
from gateway.errors import ErrorCode
from gateway.groups import Mode, Spec
from gateway.layouts import describe
from gateway.scopes import allows
from gateway.topics import Topic, parse


def auth(conversation: Conversation, said: Said) -> Step:
    """Learn who the client is."""
    token = said.world.token_of(arguments.token(said.request))
    if token is None:
        raise Refusal(
            ErrorCode.UNAUTHORIZED, "the token is unknown, revoked or expired", close=True
        )
    return Step(
        replace(conversation, state=State.OPEN, token=token),
        {"op": "auth_ok", **said.head, "name": token.name, "scopes": list(token.scopes)},
    )


def auth_again(conversation: Conversation, said: Said) -> Step:
    """Answer a token that nobody needs, or that was said before: nothing changes."""
    token = conversation.token
    if token is None:
        return Step(conversation, {"op": "auth_ok", **said.head, "name": "", "scopes": ["*"]})
    raise Refusal(ErrorCode.BAD_REQUEST, f"this connection is {token.name}'s; open another one")


def say_token_first(_conversation: Conversation, _said: Said) -> Step:
    """Refuse everything else before it."""
    raise Refusal(
        ErrorCode.UNAUTHORIZED, 'a token is needed: say {"op":"auth","token":"..."} first'
    )


def ping(conversation: Conversation, said: Said) -> Step:
    """Answer with the time."""
    return Step(conversation, {"op": "pong", **said.head, "now_ns": said.now_ns})


def schema(conversation: Conversation, said: Said) -> Step:
    """Tell how binary records are laid out."""
    return Step(conversation, {"op": "schema_ok", **said.head, **describe()})


def list_all(conversation: Conversation, said: Said) -> Step:
    """Tell what there is, and what the client has."""
    subscriptions = conversation.subscriptions
    return Step(
        conversation,
        {
            "op": "list_ok",
            **said.head,
            "channels": channel_table(said.limits),
            "topics": {topic: _granted(specs) for topic, specs in subscriptions.items()},
            "symbols": said.world.codes(board=False),
            "board_keys": said.world.codes(board=True),
        },
    )


def recent(conversation: Conversation, said: Said) -> Step:
    """Tell the last rows of a channel."""
    query = arguments.query(said.request)
    topic = parse(f"{query.channel.name}.*")
    assert topic is not None
    if not allows(conversation.scopes, topic):
        raise Refusal(ErrorCode.FORBIDDEN, f"{topic.text} is outside the token's scopes")
    return Step(
        conversation,
        {
            "op": "recent_ok",
            **said.head,
            "channel": query.channel.name,
            "rows": said.world.recent(query),
        },
    )


def sub(conversation: Conversation, said: Said) -> Step:
    """Subscribe, topic by topic."""
    wish = arguments.wish(said.request, said.limits)
    snapshot, since = arguments.snapshot(said.request), arguments.since(said.request)
    subscriptions = dict(conversation.subscriptions)
    granted: dict[str, object] = {}
    refused: dict[str, int] = {}
    shown: set[str] = set()
    for text in arguments.topics(said.request):
        topic = _topic(text, conversation, said.world, refused)
        if topic is None:
            continue
        if text not in subscriptions and len(subscriptions) >= said.limits.topics_max:
            refused[text] = int(ErrorCode.TOPIC_LIMIT)
            continue
        if conversation.travel is not None and overlap(topic, conversation.travel.topics):
            refused[text] = int(ErrorCode.BAD_REQUEST)
            continue
        specs = _specs(topic, wish, said.limits)
        if subscriptions.get(text) != specs:
            subscriptions[text] = specs
            shown.add(text)
        granted[text] = _grant(topic, specs, said.world, names=not snapshot)
    return Step(
        replace(conversation, subscriptions=subscriptions),
        _answer("sub_ok", said, granted, refused),
        frozenset(shown),
        snapshot,
        since,
        forbidden=_forbidden(refused),
    )


def set_delivery(conversation: Conversation, said: Said) -> Step:
    """Change how topics are delivered that the client has."""
    wish = arguments.wish(said.request, said.limits)
    if wish is None:
        raise Refusal(ErrorCode.BAD_REQUEST, "set needs mode, interval_ms or both")
    subscriptions = dict(conversation.subscriptions)
    granted: dict[str, object] = {}
    refused: dict[str, int] = {}
    for text in arguments.topics(said.request):
        if text in subscriptions:
            subscriptions[text] = dict.fromkeys(subscriptions[text], wish)
            granted[text] = _granted(subscriptions[text])
        else:
            refused[text] = int(ErrorCode.UNKNOWN_TOPIC)
    return Step(
        replace(conversation, subscriptions=subscriptions),
        _answer("set_ok", said, granted, refused),
    )


def unsub(conversation: Conversation, said: Said) -> Step:
    """Leave topics; leaving one of a time travel ends all of it."""
    subscriptions, travel = dict(conversation.subscriptions), conversation.travel
    gone: list[str] = []
    refused: dict[str, int] = {}
    for text in arguments.topics(said.request):
        travelling = conversation.travel is not None and text in conversation.travel.topics
        if travelling:
            travel = None
        if travelling or subscriptions.pop(text, None) is not None:
            gone.append(text)
        else:
            refused[text] = int(ErrorCode.UNKNOWN_TOPIC)
    return Step(
        replace(conversation, subscriptions=subscriptions, travel=travel),
        _answer("unsub_ok", said, gone, refused),
    )


def replay(conversation: Conversation, said: Said) -> Step:
    """Begin a time travel."""
    from_s, speed = arguments.from_s(said.request), arguments.speed(said.request)
    wish = arguments.wish(said.request, said.limits)
    if conversation.travel is not None:
        raise Refusal(ErrorCode.BAD_REQUEST, "one replay at a time: unsub its topics first")
    topics: dict[str, Mapping[int, Spec]] = {}
    granted: dict[str, object] = {}
    refused: dict[str, int] = {}
    for text in arguments.topics(said.request):
        topic = _topic(text, conversation, said.world, refused)
        if topic is None:
            continue
        if any(channel.board for channel in topic.channels):
            refused[text] = int(ErrorCode.UNKNOWN_TOPIC)  # a summary is no fold over the day
        elif overlap(topic, conversation.subscriptions):
            refused[text] = int(ErrorCode.BAD_REQUEST)
        elif len(conversation.subscriptions) + len(topics) >= said.limits.topics_max:
            refused[text] = int(ErrorCode.TOPIC_LIMIT)
        else:
            topics[text] = _specs(topic, wish, said.limits)
            granted[text] = _grant(topic, topics[text], said.world, names=False)
    if topics and not said.world.replays_free():
        raise Refusal(
            ErrorCode.RATE_LIMITED, "no replay is free at this gateway: try later, or another one"
        )
    travel = Travel(said.head.get("id"), topics, from_s, speed) if topics else None
    clock = f"{from_s // 3600:02}:{from_s // 60 % 60:02}:{from_s % 60:02}"
    return Step(
        replace(conversation, travel=travel),
        {**_answer("replay_ok", said, granted, refused), "from": clock, "speed": speed},
        travel=travel,
        forbidden=_forbidden(refused),
    )


def arrived(conversation: Conversation) -> Conversation:
    """Return the conversation after its time travel has become live."""
    travel = conversation.travel
    assert travel is not None, "nobody travels"
    return replace(
        conversation,
        subscriptions={**conversation.subscriptions, **travel.topics},
        travel=None,
    )


# --- parts ----------------------------------------------------------------------------------------


def channel_table(limits: Limits) -> dict[str, object]:
    """Return what `list` says of every public channel."""
    return {
        channel.name: {
            **_plain(_default(channel, limits)),
            "meaning": channel.meaning,
            "meaning_vi": channel.meaning_vi,
            "keys": "board_keys" if channel.board else "symbols",
            "recent_max": channel.keep,
        }
        for channel in CHANNELS
        if channel.public
    }


def overlap(topic: Topic, others: Iterable[str]) -> bool:
    """Return whether a topic and any of the others can name the same key."""
    mine = {channel.code for channel in topic.channels}
    for text in others:
        other = parse(text)
        if other is None or not mine & {channel.code for channel in other.channels}:
            continue
        left, right = topic.pattern, other.pattern
        if (
            left == right
            or (topic.wildcard and right.startswith(left))
            or (other.wildcard and left.startswith(right))
        ):
            return True
    return False


def _topic(
    text: str, conversation: Conversation, world: World, refused: dict[str, int]
) -> Topic | None:
    """Return the topic, or None with the reason in `refused`."""
    topic = parse(text)
    if topic is not None and not allows(conversation.scopes, topic):
        refused[text] = int(ErrorCode.FORBIDDEN)
        return None
    if topic is None or not (topic.wildcard or world.key_id(topic.channels[0], topic.pattern)):
        refused[text] = int(ErrorCode.UNKNOWN_TOPIC)
        return None
    return topic


def _forbidden(refused: Mapping[str, int]) -> int:
    return sum(code == ErrorCode.FORBIDDEN for code in refused.values())


def _answer(op: str, said: Said, granted: object, refused: Mapping[str, int]) -> dict[str, object]:
    answer: dict[str, object] = {"op": op, **said.head, "topics": granted}
    if refused:
        answer["err"] = refused
    return answer


def _specs(topic: Topic, wish: Spec | None, limits: Limits) -> dict[int, Spec]:
    return {channel.code: wish or _default(channel, limits) for channel in topic.channels}


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
    topic: Topic, specs: Mapping[int, Spec], world: World, *, names: bool
) -> dict[str, object]:
    """Return a topic's entry in `sub_ok`."""
    entry = _granted(specs)
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
