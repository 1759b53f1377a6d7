"""A stormy day through real processes: what the feed did not show is known to the share.

The simulator plays the whole day of 15 July 2021 with a script of faults and writes, from what it
handed to the newest connection, which matches nobody could have seen. The engine knows nothing of
that file; its clients, its statistics and its certificate must say the same.
"""

import asyncio
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.e2e.running import ROOT, WATCHDOG_S, Tape

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SCRIPT = ROOT / "tools/simulator/scripts/stormy-day.faults"
IDLE_HEARTBEATS = 3  # in a row: the day is over for this client
CUTS = ("drop", "half-open", "close", "shutdown")


@dataclass
class Seen:
    """What one client was told."""

    stats: dict[str, dict[str, Any]] = field(default_factory=dict)
    traded: Counter[str] = field(default_factory=Counter)
    trade_count: Counter[str] = field(default_factory=Counter)
    gaps: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    feed: list[dict[str, Any]] = field(default_factory=list)
    lost: list[Any] = field(default_factory=list)


async def watch(url: str, is_over: Any) -> Seen:
    """Subscribe to everything that counts and read until the day is over and all is quiet."""
    seen, topic_of = Seen(), {}
    last_seq: dict[int, int] = {}
    async with connect(url, subprotocols=["vntape.v1.json"], max_size=None) as socket:
        for topic, extra in (
            ("gaps.*", {}),
            ("feed.*", {}),
            ("trade.*", {}),
            ("stats.*", {"mode": "conflate", "interval_ms": 500}),
        ):
            await socket.send(json.dumps({"op": "sub", "topics": [topic], **extra}))
        idle = 0
        async for text in socket:
            frame = json.loads(text)
            if frame["op"] == "heartbeat":  # sent when there is nothing else to send
                idle += 1
                if idle >= IDLE_HEARTBEATS and is_over(seen):
                    return seen
            elif frame["op"] in ("gap", "warn", "bye"):
                seen.lost.append(frame)
            if frame["op"] not in ("snap", "d"):
                continue
            idle = 0
            ch = frame["ch"]
            if frame["op"] == "snap":
                topic_of[ch] = frame["topic"]
            elif frame["seq"] - frame["n"] != last_seq[ch]:
                seen.lost.append(frame)
            last_seq[ch] = frame["seq"]
            take(seen, topic_of[ch], frame)
    raise AssertionError("the gateway closed the connection")


def take(seen: Seen, topic: str, frame: dict[str, Any]) -> None:
    channel, _, code = topic.partition(".")
    data = frame["data"]
    if channel == "stats":
        seen.stats[code] = data
    elif channel == "gaps" and frame["n"]:
        seen.gaps[code].append(data)
    elif channel == "feed":
        seen.feed.append(data)
    elif channel == "trade" and frame["n"]:
        seen.traded[code] += data["volume_shares"]
        seen.trade_count[code] += 1


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> tuple[Seen, dict[str, Any], dict[str, Any]]:
    """Play the stormy day once: what a client saw, the simulator's truth, the certificate."""
    folder = tmp_path_factory.mktemp("stormy")
    truth_file = folder / "truth.json"
    shm = Path("/dev/shm") / f"vntape-test-{folder.name}"
    tape = Tape(
        shm,
        *("--speed", "max", "--faults", str(SCRIPT), "--truth-file", str(truth_file)),
        *("--keepalive-s", "2", "--set", f"run.data_dir={folder}"),
    )
    try:

        def is_over(seen: Seen) -> bool:
            last = [rows[-1] for rows in seen.gaps.values()]
            return truth_file.exists() and not any(row["open_count"] for row in last)

        url = tape.url
        seen = asyncio.run(asyncio.wait_for(watch(url, is_over), 3 * WATCHDOG_S))
    finally:
        code = tape.stop()
        shm.rmdir()  # and nothing is left in it
    assert code == 0, tape.text
    truth = json.loads(truth_file.read_text(encoding="utf-8"))
    (file,) = (folder / "demo" / "certificates").glob("*.json")
    return seen, truth, json.loads(file.read_text(encoding="utf-8"))


