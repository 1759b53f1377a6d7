"""Certificates: what a day's books become, how parts merge, and that files are whole or absent."""

import json
import os
import random
from collections.abc import Iterable
from pathlib import Path

import pytest

import engine
from engine.schema import SCHEMA_ID
from engine.schema.codes import ControlOp, FeedState, Instrument, SlotKind, Venue
from engine.shard.fold import Fold
from engine.wiring import day_books
from engine.wiring.certificate import Ledger, certificate, file_of, merge, write, write_part
from engine.wiring.local import LocalTape
from tests.shard.messages import Message, exch_s, rows_of
from tests.wiring.test_local import stamped

DAY, TOMORROW, DATE = 18823, 18824, "2021-07-15"
FEED_ID = 7
NAMES = {1: b"SSI", 2: b"SHS", FEED_ID: b"FEED"}
VENUES = {1: Venue.HOSE, 2: Venue.HNX, FEED_ID: Venue.UNKNOWN}


class Shard:
    """A fold and its ledger, told one message at a time."""

    def __init__(self, *symbol_ids: int) -> None:
        self.fold = Fold(8, 64)
        self.ledger = Ledger(self.fold)
        self.date = DATE
        for symbol_id in symbol_ids or (1, 2, FEED_ID):
            self.tell(
                kind=SlotKind.SYMBOL,
                symbol_id=symbol_id,
                venue=VENUES[symbol_id],
                code=NAMES[symbol_id],
                instrument=Instrument.FEED if symbol_id == FEED_ID else Instrument.STOCK,
                value_multiplier=1,
            )

    def tell(self, **message) -> None:
        """Fold one message."""
        self.ledger.feed(self.fold.fold(rows_of([[Message(message)]])))

    def trade(self, time: str, size: int, total: int, symbol_id: int = 1) -> None:
        """Tell a match."""
        stamp = exch_s(self.date, time)
        self.tell(
            kind=SlotKind.TRADE,
            symbol_id=symbol_id,
            venue=VENUES[symbol_id],
            exch_s=stamp,
            recv_ns=stamp * 10**9,
            last_price_e2=2_500_000,
            last_volume_shares=size,
            total_volume_shares=total,
        )

    def bar(self, time: str, gap_no: int, volume: int, symbol_id: int = 1) -> None:
        """Tell the only bar of a gap."""
        self.tell(
            kind=SlotKind.BACKFILL,
            symbol_id=symbol_id,
            venue=VENUES[symbol_id],
            exch_s=exch_s(self.date, time),
            gap_no=gap_no,
            volume_shares=volume,
            high_price_e2=2_510_000,
            low_price_e2=2_490_000,
        )

    def control(self, time: str, op: ControlOp, arg0: int) -> None:
        """Tell a feed state or lost frames."""
        recv_ns = exch_s(self.date, time) * 10**9
        self.tell(kind=SlotKind.CONTROL, symbol_id=FEED_ID, recv_ns=recv_ns, op=op, arg0=arg0)

    def feed(self, time: str, state: FeedState) -> None:
        """Tell a feed state."""
        self.control(time, ControlOp.FEED_STATE, state)

    def whole(self, day: int = DAY) -> dict:
        """Return the certificate of a one-shard engine."""
        return certificate([self.ledger.part(day, 0)], 1)


def opened() -> Shard:
    """Return a shard whose two symbols have traded from the start."""
    shard = Shard()
    shard.feed("08:00:00", FeedState.LIVE)
    for symbol_id in (1, 2):
        shard.trade("09:00:00", 0, 0, symbol_id)
        shard.trade("09:15:00", 100, 100, symbol_id)
    return shard


def test_a_day_seen_whole_is_complete():
    shard = opened()
    shard.trade("09:16:00", 400, 500)
    shard.trade("09:16:00", 400, 500)
    shard.feed("15:40:00", FeedState.CLOSED)
    whole = shard.whole()
    assert whole["verdict"] == "COMPLETE"
    assert whole["sentence"] == "All 600 shares of 2 symbols were seen."
    assert (whole["date"], whole["version"], whole["schema"]) == (
        DATE,
        engine.__version__,
        SCHEMA_ID,
    )
    assert whole["totals"] == {
        "symbols": 2,
        "total_shares": 600,
        "seen_shares": 600,
        "missed_shares": 0,
        "unplaced_shares": 0,
        "repeats": 1,
        "corrections": 0,
        "late": 0,
        "gaps": 0,
        "gaps_by_cause": {},
        "gaps_by_outcome": {},
        "lost_frames": 0,
        "unproven_symbols": 0,
    }
    assert whole["outages"] == whole["losses"] == whole["unproven"] == []
    assert whole["symbols"]["SSI"] == {
        "venue": "HOSE",
        "total_shares": 500,
        "seen_shares": 500,
        "missed_shares": 0,
        "unplaced_shares": 0,
        "repeats": 1,
        "corrections": 0,
        "late": 0,
        "last_time": "2021-07-15T09:16:00+07:00",
        "last_recv_ns": exch_s(DATE, "09:16:00") * 10**9,
        "gap_count": 0,
        "gaps": [],
    }
    assert list(whole["symbols"]) == ["SHS", "SSI"]


