"""verify-day must notice whatever is wrong: every kind of difference, by hand."""

import asyncio
import dataclasses
import datetime as dt
import json
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve

from engine.clock import SystemClock
from engine.errors import ConfigError
from engine.feed.synthetic.table import Bar, FuturesTable, Listing
from engine.schema.codes import Phase, Side, Venue
from engine.schema.deltas import STATS_DELTA
from engine.wiring.published import future_listing, read_published
from engine.wiring.verify_day import (
    SHOWN_MAX,
    Closing,
    Verdict,
    closings_of,
    compare,
    digest,
    print_verdict,
    watch,
)

LISTING = Listing("SSI", Venue.HOSE, 3_000_000, 3_010_000, 3_050_000, 2_990_000, 3_020_000, 700)
IDLE = Listing("CCC", Venue.HOSE, 100_000, 100_000, 100_000, 100_000, 100_000, 0)
# 700 shares in three matches: 200 at the open, then 100 sold and 400 bought.
CELLS = ((200, 6_020_000, 1), (100, 2_990_000, 1), (400, 12_080_000, 1))
CLOSING = Closing(3_010_000, 3_050_000, 2_990_000, 3_020_000, 700, 21_090_000, 3, 0, 700, CELLS)
SILENT = Closing(0, 0, 0, 0, 0, 0, 0, 0, 0, ())


def changed(**changes: Any) -> Closing:
    return dataclasses.replace(CLOSING, **changes)


# compare ------------------------------------------------------------------------------------


def test_what_agrees_matches() -> None:
    verdict = compare([LISTING, IDLE], {"SSI": CLOSING, "OTHER": SILENT})
    assert verdict.good
    assert verdict.matched == ["SSI", "CCC"]
    assert verdict == Verdict(["SSI", "CCC"], [], [])


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("open_e2", 3_015_000, "open 30150 instead of 30100"),
        ("high_e2", 3_055_050, "high 30550.5 instead of 30500"),
        ("low_e2", 2_985_000, "low 29850 instead of 29900"),
        ("close_e2", 0, "close 0 instead of 30200"),
    ],
)
def test_a_wrong_price_is_named(column: str, value: int, words: str) -> None:
    verdict = compare([LISTING], {"SSI": changed(**{column: value})})
    assert verdict.mismatched == [f"SSI: {words}"]
    assert not verdict.matched
    assert not verdict.good


def test_every_difference_of_a_symbol_is_in_its_sentence() -> None:
    verdict = compare([LISTING], {"SSI": changed(open_e2=100, volume_shares=699)})
    assert verdict.mismatched == ["SSI: open 1 instead of 30100, volume 699 instead of 700"]
    assert len(verdict.sums_wrong) == 2  # the cells and the exchange's total still say 700


def test_missed_volume_is_a_mismatch_even_when_the_sums_explain_it() -> None:
    seen = changed(
        volume_shares=500,
        missed_volume_shares=200,
        value_vnd=15_070_000,
        trade_count=2,
        cells=CELLS[1:],
    )
    verdict = compare([LISTING], {"SSI": seen})
    assert verdict.mismatched == ["SSI: volume 500 instead of 700, 200 of it was missed"]
    assert verdict.sums_wrong == []


def test_a_symbol_never_seen_is_a_mismatch() -> None:
    assert compare([LISTING], {}).mismatched == ["SSI: nothing seen"]


@pytest.mark.parametrize("seen", [{}, {"CCC": SILENT}])
def test_a_symbol_without_published_volume_need_not_show(seen: dict[str, Closing]) -> None:
    assert compare([IDLE], seen).matched == ["CCC"]


def test_a_symbol_without_published_volume_must_not_trade() -> None:
    verdict = compare([IDLE], {"CCC": CLOSING})
    assert verdict.mismatched == ["CCC: 3 trades or shares seen, none published"]
    missed = dataclasses.replace(SILENT, missed_volume_shares=50, total_volume_shares=50)
    verdict = compare([IDLE], {"CCC": missed})
    assert verdict.mismatched == ["CCC: 50 trades or shares seen, none published"]


def test_prices_of_a_symbol_that_did_not_trade_mean_nothing() -> None:
    assert compare([IDLE], {"CCC": dataclasses.replace(SILENT, open_e2=1, close_e2=2)}).good


# sums ---------------------------------------------------------------------------------------