def test_the_script_is_a_storm(day: Any) -> None:
    _, truth, _ = day
    assert len(truth["faults"]) >= 20
    assert len({fault["what"] for fault in truth["faults"]}) >= 12


def test_final_totals_equal_the_simulator_s_own(day: Any) -> None:
    seen, truth, _ = day
    wrong = {
        code: (facts["total_shares"], seen.stats.get(code, {}).get("total_volume_shares"))
        for code, facts in truth["symbols"].items()
        if facts["total_shares"]
        and facts["total_shares"] != seen.stats.get(code, {}).get("total_volume_shares")
    }
    assert not wrong


def test_every_gap_is_named_to_the_share(day: Any) -> None:
    seen, truth, _ = day
    wrong = {}
    for code, facts in truth["symbols"].items():
        told = sorted(
            gap["open_volume_shares"]
            for gap in last_rows(seen.gaps[code])
            if gap["open_volume_shares"]
        )
        if told != (injected := sorted(gap["missed_shares"] for gap in facts["gaps"])):
            wrong[code] = (injected, told)
        missed = facts["total_shares"] - facts["delivered_shares"]
        if facts["total_shares"] and seen.stats[code]["missed_volume_shares"] != missed:
            wrong[code] = (missed, seen.stats[code]["missed_volume_shares"])
    assert not wrong
    assert any(facts["gaps"] for facts in truth["symbols"].values())


def last_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({row["gap_no"]: row for row in rows if row["gap_no"]}.values())


def test_no_share_is_counted_twice(day: Any) -> None:
    seen, truth, _ = day
    assert not seen.lost
    for code, facts in truth["symbols"].items():
        if facts["total_shares"]:
            stats = seen.stats[code]
            assert stats["volume_shares"] == facts["delivered_shares"] == seen.traded[code], code
            assert stats["trade_count"] == seen.trade_count[code], code


def test_clients_saw_each_gap_open_and_close(day: Any) -> None:
    seen, _, _ = day
    outcomes: Counter[str] = Counter()
    for code, rows in seen.gaps.items():
        states = defaultdict(list)
        for row in rows:
            if row["gap_no"]:
                states[row["gap_no"]].append(row["gap_state"])
        for number, story in states.items():
            assert story[0] == "OPEN", (code, number, story)
            assert story[-1] == "CLOSED", (code, number, story)
            assert story.count("CLOSED") == 1, (code, number, story)
        outcomes.update(row["gap_outcome"] for row in last_rows(rows))
    assert outcomes["BACKFILLED"] > 0
    assert outcomes["ARRIVED"] > 0


def test_clients_saw_each_outage_begin_and_end(day: Any) -> None:
    seen, truth, _ = day
    cuts = sum(fault["what"] in CUTS for fault in truth["faults"])
    assert cuts >= 5
    assert seen.feed[-1]["outage_count"] >= cuts
    words = [row["feed_state"] for row in seen.feed]
    assert words[-1] == "LIVE"
    away = [word in ("DOWN", "CONNECTING") for word in words]
    assert sum(a and not b for a, b in pairwise(away)) >= cuts


def test_the_certificate_says_the_same(day: Any) -> None:
    seen, truth, certificate = day
    totals = certificate["totals"]
    assert totals["total_shares"] == sum(f["total_shares"] for f in truth["symbols"].values())
    assert totals["seen_shares"] == sum(f["delivered_shares"] for f in truth["symbols"].values())
    assert totals["missed_shares"] == totals["total_shares"] - totals["seen_shares"]
    assert len(certificate["outages"]) == seen.feed[-1]["outage_count"]
    assert all(outage["to"] for outage in certificate["outages"]), "our stop is no outage"
    assert certificate["verdict"] in ("EXPLAINED", "INCOMPLETE")
