"""What the REST process needs to know. Plain values, as of a gateway."""

from dataclasses import dataclass
from pathlib import Path

from engine.config import Config, EngineConfig, GatewayConfig, HistoryConfig, RestConfig
from engine.errors import ConfigError
from engine.rundir import RunDir
from engine.status import has_history
from gateway.settings import is_loopback

DEFAULTS = RestConfig()
HISTORY_DEFAULTS = HistoryConfig()
GATEWAY_DEFAULTS = GatewayConfig()


@dataclass(frozen=True, slots=True)
class RestSettings:
    """Settings of one REST process."""

    endpoints: tuple[tuple[str, str], ...]  # (delta, snapshot) of shard 0, 1 ..., then the board
    history_root: Path | None = None  # None: no history is recorded
    tail_endpoint: str = ""
    host: str = DEFAULTS.host
    port: int = DEFAULTS.port  # 0 picks a free one, the last one if it can
    last_port: int = 0  # where clients found us before; 0: nowhere
    symbols_max: int = EngineConfig().symbols_max
    board_keys_max: int = 64  # as of a gateway
    threads: int = HISTORY_DEFAULTS.threads
    memory_bytes: int = HISTORY_DEFAULTS.memory_bytes
    rows_max: int = HISTORY_DEFAULTS.rows_max
    tokens_file: str = ""
    origins: tuple[str, ...] = ()
    tls_cert_file: str = ""
    tls_key_file: str = ""
    trusted_proxies: tuple[str, ...] = ()
    address_requests_max: int = GATEWAY_DEFAULTS.address_messages_max  # a second, of one address
    gateway_urls: tuple[str, ...] = ()  # where the WebSocket is, for /asyncapi.json

    @property
    def capacity(self) -> int:
        """Ids the mirror has room for."""
        return self.symbols_max + self.board_keys_max

    def check(self) -> None:
        """Refuse what cannot work.

        Raises
        ------
        ConfigError
            A public address without tokens.
        """
        if not is_loopback(self.host) and not self.tokens_file:
            raise ConfigError(
                f"rest.host is {self.host!r}: a public address needs tokens. Make one with "
                "`vntape token new NAME --scope '*'` and set gateway.tokens_file, "
                "or use 127.0.0.1 or ::1"
            )


def settings_of(run_dir: RunDir, config: Config, last_port: int) -> RestSettings:
    """Translate the configuration. A port picked freely is kept over a restart.

    Parameters
    ----------
    run_dir
        The instance.
    config
        Checked configuration.
    last_port
        As the life before left it in its counters; negative when the supervisor died as well.
    """
    history, gateway = config.history, config.gateway
    scheme = "wss" if gateway.tls_cert_file else "ws"
    return RestSettings(
        endpoints=tuple(
            (run_dir.delta_endpoint(shard), run_dir.snapshot_endpoint(shard))
            for shard in range(config.engine.shards + 1)  # the last source is the board
        ),
        history_root=run_dir.data_dir(config) / "history" if has_history(config) else None,
        tail_endpoint=run_dir.tail_endpoint,
        host=config.rest.host,
        port=config.rest.port,
        last_port=abs(last_port),
        symbols_max=config.engine.symbols_max,
        threads=history.threads,
        memory_bytes=history.memory_bytes,
        rows_max=history.rows_max,
        tokens_file=gateway.tokens_file,
        origins=tuple(gateway.origins),
        tls_cert_file=gateway.tls_cert_file,
        tls_key_file=gateway.tls_key_file,
        trusted_proxies=tuple(gateway.trusted_proxies),
        address_requests_max=gateway.address_messages_max,
        gateway_urls=tuple(
            f"{scheme}://{gateway.host}:{gateway.port + i}"
            for i in range(gateway.count if gateway.port else 0)
        ),
    )
