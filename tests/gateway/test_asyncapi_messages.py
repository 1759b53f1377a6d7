"""Messages of the AsyncAPI document against the gateway's own conversation: both say the same."""

import re
from pathlib import Path

import orjson
import pytest

import gateway
from gateway.asyncapi import TOLD
from gateway.asyncapi.answers import ANSWERS
from gateway.asyncapi.notices import NOTICES
from gateway.asyncapi.verbs import VERBS
from gateway.conversation import Conversation, Limits
from gateway.errors import ErrorCode, error
from gateway.groups import Spec
from gateway.protocol import TABLE, step
from tests.gateway.judge import fits, reason

LIMITS = Limits(4_096, 65_536, 50, (0, 50, 1_000))


@pytest.mark.parametrize("message", [*VERBS, *TOLD], ids=lambda message: message.name)
def test_examples_fit_and_nothing_required_may_be_missing(message):
    for example in orjson.loads(orjson.dumps([dict(one) for one in message.examples])):
        assert reason(message.name, example) is None
        for name in message.payload["required"]:
            rest = {other: kept for other, kept in example.items() if other != name}
            assert not fits(message.name, rest), f"{name} is missing"
            assert not fits(message.name, {**example, name: [{}]}), f"{name} is a list"


def test_all_verbs_of_the_conversation_are_there_and_no_other():
    names = {verb.name for verb in VERBS}
    assert all(set(table) == names for table in TABLE.values())


def test_every_op_the_gateway_says_is_there():
    """Found in its sources; a new one without a schema fails here."""
    here = Path(gateway.__file__).parent
    ops = {
        op
        for path in here.glob("*.py")
        for op in re.findall(r'"op\\?": ?\\?"(\w+)', path.read_text(encoding="utf-8"))
    }
    assert {"hello", "heartbeat", "error", "gap", "pong", "snap", "d"} <= ops
    described = {m.payload["properties"]["op"]["const"] for m in (*VERBS, *NOTICES, *ANSWERS)}
    assert ops <= described | {"snap", "d"}


class World:
    """Knows FPT."""

    def key_id(self, channel, code):
        return int(code == "FPT")

    def seq_of(self, channel, code):
        return 1840

    def codes(self, *, board):
        return ["HOSE"] if board else ["FPT"]

    def recent(self, query):
        return []

    def token_of(self, secret):
        return None

    def replays_free(self):
        return 1


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_the_gateway_understands_the_examples_and_answers_as_described(verb):
    (answer,) = verb.answers
    assert verb.examples
    for example in verb.examples:
        before = Conversation(subscriptions={"trade.*": {1: Spec("all", 0)}})
        done = step(before, orjson.dumps(example), World(), LIMITS, 1_626_316_203_000_000_000)
        assert not done.bad, done.reply
        assert done.reply["op"] == answer
        assert reason(answer, orjson.loads(orjson.dumps(done.reply))) is None


@pytest.mark.parametrize(
    "request_",
    [
        {"op": "sub"},
        {"op": "sub", "topics": []},
        {"op": "sub", "topics": "trade.FPT"},
        {"op": "sub", "topics": ["trade.FPT"], "mode": "some"},
        {"op": "sub", "topics": ["trade.FPT"], "interval_ms": -1},
        {"op": "sub", "topics": ["trade.FPT"], "snapshot": 1},
        {"op": "sub", "topics": ["trade.FPT"], "since": {"epoch": 1, "seq": {}}},
        {"op": "sub", "topics": ["trade.FPT"], "since": {"epoch": "1", "seq": {"a": -1}}},
        {"op": "set", "topics": ["trade.FPT"]},
        {"op": "ping", "id": "x" * 65},
        {"op": "ping", "id": 1.5},
        {"op": "recent", "channel": "trade"},
        {"op": "recent", "channel": "alerts", "limit": 501},
        {"op": "replay", "topics": ["trade.FPT"]},
        {"op": "replay", "topics": ["trade.FPT"], "from": "25:00:00"},
        {"op": "replay", "topics": ["trade.FPT"], "from": "09:15:00", "speed": 0.5},
        {"op": "replay", "topics": ["trade.FPT"], "from": "09:15:00", "speed": 1001},
    ],
    ids=str,
)
def test_what_the_gateway_refuses_the_schema_refuses(request_):
    done = step(Conversation(), orjson.dumps(request_), World(), LIMITS, 1)
    assert done.bad
    assert reason("error", orjson.loads(orjson.dumps(done.reply))) is None
    assert not fits(request_["op"], request_)


@pytest.mark.parametrize("code", list(ErrorCode), ids=lambda code: code.name)
def test_every_error_fits(code):
    assert reason("error", error(code, "text", "id")) is None
    assert not fits("error", {**error(code, "text"), "retry": "never"})
