"""The AsyncAPI document: whole in itself, and true of what the gateway says and understands."""

import numpy as np
import orjson
import pytest
from jsonschema import Draft7Validator

from engine.schema.channels import CHANNELS, TRADE
from engine.schema.words import FLAGS, TRUTHS, WORDS
from gateway.asyncapi import document
from gateway.asyncapi.data import data_schema
from gateway.directory import Directory
from gateway.encode import REQUESTED, JsonCodec
from gateway.errors import ErrorCode
from gateway.layouts import describe
from gateway.merge import Merged
from gateway.presets import PRESETS
from tests.gateway.client import split_frames
from tests.gateway.gallery import GOLDEN, golden_frames
from tests.gateway.judge import doc, fits, reason, validator
from tests.gateway.market import MORNING_S, Market

PUBLIC = [channel for channel in CHANNELS if channel.public]
DAY = 18_823


# --- whole in itself ------------------------------------------------------------------------------


def references(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolved(reference):
    node = doc()
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def test_every_reference_leads_somewhere():
    found = set(references(doc()))
    assert len(found) > 100
    for reference in found:
        assert resolved(reference)


def test_a_reference_stands_alone():
    """In draft 7 everything beside a $ref is ignored."""

    def lonely(node):
        if isinstance(node, dict):
            assert "$ref" not in node or len(node) == 1, node
            for value in node.values():
                lonely(value)
        elif isinstance(node, list):
            for value in node:
                lonely(value)

    lonely(doc())


def test_every_schema_is_one():
    for schema in doc()["components"]["schemas"].values():
        Draft7Validator.check_schema(schema)
    for message in doc()["components"]["messages"].values():
        Draft7Validator.check_schema(message["payload"])


def test_there_is_a_place_for_each_preset_and_one_for_all():
    addresses = {channel["address"] for channel in doc()["channels"].values()}
    assert addresses == {"/ws", *(f"/ws/{name}" for name in PRESETS)}
    for name, topics in PRESETS.items():
        assert all(topic in doc()["channels"][name]["description"] for topic in topics)


def test_an_operation_names_messages_of_its_channel():
    for name, operation in doc()["operations"].items():
        at = operation["channel"]["$ref"]
        messages = operation["messages"] + operation.get("reply", {}).get("messages", [])
        assert messages, name
        assert all(message["$ref"].startswith(f"{at}/messages/") for message in messages)


def test_every_close_code_is_there():
    for channel in doc()["channels"].values():
        codes = channel["x-close-codes"]
        assert {int(code) for code in codes} == {1012, *ErrorCode}
        assert codes["4010"] == {"name": "idle", "retry": "reconnect"}


def test_binary_layouts_are_told():
    assert doc()["components"]["messages"]["frame"]["x-layouts"] == dict(describe())


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("ws://127.0.0.1:8765", {"host": "127.0.0.1:8765", "protocol": "ws"}),
        ("wss://tape.example/", {"host": "tape.example", "protocol": "wss"}),
        ("ws://[::1]:1/", {"host": "[::1]:1", "protocol": "ws"}),
        (
            "wss://tape.example/desk/",
            {"host": "tape.example", "protocol": "wss", "pathname": "/desk"},
        ),
    ],
)
def test_the_server_is_named(url, server):
    told = dict(document(url)["servers"]["gateway"])
    assert told.pop("security") == [{"$ref": "#/components/securitySchemes/token"}]
    assert told == server


@pytest.mark.parametrize(
    "url", ["http://x", "x:1", "", "ws://", "ws://x?token=1", "ws://x#a", "ws://me:pw@x"]
)
def test_a_url_that_cannot_be_is_refused(url):
    with pytest.raises(ValueError, match="server_url") as refusal:
        document(url)
    assert "pw" not in str(refusal.value)


# --- rows -----------------------------------------------------------------------------------------


def test_golden_frames_fit():
    frames = [orjson.loads(line) for line in GOLDEN.read_bytes().splitlines()]
    assert {frame["op"] for frame in frames} == {"snap", "d"}
    for frame in frames:
        assert reason(frame["op"], frame) is None


def test_rows_of_the_gallery_fit():
    for payload in golden_frames():
        frame = orjson.loads(payload)
        channel = frame.get("topic", "trade.").rpartition(".")[0]
        assert reason(frame["op"], frame) is None
        if frame["op"] == "snap":
            assert fits(f"snap.{channel}", frame, "schemas")