def test_an_open_gap_is_incomplete_until_bars_explain_it():
    shard = opened()
    shard.trade("09:20:00", 100, 500)
    whole = shard.whole()
    assert whole["verdict"] == "INCOMPLETE"
    assert whole["sentence"] == (
        "300 of 600 shares were missed in 1 gap; 1 of the gaps still open."
    )
    (gap,) = whole["symbols"]["SSI"]["gaps"]
    assert gap == {
        "no": 1,
        "cause": "SKIPPED",
        "outcome": "OPEN",
        "from": "2021-07-15T09:15:00+07:00",
        "to": "2021-07-15T09:20:00+07:00",
        "missed_shares": 300,
        "left_shares": 300,
    }
    shard.bar("09:20:00", 1, 1_200)
    whole = shard.whole()
    assert whole["verdict"] == "EXPLAINED"
    assert whole["totals"]["gaps_by_cause"] == {"SKIPPED": 1}
    assert whole["totals"]["gaps_by_outcome"] == {"BACKFILLED": 1}
    (gap,) = whole["symbols"]["SSI"]["gaps"]
    assert gap["bars"] == {
        "count": 1,
        "volume_shares": 1_200,
        "high_price_e2": 2_510_000,
        "low_price_e2": 2_490_000,
    }


def test_an_unexplained_gap_is_incomplete():
    shard = opened()
    shard.trade("09:20:00", 100, 500)
    shard.bar("09:20:00", 1, 0)
    whole = shard.whole()
    assert whole["verdict"] == "INCOMPLETE"
    assert "1 of the gaps unexplained" in whole["sentence"]


def test_what_arrived_late_is_complete():
    shard = opened()
    shard.trade("09:20:00", 100, 500)
    shard.trade("09:19:00", 300, 400)
    whole = shard.whole()
    assert whole["verdict"] == "COMPLETE"
    assert whole["totals"]["late"] == 1
    assert whole["totals"]["gaps_by_outcome"] == {"ARRIVED": 1}


def test_what_the_exchange_took_back_was_seen_and_is_said():
    shard = opened()
    shard.trade("09:20:00", 400, 500)
    shard.trade("09:21:00", 0, 300)
    whole = shard.whole()
    assert whole["verdict"] == "COMPLETE"
    assert whole["sentence"] == (
        "All 400 shares of 2 symbols were seen, and 200 more that the exchange took back."
    )
    assert whole["symbols"]["SSI"]["unplaced_shares"] == -200
    assert whole["symbols"]["SSI"]["corrections"] == 1


def test_a_baseline_has_no_beginning():
    shard = Shard(1, FEED_ID)
    shard.trade("10:00:00", 100, 5_000)
    (gap,) = shard.whole()["symbols"]["SSI"]["gaps"]
    assert (gap["cause"], gap["from"]) == ("BASELINE", None)


def test_an_outage_is_listed_and_must_be_followed_by_every_symbol():
    shard = opened()
    shard.feed("10:00:00", FeedState.DOWN)
    shard.feed("10:00:05", FeedState.CONNECTING)
    shard.feed("10:00:20", FeedState.LIVE)
    shard.trade("10:01:00", 100, 200)
    whole = shard.whole()
    from_s, to_s = exch_s(DATE, "10:00:00"), exch_s(DATE, "10:00:20")
    assert whole["outages"] == [
        {
            "from": "2021-07-15T10:00:00+07:00",
            "to": "2021-07-15T10:00:20+07:00",
            "s": 20.0,
            "from_recv_ns": from_s * 10**9,
            "to_recv_ns": to_s * 10**9,
            "from_exch_s": from_s,
            "to_exch_s": to_s,
        }
    ]
    assert whole["verdict"] == "INCOMPLETE"
    assert whole["unproven"] == ["SHS"]
    assert whole["sentence"] == (
        "0 of 300 shares were missed in 0 gaps; 1 symbol told no volume since the feed was away "
        "or frames were lost."
    )
    shard.trade("10:30:00", 100, 100, 2)  # a repeat: nothing happened meanwhile
    assert shard.whole()["verdict"] == "COMPLETE"


