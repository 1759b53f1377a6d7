"""The conversation as tables: message in, reply and what changes out."""

from typing import ClassVar

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.schema.channels import ALERTS
from engine.schema.codes import AlertType, Severity
from engine.tokens import Token
from gateway.conversation import (
    MESSAGES_PER_SECOND_MAX,
    Conversation,
    Limits,
    State,
    Travel,
)
from gateway.errors import RETRY, ErrorCode
from gateway.groups import Spec
from gateway.protocol import ERRORS_MAX, TABLE, step
from gateway.recent import Query
from gateway.resume import Since
from gateway.settings import INTERVAL_STEPS_MS
from gateway.topics import parse

ALWAYS_ALL = ["trade", "gaps", "feed", "limits", "put_through", "alerts"]
OF_THE_BOARD = ["market", "foreign.summary", "movers", "attribution"]
PUBLIC = [
    *("trade", "quote", "book", "stats", "reference", "gaps", "feed"),
    *("bar.1m", "bar.5m", "bar.15m", "bar.1h", "bar.1d"),
    *("foreign", "index", "index.series", "basis", "basis.trend"),
    *("limits", "auction", "put_through", "odd_lot", "alerts"),
    *OF_THE_BOARD,
    "status",
]

LIMITS = Limits(
    topics_max=3, message_bytes_max=1_000, conflate_ms=50, intervals_ms=INTERVAL_STEPS_MS
)
TRADE_CH, QUOTE_CH = 1 << 20, 2 << 20


DESK = Token("desk-1", ("trade.*", "quote.VN30*"), b"")


class World:
    SYMBOLS: ClassVar = {"FPT": 1, "VN30F2108": 2, "VN30F2109": 3}
    BOARD: ClassVar = {"HOSE": 60, "HOSE-VALUE": 61, "VN30": 62}

    replays = 1

    def __init__(self):
        self.queries = []

    def key_id(self, channel, code):
        return (self.BOARD if channel.name in OF_THE_BOARD else self.SYMBOLS).get(code, 0)

    def seq_of(self, channel, code):
        return {("trade", "FPT"): 1840}.get((channel.name, code), 0)

    def codes(self, *, board):
        return sorted(self.BOARD if board else self.SYMBOLS)

    def recent(self, query):
        self.queries.append(query)
        return [{"topic": "alerts.FPT", "seq": 7, "data": {}}]

    def token_of(self, secret):
        return DESK if secret == "right" else None

    def replays_free(self):
        return self.replays


def say(message, conversation=None, now_ns=0, world=None):
    data = message if isinstance(message, bytes) else orjson.dumps(message)
    return step(conversation or Conversation(), data, world or World(), LIMITS, now_ns)


def sub(*topics, **rest):
    return {"op": "sub", "topics": list(topics), **rest}


ALL, C50, C100 = (Spec("all", 0), Spec("conflate", 50), Spec("conflate", 100))


