"""Any set of topics is packed whole, in order, into frames that fit; any frame has a meaning."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from engine.feed.v3_link import SUBSCRIBE_BYTES_MAX, Event, V3Link, subscribe_frames

symbols = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", min_size=1, max_size=16)
topics = st.builds("{}.{}{}".format, st.sampled_from(["trade", "quote", "trade.index"]), symbols,
                   st.sampled_from(["", "@1m"]))  # fmt: skip


@given(
    st.lists(st.one_of(topics, st.text(max_size=20)), max_size=120),
    st.integers(200, SUBSCRIBE_BYTES_MAX),
)
def test_topics_are_packed_whole_in_order_and_tight(wanted, bytes_max):
    frames = subscribe_frames(wanted, bytes_max)
    packed = [orjson.loads(frame) for frame in frames]
    assert [topic for each in packed for topic in each["topics"]] == list(dict.fromkeys(wanted))
    assert all(len(frame) <= bytes_max for frame in frames)
    assert all(each["method"] == "subscribe" and each["channel"] == "DATA" for each in packed)
    for frame, following in zip(frames, packed[1:], strict=False):
        first = orjson.dumps(following["topics"][0])
        assert len(frame) + 1 + len(first) > bytes_max  # the next one really did not fit


def test_two_thousand_symbols_fit_into_few_frames():
    wanted = [f"trade.S{number:04}" for number in range(2_000)]
    frames = subscribe_frames(wanted)
    assert len(frames) == -(-2_000 // ((SUBSCRIBE_BYTES_MAX - 51 + 1) // 14))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-1_000, 1_000) | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["topic", "channel", "code", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
documents = st.dictionaries(
    st.sampled_from(["method", "channel", "status", "message", "code", "msg", "topic", "data"]),
    json_values | st.sampled_from(["subscribe", "DATA", "error", "ok", "401"]),
)


@given(st.one_of(documents.map(lambda it: orjson.dumps(it)), st.binary(max_size=80)))
def test_every_frame_has_a_meaning_and_never_raises(frame):
    link = V3Link(["trade.*"], 60.0, 0.0)
    event = link.receive(frame, 1.0)
    try:
        document = orjson.loads(frame)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        return  # what a torn frame means is told by how it begins
    assert event is not Event.GARBAGE
    if "topic" not in document:
        assert event is not Event.DATA
