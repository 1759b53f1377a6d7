"""Times as the outside sees them (market-behaviour section 1), in every golden frame."""

import datetime as dt
from pathlib import Path

import orjson

FRAMES = Path(__file__).parent / "golden" / "frames.jsonl"


def pairs(value):
    """Yield every name and value of a frame, however deep."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name, inner
            yield from pairs(inner)


def test_every_time_is_iso_8601_at_plus_seven_or_whole_nanoseconds():
    times, stamps = 0, 0
    for line in FRAMES.read_bytes().splitlines():
        for name, value in pairs(orjson.loads(line)):
            if name.endswith("_time") and value is not None:
                assert value.endswith("+07:00"), (name, value)
                assert dt.datetime.fromisoformat(value).utcoffset() == dt.timedelta(hours=7)
                times += 1
            elif name.endswith("_ns"):
                assert type(value) is int, (name, value)
                stamps += 1
    assert times > 20
    assert stamps > 20


def test_every_row_has_exchange_time_and_receive_time():
    for line in FRAMES.read_bytes().splitlines():
        frame = orjson.loads(line)
        if "data" in frame:
            assert {"exch_time", "recv_ns"} <= set(frame["data"]), frame["op"]
