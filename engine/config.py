"""Configuration: one TOML file < environment < command line, and nothing else.

    vntape up --config vntape.toml --set gateway.port=9000
    VNTAPE_GATEWAY_PORT=9000 vntape up

The dataclasses below are the only list of keys, with defaults and meanings; an unknown key is an
error that names the nearest known one. Secrets come from the environment or a file of their own
(`feed.credentials_file`), are read by the ingest process alone, and are never written back.
"""

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args, get_origin

from engine.errors import ConfigError

COUNTED = ("_ms", "_s", "_max", "_min", "_bytes", "_tries", "_percent", "_vnd", "_e2")
SEVERITIES = ("info", "warning", "critical")
ENV_PREFIX = "VNTAPE_"
ENV_CONSUMER_ID = "VNTAPE_CONSUMER_ID"
ENV_CONSUMER_SECRET = "VNTAPE_CONSUMER_SECRET"
ENV_OTP = "VNTAPE_OTP"  # v3 only: a one-time password, or `request`
ENV_NOT_KEYS = {ENV_CONSUMER_ID, ENV_CONSUMER_SECRET, ENV_OTP, "VNTAPE_CACHE_DIR"}


def _key(default: Any, meaning: str) -> Any:
    """One configuration key: its default and what it means, in one place."""
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata={"meaning": meaning})
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, slots=True)
class RunConfig:
    """Where this instance keeps its shared memory and its files."""

    name: str = _key("main", "instance name; two instances on one host need two names")
    dir: str = _key("/dev/shm", "folder for shared memory and local sockets (a tmpfs)")
    data_dir: str = _key(
        "~/.local/state/vntape",
        "folder for journals, history, recordings, reference data, tokens and certificates, "
        "one subfolder per name",
    )


