"""Log lines: one JSON object each, repeats counted instead of repeated."""

import json

import pytest

from engine.clock import ManualClock
from engine.log import QUIET_NS, Log


def test_repeats_within_a_second_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    clock = ManualClock(5 * QUIET_NS)
    log = Log("shard-0", clock)
    assert log.write("info", "feed", state="LIVE")
    assert not log.write("info", "feed", state="DOWN")
    assert log.write("error", "other", name="Hòa Phát")
    clock.advance_ns(QUIET_NS)
    assert log.write("info", "feed", state="DOWN")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["feed", "other", "feed"]
    assert lines[0] == {
        "ts_ns": 5 * QUIET_NS,
        "level": "info",
        "role": "shard-0",
        "event": "feed",
        "state": "LIVE",
    }
    assert lines[1]["name"] == "Hòa Phát"
    assert lines[2]["suppressed"] == 1
    assert lines[2]["state"] == "DOWN"
