"""Whatever comes down the wire: scanner and oracle agree, nothing is lost, nothing breaks."""

import datetime as dt
import json

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from engine.decode.numbers import DECLINED, BadValueError, fixed_point, read_number
from engine.decode.words import words_over
from tests.oracle.decode_broken import broken, odd_values
from tests.oracle.decode_frames import (
    CANONICAL,
    TYPES,
    assert_batching_is_invisible,
    assert_neighbours_do_not_matter,
    compare,
    envelope,
    frame,
    hub,
    text,
)

# --- messages as the feed writes them ------------------------------------------------------------

hundredths = st.integers(0, 2_000_000_000).map(lambda value: value / 100)
prices = st.one_of(st.just(0.0), st.integers(10, 20_000).map(lambda tick: tick * 50.0), hundredths)
volumes = st.one_of(st.just(0.0), st.integers(0, 2_000_000_000).map(float))
totals = st.integers(0, 10**14).map(float)
values = st.one_of(totals, st.floats(0, 1e14, allow_nan=False), st.integers(0, 10**17))
codes = st.sampled_from(["SSI", "HPG", "VN30F2407", "41I1G4000", "FUEVFVND", "A.B-C_D", "E" * 16])
dates = st.dates(dt.date(2000, 1, 1), dt.date(2099, 12, 31)).map(
    lambda date: date.strftime("%d/%m/%Y")
)
times = st.times().map(lambda time: time.strftime("%H:%M:%S"))
venues = st.sampled_from(["HOSE", "HNX", "UPCOM", "DERIVATIVES", "HNXBOND", "DER", "", None, "?"])
sessions = st.sampled_from(["ATO", "LO", "ATC", "PT", "C", "BREAK", "H", "", None, "NEW", "X" * 20])
statuses = st.sampled_from(["N", "D", "H", "NT", "Normal", "Active", "", None, "ZZZ"])
sides = st.sampled_from(["BU", "SD", "Unknow", "Unknown", "B", "S", "", None])
PRICES = {"Ceiling", "Floor", "RefPrice", "Open", "High", "Low", "Close", "Highest", "Lowest"}
COUNTERS = {"Advances", "NoChanges", "Declines", "Ceilings", "Floors"}


def value_of(key, canonical):
    """Return what a key may plausibly hold."""
    by_name = {
        "TradingDate": dates,
        "Time": times,
        "Symbol": codes,
        "Exchange": venues,
        "MarketId": venues,
        "TradingSession": sessions,
        "TradingStatus": statuses,
        "TradingOlSession": sessions,
        "Side": sides,
        "IndexId": st.sampled_from(["VN30", "VNINDEX", "HNXindex", "HNXUpcomIndex"]),
        "AvgPrice": st.one_of(st.just("NaN"), st.floats(0, 1e12)),
        "Change": st.floats(-1e6, 1e6),
        "RatioChange": st.floats(-100, 100),
    }
    if key in by_name:
        return by_name[key]
    if not isinstance(canonical, int | float):
        return st.just(canonical)
    if key in COUNTERS:
        return st.integers(0, 2000)
    if "Val" in key and key not in ("PriorVal", "IndexValue", "IndexValEst", "PriorIndexValue"):
        return values
    if "Price" in key or key.startswith(("Index", "Prior")) or key in PRICES:
        return prices
    return volumes if "Vol" in key and "Total" not in key else totals


def records(kind):
    return st.fixed_dictionaries(
        {key: value_of(key, canonical) for key, canonical in CANONICAL[kind].items()}
    )


envelopes = st.sampled_from(TYPES).flatmap(
    lambda kind: records(kind).map(lambda record: envelope(kind, record))
)
valid_frames = st.lists(envelopes, min_size=1, max_size=4).map(lambda each: hub(*each))

# --- and as nobody should ----------------------------------------------------------------------

odd_record_values = odd_values([[[[[]]]]], {"a": {"b": 1}}, "14/08/2026", 20_000_000.0)


@st.composite
def odd_frames(draw):
    """Return a frame whose JSON is right and whose record is not what the feed sends."""
    kind = draw(st.sampled_from(TYPES))
    record = dict(CANONICAL[kind])
    for key in draw(st.lists(st.sampled_from(list(record)), max_size=3)):
        record[key] = draw(odd_record_values)
    for key in draw(st.lists(st.sampled_from(list(record)), max_size=2)):
        record.pop(key, None)
    items = list(record.items())
    if draw(st.booleans()):
        items = draw(st.permutations(items))
    ascii_only = draw(st.booleans())
    content = json.dumps(
        dict(items),
        separators=draw(st.sampled_from([(",", ":"), (", ", ": ")])),
        ensure_ascii=ascii_only,
    )
    return hub(text({"DataType": kind, "Content": content}))


broken_frames = broken(st.sampled_from([frame(kind) for kind in TYPES]))
any_frames = st.one_of(
    valid_frames,
    odd_frames(),
    broken_frames,
    st.binary(max_size=60),
    st.sampled_from([b"{}", b"", b'{"I":"0"}', b'{"C":"x","S":1,"M":[]}']),
)


@given(st.lists(valid_frames, min_size=1, max_size=4))
def test_valid_messages_of_every_type(frames):
    decoded = compare(*frames)
    assert set(decoded.rejected) <= {"OUT_OF_RANGE"}  # values drawn up to their limits and a bit


@given(st.lists(any_frames, min_size=1, max_size=6))
@example([b'{"C":"x","M":[' + b'{"M":[' * 2000])
@example([hub(envelope("F", "[" * 2000))])
@example([frame("F").replace(b"SSI", b"\\\\\\\\u0053SI")])
@example([frame("X-TRADE").replace(b"24500.0", b"9" * 400)])
def test_scanner_and_oracle_agree_on_anything(frames):
    compare(*frames)


@given(
    st.lists(any_frames, min_size=1, max_size=10),
    st.lists(st.integers(1, 4), min_size=1, max_size=10),
    st.sampled_from([4096, 65_536]),
)
def test_batching_is_invisible(frames, sizes, out_slots):
    assert_batching_is_invisible(frames, sizes, out_slots=out_slots)


@given(broken_frames, st.binary(max_size=40), st.binary(max_size=40))
def test_a_frames_neighbours_do_not_matter(raw, before, after):
    assert_neighbours_do_not_matter([frame(kind) for kind in TYPES], [before, raw, after])


number_texts = st.from_regex(r"(0|[1-9][0-9]{0,16})(\.[0-9]{1,20})?", fullmatch=True)


@given(number_texts, st.sampled_from([0, 2]))
@example("0.4999999999999999999", 0)
@example("1000000000000.4999", 0)
@example("99999999999999.995", 2)
@example("9999999999999.499999999999", 0)
def test_what_the_scanner_reads_is_what_the_double_says(number, decimals):
    data = np.frombuffer(number.encode() + b'}\\"}"]}]}', np.uint8)
    value, at = read_number(words_over(data), 0, len(data), decimals)
    if at == DECLINED:
        return
    assert at == len(number)
    maximum = 2_000_000_000 if decimals else 10**17
    raw = json.loads(number)
    try:
        expected = fixed_point(raw, decimals, maximum)
    except BadValueError:
        assert value > maximum
    else:
        assert value == expected