@dataclass(frozen=True, slots=True)
class FeedConfig:
    """The SSI FastConnect connection."""

    protocol: str = _key("v2", "v2 (SignalR hub) or v3 (plain WebSocket)")
    url: str = _key("https://fc-data.ssi.com.vn/", "REST host, ends in /")
    stream_url: str = _key("https://fc-datahub.ssi.com.vn/v2.0/", "streaming host, ends in /")
    channels: str = _key(
        "X-QUOTE:ALL,X-TRADE:ALL,R:ALL,MI:ALL,F:ALL",
        "the complete SwitchChannels set; X or the pair, never both",
    )
    v3_url: str = _key("https://api.ssi.com.vn/", "v3: REST host, ends in /")
    v3_stream_url: str = _key("wss://stream.ssi.com.vn/ws/v3", "v3: the stream")
    v3_topics: list[str] = _key(
        [
            *("trade.*", "quote.*", "room.*", "put.*", "oddlot.*", "market.*"),
            *("market.flag", "trade.index.*"),
        ],
        "v3: the complete set of topics",
    )
    credentials_file: str = _key("", "TOML file with consumer_id and consumer_secret, mode 0600")
    reconnect_base_ms: int = _key(250, "first reconnect delay; doubles with full jitter")
    reconnect_cap_ms: int = _key(30_000, "longest reconnect delay")
    connect_timeout_ms: int = _key(10_000, "limit for each request of the handshake")
    token_margin_ms: int = _key(900_000, "renew the access token this long before it expires")
    stale_ms: int = _key(15_000, "silence in a matching phase that makes the feed stale")
    backlog_bytes: int = _key(
        67_108_864, "frames received but not decoded; beyond it they are lost"
    )
    reference: str = _key("on", "on: ask REST for securities, baskets and limits once a day")
    backfill: str = _key("on", "on: ask REST for the minutes of every gap")
    backfill_delay_ms: int = _key(65_000, "wait this long, so that the minute's bar is complete")
    backfill_tries: int = _key(3, "times to ask before a gap stays unexplained")
    rest_interval_ms: int = _key(1_100, "least time between two REST requests (SSI's quota)")
    record: str = _key("off", "on: write every frame to run.data_dir, for replay")


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Ingest and shard workers."""

    shards: int = _key(1, "worker processes; each owns one ring")
    ring_slots: int = _key(262_144, "slots per ring, a power of two (192 bytes each)")
    symbols_max: int = _key(8_192, "symbols of a day, all venues, indices and futures together")
    side_precedence: list[str] = _key(
        ["EXCHANGE", "QUOTE", "TICK"], "order in which side rules are asked"
    )
    pace: str = _key(
        "live",
        "live: never wait for a reader; lossless: a simulator or a replay "
        "may be held back so that nothing is dropped",
    )
    wait: str = _key("auto", "spin, yield, park, or auto (never spins with too few cores)")


@dataclass(frozen=True, slots=True)
class JournalConfig:
    """What is kept on disk so that nothing is lost when a process, or the machine, dies."""

    write: str = _key("on", "on: append every slot to run.data_dir before it is published")
    fsync: str = _key(
        "interval",
        "none: leave it to the system; interval: every fsync_interval_ms; always: "
        "before anybody sees a slot",
    )
    fsync_interval_ms: int = _key(200, "most time of tape that a power cut may take")
    keep_days: int = _key(30, "trading days kept; older journals are removed at the start of a day")


@dataclass(frozen=True, slots=True)
class HistoryConfig:
    """The recorder, which turns journals into Parquet, and the service that answers queries."""

    record: str = _key("on", "on: write Parquet segments to run.data_dir; needs journal.write = on")
    segment_ms: int = _key(10_000, "longest time rows wait in memory for their segment")
    segment_rows_max: int = _key(500_000, "rows that wait in memory before a segment is written")
    keep_days: int = _key(0, "days kept; 0 keeps them for ever")
    threads: int = _key(1, "threads of one query")
    memory_bytes: int = _key(536_870_912, "memory of one query; what needs more goes to disk")
    rows_max: int = _key(10_000, "most rows of one page of JSON; a cursor leads to the next")


@dataclass(frozen=True, slots=True)
class AlertsConfig:
    """When a trader is told (market-behaviour section 10). Percentages are of the thing named."""

    repeat_s: int = _key(60, "least exchange time between two alerts of one type and symbol")
    rearm_percent: int = _key(
        80, "an alert with a duration may fire anew once its measure fell to this share of the rule"
    )
    volume_spike_percent: int = _key(300, "trade volume against the mean before it")
    volume_spike_window_s: int = _key(1_200, "trailing time of that mean")
    volume_spike_trades_min: int = _key(10, "trades that mean needs")
    foreign_acceleration_percent: int = _key(
        30, "change of the foreign net value in five minutes, against its value five minutes ago"
    )
    foreign_value_min_vnd: int = _key(
        1_000_000_000, "least foreign net value five minutes ago, buying or selling"
    )
    basis_flip_band_e2: int = _key(
        50, "points x 100 by which the basis must be across zero to have flipped"
    )
    block_trade_min_vnd: int = _key(5_000_000_000, "value of one match")
    block_put_through_min_vnd: int = _key(20_000_000_000, "value of one put-through deal")
    room_exhausted_within_s: int = _key(1_800, "foreign room predicted to end within this time")


@dataclass(frozen=True, slots=True)
class BoardConfig:
    """The market-wide board: summaries over all shards."""

    interval_ms: int = _key(500, "least time between two summaries")
    weights_file: str = _key(
        "", "CSV with index,code,weight_pct: baskets and weights; without it those of REST"
    )


@dataclass(frozen=True, slots=True)
class RuleConfig:
    """An alert rule of the operator's own: ``[rules]``, a name and a condition."""

    name: str
    when: str  # such as: stats.active_buy_ratio > 0.8 and stats.value_vnd > 5e9
    severity: str = "info"


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """What clients connect to."""

    count: int = _key(1, "gateway processes; number i listens on port + i")
    host: str = _key("127.0.0.1", "address to bind; a public one needs tokens_file")
    port: int = _key(8765, "first port; 0 picks a free one")
    tokens_file: str = _key(
        "", "file of `vntape token new`, mode 0600: who may connect; without it anybody here may"
    )
    tls_cert_file: str = _key("", "certificate chain (PEM); with tls_key_file clients use wss")
    tls_key_file: str = _key("", "its private key (PEM), mode 0600")
    origins: list[str] = _key([], "web pages that may connect besides those of the same host")
    trusted_proxies: list[str] = _key(
        [], "addresses or networks of proxies whose X-Forwarded-For is believed"
    )
    address_clients_max: int = _key(250, "connections per gateway from one address")
    address_messages_max: int = _key(1_000, "messages a second from one address")
    auth_ms: int = _key(5_000, "time to say a token after connecting")
    silence_ms: int = _key(
        180_000, "a client that neither says nor takes anything for so long is cut off"
    )
    resume_bytes: int = _key(
        67_108_864, "memory of past updates, for clients that come back; per gateway"
    )
    replays_max: int = _key(2, "time travels at once per gateway; each is a process")
    conflate_ms: int = _key(50, "default interval of conflated subscriptions")
    heartbeat_ms: int = _key(1_000, "heartbeat when nothing else was sent")
    client_budget_bytes: int = _key(1_048_576, "unsent bytes a client may have before it lags")
    clients_max: int = _key(1_000, "connections per gateway")
    topics_max: int = _key(4_096, "topics per connection; a wildcard counts once")


