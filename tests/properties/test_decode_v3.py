"""v3, whatever comes down the wire: scanner, oracle and twin agree, nothing is lost or breaks."""

import datetime as dt
import json

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from engine.decode.dates import BAD_STAMP, DATE_CACHE_CELLS
from engine.decode.numbers import DECLINED
from engine.decode.v3_dates import read_stamp, stamp_of
from engine.decode.words import words_over
from tests.oracle.decode_broken import broken, odd_values
from tests.oracle.decode_frames import (
    assert_batching_is_invisible,
    assert_neighbours_do_not_matter,
)
from tests.oracle.decode_v3 import (
    CANONICAL_V3,
    RECV_NS,
    TOPICS,
    compare_v3,
    frame_v3,
    v3,
)

# --- messages as the feed may write them ---------------------------------------------------------

moments = st.tuples(st.dates(dt.date(2000, 1, 1), dt.date(2099, 12, 31)), st.times()).map(
    lambda pair: dt.datetime.combine(*pair)
)
stamps = st.one_of(
    st.tuples(
        moments,
        st.sampled_from(
            [
                "%Y/%m/%d %H:%M:%S",
                "%Y-%m-%d %H:%M:%S",
                "%Y-%m-%dT%H:%M:%S.%f",
                "%Y-%m-%dT%H:%M:%S+07:00",
                "%Y-%m-%dT%H:%M:%SZ",
                "%d/%m/%Y %H:%M:%S",
                "%H:%M:%S",
            ]
        ),
    ).map(lambda pair: pair[0].strftime(pair[1])),
    st.integers(0, 5 * 10**12),
    st.integers(10**9, 4 * 10**9),
    st.integers(10**9, 4 * 10**9).map(str),
)
prices = st.one_of(
    st.just(0.0), st.integers(1, 40_000).map(lambda tick: tick * 50), st.floats(0, 2e7)
)
counts = st.one_of(st.integers(0, 2_000_000_000), st.integers(0, 10**9).map(float))
totals = st.integers(0, 10**14)
values = st.one_of(totals, st.floats(0, 1e14, allow_nan=False))
codes = st.sampled_from(["SSI", "HPG", "VN30F2407", "41I1G4000", "A.B-C_D", "E" * 16])
venues = st.sampled_from(["HOSE", "HNX", "UPCOM", "DER", "DERIVATIVES", "", None, "?"])
sessions = st.sampled_from(["ATO", "LO", "ATC", "C", "", None, "NEW", "X" * 20])
levels = st.lists(
    st.tuples(st.one_of(prices, st.sampled_from(["ATO", "ATC", "MP"])), counts).map(list),
    max_size=12,
)
KEYS = {
    "t": stamps,
    "s": codes,
    "b": venues,
    "ss": sessions,
    "f": sessions,
    "si": st.sampled_from(["B", "S", "U", "", None, "Unknow"]),
    "bids": levels,
    "asks": levels,
    "st": st.text(max_size=8),
    "c": st.one_of(prices, st.floats(-100, 100)),
    "cr": st.floats(-100, 100),
}
BY_KIND = {
    "trade": {"v": totals, "q": counts},
    "bar": {"v": totals},
    "put": {"q": totals, "tq": totals, "tv": values},
    "oddlot": {"q": totals},
    "room": {"tr": totals, "cr": totals, "bq": totals, "bv": values, "sq": totals, "sv": values},
    "trade.index": dict.fromkeys(("tmv", "tmq", "tvp", "tqp", "tq", "tv"), totals)
    | {key: st.integers(0, 2000) for key in ("adv", "dec", "nc", "ce", "fl")},
}


def quoted(value, draw):
    """Return a number as text, now and then; levels level by level."""
    if isinstance(value, list):
        return [quoted(each, draw) for each in value]
    if isinstance(value, int | float) and draw(st.booleans()):
        return repr(value)
    return value


@st.composite
def valid_frames(draw, kinds=TOPICS):
    """Return a frame of any topic with keys in any order, numbers bare or quoted."""
    kind = draw(st.sampled_from(kinds))
    topic, data = CANONICAL_V3[kind]
    changed = {
        key: draw(BY_KIND.get(kind, {}).get(key, KEYS.get(key, prices)))
        for key in draw(st.lists(st.sampled_from(list(data)), unique=True, max_size=8))
    }
    data = {**data, **changed}
    if draw(st.booleans()):
        data = {
            key: quoted(value, draw) if key not in ("t", "s") else value
            for key, value in data.items()
        }
    if draw(st.booleans()):
        data["b"] = draw(venues)
    if draw(st.booleans()):
        data = dict(draw(st.permutations(list(data.items()))))
    return frame_v3(topic, data)


# --- and as nobody should ----------------------------------------------------------------------

odd_data_values = st.one_of(
    odd_values("ATO", [[[]]]),
    stamps,
    st.lists(st.one_of(st.integers(), st.lists(st.floats(), max_size=3)), max_size=3),
)
topics = st.one_of(
    st.sampled_from([topic for topic, _ in CANONICAL_V3.values()]),
    st.sampled_from(["trade.", "quote.", "market.FLAG", "trade.INDEX.VN30", "indexsummary.VN30"]),
    st.from_regex(r"(trade|quote|TRADE|room)\.(index\.)?[A-Z@*.-]{0,9}(@(tick|1m|5m|\*|x)?)?\Z"),
    st.text(max_size=12),
)


