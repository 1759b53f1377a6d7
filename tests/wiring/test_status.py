"""The status line: what is wrong comes first, in words."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.rundir import RunDir
from engine.schema.codes import FeedState, Reject
from engine.schema.counters import (
    BOARD_COUNTERS,
    GATEWAY_COUNTERS,
    INGEST_COUNTERS,
    RECORDER_COUNTERS,
    REST_COUNTERS,
    SHARD_COUNTERS,
)
from engine.status import Sources, session_text
from engine.wiring.shared_memory import make_counters
from engine.wiring.status import StatusLine
from tests.wiring.days import settings

NOW_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000


def sources() -> Sources:
    """Return the counters of a healthy engine in the continuous morning session."""
    cells = Sources(
        np.zeros(1, INGEST_COUNTERS),
        [np.zeros(1, SHARD_COUNTERS)],
        np.zeros(1, BOARD_COUNTERS),
        [np.zeros(1, GATEWAY_COUNTERS)],
        np.zeros(1, REST_COUNTERS),
        np.zeros(1, RECORDER_COUNTERS),
    )
    for _, cell in cells.named():
        cell["heartbeat_ns"] = NOW_NS
    cells.ingest["feed_state"] = FeedState.LIVE
    cells.ingest["last_exch_s"] = 1626316200  # 2021-07-15 09:30 ICT
    return cells


def test_a_healthy_line_reads_ok_with_rate_and_clients() -> None:
    cells = sources()
    line = StatusLine(cells)
    line.render(NOW_NS, [])
    cells.ingest["messages"] = 5_000
    cells.gateways[0]["clients"] = 3
    text = line.render(NOW_NS + SECOND_NS, [])
    assert text.startswith("OK | 2021-07-15 09:30:00 | CONTINUOUS | 5,000 msg/s | lag 0 slots")
    assert text.endswith("3 clients")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda cells: cells.ingest.__setitem__("feed_state", FeedState.CONNECTING),
            "feed CONNECTING",
        ),
        (
            lambda cells: cells.shards[0].__setitem__("lapped_slots", 7),
            "PROBLEM: 7 slots lost to a full ring",
        ),
        (
            lambda cells: cells.shards[0].__setitem__("heartbeat_ns", NOW_NS - 5 * SECOND_NS),
            "PROBLEM: shard-0 silent for 5 s",
        ),
        (
            lambda cells: cells.ingest["rejected"].__setitem__((0, Reject.BAD_NUMBER), 2),
            "PROBLEM: 2 messages rejected",
        ),
        (
            lambda cells: cells.shards[0].__setitem__("damaged_slots", 3),
            "PROBLEM: 3 slots damaged in the journal |",
        ),
        (
            lambda cells: cells.shards[0].__setitem__("quarantined_slots", 4),
            "PROBLEM: 4 slots in quarantine |",
        ),
        (
            lambda cells: cells.ingest.__setitem__("journal_lost_slots", 5),
            "PROBLEM: 5 slots not in the journal |",
        ),
        (
            lambda cells: cells.ingest.__setitem__("journal_failing", 1),
            "PROBLEM: 0 slots not in the journal: its disk refuses |",
        ),
        (
            lambda cells: cells.recorder.__setitem__("failing", 1),
            "PROBLEM: 0 rows wait: the history's disk refuses |",
        ),
        (
            lambda cells: cells.recorder.__setitem__("lag_slots", 1_000_001),
            "PROBLEM: 1000001 slots not in the history yet |",
        ),
        (lambda cells: cells.recorder.__setitem__("lag_slots", 1_000_000), "OK |"),
        (
            lambda cells: cells.rest.__setitem__("heartbeat_ns", NOW_NS - 3 * SECOND_NS),
            "PROBLEM: rest silent for 3 s |",
        ),
    ],
)
def test_trouble_comes_first(change, words) -> None:
    cells = sources()
    change(cells)
    assert StatusLine(cells).render(NOW_NS, []).startswith(words)


def test_an_instance_without_a_history_has_no_trouble_with_it() -> None:
    cells = replace(sources(), recorder=None)
    assert StatusLine(cells).render(NOW_NS, []).startswith("OK |")


def test_counters_are_mapped_for_everybody_there_is(tmp_path: Path) -> None:
    for record, names in (
        ("off", ["gateway-1", "rest"]),
        ("on", ["gateway-1", "recorder", "rest"]),
    ):
        config = settings(tmp_path, "gateway.count=2", f"history.record={record}")
        run = RunDir(tmp_path / record)
        run.path.mkdir()
        make_counters(run, config)
        found = [name for name, _ in Sources.of(run, config).named()]
        assert found == ["ingest", "shard-0", "board", "gateway-0", *names]


def test_a_closed_feed_is_no_problem_and_no_reason_to_look() -> None:
    cells = sources()
    cells.ingest["feed_state"] = FeedState.CLOSED
    assert StatusLine(cells).render(NOW_NS, []).startswith("CLOSED | 2021-07-15 09:30:00")
    cells.ingest["lost_frames"] = 4
    text = StatusLine(cells).render(NOW_NS, [])
    assert text.startswith("PROBLEM: 4 frames lost: decoding fell behind |")


def test_gaps_that_wait_for_rest_are_counted() -> None:
    cells = sources()
    cells.shards[0]["missed_volume_shares"], cells.shards[0]["gaps_open"] = 12_300, 3
    assert "| 12,300 missed (3 gaps open) |" in StatusLine(cells).render(NOW_NS, [])


def test_a_problem_does_not_hide_a_dead_feed() -> None:
    cells = sources()
    cells.ingest["rejected"][0, Reject.BAD_NUMBER] = 1
    cells.ingest["feed_state"] = FeedState.DOWN
    text = StatusLine(cells).render(NOW_NS, [])
    assert text.startswith("PROBLEM: 1 messages rejected; feed DOWN")


def test_a_restarting_child_is_named() -> None:
    text = StatusLine(sources()).render(NOW_NS, ["gateway-0 restarting (signal SIGKILL)"])
    assert text.startswith("PROBLEM: gateway-0 restarting (signal SIGKILL)")


@pytest.mark.parametrize(
    ("exch_s", "text"),
    [
        (0, "no exchange time yet"),
        (1626314450, "ATO:HOSE CONTINUOUS:HNX+UPCOM+DERIVATIVES"),  # 09:00:50
        (1626323400 + 60, "BREAK"),  # 11:31
        (1626335100 + 60, "CLOSED:HOSE+DERIVATIVES PLO:HNX CONTINUOUS:UPCOM"),  # 14:46
    ],
)
def test_sessions_of_all_venues(exch_s: int, text: str) -> None:
    assert session_text(exch_s) == text