@dataclass(frozen=True, slots=True)
class RestConfig:
    """What answers over HTTP: the state of the market, history, health and metrics."""

    host: str = _key("127.0.0.1", "address to bind; a public one needs gateway.tokens_file")
    port: int = _key(8790, "its port; 0 picks a free one")


@dataclass(frozen=True, slots=True)
class SupervisorConfig:
    """How children are watched."""

    restart_base_ms: int = _key(50, "delay before the first restart; doubles per quick death")
    restart_cap_ms: int = _key(5_000, "longest restart delay")
    crash_loop_max: int = _key(10, "deaths of one child within a minute before giving up")
    drain_ms: int = _key(3_000, "time children get to stop before they are killed")
    status_ms: int = _key(1_000, "status line interval; 0 turns it off")


@dataclass(frozen=True, slots=True)
class Config:
    """Everything an operator can set. `origins` says where each non-default value came from."""

    run: RunConfig = field(default_factory=RunConfig)
    feed: FeedConfig = field(default_factory=FeedConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    journal: JournalConfig = field(default_factory=JournalConfig)
    history: HistoryConfig = field(default_factory=HistoryConfig)
    alerts: AlertsConfig = field(default_factory=AlertsConfig)
    board: BoardConfig = field(default_factory=BoardConfig)
    gateway: GatewayConfig = field(default_factory=GatewayConfig)
    rest: RestConfig = field(default_factory=RestConfig)
    supervisor: SupervisorConfig = field(default_factory=SupervisorConfig)
    rules: tuple[RuleConfig, ...] = ()  # names are the operator's, so they are no keys
    origins: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Credentials:
    """SSI's consumer id and secret (v3: API key, secret, one-time password). `repr` shows none."""

    consumer_id: str = field(repr=False)
    consumer_secret: str = field(repr=False)
    otp: str = field(default="", repr=False)


RULES = "rules"
SECTIONS = {f.name: f for f in fields(Config) if f.name not in (RULES, "origins")}


def _section_type(name: str) -> type:
    kind = SECTIONS[name].default_factory
    assert isinstance(kind, type)
    return kind


def all_keys() -> Iterator[tuple[str, Field[Any]]]:
    """Yield ``("section.key", dataclass field)`` for every key there is."""
    for section in SECTIONS:
        for item in fields(_section_type(section)):
            yield f"{section}.{item.name}", item


def _rule(name: str, value: Any, origin: str) -> RuleConfig:
    """Read one entry of [rules]: a condition, or a table with `when` and `severity`."""
    key = f"{RULES}.{name}"
    tree = {"when": value} if isinstance(value, str) else value
    if not isinstance(tree, dict) or not all(isinstance(text, str) for text in tree.values()):
        raise ConfigError(
            f'{key} ({origin}) is {value!r}: write {name} = "<condition>", '
            "or a table with when and severity"
        )
    for unknown in tree.keys() - {"when", "severity"}:
        raise ConfigError(f"{key} ({origin}): unknown key {unknown}; known are when, severity")
    if not tree.get("when"):
        raise ConfigError(f"{key} ({origin}) has no condition: when is missing or empty")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", name):
        raise ConfigError(f"{key} ({origin}): a rule's name is 1 to 32 of letters, digits, - and _")
    severity = tree.get("severity", "info")
    if severity not in SEVERITIES:
        raise ConfigError(
            f"{key} ({origin}): severity is {severity!r}, allowed: {', '.join(SEVERITIES)}"
        )
    return RuleConfig(name, tree["when"], severity)


def _refuse_unknown(key: str, origin: str) -> None:
    known = [name for name, _ in all_keys()]
    if key in known or key.startswith(f"{RULES}."):
        return
    if key.rsplit(".", 1)[-1] in ("consumer_id", "consumer_secret"):
        raise ConfigError(
            f"{key} ({origin}): secrets do not belong here; set "
            f"{ENV_CONSUMER_ID} and {ENV_CONSUMER_SECRET} or feed.credentials_file"
        )
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else "; `vntape config show` lists all keys"
    raise ConfigError(f"unknown configuration key {key} ({origin}){hint}")


def _convert(key: str, item: Field[Any], value: Any, origin: str) -> Any:
    """Turn a TOML value or a string into the key's type, or refuse."""
    kind = item.type
    text = isinstance(value, str)
    try:
        if kind is int and (text or (isinstance(value, int) and not isinstance(value, bool))):
            return int(value)
        if kind is str and text:
            return value
        if get_origin(kind) is list and get_args(kind) == (str,):
            parts = [part.strip() for part in value.split(",")] if text else value
            if isinstance(parts, list) and all(isinstance(part, str) for part in parts):
                return parts
    except ValueError:
        pass
    name = "a list of strings" if get_origin(kind) is list else getattr(kind, "__name__", kind)
    raise ConfigError(f"{key} ({origin}) is {value!r}, expected {name}")


def _from_toml(path: Path) -> Iterator[tuple[str, Any, str]]:
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"configuration file {path} does not exist") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"configuration file {path} cannot be read: {error}") from None
    for section, table in tree.items():
        sections = [*SECTIONS, RULES]
        if section not in sections or not isinstance(table, dict):
            near = difflib.get_close_matches(section, sections, n=1)
            raise ConfigError(
                f"unknown configuration section [{section}] ({path.name}); "
                + (f"did you mean [{near[0]}]?" if near else f"sections are {', '.join(sections)}")
            )
        for key, value in table.items():
            yield f"{section}.{key}", value, path.name


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, Any, str]]:
    by_variable = {ENV_PREFIX + key.upper().replace(".", "_"): key for key, _ in all_keys()}
    for variable, value in environ.items():
        if variable.startswith(ENV_PREFIX) and variable not in ENV_NOT_KEYS:
            key = by_variable.get(variable)
            if key is None:
                near = difflib.get_close_matches(variable, by_variable, n=1)
                raise ConfigError(
                    f"unknown environment variable {variable}"
                    + (f"; did you mean {near[0]}?" if near else "")
                )
            yield key, value, variable