@st.composite
def odd_frames(draw):
    """Return a frame whose JSON is right and whose data is not what the feed sends."""
    kind = draw(st.sampled_from(TOPICS))
    topic, data = CANONICAL_V3[kind]
    data = dict(data)
    for key in draw(st.lists(st.sampled_from([*data, "b", "zz"]), max_size=3)):
        data[key] = draw(odd_data_values)
    for key in draw(st.lists(st.sampled_from(list(data)), max_size=2)):
        data.pop(key, None)
    whole = {
        "channel": draw(st.sampled_from(["DATA"] * 4 + ["data", "TRADING", None])),
        "topic": draw(st.one_of(st.just(topic), topics)),
        "data": data if draw(st.integers(0, 9)) else draw(odd_data_values),
    }
    for key in draw(st.lists(st.sampled_from(["channel", "topic", "data"]), max_size=1)):
        whole.pop(key)
    text = json.dumps(
        whole,
        separators=draw(st.sampled_from([(",", ":"), (",", ":"), (", ", ": ")])),
        ensure_ascii=draw(st.booleans()),
    )
    return text.encode()


broken_frames = broken(
    valid_frames(("trade", "quote", "quote", *TOPICS)),
    (b"}", b"]", b"[]", b",", b'"p":1,', b"null", b"@", b"@1m"),
)
replies = st.sampled_from(
    [
        b"{}",
        b"",
        b'{"method":"PING_PONG","channel":"HEARTBEAT","status":"ok","message":"pong"}',
        b'{"method":"subscribe","channel":"DATA","status":"error","message":"Invalid"}',
        b'{"trading":"","data":"a;b"}',
        b'{"code":429,"msg":"x"}',
        b'{"data":{}}',
        b"[]",
    ]
)
any_frames = st.one_of(valid_frames(), odd_frames(), broken_frames, st.binary(max_size=60), replies)
horizons = st.sampled_from([None, 0, 86_400])


@given(st.lists(valid_frames(), min_size=1, max_size=6))
def test_valid_messages_of_every_topic(frames):
    decoded = compare_v3(*frames)
    # Values and stamps are drawn up to their limits and a bit.
    assert set(decoded.rejected) <= {"OUT_OF_RANGE", "BAD_TIME", "MISSING_FIELD"}


@given(st.lists(any_frames, min_size=1, max_size=6), horizons)
@example([b'{"channel":"DATA","topic":"trade.SSI","data":' + b'{"a":' * 2000], None)
@example([v3("trade").replace(b"24500.0", b"9" * 400)], None)
@example([v3("trade").replace(b"24500.0", b'"24500.0' + b"1" * 80 + b'"')], None)
@example([v3("trade", t=None), v3("trade", t="2026/08/14 14:45:11")], 0)
def test_scanner_oracle_and_twin_agree_on_anything(frames, horizon_s):
    compare_v3(v3("market"), *frames, horizon_s=horizon_s)


@given(
    st.lists(any_frames, min_size=1, max_size=10),
    st.lists(st.integers(1, 4), min_size=1, max_size=10),
    st.sampled_from([2, 3, 65_536]),
    st.sampled_from([None, 1, 2]),
)
def test_batching_is_invisible(frames, sizes, out_slots, oracle_max):
    assert_batching_is_invisible(
        frames,
        sizes,
        protocol="v3",
        recv_ns=RECV_NS,
        out_slots=out_slots,
        oracle_max=oracle_max,
    )


@given(broken_frames, st.binary(max_size=40), st.binary(max_size=40))
def test_a_frames_neighbours_do_not_matter(raw, before, after):
    warm = [v3(kind) for kind in TOPICS]
    assert_neighbours_do_not_matter(warm, [before, raw, after], protocol="v3", recv_ns=RECV_NS)


stamp_texts = st.one_of(
    stamps,
    st.from_regex(
        r"[0-9]{4}[/-][0-1][0-9][/-][0-3][0-9][ T_][0-2][0-9](:[0-6][0-9]){2}(\.[0-9]{0,11})?Z?",
        fullmatch=True,
    ),
    st.from_regex(r"[0-9]{2}[/-][0-9]{2}[/-][0-9]{4} [0-9:/]{8}", fullmatch=True),
    st.from_regex(r"[0-9:]{8}", fullmatch=True),
    st.text(max_size=24),
    st.integers(),
    st.floats(),
)


@given(st.lists(stamp_texts, min_size=1, max_size=5), st.integers(0, 4 * 10**18))
def test_the_scanners_stamp_is_the_oracles(raws, recv_ns):
    cache = np.zeros(DATE_CACHE_CELLS, np.int64)  # shared: what one stamp leaves, the next reads
    for raw in raws:
        text = json.dumps(raw, ensure_ascii=False).encode()
        data = np.frombuffer(text + b",}}" + b"7" * 24, np.uint8)
        found, at = read_stamp(words_over(data), 0, len(data), recv_ns, cache)
        if at != DECLINED and data[at] in b",}":
            assert at == len(text)
            assert found == stamp_of(raw, recv_ns) != BAD_STAMP