def test_an_outage_that_lasts_leaves_nobody_proven():
    shard = opened()
    shard.feed("10:00:00", FeedState.DOWN)
    whole = shard.whole()
    assert whole["unproven"] == ["SHS", "SSI"]
    assert (whole["outages"][0]["to"], whole["outages"][0]["s"]) == (None, None)


@pytest.mark.parametrize(
    ("start", "end", "unproven"),
    [
        ("14:40:00", "14:41:00", ["SHS", "SSI"]),
        ("14:45:30", "14:45:40", ["SHS", "SSI"]),  # the last prints are on their way
        ("15:02:00", "15:03:00", []),
        ("15:02:00", None, []),
    ],
)
def test_only_trading_hours_count(start, end, unproven):
    shard = opened()
    shard.feed(start, FeedState.DOWN)
    if end:
        shard.feed(end, FeedState.LIVE)
    assert shard.whole()["unproven"] == unproven


def test_an_outage_before_the_open_counts_for_nobody():
    shard = Shard()
    shard.feed("08:00:00", FeedState.LIVE)
    shard.trade("08:00:01", 0, 0)
    shard.feed("08:10:00", FeedState.DOWN)
    shard.feed("08:11:00", FeedState.LIVE)
    whole = shard.whole()
    assert len(whole["outages"]) == 1
    assert whole["unproven"] == []


def test_lost_frames_are_summed_joined_and_must_be_followed_too():
    shard = opened()
    for time, frames in (("10:00:00", 5), ("10:00:30", 7), ("10:05:00", 9)):
        shard.control(time, ControlOp.LOST, frames)
    whole = shard.whole()
    assert [loss["frames"] for loss in whole["losses"]] == [12, 9]
    assert [loss["s"] for loss in whole["losses"]] == [30.0, 0.0]
    assert whole["totals"]["lost_frames"] == 21
    assert whole["unproven"] == ["SHS", "SSI"]


def test_a_second_outage_is_another_one():
    shard = opened()
    for time, state in (
        ("10:00:00", FeedState.DOWN),
        ("10:00:20", FeedState.LIVE),
        ("10:01:00", FeedState.CONNECTING),
        ("10:01:05", FeedState.STALE),
    ):
        shard.feed(time, state)
    assert [outage["s"] for outage in shard.whole()["outages"]] == [20.0, 5.0]


def test_yesterday_stays_readable_for_a_day():
    shard = opened()
    shard.trade("09:20:00", 100, 500)
    shard.feed("10:00:00", FeedState.DOWN)
    shard.feed("10:00:20", FeedState.LIVE)
    shard.date = "2021-07-16"
    shard.trade("09:00:00", 0, 0)
    assert shard.ledger.days() == [DAY, TOMORROW]
    yesterday, today = shard.whole(DAY), shard.whole(TOMORROW)
    assert set(yesterday["symbols"]) == {"SSI", "SHS"}
    assert yesterday["totals"]["gaps_by_outcome"] == {"UNEXPLAINED": 1}
    assert len(yesterday["outages"]) == 1
    assert set(today["symbols"]) == {"SSI"}
    assert today["symbols"]["SSI"]["gaps"] == today["outages"] == []


def test_the_ledger_knows_what_is_open():
    shard = opened()
    shard.trade("09:20:00", 100, 500)
    shard.trade("09:21:00", 100, 700, 2)
    shard.bar("09:20:00", 1, 900)
    assert shard.ledger.gap_counts == (2, 1)
    (row,) = shard.ledger.open_gaps()
    assert (row["symbol_id"], row["gap_no"], row["missed_volume_shares"]) == (2, 1, 500)


def test_what_is_no_longer_whole_is_refused():
    shard = opened()
    for shard.date in ("2021-07-16", "2021-07-19"):
        shard.trade("09:20:00", 100, 500)
    assert shard.ledger.days() == [TOMORROW, TOMORROW + 3]
    with pytest.raises(AssertionError, match="books of day 18823 are gone"):
        shard.ledger.part(DAY, 0)
    assert shard.whole(TOMORROW)["totals"]["gaps_by_outcome"] == {"UNEXPLAINED": 1}


def test_a_day_begins_for_the_books_with_any_message():
    shard = opened()
    shard.date = "2021-07-16"
    shard.trade("09:20:00", 100, 100)
    stamp = exch_s("2021-07-19", "08:00:00")
    shard.tell(kind=SlotKind.REFERENCE, symbol_id=1, exch_s=stamp, ceiling_price_e2=5)
    assert shard.ledger.days() == [TOMORROW, TOMORROW + 3]
    assert set(shard.whole(TOMORROW)["symbols"]) == {"SSI"}
    assert shard.whole(TOMORROW + 3)["symbols"] == {}


