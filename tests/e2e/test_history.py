"""History of a running instance: asked while it is written, killed, and asked after the end."""

import json
import os
import signal
import tempfile
import urllib.request
from pathlib import Path

import pytest

from engine.rundir import RunDir
from tests.e2e.running import Process, tape, wait_for

pytestmark = pytest.mark.e2e
COUNTED = "SELECT count(*) AS rows, count(DISTINCT (symbol, seq)) AS told FROM trades"


def asked(url: str, **parameters: str) -> dict:
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    with urllib.request.urlopen(f"{url}/trades?{query}", timeout=60) as answer:
        return json.load(answer)


def counted(*options: str) -> tuple[int, int]:
    process = Process(["-m", "engine", "sql", COUNTED, "--format", "csv", *options])
    assert process.wait() == 0, process.text
    rows, told = process.lines[-1].split(",")
    return int(rows), int(told)


def test_rows_are_there_once_whoever_dies():
    with tempfile.TemporaryDirectory() as data_dir:
        options = ["--set", f"run.data_dir={data_dir}", "--set", "run.name=demo"]
        with tape(
            "--speed",
            "60",
            "--set",
            "history.record=on",
            "--set",
            "history.segment_ms=500",
            *options,
        ) as running:
            url = running.line(r"history at (http://\S+)")[1]
            run_dir = RunDir(running.run_dir)
            wait_for("rows", lambda: asked(url, limit="1")["rows"])
            for role in ("recorder", "rest"):
                cell = run_dir.open_counters(role, 0)[0]
                pid, before = (
                    int(cell["pid"]),
                    counted("--set", f"run.dir={run_dir.path.parent}", *options),
                )
                os.kill(pid, signal.SIGKILL)
                wait_for(f"a new {role}", lambda: int(cell["pid"]) not in (0, pid))  # noqa: B023

                def grown():
                    try:
                        answer = asked(url, limit="10000", columns="symbol,seq")
                    except OSError:
                        return None  # not back yet, on the port it had
                    keys = [(row["symbol"], row["seq"]) for row in answer["rows"]]
                    assert len(keys) == len(set(keys))
                    return not answer["warnings"] and len(keys) > min(before[0], 9_000)  # noqa: B023

                wait_for("more rows, and all of them", grown)
        rows, told = counted(*options)  # nobody runs any more
        assert rows == told > 0
        assert list(Path(data_dir).rglob("*.parquet"))
