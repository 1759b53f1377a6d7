"""The feed as an operator meets it: keys, both protocols, recordings that play again."""

import os
import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.running import ROOT, Engine, Process, children, tape, verify_day, wait_for

pytestmark = pytest.mark.e2e

KEY, SECRET = "0f1e2d3c4b5a69788796a5b4c3d2e1f0", "a1b2c3d4e5f60718293a4b5c6d7e8f90"
WRONG = "ffffffffffffffffeeeeeeeeeeeeeeee"
QUIET = ROOT / "tools/simulator/scripts/quiet-day.faults"
SMALL = ("--trades-max", "3000")


def digests(text: str) -> list[str]:
    return re.findall(r"sha256:[0-9a-f]{64}", text)


@pytest.mark.parametrize("protocol", ["v2", "v3"])
def test_a_recorded_day_replays_to_the_digest_of_the_live_one(
    tmp_path: Path, protocol: str
) -> None:
    settings = ("--set", f"run.data_dir={tmp_path}", "--set", "feed.record=on")
    script = () if protocol == "v3" else ("--faults", str(QUIET), "--keepalive-s", "2")
    with tape("--protocol", protocol, "--speed", "max", *SMALL, *script, *settings) as running:
        running.line("the day is over")
        running.status(r"\| lag 0 slots \|")
        running.stop()
        line = running.line(r'"event": "stopped".*(sha256:[0-9a-f]{64})')
    live = line[1]
    recordings = str(tmp_path / "demo" / "recordings")
    again = Process(["-m", "engine", "replay", recordings, "--digest"])
    assert again.wait() == 0, again.text
    assert digests(again.text) == [live]
    with replayed(tmp_path, recordings) as played:
        played.line("the recording is over")
        played.status(r"\| lag 0 slots \|")
        played.stop()
        played.line(r'"event": "stopped"')
        assert live in played.text


@contextmanager
def replayed(folder: Path, recordings: str) -> Iterator[Engine]:
    """Run ``vntape replay`` as an instance that clients could connect to."""
    argv = ["-m", "engine", "replay", recordings, "--speed", "max", "--set", f"run.dir={folder}"]
    argv += ["--set", "gateway.port=0", "--set", "run.name=again"]
    played = Engine([*argv, "--set", f"run.data_dir={folder}"], folder / "vntape-again")
    try:
        yield played
    finally:
        played.stop()


def test_v3_ends_on_the_published_figures_too() -> None:
    with tape("--protocol", "v3", "--speed", "max", *SMALL) as running:
        code, text = verify_day(running.url)
    assert code == 0, text
    assert "701 of 701 symbols" in text


# Keys -------------------------------------------------------------------------------------------


@contextmanager
def simulator(folder: Path) -> Iterator[int]:
    """Run the simulator by itself; it accepts one key."""
    port_file = folder / "port"
    argv = ["-m", "tools.simulator", "--port-file", str(port_file), "--start", "09:30", *SMALL]
    process = Process([*argv, "--consumer-id", KEY, "--consumer-secret", SECRET])
    try:
        wait_for("the simulator's port", port_file.exists)
        yield int(port_file.read_text(encoding="ascii"))
    finally:
        process.stop()


@contextmanager
def engine(folder: Path, port: int, secret: str) -> Iterator[Engine]:
    """Run ``vntape up`` with a key in its environment, as an operator would."""
    url = f"http://127.0.0.1:{port}/"
    argv = ["-m", "engine", "up"]
    for setting in (
        f"feed.url={url}",
        f"feed.stream_url={url}",
        "feed.reconnect_base_ms=50",
        "feed.reconnect_cap_ms=200",
        "feed.record=on",
        f"run.dir={folder}",
        f"run.data_dir={folder}/data",
        "gateway.port=0",
        "supervisor.status_ms=200",
    ):
        argv += ["--set", setting]
    environ = {"VNTAPE_CONSUMER_ID": KEY, "VNTAPE_CONSUMER_SECRET": secret}
    running = Engine(argv, folder / "vntape-main", environ)
    try:
        yield running
    finally:
        running.stop()


def everything_one_can_see(running: Engine, folder: Path) -> dict[str, bytes]:
    """Return output, process list, status page and files by where they were found."""
    page_url = running.url.replace("ws://", "http://").removesuffix("ws")
    with urllib.request.urlopen(page_url, timeout=10) as answer:
        found = {"status page": answer.read()}
    for role, pid in {**running.children(), "supervisor": running.popen.pid}.items():
        found[f"command line of {role}"] = Path(f"/proc/{pid}/cmdline").read_bytes()
    for file in folder.rglob("*"):
        if file.is_file():
            found[str(file)] = file.read_bytes()
    found["log"] = running.text.encode()
    return found


def test_a_wrong_key_is_told_in_one_line_and_tried_again(tmp_path: Path) -> None:
    with simulator(tmp_path) as port, engine(tmp_path, port, WRONG) as running:
        line = running.line(r"AccessToken was refused.*check the consumer id and secret")[0]
        running.status("feed DOWN|CLOSED")
        told = [each for each in running.lines if "was refused" in each and '"link"' in each]
        assert len(told) <= len(running.lines) / 2, "the log is not flooded"
        assert "Key does not exist" in line
        assert all(children(running.popen.pid).values()), "nobody has died of it"
        secrets = (KEY, WRONG)
        for where, content in everything_one_can_see(running, tmp_path).items():
            for secret in secrets:
                assert secret.encode() not in content, where


def test_the_key_and_its_tokens_are_nowhere_to_be_seen(tmp_path: Path) -> None:
    with simulator(tmp_path) as port, engine(tmp_path, port, SECRET) as running:
        running.status(r"^OK .* [1-9][0-9]* trades")
        seen = everything_one_can_see(running, tmp_path)
        assert any(name.endswith("config.json") for name in seen)
        for where, content in seen.items():
            assert KEY.encode() not in content, where
            assert SECRET.encode() not in content, where
            assert not re.search(rb"eyJ[\w-]{8,}\.[\w-]{8,}\.", content), f"a token in {where}"
    show = Process(
        ["-m", "engine", "config", "show"],
        {"VNTAPE_CONSUMER_ID": KEY, "VNTAPE_CONSUMER_SECRET": SECRET},
    )
    assert show.wait() == 0
    assert KEY not in show.text
    assert SECRET not in show.text
    assert os.environ.get("VNTAPE_CONSUMER_SECRET") != SECRET