def test_a_day_without_symbols_is_not_called_complete():
    whole = Shard().whole()
    assert whole["verdict"] == "INCOMPLETE"
    assert "no symbol was seen" in whole["sentence"]
    assert Shard().ledger.days() == []


def test_a_symbol_that_never_introduced_itself_has_a_number():
    shard = Shard(FEED_ID)
    shard.trade("09:00:00", 0, 0)
    assert list(shard.whole()["symbols"]) == ["#1"]


def test_gaps_beyond_the_list_are_counted(monkeypatch):
    monkeypatch.setattr(day_books, "GAPS_LISTED_MAX", 2)
    shard = opened()
    for n in range(1, 5):
        shard.trade(f"09:2{n}:00", 100, 100 + 200 * n)
    whole = shard.whole()
    assert [gap["no"] for gap in whole["symbols"]["SSI"]["gaps"]] == [1, 2]
    assert whole["symbols"]["SSI"]["gap_count"] == 4
    assert whole["totals"]["gaps_by_cause"] == {"SKIPPED": 4}


def test_the_certificate_is_the_same_however_the_slots_were_batched():
    def part(cut: int) -> dict:
        shard = Shard()
        stamp = exch_s(DATE, "09:15:00")
        groups = [
            [
                Message(
                    kind=SlotKind.TRADE,
                    symbol_id=1 + n % 2,
                    venue=Venue.HOSE,
                    exch_s=stamp + n,
                    recv_ns=n + 1,
                    last_price_e2=100,
                    last_volume_shares=100,
                    total_volume_shares=100 * n * (1 + n % 3),
                )
            ]
            for n in range(30)
        ]
        for first in range(0, len(groups), cut):
            shard.ledger.feed(shard.fold.fold(rows_of(groups[first : first + cut])))
        return shard.ledger.part(DAY, 0)

    assert part(1) == part(7) == part(30)
    assert part(1)["gaps_by_cause"]


def two_parts() -> list[dict]:
    """Return the parts of a two-shard engine: shard 0 knows the feed, shard 1 has SHS."""
    first, second = Shard(1, FEED_ID), Shard(2)
    first.trade("09:00:00", 100, 100)
    second.trade("09:00:00", 100, 300, 2)
    first.feed("10:00:00", FeedState.LIVE)
    first.feed("10:00:10", FeedState.DOWN)
    return [first.ledger.part(DAY, 0), second.ledger.part(DAY, 1)]


def test_parts_are_judged_together():
    whole = certificate(two_parts(), 2)
    assert whole["unproven"] == ["SHS", "SSI"]  # only shard 0 knows of the outage
    assert whole["totals"]["total_shares"] == 400
    assert whole["totals"]["gaps_by_cause"] == {"BASELINE": 1}
    assert whole["shards_missing"] == []


def test_a_missing_part_is_said():
    whole = certificate(two_parts()[:1], 3)
    assert whole["shards_missing"] == [1, 2]
    assert whole["verdict"] == "INCOMPLETE"
    assert "shard 1 left no part, shard 2 left no part" in whole["sentence"]


def test_files_lie_where_they_belong_and_merge(tmp_path):
    parts = two_parts()
    assert [write(tmp_path, part) for part in parts] == [
        tmp_path / "certificates" / DATE / f"shard-{n}.json" for n in (0, 1)
    ]
    whole = merge(tmp_path, DATE, 2)
    stored = tmp_path / "certificates" / f"{DATE}.json"
    assert json.loads(stored.read_text()) == whole == certificate(parts, 2)
    assert file_of(tmp_path, DATE) == stored
    assert merge(tmp_path, "2021-07-16", 2) is None


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"schema": "sha256:0", "date": "2021-07-15", "shard": 1}'],
)
def test_a_part_nobody_can_read_counts_as_missing(text, tmp_path):
    parts = two_parts()
    write(tmp_path, parts[0])
    write(tmp_path, parts[1]).write_text(text)
    assert merge(tmp_path, DATE, 2)["shards_missing"] == [1]


def test_a_part_of_a_shard_that_is_no_more_is_left_alone(tmp_path):
    for part in two_parts():
        write(tmp_path, part)
    assert set(merge(tmp_path, DATE, 1)["symbols"]) == {"SSI"}


def kept_total(folder: Path) -> tuple[int, int]:
    """Return what the part on disk says of all symbols: exchange's total, and seen."""
    symbols = json.loads(file_of(folder, DATE, 0).read_bytes())["symbols"].values()
    return sum(s["total_shares"] for s in symbols), sum(s["seen_shares"] for s in symbols)