@pytest.mark.parametrize(
    ("message", "granted", "subscriptions", "shown"),
    [
        (
            sub("trade.FPT"),
            {"trade.FPT": {"ch": TRADE_CH | 1, "mode": "all", "interval_ms": 0, "seq": 1840}},
            {"trade.FPT": {1: ALL}},
            {"trade.FPT"},
        ),
        (
            sub("quote.FPT"),
            {"quote.FPT": {"ch": QUOTE_CH | 1, "mode": "conflate", "interval_ms": 50, "seq": 0}},
            {"quote.FPT": {2: C50}},
            {"quote.FPT"},
        ),
        (
            sub("trade.FPT", mode="conflate", interval_ms=51),  # rounded up to what is on offer
            {
                "trade.FPT": {
                    "ch": TRADE_CH | 1,
                    "mode": "conflate",
                    "interval_ms": 100,
                    "seq": 1840,
                }
            },
            {"trade.FPT": {1: C100}},
            {"trade.FPT"},
        ),
        (
            sub("quote.FPT", mode="all", interval_ms=500),
            {"quote.FPT": {"ch": QUOTE_CH | 1, "mode": "all", "interval_ms": 0, "seq": 0}},
            {"quote.FPT": {2: ALL}},
            {"quote.FPT"},
        ),
        (
            sub("trade.FPT", interval_ms=10**12),
            {
                "trade.FPT": {
                    "ch": TRADE_CH | 1,
                    "mode": "conflate",
                    "interval_ms": 60_000,
                    "seq": 1840,
                }
            },
            {"trade.FPT": {1: Spec("conflate", 60_000)}},
            {"trade.FPT"},
        ),
        (
            sub("trade.VN30*"),
            {"trade.VN30*": {"mode": "all", "interval_ms": 0, "keys": 2}},
            {"trade.VN30*": {1: ALL}},
            {"trade.VN30*"},
        ),
        (
            sub("trade.VN30*", snapshot=False),
            {
                "trade.VN30*": {
                    "mode": "all",
                    "interval_ms": 0,
                    "keys": 2,
                    "names": {"trade.VN30F2108": TRADE_CH | 2, "trade.VN30F2109": TRADE_CH | 3},
                }
            },
            {"trade.VN30*": {1: ALL}},
            set(),
        ),
        (
            sub("*"),
            {
                "*": {
                    "channels": {
                        name: {"mode": "all", "interval_ms": 0}
                        if name in ALWAYS_ALL
                        else {"mode": "conflate", "interval_ms": 50}
                        for name in PUBLIC
                    },
                    "keys": 3 * len(PUBLIC),
                }
            },
            {"*": {i: ALL if name in ALWAYS_ALL else C50 for i, name in enumerate(PUBLIC, 1)}},
            {"*"},
        ),
        (
            sub("movers.HOSE-VALUE"),  # a key of the board: its dash is part of the code
            {
                "movers.HOSE-VALUE": {
                    "ch": 25 << 20 | 61,
                    "mode": "conflate",
                    "interval_ms": 50,
                    "seq": 0,
                }
            },
            {"movers.HOSE-VALUE": {25: C50}},
            {"movers.HOSE-VALUE"},
        ),
        (
            sub("foreign.summary.V*", snapshot=False),
            {
                "foreign.summary.V*": {
                    "mode": "conflate",
                    "interval_ms": 50,
                    "keys": 1,
                    "names": {"foreign.summary.VN30": 24 << 20 | 62},
                }
            },
            {"foreign.summary.V*": {24: C50}},
            set(),
        ),
        (
            sub("bar.1m.VN30*"),  # contracts; the board's VN30 has no bars
            {"bar.1m.VN30*": {"mode": "conflate", "interval_ms": 50, "keys": 2}},
            {"bar.1m.VN30*": {8: C50}},
            {"bar.1m.VN30*"},
        ),
    ],
)
def test_sub(message, granted, subscriptions, shown):
    done = say({**message, "id": 7})
    assert done.reply == {"op": "sub_ok", "id": 7, "topics": granted}
    assert done.conversation.subscriptions == subscriptions
    assert (done.shown if done.snapshot else frozenset()) == shown
    assert not done.bad
    assert done.close is None


@pytest.mark.parametrize(
    "topic",
    [
        "trade.XYZ",
        "trade.",
        "trade",
        "x.FPT",
        "symbol.FPT",
        ".FPT",
        "",
        "trade.F*T",
        "**",
        "*.FPT",
        "trade.FPT.",
        "trade.\u0110",
        "trade." + "A" * 70,
        "bar.2m.FPT",
        "bar.FPT",
        "trade.HOSE",  # the board's
        "movers.FPT",  # a symbol
        "foreign.summary",
        "foreign.summary.FPT",
        "movers.*-VALUE",
    ],
)
def test_unknown_topics_are_refused_one_by_one(topic):
    done = say(sub(topic, "trade.FPT"))
    assert done.reply["err"] == {topic: 4004}
    assert list(done.reply["topics"]) == list(done.conversation.subscriptions) == ["trade.FPT"]
    assert not done.bad


def test_sub_is_idempotent_and_a_changed_mode_is_shown_anew():
    first = say(sub("trade.FPT"))
    again = say(sub("trade.FPT"), first.conversation)
    assert again.conversation.subscriptions == first.conversation.subscriptions
    assert again.shown == frozenset()
    assert again.reply == first.reply
    changed = say(sub("trade.FPT", mode="conflate"), first.conversation)
    assert changed.shown == {"trade.FPT"}
    assert len(changed.conversation.subscriptions) == 1