def test_sums_that_add_up() -> None:
    assert CLOSING.sums_wrong() == []
    assert SILENT.sums_wrong() == []


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("value_vnd", 21_090_001, "phases and sides give value 21090000, the total is 21090001"),
        ("trade_count", 4, "phases and sides give count 3, the total is 4"),
        (
            "total_volume_shares",
            800,
            "volume 700 is not the exchange's total less the missed volume, 800",
        ),
        (
            "missed_volume_shares",
            100,
            "volume 700 is not the exchange's total less the missed volume, 600",
        ),
    ],
)
def test_a_sum_that_is_broken_is_named(column: str, value: int, words: str) -> None:
    assert changed(**{column: value}).sums_wrong() == [words]


def test_cells_that_are_missing_are_noticed() -> None:
    assert [text.split(",")[0] for text in changed(cells=()).sums_wrong()] == [
        "phases and sides give volume 0",
        "phases and sides give value 0",
        "phases and sides give count 0",
    ]


def test_broken_sums_alone_make_a_verdict_bad() -> None:
    verdict = compare([LISTING], {"SSI": changed(value_vnd=1)})
    assert verdict.matched == ["SSI"]
    assert verdict.sums_wrong == ["SSI: phases and sides give value 21090000, the total is 1"]
    assert not verdict.good


# Closing ------------------------------------------------------------------------------------


def stats_row() -> np.void:
    row = np.zeros(1, STATS_DELTA)[0]
    for column, value in (
        ("open_price_e2", 3_010_000),
        ("high_price_e2", 3_050_000),
        ("low_price_e2", 2_990_000),
        ("last_price_e2", 3_020_000),
        ("volume_shares", 700),
        ("value_vnd", 21_090_000),
        ("trade_count", 3),
        ("total_volume_shares", 700),
    ):
        row[column] = value
    for (phase, side), (volume, value, count) in zip(PLACES, CELLS, strict=True):
        row["phase_side_volume_shares"][phase, side] = volume
        row["phase_side_value_vnd"][phase, side] = value
        row["phase_side_count"][phase, side] = count
    return row


PLACES = ((Phase.ATO, Side.UNKNOWN), (Phase.CONTINUOUS, Side.BUY), (Phase.CONTINUOUS, Side.SELL))


def stats_json() -> dict[str, Any]:
    def cell(place: int) -> dict[str, int]:
        return dict(zip(("volume_shares", "value_vnd", "count"), CELLS[place], strict=True))

    return {
        "open_price": 30100,
        "high_price": 30500.0,
        "low_price": 29900,
        "last_price": 30200,
        "volume_shares": 700,
        "value_vnd": 21_090_000,
        "trade_count": 3,
        "missed_volume_shares": 0,
        "total_volume_shares": 700,
        "phase_side": {
            "ATO": {"UNKNOWN": cell(0)},
            "CONTINUOUS": {"BUY": cell(1), "SELL": cell(2)},
        },
    }


def test_a_row_of_the_engine_and_a_client_s_frame_are_read_alike() -> None:
    row = stats_row()
    assert set(Closing.from_row(row).cells) == set(CELLS)
    assert dataclasses.replace(Closing.from_row(row), cells=CELLS) == CLOSING
    assert Closing.from_json(stats_json()) == CLOSING
    assert all(type(value) is int for value in dataclasses.astuple(Closing.from_row(row))[:-1])


def test_a_symbol_without_a_trade_is_read_as_zeros() -> None:
    assert Closing.from_row(np.zeros(1, STATS_DELTA)[0]) == SILENT
    nothing = {name: {} if name == "phase_side" else 0 for name in stats_json()}
    assert Closing.from_json(nothing) == SILENT


def test_hundredths_survive_json_s_floats() -> None:
    prices = {
        "open_price": 1411.1,
        "high_price": 1411.15,
        "low_price": 0.29,
        "last_price": 21_474_836.47,
    }
    seen = Closing.from_json(json.loads(json.dumps(stats_json() | prices)))
    assert (seen.open_e2, seen.high_e2, seen.low_e2, seen.close_e2) == (
        141_110,
        141_115,
        29,
        2_147_483_647,
    )


def test_closings_are_picked_from_all_that_was_seen() -> None:
    state = {"stats.SSI": stats_json(), "trade.SSI": {"price": 1}, "quote.SSI": {}}
    assert closings_of(state) == {"SSI": CLOSING}


# digest -------------------------------------------------------------------------------------