def filled(channel):
    """A row with something in every field that says something."""
    rows = np.zeros(1, channel.dtype)
    for name in channel.dtype.names:
        base, size = channel.dtype[name].base, rows[name].size
        if base.kind == "S":
            rows[name] = b"ABC"
        elif name in WORDS:
            rows[name] = list(WORDS[name])[-1]
        elif name in FLAGS:
            rows[name] = sum(FLAGS[name])
        elif name in TRUTHS or (name.endswith("_count") and name.startswith(("top", "bot", "ser"))):
            rows[name] = 1
        elif name.endswith("exch_s"):
            rows[name] = MORNING_S
        elif name.endswith("_day"):
            rows[name] = DAY
        else:
            rows[name] = np.arange(101, 101 + size).reshape(rows[name].shape)
    rows["symbol_id"] = 1
    return rows


def said(channel, rows, prev=REQUESTED, merged=None):
    market = Market("FPT")
    directory = Directory(64)
    directory.learn(market.latest["symbol"][1:2])
    codec = JsonCodec(channel, directory)
    (payload,) = split_frames(
        codec.encode(rows, np.array([prev]), ["1626314400000000000"], merged).select(None)
    )
    return orjson.loads(payload)


@pytest.mark.parametrize("channel", PUBLIC, ids=lambda channel: channel.name)
def test_blank_and_filled_rows_fit_as_snap_and_as_d(channel):
    blank = np.zeros(1, channel.dtype)
    blank["symbol_id"], blank["seq"] = 1, 7
    for rows in (blank, filled(channel)):
        snap, delta = said(channel, rows), said(channel, rows, prev=int(rows["seq"][0]) - 2)
        assert (snap["op"], delta["op"]) == ("snap", "d")
        assert reason("snap", snap) is None
        assert reason("d", delta) is None
        assert list(snap["data"]) == list(data_schema(channel)["properties"])


@pytest.mark.parametrize("channel", PUBLIC, ids=lambda channel: channel.name)
def test_no_member_may_be_missing_or_of_another_kind(channel):
    data = said(channel, filled(channel))["data"]
    judge = validator(f"data.{channel.name}", "schemas")
    assert judge.is_valid(data)
    for name, value in data.items():
        rest = {other: kept for other, kept in data.items() if other != name}
        assert not judge.is_valid(rest), f"{name} is missing"
        assert not judge.is_valid({**data, name: {"NOON": 1}}), f"{name} is an object"
        if value is not None:
            wrong = 7 if isinstance(value, str | list | dict | bool) else "7"
            assert not judge.is_valid({**data, name: wrong}), f"{name} is {wrong!r}"
        if isinstance(value, str) and name in WORDS:
            assert not judge.is_valid({**data, name: "NONSENSE"})


@pytest.mark.parametrize(
    ("channel", "path", "wrong"),
    [
        ("book", ["bids", 0], [1]),
        ("book", ["bids", 0, 0], "1"),
        ("stats", ["phase_side", "ATO", "BUY"], {"volume_shares": 1, "value_vnd": 1}),
        ("stats", ["phase_side", "NOON"], {}),
        ("stats", ["phase_disagree_count", "ATO"], -1),
        ("index.series", ["series", 0, 0], 5),
        ("basis.trend", ["series", 0], ["2021-07-15T09:30:00+07:00", 1]),
        ("movers", ["top", 0, "code"], 5),
        ("attribution", ["bottom", 0], {"code": "FPT"}),
        ("trade", ["flags", 0], "NICE"),
        ("trade", ["recv_ns"], 1.5),
    ],
)
def test_what_is_inside_a_table_is_judged(channel, path, wrong):
    frame = said(next(c for c in PUBLIC if c.name == channel), FILLED[channel])
    assert fits("snap", frame)
    node = frame["data"]
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = wrong
    assert not fits("snap", frame)


FILLED = {channel.name: filled(channel) for channel in PUBLIC}


def test_a_frame_says_one_channel():
    """`ch` and `topic` name the same channel, and `data` is of that channel."""
    trade, quote = (said(c, filled(c)) for c in (TRADE, CHANNELS[2]))
    assert fits("snap", trade)
    assert not fits("snap", {**trade, "topic": "quote.FPT"})
    assert not fits("snap", {**trade, "ch": quote["ch"]})
    assert not fits("snap", {**trade, "data": quote["data"]})
    assert not fits("snap", {**trade, "seq": "1"})
    assert not fits("d", {**said(TRADE, filled(TRADE), prev=1), "ch": 5})
    assert fits("snap", {**trade, "new_member": 1}), "new ones may come"


def test_aggregates_are_whole_or_say_that_there_are_none():
    rows = filled(TRADE)
    merged = Merged(64)
    nothing = said(TRADE, rows, 3, merged.take(np.array([1])))
    merged.add_trades(rows)
    told = said(TRADE, rows, 3, merged.take(np.array([1])))
    assert nothing["merged"] == {"count": 0}
    for frame in (nothing, told):
        assert reason("d", frame) is None
        assert not fits("d", {**frame, "merged": {}})
        assert not fits("d", {**frame, "merged": {"count": 2}})
    assert not fits("d", {**told, "merged": {**told["merged"], "low": "1"}})
