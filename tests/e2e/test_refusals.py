"""What cannot work refuses to start: one sentence, what to do, exit code 78, nothing left."""

import socket
import tempfile
from pathlib import Path

import pytest

from tests.e2e.running import SHM, Process

pytestmark = pytest.mark.e2e

KEYS = {"VNTAPE_CONSUMER_ID": "id-that-is-secret", "VNTAPE_CONSUMER_SECRET": "key-that-is-secret"}


def up(*arguments: str, environ: dict[str, str] | None = None) -> str:
    """Run ``vntape up`` until it refuses; return what it said."""
    with tempfile.TemporaryDirectory(dir=SHM, prefix="vt-") as folder:
        process = Process(
            [
                "-m",
                "engine",
                "up",
                "--set",
                f"run.dir={folder}",
                "--set",
                f"run.data_dir={folder}/data",
                "--set",
                "feed.url=http://127.0.0.1:9/",
                "--set",
                "feed.stream_url=http://127.0.0.1:9/",
                *arguments,
            ],
            KEYS if environ is None else environ,
        )
        assert process.wait() == 78, process.text
        assert "Traceback" not in process.text
        assert "is-secret" not in process.text
        left = [path for path in Path(folder).iterdir() if path.name != "data"]
        assert not left, "left something behind"
        return process.text


def test_an_unknown_key_names_the_nearest() -> None:
    assert "did you mean gateway.port" in up("--set", "gateway.prot=1")


def test_missing_credentials_name_the_variables() -> None:
    assert "set VNTAPE_CONSUMER_ID" in up(environ={})


def test_a_missing_file_is_named() -> None:
    assert "none.toml does not exist" in up("--config", "none.toml")


def test_a_busy_port_is_said_with_its_number() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        text = up("--set", f"gateway.port={port}")
    assert f"port {port} on 127.0.0.1 is taken" in text
    assert "set gateway.port" in text


def test_a_public_address_is_refused_without_tokens() -> None:
    assert "tokens_file" in up("--set", "gateway.host=0.0.0.0")


def test_too_little_shared_memory_is_said_with_both_numbers() -> None:
    text = up("--set", "engine.ring_slots=16777216", "--set", "engine.shards=16")
    assert "bytes and" in text
    assert "free" in text
    assert "engine.ring_slots" in text


def test_a_second_instance_of_the_same_name_is_refused() -> None:
    with tempfile.TemporaryDirectory(dir=SHM, prefix="vt-") as folder:
        arguments = [
            "-m",
            "engine",
            "up",
            "--set",
            f"run.dir={folder}",
            "--set",
            f"run.data_dir={folder}/data",
            "--set",
            "history.record=off",
            "--set",
            "gateway.port=0",
            "--set",
            "feed.url=http://127.0.0.1:9/",
            "--set",
            "feed.stream_url=http://127.0.0.1:9/",
        ]
        first = Process(arguments, KEYS)
        first.line("clients connect to")
        second = Process(arguments, KEYS)
        assert second.wait() == 78
        assert f"already running (pid {first.popen.pid})" in second.text
        assert first.stop() == 0
        assert "is-secret" not in first.text


def test_no_gateway_to_verify_against_is_one_sentence() -> None:
    process = Process(["-m", "engine", "verify-day", "--url", "ws://127.0.0.1:9/ws"])
    assert process.wait() == 78
    assert "start one with `make run`" in process.text
    assert "Traceback" not in process.text


def test_a_topic_that_is_none_is_named() -> None:
    """Only ingest knows the topics; it must not die again and again of a setting."""
    text = up("--set", "feed.protocol=v3", "--set", "feed.v3_topics=trade.*,nonsense")
    assert "v3_topics: 'nonsense' is not TYPE.FILTER" in text
