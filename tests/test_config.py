"""Misconfiguration refuses to start, names the key, and says what to do."""

from pathlib import Path

import pytest

from engine import config as configuration
from engine.errors import ConfigError
from engine.schema.deltas import RULE_BYTES

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
        ("[alerts]\nrepeat = 1\n", ["alerts.repeat", "did you mean alerts.repeat_s"]),
        ("[alerts]\nrepeat_s = 1.5\n", ["alerts.repeat_s", "1.5", "expected int"]),
        ("[alerts]\nrepeat_s = -1\n", ["alerts.repeat_s is -1", "negative"]),
        ("[alerts]\nvolume_spike_percent = -1\n", ["volume_spike_percent is -1", "negative"]),
        ("[alerts]\nvolume_spike_trades_min = -1\n", ["spike_trades_min is -1", "negative"]),
        ("[alerts]\nblock_trade_min_vnd = -1\n", ["block_trade_min_vnd is -1", "negative"]),
        ("[alerts]\nbasis_flip_band_e2 = -1\n", ["basis_flip_band_e2 is -1", "negative"]),
        ("[alerts]\nvolume_spike_window_s = 59\n", ["window_s is 59", "60 to 3600"]),
        ("[alerts]\nvolume_spike_window_s = 3601\n", ["window_s is 3601", "60 to 3600"]),
        ("[alerts]\nrearm_percent = 101\n", ["alerts.rearm_percent is 101", "0 to 100"]),
        ("[board]\ninterval = 1\n", ["board.interval", "did you mean board.interval_ms"]),
        ("[board]\ninterval_ms = -1\n", ["board.interval_ms is -1", "negative"]),
        ("[board]\nweights_file = 1\n", ["board.weights_file", "expected str"]),
        ("[rule]\nbig = 'trade.price > 1'\n", ["[rule]", "did you mean [rules]"]),
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


RULES = """
[rules]
big = "trade.value_vnd > 5e9"
eager = { when = "stats.active_buy_ratio > 0.8", severity = "warning" }
[rules.at-limit_2]
when = '''
limits.locked and
limits.limit_state == "CEILING"
'''
severity = "critical"
"""


def test_a_rule_is_a_condition_or_a_table_with_a_severity(tmp_path: Path) -> None:
    assert load(RULES, tmp_path=tmp_path).rules == (
        configuration.RuleConfig("big", "trade.value_vnd > 5e9", "info"),
        configuration.RuleConfig("eager", "stats.active_buy_ratio > 0.8", "warning"),
        configuration.RuleConfig(
            "at-limit_2", 'limits.locked and\nlimits.limit_state == "CEILING"\n', "critical"
        ),
    )


def test_a_rule_of_the_command_line_replaces_that_of_the_file(tmp_path: Path) -> None:
    config = load(
        "[rules]\nbig = 'trade.value_vnd > 5e9'\nup = 'stats.change > 0'\n",
        tmp_path=tmp_path,
        overrides=("rules.big=trade.volume_shares == 100 or trade.volume_shares >= 1e6",),
    )
    assert [(rule.name, rule.when) for rule in config.rules] == [
        ("big", "trade.volume_shares == 100 or trade.volume_shares >= 1e6"),
        ("up", "stats.change > 0"),
    ]


def test_without_rules_there_are_none() -> None:
    assert configuration.load(environ={}).rules == ()


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("big = 5", ["rules.big", "vntape.toml", "5", 'write big = "<condition>"']),
        ("big = ['trade.price > 1']", ["rules.big", "or a table with when and severity"]),
        ("big = { when = 5 }", ["rules.big", "write big"]),
        ("big = { when = 'trade.price > 1', severity = 2 }", ["rules.big", "write big"]),
        (
            "big = { if = 'trade.price > 1' }",
            ["rules.big", "unknown key if", "known are when, severity"],
        ),
        ("big = ''", ["rules.big", "has no condition"]),
        ("big = { severity = 'info' }", ["rules.big", "has no condition"]),
        (
            "big = { when = 'trade.price > 1', severity = 'high' }",
            ["rules.big", "'high'", "info, warning, critical"],
        ),
        ("'big one' = 'trade.price > 1'", ["rules.big one", "letters, digits, - and _"]),
        ("'lớn' = 'trade.price > 1'", ["rules.lớn", "letters, digits, - and _"]),
        (f"{'x' * 33} = 'trade.price > 1'", ["1 to 32 of letters"]),
        ("'' = 'trade.price > 1'", ["1 to 32 of letters"]),
    ],
)
def test_a_rule_that_cannot_be_one_is_refused(entry: str, words: list[str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        load(f"[rules]\n{entry}\n", tmp_path=tmp_path)
    for word in words:
        assert word in str(refusal.value)


def test_a_rule_has_no_environment_variable() -> None:
    """Its name is the operator's, so a variable could not be told from a misspelt one."""
    with pytest.raises(ConfigError, match="unknown environment variable VNTAPE_RULES_BIG"):
        configuration.load(environ={"VNTAPE_RULES_BIG": "trade.price > 1"})


def test_rule_names_fit_into_an_alert(tmp_path: Path) -> None:
    name = "x" * RULE_BYTES
    assert load(f"[rules]\n{name} = 'a'\n", tmp_path=tmp_path).rules[0].name == name


def test_the_defaults_of_alerts_are_those_of_the_market_behaviour() -> None:
    alerts = configuration.load(environ={}).alerts
    assert alerts.repeat_s == 60
    assert (alerts.volume_spike_percent, alerts.volume_spike_window_s) == (300, 20 * 60)
    assert alerts.volume_spike_trades_min == 10
    assert (alerts.foreign_acceleration_percent, alerts.foreign_value_min_vnd) == (30, 10**9)
    assert alerts.block_trade_min_vnd == 5 * 10**9
    assert alerts.block_put_through_min_vnd == 20 * 10**9
    assert alerts.room_exhausted_within_s == 30 * 60


def test_the_default_channels_are_the_pair_and_never_x_beside_it() -> None:
    named = {part.split(":")[0] for part in configuration.load(environ={}).feed.channels.split(",")}
    assert {"X-QUOTE", "X-TRADE"} <= named
    assert "X" not in named


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
    config = load(RULES + "[engine]\nshards = 3\n[alerts]\nrepeat_s = 5\n", tmp_path=tmp_path)
    assert (config.alerts.repeat_s, len(config.rules)) == (5, 3)
    assert configuration.from_json(configuration.to_json(config)) == config


def test_every_key_says_what_it_means() -> None:
    for key, item in configuration.all_keys():
        assert len(item.metadata["meaning"]) > 10, key
