"""A day and a fault script made into one stream, line by line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.small_days import NINE_MS, book, match, matches, merged, totals
from tools.simulator.edits import UNKNOWN_SESSION, UNKNOWN_TYPE
from tools.simulator.executor import Act, Executor, Extra, Withheld, from_start
from tools.simulator.faults import What, parse
from tools.simulator.record import read_record


def steps_of(lines, script, **more):
    return list(Executor(lines, parse(script), **more).steps())


def sent(steps):
    """What goes out: (market time, line)."""
    return [
        (step[0], step.line if isinstance(step, Extra) else step)
        for step in steps
        if isinstance(step, Extra) or type(step) is tuple
    ]


def happened(step):
    """The line of the day in a step, sent or not."""
    if isinstance(step, Withheld):
        return step.line
    return None if isinstance(step, Act | Extra) else step


def lines_sent(lines, script, **more):
    return [line for _, line in sent(steps_of(lines, script, **more))]


SSI = matches("SSI", 8)

# script | cumulative volumes (in hundreds) as they go out; prints at 09:00:00, :01 and so on
PRINTS = [
    ("09:00:02 skip SSI x2", [1, 2, 5, 6, 7, 8]),
    ("09:00:02 skip SSI", [1, 2, 4, 5, 6, 7, 8]),
    ("09:00:02 skip VND", [1, 2, 3, 4, 5, 6, 7, 8]),
    ("09:00:02 repeat SSI x2", [1, 2, 3, 3, 4, 4, 5, 6, 7, 8]),
    ("09:00:02 replay SSI x3", [1, 2, 3, 4, 5, 3, 4, 5, 6, 7, 8]),
    ("09:00:02 swap SSI x2", [1, 2, 4, 3, 5, 6, 7, 8]),
    ("09:00:02 swap SSI x3", [1, 2, 5, 4, 3, 6, 7, 8]),
    ("09:00:02 swap SSI", [1, 2, 4, 3, 5, 6, 7, 8]),
    ("09:00:06 swap SSI x9", [1, 2, 3, 4, 5, 6, 8, 7]),
    ("09:00:02 late SSI 3s for 2s", [1, 2, 5, 3, 6, 4, 7, 8]),
    ("09:00:02 late VND 3s for 2s", [1, 2, 3, 4, 5, 6, 7, 8]),
    ("09:00:02 late SSI 1m for 2s", [1, 2, 5, 6, 7, 8, 3, 4]),
    ("09:00:02 stall 3s", [1, 2, 3, 4, 5, 6, 7, 8]),
    ("09:00:02 skip SSI\n09:00:02 skip SSI", [1, 2, 5, 6, 7, 8]),
    ("09:00:02 skip SSI\n09:00:02 repeat SSI", [1, 2, 4, 4, 5, 6, 7, 8]),
    ("08:00 skip SSI x8", []),
]


@pytest.mark.parametrize(("script", "expected"), PRINTS)
def test_what_happens_to_prints(script, expected):
    others = matches("VNM", 8)
    went = lines_sent(merged(SSI, others), script)
    assert [total // 100 for total in totals(line for line in went if line[2] == "SSI")] == expected
    assert {line for line in went if line[2] == "VNM"} == set(others)


def test_late_without_a_symbol_holds_every_print_and_no_book():
    day = merged(matches("SSI", 2), matches("VND", 2), [book(NINE_MS + 500, "SSI")])
    went = sent(steps_of(day, "09:00 late 5s for 1s"))
    assert [(time_ms - NINE_MS, line[1], line[2]) for time_ms, line in went] == [
        (500, "X-QUOTE", "SSI"),
        (1_000, "X-TRADE", "SSI"),
        (1_000, "X-TRADE", "VND"),
        (5_000, "X-TRADE", "SSI"),
        (5_000, "X-TRADE", "VND"),
    ]


def test_books_overtaken_come_behind_their_match():
    day = [
        book(NINE_MS, "SSI", 1),
        book(NINE_MS + 1, "VND", 2),
        match(NINE_MS + 2, "SSI", 100),
        book(NINE_MS + 3, "SSI", 3),
        book(NINE_MS + 4, "SSI", 4),
        match(NINE_MS + 5, "SSI", 200),
        book(NINE_MS + 6, "SSI", 5),
        match(NINE_MS + 7, "SSI", 300),
    ]
    went = lines_sent(day, "09:00 overtake SSI x2")
    assert [day.index(line) for line in went] == [1, 2, 0, 5, 3, 4, 6, 7]


def test_in_x_mode_a_match_is_skipped_with_every_message_that_tells_of_it():
    day = [
        match(NINE_MS + number, "SSI", total, kind="X")
        for number, total in enumerate([100, 100, 200, 200, 300, 300, 400])
    ]
    assert totals(lines_sent(day, "09:00:00.001 skip SSI x2")) == [100, 100, 400]
    assert totals(lines_sent(day, "09:00:00.001 swap SSI x2")) == [
        100,
        100,
        300,
        200,
        200,
        300,
        400,
    ]
    assert totals(lines_sent(day, "09:00:00.001 repeat SSI")) == [
        100,
        100,
        200,
        200,
        200,
        300,
        300,
        400,
    ]


def test_unknown_types_and_broken_json_come_beside_the_day():
    went = lines_sent(SSI, "09:00:01 unknown-type x2\n09:00:04 bad-json")
    assert [line for line in went if line in SSI] == SSI
    added = [line for line in went if line not in SSI]
    assert [went.index(line) for line in added] == [2, 4, 7]
    assert [line[1:3] for line in added] == [("X-TRADE", "SSI")] * 3
    for line in added[:2]:
        assert read_record(line[3])[0] == UNKNOWN_TYPE
    envelope = json.loads(added[2][3])["A"][0]
    with pytest.raises(json.JSONDecodeError):
        json.loads(envelope)


def test_unknown_sessions_last_as_long_as_they_say():
    went = lines_sent(SSI, "09:00:02 unknown-session 3s")
    said = [read_record(line[3])[1]["TradingSession"] for line in went]
    assert said == ["LO", "LO", *[UNKNOWN_SESSION.decode()] * 3, "LO", "LO", "LO"]
    assert totals(went) == totals(SSI)


def test_auction_books_change_and_change_back():
    day = [book(NINE_MS + second * 1_000, "SSI", 10, "ATO") for second in range(3)]
    went = lines_sent(day, "08:00 auction-books pre-krx\n09:00:01 auction-books concrete")
    assert went[1:] == day[1:]
    _, record = read_record(went[0][3])
    assert [record[f"BidPrice{level}"] for level in (1, 2, 3, 4)] == [0.0, 10.0, 20.0, 0.0]
    assert [record[f"AskVol{level}"] for level in (1, 2, 3, 4)] == [10.0, 10.0, 20.0, 0.0]


def test_only_auction_books_change():
    day = [book(NINE_MS, "SSI", 10, "LO"), *SSI]
    assert lines_sent(day, "08:00 auction-books pre-krx") == day


def test_a_burst_is_so_many_copies_of_the_last_books():
    day = [book(NINE_MS, "SSI"), book(NINE_MS, "VND"), *matches("SSI", 20)]
    steps = steps_of(day, "09:00:10 burst 1000 for 2500ms")
    extra = [step for step in steps if isinstance(step, Extra)]
    assert len(extra) == 2_500
    assert [step.line for step in extra] == day[:2] * 1_250
    passed = [step.time_ms - NINE_MS - 10_000 for step in extra]
    assert passed == sorted(passed)
    assert [passed[at] for at in (0, 9, 10, 1_000, 2_499)] == [0, 0, 10, 1_000, 2_490]


def test_a_burst_before_the_first_book_has_nothing_to_copy():
    assert lines_sent(SSI, "08:00 burst 10000 for 1s") == SSI


def test_zero_messages_are_asked_for_by_time():
    zero = (0, "X", "SSI", b"zero")
    went = sent(
        steps_of(SSI[:1], "08:00 zero-snapshot", zeroes=lambda time_ms: [(time_ms, *zero[1:])])
    )
    assert went[0] == (8 * 3_600_000, (8 * 3_600_000, *zero[1:]))


def test_a_stall_keeps_everything_and_lets_go_at_its_end():
    steps = steps_of(SSI, "09:00:02 stall 3s\n09:00:03 repeat SSI\n09:00:04 drop")
    went = sent(steps)
    assert [time_ms - NINE_MS for time_ms, _ in went] == [
        0,
        1_000,
        *[5_000] * 4,
        5_000,
        6_000,
        7_000,
    ]
    assert [
        step[0] - NINE_MS
        for step in steps
        if isinstance(step, Act) and step.fault.what is What.DROP
    ] == [4_000]


def test_faults_of_the_link_begin_and_end_between_the_lines():
    steps = steps_of(SSI[:3], "09:00:01 drop 500ms\n09:00:01 refuse negotiate 502 x3")
    assert [
        (step[0] - NINE_MS, type(step) is tuple or step.fault.what.value) for step in steps
    ] == [
        (0, True),
        (1_000, "refuse"),
        (1_000, "drop"),
        (1_000, True),
        (1_500, "drop"),
        (2_000, True),
    ]
    assert [step.ends for step in steps if isinstance(step, Act)] == [False, False, True]


def test_faults_after_the_last_line_happen_too():
    steps = steps_of(SSI[:1], '10:00 drop 5s\n10:00:02 skip SSI\n10:01 error "late"')
    acts = [step for step in steps if isinstance(step, Act)]
    assert [(act.fault.what.value, act.ends) for act in acts] == [
        ("drop", False),
        ("skip", False),
        ("drop", True),
        ("error", False),
    ]


def test_a_day_that_begins_later_has_only_the_faults_to_come():
    faults = parse("08:00 auction-books pre-krx\n09:00 drop\n10:00 drop\n11:00 drop")
    assert [fault.line for fault in from_start(faults, 10 * 3_600_000)] == [1, 3, 4]


MOMENTS = st.integers(0, 20).map(lambda second: f"09:00:{second:02}")
ANY_FAULT = st.sampled_from(
    [
        "skip SSI x2",
        "repeat SSI x3",
        "replay VND x2",
        "swap SSI x3",
        "swap VND",
        "overtake SSI x2",
        "late 4s for 3s",
        "late VND 2s for 9s",
        "unknown-type x2",
        "bad-json",
        "unknown-session 4s",
        "burst 50 for 1s",
        "stall 5s",
        "drop 3s",
        "auction-books pre-krx",
    ]
)
SCRIPTS = st.lists(st.tuples(MOMENTS, ANY_FAULT), max_size=8).map(
    lambda faults: "\n".join(f"{moment} {what}" for moment, what in faults)
)


@given(script=SCRIPTS, kind=st.sampled_from(["X", "X-TRADE"]))
def test_nothing_is_lost_but_what_is_skipped_and_time_only_goes_forward(script, kind):
    day = merged(
        [
            match(NINE_MS + number * 1_000, "SSI", (number + 1) * 100, kind=kind)
            for number in range(20)
        ],
        matches("VND", 10, step_ms=1_700),
        [
            book(NINE_MS + number * 700, symbol, number + 1, "ATO")
            for number in range(20)
            for symbol in ("SSI", "VND")
        ],
    )
    steps = steps_of(day, script)
    assert steps == steps_of(day, script), "the same again"
    times = [step[0] for step in steps]
    assert times == sorted(times)
    assert [line for step in steps if (line := happened(step))] == day
    went = lines_sent(day, script)
    told = {
        code: {*totals(line for line in went if line[2] == code)} - {0} for code in ("SSI", "VND")
    }
    assert told["VND"] == {number * 100 for number in range(1, 11)}
    missing = {number * 100 for number in range(1, 21)} - told["SSI"]
    assert len(missing) <= 2 * script.count("skip")
    assert told["SSI"] <= {number * 100 for number in range(1, 21)}