def load(
    path: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    overrides: Sequence[str] = (),
) -> Config:
    """Read and check the configuration.

    Parameters
    ----------
    path
        TOML file, or None for defaults.
    environ
        Environment to read ``VNTAPE_SECTION_KEY`` from; the process's own by default.
    overrides
        ``section.key=value`` strings from the command line, strongest.

    Raises
    ------
    ConfigError
        Unknown key, wrong type, impossible value: says which, where from, and what to do.
    """
    found: list[tuple[str, Any, str]] = list(_from_toml(path)) if path else []
    found += list(_from_environment(os.environ if environ is None else environ))
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise ConfigError(f"--set {override!r} is not of the form section.key=value")
        found.append((key.strip(), value, "command line"))
    items = dict(all_keys())
    values: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    rules: dict[str, RuleConfig] = {}
    origins: dict[str, str] = {}
    for key, value, origin in found:
        _refuse_unknown(key, origin)
        section, _, name = key.partition(".")
        if section == RULES:
            rules[name] = _rule(name, value, origin)
            origins[key] = origin
            continue
        values[section][name] = _convert(key, items[key], value, origin)
        origins[key] = origin
    config = Config(
        **{section: _section_type(section)(**values[section]) for section in SECTIONS},
        rules=tuple(rules.values()),
        origins=origins,
    )
    check(config)
    return config