def test_a_digest_names_what_was_seen_and_not_when() -> None:
    state = {"stats.SSI": {"last_price": 30_200, "recv_ns": 5}, "quote.SSI": {"bid_price": 1}}
    later = {
        "quote.SSI": {"bid_price": 1, "merged": {"updates": 9}},
        "stats.SSI": {"recv_ns": 6, "last_price": 30_200},
    }
    assert digest(state) == digest(later)
    assert len(digest(state)) == 64


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"stats.SSI": {"last_price": 30_250}},
        {"stats.VND": {"last_price": 30_200}},
        {"stats.SSI": {"last_price": 30_200}, "trade.SSI": {}},
    ],
)
def test_a_digest_of_something_else_is_another(other: dict[str, dict[str, Any]]) -> None:
    assert digest(other) != digest({"stats.SSI": {"last_price": 30_200}})


# published ----------------------------------------------------------------------------------


def test_a_future_s_bars_become_one_listing() -> None:
    bars = (
        Bar(32_400, 141_000, 141_500, 140_500, 140_800, 900),
        Bar(33_300, 140_900, 142_000, 140_700, 141_900, 450),
        Bar(53_100, 141_700, 141_700, 140_100, 141_700, 77),
    )
    listing = future_listing(FuturesTable("bars", dt.date(2021, 7, 15), bars))
    assert listing == Listing(
        "VN30F2107", Venue.DERIVATIVES, 0, 141_000, 142_000, 140_100, 141_700, 1_427
    )


def test_a_future_of_a_later_year_has_its_later_name() -> None:
    bars = (Bar(32_400, 190_000, 190_000, 190_000, 190_000, 1),)
    assert future_listing(FuturesTable("bars", dt.date(2026, 3, 2), bars)).code == "41I1G3000"


def test_the_shipped_day_is_what_is_compared_by_default() -> None:
    published = read_published(None, None)
    assert len(published.stocks) == 701
    assert published.future is not None
    assert published.future.code == "VN30F2107"


# A gateway ----------------------------------------------------------------------------------


def watched(frames: list[dict[str, Any]], *, closing: bool = False) -> dict[str, dict[str, Any]]:
    """Run `watch` against a gateway that says these frames once it has been subscribed to."""

    async def gateway(socket: ServerConnection) -> None:
        request = json.loads(await socket.recv())
        assert request["topics"] == ["stats.*", "quote.*", "book.*", "trade.*"]
        for frame in frames:
            await socket.send(json.dumps(frame))
        if not closing:
            await socket.wait_closed()

    async def scenario() -> dict[str, dict[str, Any]]:
        async with serve(gateway, "127.0.0.1", 0, subprotocols=["vntape.v1.json"]) as server:  # type: ignore[list-item]
            port = next(iter(server.sockets)).getsockname()[1]
            return await watch(f"ws://127.0.0.1:{port}/ws", [LISTING], 60, SystemClock())

    return asyncio.run(scenario())


def test_watching_ends_when_the_day_is_complete_and_quiet() -> None:
    half = stats_json() | {"total_volume_shares": 300}
    state = watched(
        [
            {"op": "hello"},
            {"op": "sub_ok", "id": 1},
            {"op": "snap", "ch": 4, "topic": "stats.SSI", "seq": 1, "data": half},
            {"op": "snap", "ch": 5, "topic": "trade.SSI", "seq": 1, "data": {"price": 1}},
            {"op": "hb"},
            {"op": "d", "ch": 4, "seq": 2, "data": stats_json()},
        ]
    )
    assert state == {"stats.SSI": stats_json(), "trade.SSI": {"price": 1}}
    assert compare([LISTING], closings_of(state)).good


def test_a_gateway_that_hangs_up_is_said() -> None:
    with pytest.raises(ConfigError, match="closed the connection"):
        watched([{"op": "hello"}], closing=True)


# What is printed ----------------------------------------------------------------------------


def test_a_verdict_is_printed_for_a_human(capsys: pytest.CaptureFixture[str]) -> None:
    print_verdict("symbols", Verdict(["A", "B"], [], []))
    print_verdict("symbols", Verdict(["A"], [f"M{i}: x" for i in range(SHOWN_MAX + 2)], ["A: y"]))
    first, second, *rest = capsys.readouterr().out.splitlines()
    assert first == (
        "2 of 2 symbols end on the published open, high, low, close and volume; "
        "phase and side sums add up"
    )
    assert second.startswith(f"1 of {SHOWN_MAX + 3} symbols")
    assert second.endswith("1 sums do not add up")
    assert rest[0] == "  MISMATCH M0: x"
    assert rest[SHOWN_MAX] == "  ... and 2 more"
    assert rest[-1] == "  WRONG SUM A: y"


def test_reference_data_do_not_change_a_digest() -> None:
    seen = {"stats.SSI": {"last_price": 30_150, "total_volume_shares": 100}}
    told = {"stats.VND": {"reference_price": 20_000, "total_volume_shares": 0}}
    assert digest(seen | told) == digest(seen)