def test_a_process_that_came_after_the_close_does_not_undo_the_proof(tmp_path):
    shard = opened()
    write_part(tmp_path, shard.ledger.part(DAY, 0))
    proof = file_of(tmp_path, DATE, 0).read_bytes()
    later = Shard()
    stamp = exch_s(DATE, "08:00:00")
    later.tell(kind=SlotKind.REFERENCE, symbol_id=1, exch_s=stamp, ceiling_price_e2=5)
    assert later.ledger.days() == [DAY]
    write_part(tmp_path, later.ledger.part(DAY, 0))  # knows only that the day was
    later.trade("14:45:00", 1, shard.whole()["symbols"]["SSI"]["total_shares"])
    write_part(tmp_path, later.ledger.part(DAY, 0))  # knows only the feed's last total
    assert file_of(tmp_path, DATE, 0).read_bytes() == proof


def test_a_restarted_engine_s_news_are_written_and_so_is_each_news_of_one_process(tmp_path):
    shard = opened()
    write_part(tmp_path, shard.ledger.part(DAY, 0))
    total, seen = kept_total(tmp_path)
    shard.trade("10:00:00", 100, shard.whole()["symbols"]["SSI"]["total_shares"] + 100)
    write_part(tmp_path, shard.ledger.part(DAY, 0))
    assert kept_total(tmp_path) == (total + 100, seen + 100)
    restarted = Shard()
    restarted.trade("10:01:00", 50, shard.whole()["symbols"]["SSI"]["total_shares"] + 50)
    write_part(tmp_path, restarted.ledger.part(DAY, 0))
    assert kept_total(tmp_path)[1] == 0  # a baseline: less was seen, but it is news


def test_the_first_part_of_a_day_may_be_blank(tmp_path):
    write_part(tmp_path, Shard().ledger.part(DAY, 0))
    assert kept_total(tmp_path) == (0, 0)


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(step, tmp_path, monkeypatch):
    part = two_parts()[0]
    path = write(tmp_path, part)
    before = path.read_text()

    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os if step == "fsync" else Path, step, fail)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path, part | {"version": "other"})
    assert path.read_text() == before
    assert list(path.parent.iterdir()) == [path]


def test_parts_of_two_days_are_not_merged():
    first, second = two_parts()
    with pytest.raises(AssertionError, match="one day"):
        certificate([first, second | {"date": "2021-07-16"}], 2)
    with pytest.raises(AssertionError, match="one part"):
        certificate([first, first], 2)


# From frames ----------------------------------------------------------------------------------


def played(frames: Iterable[tuple[int, bytes]], shards: int = 1) -> tuple[LocalTape, list[Ledger]]:
    """Play frames one by one; return the tape and a ledger per shard."""
    tape = LocalTape(symbols_max=64, ring_slots=8_192, shards=shards)
    ledgers = [Ledger(shard.fold) for shard in tape.shards]
    for recv_ns, frame in frames:
        tape.intake.on_frame(frame, recv_ns)
        tape.intake.flush()
        for shard, ledger in zip(tape.shards, ledgers, strict=True):
            while shard.reader.lag_slots:
                ledger.feed(shard.step())
    return tape, ledgers


@pytest.mark.parametrize("shards", [1, 2])
def test_a_day_with_holes_from_frames_to_certificate(shards, seed):
    """Drop frames of a synthetic day: what is certified is what the plan says was dropped."""
    rng = random.Random(seed)
    whole = list(stamped())
    kept = [each for number, each in enumerate(whole) if number < 20 or rng.random() < 0.8]
    tape, ledgers = played(kept, shards)
    parts = [ledger.part(DAY, number) for number, ledger in enumerate(ledgers)]
    document = certificate(parts, shards)
    stats = tape.latest("stats")
    assert set(document["symbols"]) == set(stats)
    for code, facts in document["symbols"].items():
        row = stats[code]
        assert facts["missed_shares"] == row["missed_volume_shares"]
        assert facts["seen_shares"] == row["volume_shares"]
        assert facts["total_shares"] == row["total_volume_shares"]
        left = sum(gap["left_shares"] for gap in facts["gaps"]) + facts["unplaced_shares"]
        if facts["gap_count"] == len(facts["gaps"]):
            assert left == facts["missed_shares"]
    assert document["totals"]["missed_shares"] > 0
    assert document["verdict"] == "INCOMPLETE"
    assert certificate([played(whole)[1][0].part(DAY, 0)], 1)["verdict"] == "COMPLETE"
