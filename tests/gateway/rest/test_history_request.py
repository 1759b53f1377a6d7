"""Query parameters of a request for history: what they become, and how they are refused."""

import pytest

from gateway.rest.errors import BadParameter, Refusal
from gateway.rest.history_request import FIELDS, FILE_ROWS_MAX, parse

ROWS_MAX = 10_000


def asked(**parameters):
    pairs = [(name.rstrip("_"), value) for name, value in parameters.items()]
    return parse("trades", pairs, ROWS_MAX)


def refused(*pairs):
    with pytest.raises(BadParameter) as caught:
        parse("trades", pairs, ROWS_MAX)
    return caught.value


def test_nothing_asked_is_the_first_page_of_everything():
    request = asked()
    assert request.format == "json"
    assert not request.limited
    assert request.select == {
        "symbols": (),
        "start": None,
        "end": None,
        "interval": None,
        "limit": 1_000,
        "cursor": None,
        "columns": (),
    }


def test_everything_asked_arrives():
    request = asked(
        symbol="FPT, HPG",
        from_="2026-11-20T09:00",
        to="2026-11-21",
        interval="1m",
        limit="7",
        cursor="abc",
        format="csv",
        columns="time,volume_shares",
    )
    assert request.format == "csv"
    assert request.limited
    assert request.select["symbols"] == ("FPT", "HPG")
    assert (request.select["start"], request.select["end"]) == ("2026-11-20T09:00", "2026-11-21")
    assert request.select["interval"] == "1m"
    assert request.select["limit"] == 7
    assert request.select["cursor"] == "abc"
    assert request.select["columns"] == ("time", "volume_shares")


def test_a_page_is_never_longer_than_the_configuration_allows():
    assert parse("trades", [], 200).select["limit"] == 200
    assert asked(limit="10000").select["limit"] == 10_000


@pytest.mark.parametrize("how", ["csv", "parquet"])
def test_a_file_is_the_whole_range(how):
    assert asked(format=how).select["limit"] == FILE_ROWS_MAX


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("2026-11-20T09:00:00 07:00", "2026-11-20T09:00:00+07:00"),
        ("2026-11-20T09:00 0700", "2026-11-20T09:00+0700"),
        ("2026-11-20T09:00:00+07:00", "2026-11-20T09:00:00+07:00"),
        ("2026-11-20 09:00", "2026-11-20 09:00"),
        ("2026-11-20", "2026-11-20"),
    ],
)
def test_a_plus_that_the_url_made_a_space_is_a_plus_again(told, meant):
    assert asked(from_=told).select["start"] == meant


@pytest.mark.parametrize("limit", ["0", "-1", "ten", "1.5", "10001", "", "9" * 30, "\u0661"])
def test_an_impossible_limit_is_refused(limit):
    error = refused(("limit", limit))
    assert error.field == "limit"
    assert "from 1 to 10000" in error.message


def test_what_is_refused_names_the_parameter():
    assert refused(("simbol", "FPT")).field == "simbol"
    assert all(name in refused(("simbol", "FPT")).message for name in FIELDS)
    assert refused(("to", "1"), ("to", "2")).field == "to"
    assert refused(("format", "xml")).field == "format"
    assert refused(("symbol", "FPT,,HPG")).field == "symbol"
    assert refused(("columns", "")).field == "columns"


@pytest.mark.parametrize(
    ("accept", "how"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("text/csv", "csv"),
        ("application/vnd.apache.parquet", "parquet"),
        ("text/html, text/csv;q=0.5, */*;q=0.1", "csv"),
        ("text/csv;q=0.4, application/json;q=0.9", "json"),
        ("text/*", "csv"),
        ("text/csv;q=0, application/json", "json"),
        ("TEXT/CSV", "csv"),
    ],
)
def test_accept_chooses_the_format(accept, how):
    assert parse("trades", [], ROWS_MAX, accept=accept).format == how
    assert parse("trades", [("format", "json")], ROWS_MAX, accept=accept).format == "json"


@pytest.mark.parametrize("accept", ["text/html", "text/csv;q=0", "text/csv;q=x", "/"])
def test_what_nobody_can_write_is_refused(accept):
    with pytest.raises(Refusal) as caught:
        parse("trades", [], ROWS_MAX, accept=accept)
    assert (caught.value.status, caught.value.field) == (406, "Accept")


def test_a_shape_has_its_symbol_in_the_path_and_not_in_the_query():
    request = parse("bars", [("interval", "1m")], ROWS_MAX, key=("symbol", "FPT"))
    assert request.select["symbols"] == ("FPT",)
    with pytest.raises(BadParameter, match="unknown parameter"):
        parse("bars", [("symbol", "HPG")], ROWS_MAX, key=("symbol", "FPT"))