def test_the_topic_limit_counts_topics_not_repeats():
    done = say(sub("trade.FPT", "trade.FPT", "quote.FPT", "book.FPT", "stats.FPT", "*"))
    assert list(done.conversation.subscriptions) == ["trade.FPT", "quote.FPT", "book.FPT"]
    assert done.reply["err"] == {"stats.FPT": 4005, "*": 4005}


def test_unsub():
    held = say(sub("trade.FPT", "quote.FPT")).conversation
    done = say({"op": "unsub", "id": "x", "topics": ["trade.FPT", "stats.FPT", "stats.FPT"]}, held)
    assert done.reply == {
        "op": "unsub_ok",
        "id": "x",
        "topics": ["trade.FPT"],
        "err": {"stats.FPT": 4004},
    }
    assert list(done.conversation.subscriptions) == ["quote.FPT"]


def test_ping_and_list():
    assert say({"op": "ping", "id": 1}, now_ns=77).reply == {"op": "pong", "id": 1, "now_ns": 77}
    listed = say({"op": "list"}, say(sub("trade.FPT", "*")).conversation).reply
    assert list(listed["channels"]) == PUBLIC
    assert listed["channels"]["trade"]["meaning_vi"] == "khớp lệnh"
    assert listed["topics"]["trade.FPT"] == {"mode": "all", "interval_ms": 0}
    assert listed["symbols"] == ["FPT", "VN30F2108", "VN30F2109"]
    assert listed["board_keys"] == ["HOSE", "HOSE-VALUE", "VN30"]
    keyed = {name: entry["keys"] for name, entry in listed["channels"].items()}
    assert {name for name, keys in keyed.items() if keys == "board_keys"} == set(OF_THE_BOARD)
    remembered = {name: entry["recent_max"] for name, entry in listed["channels"].items()}
    assert {name: most for name, most in remembered.items() if most} == {"alerts": 500}
    assert orjson.dumps(listed)


@pytest.mark.parametrize(
    ("asked", "query"),
    [
        ({}, Query(ALERTS, 100)),
        ({"limit": 500}, Query(ALERTS, 500)),
        ({"limit": 1, "type": None, "severity": None}, Query(ALERTS, 1)),
        ({"type": "price_limit"}, Query(ALERTS, 100, AlertType.PRICE_LIMIT)),
        ({"type": "RULE"}, Query(ALERTS, 100, AlertType.RULE)),
        ({"severity": "warning"}, Query(ALERTS, 100, None, Severity.WARNING)),
        (
            {"type": "Feed", "severity": "CRITICAL"},
            Query(ALERTS, 100, AlertType.FEED, Severity.CRITICAL),
        ),
    ],
)
def test_recent(asked, query):
    world, held = World(), say(sub("trade.FPT")).conversation
    done = say({"op": "recent", "id": 3, "channel": "alerts", **asked}, held, world=world)
    assert world.queries == [query]
    assert done.reply == {
        "op": "recent_ok",
        "id": 3,
        "channel": "alerts",
        "rows": [{"topic": "alerts.FPT", "seq": 7, "data": {}}],
    }
    assert done.conversation.subscriptions == held.subscriptions
    assert not done.bad


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"channel": None}, "channel"),
        ({"channel": "trade"}, "channel"),
        ({"channel": ["alerts"]}, "channel"),
        ({"channel": "alerts.FPT"}, "channel"),
        ({"limit": 0}, "limit"),
        ({"limit": 501}, "limit"),
        ({"limit": True}, "limit"),
        ({"limit": "10"}, "limit"),
        ({"limit": None}, "limit"),
        ({"type": "none"}, "type"),
        ({"type": "spike"}, "type"),
        ({"type": 2}, "type"),
        ({"severity": "none"}, "severity"),
        ({"severity": 3}, "severity"),
        ({"severity": []}, "severity"),
    ],
)
def test_a_bad_argument_of_recent_is_named(asked, field):
    world = World()
    done = say({"op": "recent", "id": 3, "channel": "alerts", **asked}, world=world)
    assert (done.reply["code"], done.reply["id"]) == (4000, 3)
    assert done.reply["message"].startswith(field + " is ")
    assert done.bad
    assert not world.queries