def check(config: Config) -> None:
    """Refuse values that cannot work, with both numbers."""
    engine, gateway, feed = config.engine, config.gateway, config.feed

    def need(good: bool, text: str) -> None:
        if not good:
            raise ConfigError(text)

    need(
        config.run.name.replace("-", "").replace("_", "").isalnum(),
        f"run.name is {config.run.name!r}: use letters, digits, - and _",
    )
    need(1 <= engine.shards <= 16, f"engine.shards is {engine.shards}, allowed 1 to 16")
    slots = engine.ring_slots
    need(
        4_096 <= slots <= 2**24 and slots & (slots - 1) == 0,
        f"engine.ring_slots is {slots}: it must be a power of two from 4096 to 16777216",
    )
    need(
        64 <= engine.symbols_max <= 1_000_000,
        f"engine.symbols_max is {engine.symbols_max}, allowed 64 to 1000000",
    )
    need(
        sorted(engine.side_precedence) == ["EXCHANGE", "QUOTE", "TICK"],
        f"engine.side_precedence is {engine.side_precedence}: name EXCHANGE, QUOTE and TICK, "
        "each once",
    )
    need(
        engine.pace in ("live", "lossless"),
        f"engine.pace is {engine.pace!r}, allowed: live, lossless",
    )
    need(
        engine.wait in ("auto", "spin", "yield", "park"),
        f"engine.wait is {engine.wait!r}, allowed: auto, spin, yield, park",
    )
    window_s = config.alerts.volume_spike_window_s
    need(
        60 <= window_s <= 3_600,
        f"alerts.volume_spike_window_s is {window_s}, allowed 60 to 3600",
    )
    rearm = config.alerts.rearm_percent
    need(rearm <= 100, f"alerts.rearm_percent is {rearm}, allowed 0 to 100")
    need(1 <= gateway.count <= 16, f"gateway.count is {gateway.count}, allowed 1 to 16")
    need(
        0 <= gateway.port <= 65_535 - gateway.count,
        f"gateway.port is {gateway.port}, allowed 0 to {65_535 - gateway.count}",
    )
    journal, history = config.journal, config.history
    for key_name, word, allowed_words in (
        ("journal.write", journal.write, ("on", "off")),
        ("journal.fsync", journal.fsync, ("none", "interval", "always")),
        ("history.record", history.record, ("on", "off")),
    ):
        need(
            word in allowed_words,
            f"{key_name} is {word!r}, allowed: {', '.join(allowed_words)}",
        )
    need(journal.fsync_interval_ms > 0, "journal.fsync_interval_ms is 0: say fsync = always")
    need(journal.keep_days >= 1, f"journal.keep_days is {journal.keep_days}, at least 1 is needed")
    need(history.keep_days >= 0, f"history.keep_days is {history.keep_days}: 0 means for ever")
    need(
        1 <= history.threads <= 64,
        f"history.threads is {history.threads}, allowed 1 to 64",
    )
    need(
        1 <= history.rows_max <= 1_000_000,
        f"history.rows_max is {history.rows_max}, allowed 1 to 1000000",
    )
    need(
        history.segment_ms >= 100 and history.segment_rows_max >= 1_000,
        "history.segment_ms is at least 100 and history.segment_rows_max at least 1000",
    )
    need(
        history.memory_bytes >= 67_108_864,
        f"history.memory_bytes is {history.memory_bytes}, at least 67108864 is needed",
    )
    need(
        gateway.resume_bytes == 0 or gateway.resume_bytes >= 4_194_304,
        f"gateway.resume_bytes is {gateway.resume_bytes}: 0 remembers nothing, else at least "
        "4194304 is needed",
    )
    rest = config.rest
    need(0 <= rest.port <= 65_535, f"rest.port is {rest.port}, allowed 0 to 65535")
    need(
        bool(gateway.tls_cert_file) == bool(gateway.tls_key_file),
        "gateway.tls_cert_file and gateway.tls_key_file belong together: set both or none",
    )
    for key, _ in all_keys():
        section, _, name = key.partition(".")
        value = getattr(getattr(config, section), name)
        if name.endswith(COUNTED):
            need(value >= 0, f"{key} is {value}, it cannot be negative")
    for name, allowed in (
        ("protocol", ("v2", "v3")),
        ("reference", ("on", "off")),
        ("backfill", ("on", "off")),
        ("record", ("on", "off")),
    ):
        word = getattr(feed, name)
        need(word in allowed, f"feed.{name} is {word!r}, allowed: {', '.join(allowed)}")
    need(
        feed.backlog_bytes >= 4_194_304,
        f"feed.backlog_bytes is {feed.backlog_bytes}, at least 4194304 (one batch) is needed",
    )
    need(
        feed.v3_stream_url.startswith(("ws://", "wss://")),
        f"feed.v3_stream_url is {feed.v3_stream_url!r}: it must start with ws(s)://",
    )
    for name in ("url", "stream_url", "v3_url"):
        url = getattr(feed, name)
        need(
            url.startswith(("http://", "https://")) and url.endswith("/"),
            f"feed.{name} is {url!r}: it must start with http(s):// and end with /",
        )


