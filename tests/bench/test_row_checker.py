"""What the verifying client complains about, and what it must not complain about."""

from typing import Any

import pytest

from bench.row_checker import FAULTS_KEPT, RowChecker

FPT, VNM = 1048577, 4194889  # trade.FPT, stats.VNM
EPOCH = "1626314400000000000"


def snap(
    topic: str, ch: int, seq: int, n: int = 0, epoch: str = EPOCH, price: int | None = None
) -> dict[str, Any]:
    head = {"op": "snap", "ch": ch, "topic": topic, "seq": seq, "epoch": epoch, "n": n}
    return {**head, "data": row(seq, price)}


def delta(ch: int, seq: int, n: int = 1, price: int | None = None) -> dict[str, Any]:
    return {"op": "d", "ch": ch, "seq": seq, "n": n, "data": row(seq, price)}


def row(seq: int, price: int | None) -> dict[str, Any]:
    return {"price": seq if price is None else price, "venue": "HOSE"}


def gap(reason: str) -> dict[str, Any]:
    return {"op": "gap", "reason": reason, "shard": 0, "epoch": EPOCH, "lost_frames": 0}


def checker(*messages: dict[str, Any]) -> RowChecker:
    made = RowChecker()
    made.connected(frozenset({"trade"}))
    for message in messages:
        made.take(message)
    return made


def test_a_day_as_it_should_be() -> None:
    told = checker(
        snap("trade.FPT", FPT, 7),
        delta(FPT, 8),
        snap("stats.VNM", VNM, 3, n=3),
        delta(FPT, 9),
        delta(VNM, 40, n=37),
    )
    assert told.faults == []
    assert {topic: known.seq for topic, known in told.rows.items()} == {
        "trade.FPT": 9,
        "stats.VNM": 40,
    }
    assert told.row_count == 1 + 3 + 1 + 37
    assert told.rows["stats.VNM"].data == row(40, None)


@pytest.mark.parametrize(
    "wrong",
    [
        delta(FPT, 7),  # repeated
        delta(FPT, 9),  # one left out
        delta(FPT, 6, n=1),  # backwards
        delta(FPT, 7, n=0),  # news of nothing
        delta(FPT, 9, n=2),  # two at once in mode all
        delta(VNM, 1),  # never introduced
        snap("trade.FPT", FPT, 7),  # shown twice
        snap("stats.VNM", VNM, 5, n=2),  # first shown, and half of it is old
    ],
)
def test_wrong_numbers_are_faults(wrong: dict[str, Any]) -> None:
    told = checker(snap("trade.FPT", FPT, 7), wrong)
    assert told.fault_count == 1
    assert len(told.faults) == 1


def test_rows_lost_inside_are_right_only_after_a_notice() -> None:
    told = checker(snap("trade.FPT", FPT, 7), gap("bus"), delta(FPT, 12, n=5))
    assert told.faults == []
    assert told.lost_rows == 4
    assert told.gaps == {"bus": 1}
    told.connected(frozenset({"trade"}))  # a notice is for one connection
    told.take(snap("trade.FPT", FPT, 12))
    told.take(delta(FPT, 14, n=2))
    assert told.fault_count == 1


def test_a_gap_does_not_excuse_wrong_numbers() -> None:
    assert checker(snap("trade.FPT", FPT, 7), gap("bus"), delta(FPT, 12, n=4)).fault_count == 1


def test_another_epoch_begins_anew() -> None:
    told = checker(
        snap("trade.FPT", FPT, 700),
        gap("epoch"),
        snap("trade.FPT", FPT, 1, n=1, epoch="9"),
        delta(FPT, 2),
    )
    assert told.faults == []
    known = told.rows["trade.FPT"]
    assert (known.epoch, known.seq) == ("9", 2)


def test_a_new_connection_shows_every_key_once_more() -> None:
    told = checker(snap("trade.FPT", FPT, 7), delta(FPT, 8))
    told.connected(frozenset({"trade"}))
    told.take(delta(FPT, 9))
    assert told.fault_count == 1  # ch means nothing before the connection's own snap
    told.take(snap("trade.FPT", FPT, 9))
    told.take(delta(FPT, 10))
    assert told.fault_count == 1


def test_one_number_never_stands_for_two_rows() -> None:
    told = checker(snap("trade.FPT", FPT, 7), delta(FPT, 8))
    told.connected(frozenset({"trade"}))
    told.take(snap("trade.FPT", FPT, 8))
    assert told.faults == []
    told.connected(frozenset({"trade"}))
    told.take(snap("trade.FPT", FPT, 8, price=1))
    assert told.faults == [
        "trade.FPT: two different rows 8 of one epoch, in ['price']",
    ]


def test_going_back_in_time_over_connections_is_counted() -> None:
    told = checker(snap("trade.FPT", FPT, 8))
    told.connected(frozenset({"trade"}))
    told.take(snap("trade.FPT", FPT, 5))
    for seq in (6, 7):
        told.take(delta(FPT, seq))
    assert (told.old_rows, told.faults) == (3, [])
    assert told.rows["trade.FPT"].seq == 8  # what we know stays known
    told.take(delta(FPT, 8, price=99))
    assert told.fault_count == 1  # and is held against what comes again
    told.take(delta(FPT, 9))
    assert told.rows["trade.FPT"].seq == 9


def test_of_many_faults_the_first_are_kept_and_all_counted() -> None:
    told = checker(snap("trade.FPT", FPT, 7), *[delta(FPT, 7)] * (FAULTS_KEPT + 5))
    assert told.fault_count == FAULTS_KEPT + 5
    assert len(told.faults) == FAULTS_KEPT


def test_other_frames_are_passed_over() -> None:
    told = checker({"op": "heartbeat"}, {"op": "warn"}, gap("epoch"))
    assert (told.faults, told.rows) == ([], {})
