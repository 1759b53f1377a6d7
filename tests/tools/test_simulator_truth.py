"""The account of what was never delivered, against a twin that only compares sets."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.small_days import NINE_MS, book, match, matches, merged
from tools.simulator.faults import parse
from tools.simulator.record import total_shares
from tools.simulator.truth import NOT_BEGUN, Truth, write

DROP, SKIP = parse("09:00 drop\n09:01 skip SSI")


def told(day, delivered, blame=()):
    """Return the account of SSI after a day; `blame` is a cause per total."""
    truth = Truth()
    for line in day:
        truth.happened(line)
        for total, cause in blame:
            if total == total_shares(line):
                truth.blamed(line, cause)
        if total_shares(line) in delivered:
            truth.delivered(line)
    return truth.document("2021-07-15")["symbols"]["SSI"]


def test_a_day_that_was_heard_whole_has_no_gap():
    assert told(matches("SSI", 3), {100, 200, 300}) == {
        "total_shares": 300,
        "delivered_shares": 300,
        "print_count": 3,
        "missed_print_count": 0,
        "gaps": [],
    }


def test_missing_prints_side_by_side_are_one_gap():
    account = told(
        matches("SSI", 6), {100, 500}, [(200, DROP), (300, SKIP), (400, DROP), (600, NOT_BEGUN)]
    )
    assert (account["total_shares"], account["delivered_shares"]) == (600, 200)
    assert account["gaps"] == [
        {
            "from_time": "09:00:01",
            "to_time": "09:00:03",
            "from_total_shares": 100,
            "to_total_shares": 400,
            "missed_shares": 300,
            "print_count": 3,
            "cause": "drop+skip",
            "fault_lines": [1, 2],
        },
        {
            "from_time": "09:00:05",
            "to_time": "09:00:05",
            "from_total_shares": 500,
            "to_total_shares": 600,
            "missed_shares": 100,
            "print_count": 1,
            "cause": "before the first connection",
            "fault_lines": [],
        },
    ]


def test_late_and_repeated_deliveries_count_once_and_clear_the_blame():
    truth, day = Truth(), matches("SSI", 2)
    for line in day:
        truth.happened(line)
        truth.blamed(line, DROP)
    truth.delivered(day[1])
    truth.delivered(day[0])
    truth.blamed(day[0], DROP)
    truth.delivered(day[0])
    account = truth.document("2021-07-15")["symbols"]["SSI"]
    assert (account["delivered_shares"], account["gaps"]) == (200, [])


def test_books_have_no_say_but_an_x_tells_of_the_last_match_again():
    first, again = match(NINE_MS, "SSI", 700, kind="X"), match(NINE_MS + 5, "SSI", 700, kind="X")
    truth = Truth()
    for line in (book(NINE_MS, "SSI"), match(NINE_MS, "SSI", 0, kind="X"), first, again):
        truth.happened(line)
    assert truth.document("")["symbols"]["SSI"]["print_count"] == 1
    truth.delivered(again)
    assert truth.document("")["symbols"]["SSI"]["delivered_shares"] == 700


def test_the_faults_that_happened_are_named(tmp_path):
    truth = Truth()
    truth.fault(DROP)
    document = truth.document("2021-07-15")
    assert document == {
        "date": "2021-07-15",
        "faults": [{"time": "09:00:00", "what": "drop", "line": 1, "text": "drop"}],
        "symbols": {},
    }
    write(tmp_path / "truth.json", document)
    assert json.loads((tmp_path / "truth.json").read_text()) == document
    assert [path.name for path in tmp_path.iterdir()] == ["truth.json"]


@pytest.mark.parametrize("kind", ["X", "X-TRADE"])
@given(data=st.data())
def test_what_is_missing_is_what_was_not_delivered(kind, data):
    volumes = {
        code: data.draw(st.lists(st.integers(1, 900), max_size=12)) for code in ("SSI", "VND")
    }
    day, expected = [], {}
    for code, sizes in volumes.items():
        total = 0
        for number, size in enumerate(sizes):
            total += size
            day.append(match(NINE_MS + number, code, total, size, kind=kind))
            expected[code, total] = size
    day = merged(day)
    truth = Truth()
    heard = data.draw(st.sets(st.sampled_from(day))) if day else set()
    for line in day:
        truth.happened(line)
        if line in heard:
            truth.delivered(line)
    symbols = truth.document("")["symbols"]
    for code, sizes in volumes.items():
        if not sizes:
            assert code not in symbols
            continue
        account = symbols[code]
        missed = {
            total
            for (name, total) in expected
            if name == code
            and (name, total) not in {(line[2], total_shares(line)) for line in heard}
        }
        shares = set()
        for gap in account["gaps"]:
            covered = range(gap["from_total_shares"], gap["to_total_shares"])
            assert gap["missed_shares"] == len(covered)
            assert gap["from_total_shares"] not in shares, "gaps that touch are one"
            shares |= {share + 1 for share in covered}
        assert shares == {
            share
            for total in missed
            for share in range(total - expected[code, total] + 1, total + 1)
        }
        assert account["total_shares"] == sum(sizes)
        assert account["delivered_shares"] == sum(sizes) - len(shares)