def load_credentials(config: Config, environ: Mapping[str, str] | None = None) -> Credentials:
    """Read SSI's id and secret from the environment, else from `feed.credentials_file`.

    Raises
    ------
    ConfigError
        Nothing set, or the file is unreadable or open to others. Never quotes a value.
    """
    environ = os.environ if environ is None else environ
    consumer_id, secret = environ.get(ENV_CONSUMER_ID), environ.get(ENV_CONSUMER_SECRET)
    if consumer_id and secret:
        return Credentials(consumer_id, secret, environ.get(ENV_OTP, ""))
    name = config.feed.credentials_file
    if not name:
        missing = ENV_CONSUMER_SECRET if consumer_id else ENV_CONSUMER_ID
        raise ConfigError(
            f"SSI credentials are missing: set {missing} (and its twin), or point "
            "feed.credentials_file at a file with consumer_id and consumer_secret"
        )
    path = Path(name)
    try:
        mode = path.stat().st_mode & 0o077
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"feed.credentials_file {name} cannot be read ({type(error).__name__})"
        ) from None
    if mode:
        raise ConfigError(
            f"feed.credentials_file {name} is open to others (mode bits {mode:03o}): chmod 600 it"
        )
    values = [tree.get(key) for key in ("consumer_id", "consumer_secret")]
    if not all(isinstance(value, str) and value for value in values):
        raise ConfigError(
            f"feed.credentials_file {name} needs the strings consumer_id and consumer_secret"
        )
    return Credentials(str(values[0]), str(values[1]), environ.get(ENV_OTP, ""))


def to_json(config: Config) -> str:
    """Serialise for the children. Holds no secret: a Config cannot."""
    return json.dumps(asdict(config), indent=1)


def from_json(text: str) -> Config:
    """Rebuild what `to_json` wrote."""
    tree = json.loads(text)
    origins, rules = tree.pop("origins"), tree.pop(RULES)
    return Config(
        **{name: _section_type(name)(**values) for name, values in tree.items()},
        rules=tuple(RuleConfig(**rule) for rule in rules),
        origins=origins,
    )