@pytest.mark.parametrize(
    ("message", "code", "word"),
    [
        (b"", 4000, "JSON"),
        (b"{", 4000, "JSON"),
        (b"\xff\xfe", 4000, "JSON"),
        (b"[" * 999, 4000, "JSON"),
        (b"[]", 4000, "object"),
        (b"null", 4000, "object"),
        (b" " * 1_001, 4009, "1001"),
        ({}, 4000, "op"),
        ({"op": "dance"}, 4000, "unsub"),
        ({"op": ["sub"]}, 4000, "op"),
        ({"op": "ping", "id": 1.5}, 4000, "id"),
        ({"op": "ping", "id": True}, 4000, "id"),
        ({"op": "ping", "id": {}}, 4000, "id"),
        ({"op": "ping", "id": "x" * 65}, 4000, "id"),
        ({"op": "sub"}, 4000, "topics"),
        ({"op": "sub", "topics": []}, 4000, "topics"),
        ({"op": "sub", "topics": "trade.FPT"}, 4000, "topics"),
        ({"op": "sub", "topics": ["trade.FPT", 7]}, 4000, "topics"),
        (sub("trade.FPT", mode="fast"), 4000, "mode"),
        (sub("trade.FPT", mode=1), 4000, "mode"),
        (sub("trade.FPT", interval_ms=-1), 4000, "interval_ms"),
        (sub("trade.FPT", interval_ms=True), 4000, "interval_ms"),
        (sub("trade.FPT", interval_ms=1.0), 4000, "interval_ms"),
        (sub("trade.FPT", snapshot="yes"), 4000, "snapshot"),
        ({"op": "unsub"}, 4000, "topics"),
    ],
)
def test_nonsense_gets_an_error_frame_and_the_connection_lives(message, code, word):
    held = say(sub("trade.FPT")).conversation
    done = say(message, held)
    assert done.reply["op"] == "error"
    assert done.reply["code"] == code
    assert done.reply["error"] == ErrorCode(code).name.lower()
    assert done.reply["retry"] == "none"
    assert word in done.reply["message"]
    assert done.bad
    assert done.close is None
    assert done.conversation.subscriptions == held.subscriptions
    assert say({"op": "ping"}, done.conversation).reply["op"] == "pong"


def test_an_error_carries_the_id_it_answers():
    assert say({"op": "dance", "id": 9}).reply["id"] == 9
    assert "id" not in say({"op": "dance"}).reply


def test_nothing_but_nonsense_ends_with_4029():
    conversation = Conversation()
    for _ in range(ERRORS_MAX - 1):
        done = say(b"x", conversation)
        assert done.close is None
        conversation = done.conversation
    assert say({"op": "ping"}, conversation).conversation.errors_in_a_row == 0
    done = say(b"x", conversation)
    assert done.close is ErrorCode.RATE_LIMITED
    assert done.reply["code"] == 4029
    assert done.reply["retry"] == "backoff"


def test_the_rate_is_limited_per_second():
    conversation = Conversation()
    for _ in range(MESSAGES_PER_SECOND_MAX):
        done = say({"op": "ping"}, conversation, now_ns=10**18)
        conversation = done.conversation
        assert not done.bad
    assert say({"op": "ping"}, conversation, now_ns=10**18 + 5).reply["code"] == 4029
    assert not say({"op": "ping"}, conversation, now_ns=10**18 + 10**9).bad


FIELDS = [
    "op",
    "id",
    "topics",
    "mode",
    "interval_ms",
    "snapshot",
    "since",
    "channel",
    "limit",
    "type",
    "severity",
]


@given(
    st.binary(max_size=60)
    | st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**70), 2**70)
        | st.floats(allow_nan=False)
        | st.sampled_from(["op", "sub", "recent", "topics", "*", "trade.FPT", "alerts", "id"])
        | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(FIELDS) | st.text(max_size=3),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    ).map(
        lambda value: (
            orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_DATETIME)
            if not _too_big(value)
            else b""
        )
    )
)
def test_anything_gets_a_reply_that_is_json(message):
    assert orjson.loads(orjson.dumps(say(message).reply))["op"]


def _too_big(value):
    if isinstance(value, int):
        return not -(2**63) <= value < 2**64
    if isinstance(value, list):
        return any(map(_too_big, value))
    return isinstance(value, dict) and any(map(_too_big, value.values()))


def test_every_error_code_says_whether_to_try_again():
    assert set(RETRY) == set(ErrorCode)


