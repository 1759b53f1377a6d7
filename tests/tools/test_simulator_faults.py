"""The language of fault scripts."""

from pathlib import Path

import pytest

from engine.errors import ConfigError
from tools.simulator import faults
from tools.simulator.faults import CUTS, Fault, What, parse, read
from tools.simulator.moments import parse_length_ms, parse_time_ms, time_text

SCRIPTS = Path(faults.__file__).parent / "scripts"
TEN_MS = 10 * 3_600_000

# what is written | what it means, beside time, line and text
LANGUAGE = [
    ("drop", What.DROP, {}),
    ("drop 20s", What.DROP, {"length_ms": 20_000}),
    ("half-open 30s", What.HALF_OPEN, {"length_ms": 30_000}),
    ("close 1000", What.CLOSE, {"code": 1000}),
    ("close 1011 500ms", What.CLOSE, {"code": 1011, "length_ms": 500}),
    ("shutdown 1m", What.SHUTDOWN, {"length_ms": 60_000}),
    (
        "refuse negotiate 502 x3",
        What.REFUSE,
        {"target": "negotiate", "code": 502, "count": 3},
    ),
    ("refuse IntradayOhlc quota", What.REFUSE, {"target": "intradayohlc", "words": "quota"}),
    ("refuse rest no-data x2", What.REFUSE, {"target": "rest", "words": "no-data", "count": 2}),
    ('refuse switch "not now"', What.REFUSE, {"target": "switch", "words": "not now"}),
    ('error "quota 10 exceeded # by 2"', What.ERROR, {"words": "quota 10 exceeded # by 2"}),
    ("bad-frame x2", What.BAD_FRAME, {"count": 2}),
    ("stall 90s", What.STALL, {"length_ms": 90_000}),
    ("skip HPG x3", What.SKIP, {"symbol": "HPG", "count": 3}),
    ("skip HPG", What.SKIP, {"symbol": "HPG"}),
    ("repeat SSI x5", What.REPEAT, {"symbol": "SSI", "count": 5}),
    ("replay 41I1G8000 x5", What.REPLAY, {"symbol": "41I1G8000", "count": 5}),
    ("swap VNM x2", What.SWAP, {"symbol": "VNM", "count": 2}),
    ("overtake SSI x4", What.OVERTAKE, {"symbol": "SSI", "count": 4}),
    ("late 11s for 30s", What.LATE, {"lag_ms": 11_000, "length_ms": 30_000}),
    (
        "late SSI 11s for 30s",
        What.LATE,
        {"symbol": "SSI", "lag_ms": 11_000, "length_ms": 30_000},
    ),
    ("unknown-type x3", What.UNKNOWN_TYPE, {"count": 3}),
    ("bad-json", What.BAD_JSON, {}),
    ("unknown-session 20s", What.UNKNOWN_SESSION, {"length_ms": 20_000}),
    ("burst 10000 for 1s", What.BURST, {"rate_per_s": 10_000, "length_ms": 1_000}),
    ("zero-snapshot", What.ZERO_SNAPSHOT, {}),
    ("auction-books pre-krx", What.AUCTION_BOOKS, {"words": "pre-krx"}),
]


@pytest.mark.parametrize(("text", "what", "details"), LANGUAGE)
def test_every_word_of_the_language(text, what, details):
    assert parse(f"# day\n\n  10:00  {text}  # why") == (Fault(TEN_MS, what, 3, text, **details),)


def test_the_table_above_has_every_kind():
    assert {what for _, what, _ in LANGUAGE} == set(What)
    assert all(what.value in faults.__doc__ for what in What)


def test_faults_come_by_time_and_refusals_first_among_equals():
    script = "10:00 drop\n09:00 close 1000\n10:00 refuse connect 500\n10:00 skip SSI\n"
    assert [fault.line for fault in parse(script)] == [2, 3, 1, 4]


@pytest.mark.parametrize(
    ("line", "column", "why"),
    [
        ("9", 1, "'9' is no time of day"),
        ("24:00 drop", 1, "'24:00' is no time of day"),
        ("09:00", 6, "what happens is missing"),
        ("09:00  fall", 8, "'fall' is no fault; there are auction-books, bad-frame"),
        ("09:00 drop 2", 12, "'2' is no length of time"),
        ("09:00 drop 0s", 12, "'0s' is no length of time"),
        ("09:00 half-open", 16, "a length of time is missing"),
        ("09:00 half-open  # forever", 16, "a length of time is missing"),
        ("09:00 drop 1s 2s", 15, "'2s' is too much"),
        ("09:00 close 999", 13, "'999' is no close code; write 1000 to 4999"),
        ("09:00 skip hpg", 12, "'hpg' is no symbol"),
        ("09:00 skip HPG 3", 16, "'3' is no count; write x1"),
        ("09:00 skip HPG x0", 16, "'x0' is no count"),
        ("09:00 late SSI 11s 30s", 20, "write 'for' here, not '30s'"),
        ("09:00 error hello", 13, "write the error's text in quotes"),
        ('09:00 error "hello', 13, "a quote is not closed"),
        ("09:00 refuse everything 500", 14, "'everything' cannot be refused"),
        ("09:00 refuse connect 200", 22, "'200' is no answer"),
        ('09:00 refuse connect "no"', 23, "write the answer without quotes"),
        ("09:00 burst 0 for 1s", 13, "'0' is no rate"),
        ("09:00 auction-books both", 21, "'both' is no encoding; write pre-krx or concrete"),
    ],
)
def test_what_is_not_of_the_language_is_refused_where_it_stands(line, column, why):
    with pytest.raises(ConfigError) as error:
        parse(f"08:00 drop\n{line}", "storm.faults")
    assert str(error.value).startswith(f"storm.faults, line 2, column {column}: {why}")


def test_a_script_that_is_not_there_is_told_in_words(tmp_path):
    with pytest.raises(ConfigError, match=r"storm: no such file"):
        read(tmp_path / "storm")
    (tmp_path / "storm").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="cannot be read as UTF-8 text"):
        read(tmp_path / "storm")


def test_the_scripts_that_ship():
    quiet, stormy = read(SCRIPTS / "quiet-day.faults"), read(SCRIPTS / "stormy-day.faults")
    assert 3 <= len(quiet) <= 10
    assert len(stormy) >= 25
    assert {fault.what for fault in stormy} == set(What)
    cuts = [fault for fault in stormy if fault.what in CUTS]
    for first, last in (
        ("09:00", "09:15"),
        ("09:15", "11:30"),
        ("11:30", "13:00"),
        ("14:30", "14:45"),
    ):
        window = range(parse_time_ms(first), parse_time_ms(last))
        assert any(fault.time_ms in window for fault in cuts), (first, last)
    lunch = parse_time_ms("11:30")
    assert any(fault.time_ms < lunch < fault.time_ms + fault.length_ms for fault in cuts)


def test_times_and_lengths():
    assert parse_time_ms("09:15") == parse_time_ms("9:15:00.000") == 33_300_000
    assert parse_time_ms("23:59:59.5") == 86_399_500
    assert time_text(33_300_000) == "09:15:00"
    assert time_text(86_399_500) == "23:59:59.500"
    lengths = ("250ms", "20s", "3m", "1h")
    assert [parse_length_ms(text) for text in lengths] == [250, 20_000, 180_000, 3_600_000]
    for text in ("", "s", "1", "1.5s", "-1s", "1 s"):
        assert parse_length_ms(text) is None
    for text in ("", "9", "09:5", "09:60", "09:00:60", "09:00:00.1234", "a:bc"):
        assert parse_time_ms(text) is None
