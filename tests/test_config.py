"""Misconfiguration refuses to start, names the key, and says what to do."""

from pathlib import Path

import pytest

from engine import config as configuration
from engine.errors import ConfigError

SECRET = "s3cr3t-value-that-must-not-appear"


def load(
    toml: str = "",
    *,
    tmp_path: Path,
    environ: dict[str, str] | None = None,
    overrides: tuple[str, ...] = (),
) -> configuration.Config:
    """Load a configuration given as text."""
    path = tmp_path / "vntape.toml"
    path.write_text(toml, encoding="utf-8")
    return configuration.load(path, environ=environ or {}, overrides=overrides)


def test_defaults_are_a_valid_configuration() -> None:
    config = configuration.load(environ={})
    assert config.gateway.host == "127.0.0.1"
    assert config.origins == {}


def test_command_line_beats_environment_beats_file(tmp_path: Path) -> None:
    toml = "[gateway]\nport = 1000\nconflate_ms = 1\nheartbeat_ms = 7\n"
    environ = {"VNTAPE_GATEWAY_PORT": "2000", "VNTAPE_GATEWAY_CONFLATE_MS": "2", "PATH": "/bin"}
    config = load(toml, tmp_path=tmp_path, environ=environ, overrides=("gateway.port=3000",))
    gateway = config.gateway
    assert (gateway.port, gateway.conflate_ms, gateway.heartbeat_ms) == (3000, 2, 7)
    assert config.origins == {
        "gateway.port": "command line",
        "gateway.conflate_ms": "VNTAPE_GATEWAY_CONFLATE_MS",
        "gateway.heartbeat_ms": "vntape.toml",
    }


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[gateway]\nprot = 1\n", ["gateway.prot", "did you mean gateway.port"]),
        ("[gatway]\nport = 1\n", ["[gatway]", "did you mean [gateway]"]),
        ("[gateway]\nport = 'x'\n", ["gateway.port", "'x'", "expected int"]),
        ("[gateway]\nport = true\n", ["gateway.port", "True", "expected int"]),
        ("[gateway]\nport = 70000\n", ["gateway.port", "70000", "65534"]),
        ("[engine]\nring_slots = 5000\n", ["engine.ring_slots", "5000", "power of two"]),
        ("[engine]\nshards = 0\n", ["engine.shards", "0", "1 to 16"]),
        (
            "[engine]\nside_precedence = ['QUOTE']\n",
            ["side_precedence", "EXCHANGE, QUOTE and TICK"],
        ),
        ("[engine]\npace = 'fast'\n", ["engine.pace", "'fast'", "live, lossless"]),
        ("[engine]\nwait = 'sleep'\n", ["engine.wait", "'sleep'", "park"]),
        ("[feed]\nurl = 'fc-data.ssi.com.vn'\n", ["feed.url", "http(s)://"]),
        ("[run]\nname = 'a/b'\n", ["run.name", "'a/b'"]),
        ("[gateway]\nconflate_ms = -1\n", ["gateway.conflate_ms", "-1"]),
        ("[gateway\n", ["cannot be read"]),
        (
            f"[feed]\nconsumer_secret = '{SECRET}'\n",
            ["secrets do not belong here", "VNTAPE_CONSUMER_SECRET"],
        ),
    ],
)
def test_refusals_name_the_key_and_the_remedy(toml: str, words: list[str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        load(toml, tmp_path=tmp_path)
    for word in words:
        assert word in str(refusal.value)
    assert SECRET not in str(refusal.value)


def test_unknown_environment_variable_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean VNTAPE_GATEWAY_PORT"):
        load(tmp_path=tmp_path, environ={"VNTAPE_GATEWAY_PROT": "1"})


def test_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        configuration.load(tmp_path / "none.toml", environ={})


def test_bad_override_is_said() -> None:
    with pytest.raises(ConfigError, match=r"section\.key=value"):
        configuration.load(environ={}, overrides=["gateway.port"])


def test_missing_credentials_name_what_to_set() -> None:
    with pytest.raises(ConfigError, match="set VNTAPE_CONSUMER_ID"):
        configuration.load_credentials(configuration.load(environ={}), environ={})


def test_credentials_come_from_the_environment_and_hide_themselves() -> None:
    environ = {"VNTAPE_CONSUMER_ID": "me", "VNTAPE_CONSUMER_SECRET": SECRET}
    credentials = configuration.load_credentials(configuration.load(environ=environ), environ)
    assert (credentials.consumer_id, credentials.consumer_secret) == ("me", SECRET)
    assert SECRET not in repr(credentials)


@pytest.mark.parametrize(
    ("mode", "text", "words"),
    [
        (0o644, f"consumer_id='a'\nconsumer_secret='{SECRET}'\n", "chmod 600"),
        (0o600, "consumer_id='a'\n", "consumer_id and consumer_secret"),
        (0o600, f"consumer_secret='{SECRET}\n", "cannot be read"),
    ],
)
def test_bad_credentials_files_are_refused_without_quoting_them(
    mode: int, text: str, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "secret.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    config = configuration.load(environ={}, overrides=[f"feed.credentials_file={path}"])
    with pytest.raises(ConfigError) as refusal:
        configuration.load_credentials(config, environ={})
    assert words in str(refusal.value)
    assert SECRET not in str(refusal.value)


def test_good_credentials_file(tmp_path: Path) -> None:
    path = tmp_path / "secret.toml"
    path.write_text(f"consumer_id='a'\nconsumer_secret='{SECRET}'\n", encoding="utf-8")
    path.chmod(0o600)
    config = configuration.load(environ={}, overrides=[f"feed.credentials_file={path}"])
    assert configuration.load_credentials(config, environ={}).consumer_secret == SECRET


def test_json_round_trip_is_exact(tmp_path: Path) -> None:
    config = load("[engine]\nshards = 3\n", tmp_path=tmp_path)
    assert configuration.from_json(configuration.to_json(config)) == config


def test_every_key_says_what_it_means() -> None:
    for key, item in configuration.all_keys():
        assert len(item.metadata["meaning"]) > 10, key
