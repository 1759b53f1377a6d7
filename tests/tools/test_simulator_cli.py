"""``python -m tools.simulator`` as a process."""

import argparse
import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.feed.simulated import DEADLINE_S, feeding, run, settings
from tests.tools.small_days import prints_in
from tools.simulator.__main__ import main, market_time_ms, per_frame, speed, write_number

ROOT = Path(__file__).parents[2]
TABLE = """\
symbol,exchange,prior_close_vnd,open_vnd,high_vnd,low_vnd,close_vnd,volume_shares,name
SSI,HOSE,25000,25100,25500,24900,25300,40000,SSI Securities
SHS,HNX,15000,15000,15200,14900,15100,20000,SHS
"""


def test_times_of_day():
    assert market_time_ms("09:15") == (9 * 60 + 15) * 60_000
    assert market_time_ms("08:59:45") == 32_385_000
    for text in ("", "9", "25:00", "09:60", "09:00:61", "a:b", "1:2:3:4"):
        with pytest.raises(argparse.ArgumentTypeError):
            market_time_ms(text)


def test_speeds_and_frame_sizes():
    assert speed("max") is None
    assert speed("10") == 10.0
    assert per_frame("10") == 10
    for check, texts in ((speed, ("0", "-1", "fast", "nan", "inf")), (per_frame, ("0", "11", "x"))):
        for text in texts:
            with pytest.raises(argparse.ArgumentTypeError):
                check(text)


def test_the_port_file_appears_whole(tmp_path):
    write_number(tmp_path / "port", 4711)
    assert (tmp_path / "port").read_text() == "4711\n"
    assert [path.name for path in tmp_path.iterdir()] == ["port"]


def test_a_table_that_is_not_there_is_told_in_words(capsys):
    assert main(["--table", "/nowhere/day.csv"]) == 78
    assert capsys.readouterr().err == "simulator: /nowhere/day.csv: no such file\n"


def arguments(folder):
    table = folder / "market-day-2021-07-15.csv"
    table.write_text(TABLE)
    return [
        sys.executable,
        "-m",
        "tools.simulator",
        "--table",
        str(table),
        "--trades-max",
        "200",
        "--speed",
        "max",
        "--port-file",
        str(folder / "port"),
    ]


def start(argv):
    return subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def next_event(process):
    return json.loads(process.stderr.readline())


@pytest.mark.e2e
def test_a_day_is_played_to_the_end_and_sigterm_ends_it_quietly(tmp_path):
    process = start(arguments(tmp_path))
    try:
        listening = next_event(process)
        assert listening["event"] == "listening"
        port = int((tmp_path / "port").read_text())
        assert port == listening["port"]

        async def body():
            async with feeding(settings(port, channels="X-QUOTE:ALL,X-TRADE:ALL,F:ALL")) as (
                _,
                sink,
            ):
                await sink.until(
                    lambda: b'\\"Symbol\\":' in b"".join(sink.frames[-1:]) or sink.messages > 100
                )
                return sink.messages

        assert run(body()) > 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
        rest = [json.loads(each)["event"] for each in process.stderr.read().splitlines()]
        assert rest in ([], ["the day is over"])
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_a_script_that_is_not_understood_is_told_in_words(tmp_path, capsys):
    argv = arguments(tmp_path)[3:]
    (tmp_path / "day.faults").write_text("09:00 drop\n09:30 explode\n")
    assert main([*argv, "--faults", str(tmp_path / "day.faults")]) == 78
    said = capsys.readouterr().err
    assert said.startswith(f"simulator: {tmp_path}/day.faults, line 2, column 7: 'explode' is no")


def test_help_teaches_the_language(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    assert "09:25:10 half-open 30s" in said
    assert "--truth-file" in said


@pytest.mark.e2e
def test_a_day_with_faults_leaves_the_truth_behind(tmp_path):
    (tmp_path / "day.faults").write_text("09:30 skip SSI\n10:00 drop 1h\n")
    truth = tmp_path / "truth.json"
    process = start(
        [
            *arguments(tmp_path),
            "--faults",
            str(tmp_path / "day.faults"),
            "--truth-file",
            str(truth),
        ]
    )
    try:
        port = next_event(process)["port"]

        async def body():
            channels = "X-QUOTE:ALL,X-TRADE:ALL"
            async with feeding(settings(port, channels=channels)) as (_, sink):
                over = asyncio.get_running_loop().run_in_executor(None, next_event, process)
                assert (await over)["event"] == "the day is over"
                return sink

        sink = run(body())
        document = json.loads(truth.read_text())
        assert document["date"] == "2021-07-15"
        assert [fault["what"] for fault in document["faults"]] == ["skip", "drop"]
        arrived = prints_in(sink.frames)
        for code, account in document["symbols"].items():
            assert sum(dict(arrived[code]).values()) == account["delivered_shares"]
            assert account["total_shares"] == {"SSI": 40_000, "SHS": 20_000}[code]
        causes = [gap["cause"] for gap in document["symbols"]["SSI"]["gaps"]]
        assert causes == ["skip", "drop"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.mark.e2e
def test_a_busy_port_is_told_in_words(tmp_path):
    first = start(arguments(tmp_path))
    try:
        port = next_event(first)["port"]
        second = subprocess.run(
            [*arguments(tmp_path), "--port", str(port)],
            cwd=ROOT,
            text=True,
            capture_output=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert second.returncode == 78
        assert second.stderr.startswith(f"simulator: cannot listen on 127.0.0.1:{port}: ")
        assert second.stderr.count("\n") == 1
    finally:
        first.terminate()
        assert first.wait(DEADLINE_S) == 0
        first.stderr.close()