@pytest.mark.parametrize(
    ("text", "channels", "pattern", "wildcard"),
    [
        ("trade.FPT", ["trade"], "FPT", False),
        ("trade.VN30*", ["trade"], "VN30", True),
        ("stats.*", ["stats"], "", True),
        ("alerts.*", ["alerts"], "", True),
        ("bar.15m.FPT", ["bar.15m"], "FPT", False),
        ("bar.1m.VN30*", ["bar.1m"], "VN30", True),
        ("index.VN30", ["index"], "VN30", False),
        ("index.series.VN30", ["index.series"], "VN30", False),
        ("foreign.*", ["foreign"], "", True),  # by symbol; the summaries are another channel
        ("foreign.summary.HOSE", ["foreign.summary"], "HOSE", False),
        ("foreign.summary.*", ["foreign.summary"], "", True),
        ("movers.HOSE-VALUE", ["movers"], "HOSE-VALUE", False),
        ("movers.HOSE-*", ["movers"], "HOSE-", True),
        ("attribution.VNINDEX", ["attribution"], "VNINDEX", False),
        ("*", PUBLIC, "", True),
    ],
)
def test_topics(text, channels, pattern, wildcard):
    topic = parse(text)
    assert ([c.name for c in topic.channels], topic.pattern, topic.wildcard) == (
        channels,
        pattern,
        wildcard,
    )


# --- since ----------------------------------------------------------------------------------------


def test_since_says_where_the_client_was():
    done = say(sub("trade.*", since={"epoch": "12-7", "seq": {"trade.FPT": 3, "trade.*": 0}}))
    assert done.since == Since(frozenset({"12", "7"}), {"trade.FPT": 3, "trade.*": 0})
    assert say(sub("trade.*")).since is None


@pytest.mark.parametrize(
    "since",
    [
        7,
        [],
        {"epoch": "1"},
        {"seq": {}},
        {"epoch": 1, "seq": {}},
        {"epoch": "1" * 600, "seq": {}},
        {"epoch": "1", "seq": []},
        {"epoch": "1", "seq": {"trade.FPT": -1}},
        {"epoch": "1", "seq": {"trade.FPT": "3"}},
        {"epoch": "1", "seq": {"trade.FPT": True}},
        {"epoch": "1", "seq": {"trade.FPT": 1 << 63}},
    ],
)
def test_a_since_that_makes_no_sense_names_itself(since):
    done = say(sub("trade.FPT", since=since))
    assert done.reply["code"] == 4000
    assert "since" in done.reply["message"]


# --- set ------------------------------------------------------------------------------------------


def test_set_changes_how_topics_are_delivered_and_shows_nothing():
    held = say(sub("trade.FPT", "quote.FPT")).conversation
    done = say({"op": "set", "id": 5, "topics": ["trade.FPT", "stats.FPT"], "mode": "skip"}, held)
    assert done.reply == {
        "op": "set_ok",
        "id": 5,
        "topics": {"trade.FPT": {"mode": "skip", "interval_ms": 0}},
        "err": {"stats.FPT": 4004},
    }
    assert done.shown == frozenset()
    assert done.conversation.subscriptions == {
        "trade.FPT": {1: Spec("skip", 0)},
        "quote.FPT": {2: C50},
    }


def test_set_needs_something_to_set():
    held = say(sub("trade.FPT")).conversation
    assert say({"op": "set", "topics": ["trade.FPT"]}, held).reply["code"] == 4000


# --- schema ---------------------------------------------------------------------------------------


def test_schema_tells_every_public_channel():
    reply = say({"op": "schema", "id": 1}).reply
    assert (reply["op"], reply["id"]) == ("schema_ok", 1)
    assert set(reply["channels"]) >= set(PUBLIC)
    assert reply["header"]["bytes"] == 16


# --- auth -----------------------------------------------------------------------------------------

WAITING = Conversation(state=State.WAITING)


def test_every_verb_is_in_every_state():
    assert len({frozenset(verbs) for verbs in TABLE.values()}) == 1
    assert set(TABLE) == set(State)


@pytest.mark.parametrize("op", sorted(TABLE[State.OPEN].keys() - {"auth", "ping"}))
def test_nothing_is_told_before_the_token(op):
    done = say({"op": op, "topics": ["trade.FPT"]}, WAITING)
    assert (done.reply["code"], done.close) == (4001, None)
    assert done.conversation.subscriptions == {}
    assert done.conversation.state is State.WAITING


