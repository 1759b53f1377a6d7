"""Layouts as a client learns them: the records can be rebuilt from what it is told."""

import numpy as np
import orjson
import pytest

from engine.schema import SCHEMA_ID
from engine.schema.channels import CHANNELS, QUOTE
from gateway.binary import HEADER, KEY, MERGED
from gateway.layouts import describe, layout

PUBLIC = [channel for channel in CHANNELS if channel.public]


def rebuilt(told):
    """A dtype from a LAYOUT, as a client in Python would make it."""
    fields = told["fields"]
    return np.dtype(
        {
            "names": [field["name"] for field in fields],
            "formats": [("<" + field["type"], tuple(field["shape"])) for field in fields],
            "offsets": [field["offset"] for field in fields],
            "itemsize": told["bytes"],
        }
    )


@pytest.fixture(scope="module")
def told():
    return orjson.loads(orjson.dumps(dict(describe())))


@pytest.mark.parametrize("channel", PUBLIC, ids=lambda channel: channel.name)
def test_a_channel_can_be_rebuilt_from_what_it_tells(told, channel):
    entry = told["channels"][channel.name]
    assert entry["code"] == channel.code
    assert rebuilt(entry["layout"]) == channel.dtype


def test_the_parts_of_a_frame_can_be_rebuilt(told):
    assert [rebuilt(told[part]) for part in ("header", "key", "merged")] == [HEADER, KEY, MERGED]


def test_all_public_channels_are_told_and_no_other(told):
    assert list(told["channels"]) == [channel.name for channel in PUBLIC]
    assert told["schema"] == SCHEMA_ID


def test_a_layout_reads_as_promised():
    assert layout(QUOTE.dtype)["fields"][:2] == [
        {"name": "seq", "type": "i8", "offset": 0, "shape": []},
        {"name": "recv_ns", "type": "i8", "offset": 8, "shape": []},
    ]
    assert layout(np.dtype([("deep", "<u4", (9, 4)), ("code", "S16")])) == {
        "bytes": 160,
        "fields": [
            {"name": "deep", "type": "u4", "offset": 0, "shape": [9, 4]},
            {"name": "code", "type": "S16", "offset": 144, "shape": []},
        ],
    }


@pytest.mark.parametrize(
    ("dtype", "why"),
    [
        (np.dtype([("a", ">i4")]), "little-endian"),
        (np.dtype({"names": ["a", "b"], "formats": ["<i4", "<i4"], "offsets": [0, 8]}), "hole"),
        (np.dtype([("a", [("b", "<i4")])]), "record inside"),
        (np.dtype("<i4"), "records"),
    ],
)
def test_what_a_client_could_not_rebuild_is_refused(dtype, why):
    with pytest.raises(AssertionError, match=why):
        layout(dtype)


def test_nobody_can_change_what_all_are_told():
    with pytest.raises(TypeError):
        describe()["schema"] = "other"
