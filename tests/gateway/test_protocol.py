"""The conversation as tables: message in, reply and what changes out."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import RETRY, ErrorCode
from gateway.groups import Spec
from gateway.protocol import ERRORS_MAX, MESSAGES_PER_SECOND_MAX, Conversation, Limits, step
from gateway.settings import INTERVAL_STEPS_MS
from gateway.topics import parse

PUBLIC = ["trade", "quote", "book", "stats", "reference", "gaps", "feed"]

LIMITS = Limits(
    topics_max=3, message_bytes_max=1_000, conflate_ms=50, intervals_ms=INTERVAL_STEPS_MS
)
TRADE_CH, QUOTE_CH = 1 << 20, 2 << 20


class World:
    def symbol_id(self, code):
        return {"FPT": 1, "VN30F2108": 2, "VN30F2109": 3}.get(code, 0)

    def seq_of(self, channel, code):
        return {("trade", "FPT"): 1840}.get((channel.name, code), 0)

    def codes(self):
        return ["FPT", "VN30F2108", "VN30F2109"]


def say(message, conversation=None, now_ns=0):
    data = message if isinstance(message, bytes) else orjson.dumps(message)
    return step(conversation or Conversation(), data, World(), LIMITS, now_ns)


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
                        "trade": {"mode": "all", "interval_ms": 0},
                        "quote": {"mode": "conflate", "interval_ms": 50},
                        "book": {"mode": "conflate", "interval_ms": 50},
                        "stats": {"mode": "conflate", "interval_ms": 50},
                        "reference": {"mode": "conflate", "interval_ms": 50},
                        "gaps": {"mode": "all", "interval_ms": 0},
                        "feed": {"mode": "all", "interval_ms": 0},
                    },
                    "keys": 3 * len(PUBLIC),
                }
            },
            {"*": {1: ALL, 2: C50, 3: C50, 4: C50, 5: C50, 6: ALL, 7: ALL}},
            {"*"},
        ),
        (
            sub("trade.FPT", since={"epoch": "1", "seq": {"trade.FPT": 3}}),
            {
                "trade.FPT": {
                    "ch": TRADE_CH | 1,
                    "mode": "all",
                    "interval_ms": 0,
                    "recovered": False,
                    "seq": 1840,
                }
            },
            {"trade.FPT": {1: ALL}},
            {"trade.FPT"},
        ),
    ],
)
def test_sub(message, granted, subscriptions, shown):
    done = say({**message, "id": 7})
    assert done.reply == {"op": "sub_ok", "id": 7, "topics": granted}
    assert done.conversation.subscriptions == subscriptions
    assert done.snapshot == shown
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
        "bar.1m.FPT",
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
    assert again.snapshot == frozenset()
    assert again.reply == first.reply
    changed = say(sub("trade.FPT", mode="conflate"), first.conversation)
    assert changed.snapshot == {"trade.FPT"}
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
    assert orjson.dumps(listed)


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
        ({"op": "dance"}, 4000, "dance"),
        ({"op": ["sub"]}, 4000, "op"),
        ({"op": "ping", "id": 1.5}, 4000, "id"),
        ({"op": "ping", "id": True}, 4000, "id"),
        ({"op": "ping", "id": {}}, 4000, "id"),
        ({"op": "ping", "id": "x" * 65}, 4000, "id"),
        ({"op": "sub"}, 4000, "topics"),
        ({"op": "sub", "topics": []}, 4000, "topics"),
        ({"op": "sub", "topics": "trade.FPT"}, 4000, "topics"),
        ({"op": "sub", "topics": ["trade.FPT", 7]}, 4000, "topics"),
        (sub("trade.FPT", mode="skip"), 4000, "mode"),
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


@given(
    st.binary(max_size=60)
    | st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**70), 2**70)
        | st.floats(allow_nan=False)
        | st.sampled_from(["op", "sub", "topics", "*", "trade.FPT", "id"])
        | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["op", "id", "topics", "mode", "interval_ms", "snapshot", "since"])
                | st.text(max_size=3),
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