def test_a_token_opens_the_conversation():
    done = say({"op": "auth", "id": 1, "token": "right"}, WAITING)
    assert done.reply == {
        "op": "auth_ok",
        "id": 1,
        "name": "desk-1",
        "scopes": ["trade.*", "quote.VN30*"],
    }
    assert done.conversation.state is State.OPEN
    assert done.conversation.token is DESK


@pytest.mark.parametrize("token", ["wrong", "", None, 7, "x" * 900])
def test_a_wrong_token_is_told_and_closed(token):
    done = say({"op": "auth", "token": token}, WAITING)
    assert (done.reply["code"], int(done.close)) == (4001, 4001)
    assert "wrong" not in done.reply["message"]


def test_who_needs_no_token_may_say_one():
    assert say({"op": "auth", "token": "any"}).reply["op"] == "auth_ok"


def test_topics_outside_the_scopes_are_refused_one_by_one():
    done = say(
        sub("trade.FPT", "trade.*", "quote.FPT", "quote.VN30F*", "*"), Conversation(token=DESK)
    )
    assert list(done.reply["topics"]) == ["trade.FPT", "trade.*", "quote.VN30F*"]
    assert done.reply["err"] == {"quote.FPT": 4003, "*": 4003}
    assert done.forbidden == 2
    refused = say({"op": "recent", "channel": "alerts"}, Conversation(token=DESK))
    assert refused.reply["code"] == 4003


# --- replay ---------------------------------------------------------------------------------------


def replay(*topics, **rest):
    return {"op": "replay", "id": 9, "topics": list(topics), "from": "09:15:00", **rest}


def test_replay():
    done = say(replay("trade.FPT", "quote.VN30*", "market.VN30", "trade.XYZ", speed=20))
    assert done.travel == Travel(
        9, {"trade.FPT": {1: ALL}, "quote.VN30*": {2: C50}}, 9 * 3_600 + 15 * 60, 20.0
    )
    assert done.conversation.travel == done.travel
    assert done.conversation.subscriptions == {}  # live only when it is over
    assert done.reply["op"] == "replay_ok"
    assert done.reply["err"] == {"market.VN30": 4004, "trade.XYZ": 4004}
    assert (done.reply["from"], done.reply["speed"]) == ("09:15:00", 20.0)


def test_a_replay_of_nothing_begins_nothing():
    done = say(replay("trade.XYZ"))
    assert done.travel is None
    assert done.conversation.travel is None


@pytest.mark.parametrize(
    ("held", "asked", "code"),
    [
        (["trade.FPT"], "trade.FPT", 4000),  # the same key live and of the past at once
        (["trade.*"], "trade.FPT", 4000),
        (["*"], "quote.VN30*", 4000),
        (["trade.FPT"], "trade.F*", 4000),
        (["trade.FPT"], "quote.FPT", None),
        (["trade.FPT"], "trade.VN30F2108", None),
    ],
)
def test_a_key_is_live_or_replayed_never_both(held, asked, code):
    before = say(sub(*held)).conversation
    done = say(replay(asked), before)
    assert done.reply.get("err", {}).get(asked) == code
    if code is None:
        later = say(sub("trade.*", asked), done.conversation)
        assert later.reply["err"][asked] == 4000


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"from": "9:15"}, "from"),
        ({"from": "24:00:00"}, "from"),
        ({"from": 33300}, "from"),
        ({"speed": -1}, "speed"),
        ({"speed": 0.5}, "speed"),
        ({"speed": 1_001}, "speed"),
        ({"speed": "fast"}, "speed"),
        ({"speed": True}, "speed"),
    ],
)
def test_a_replay_that_makes_no_sense_names_the_field(fields, word):
    done = say({**replay("trade.FPT"), **fields})
    assert done.reply["code"] == 4000
    assert done.reply["message"].startswith(word)


def test_one_replay_at_a_time_and_only_as_many_as_there_are():
    first = say(replay("trade.FPT")).conversation
    assert say(replay("quote.FPT"), first).reply["code"] == 4000
    full = World()
    full.replays = 0
    assert say(replay("trade.FPT"), world=full).reply["code"] == 4029


def test_leaving_a_topic_of_a_replay_ends_it():
    travelling = say(replay("trade.FPT", "quote.FPT")).conversation
    done = say({"op": "unsub", "topics": ["quote.FPT"]}, travelling)
    assert done.reply["topics"] == ["quote.FPT"]
    assert done.conversation.travel is None
