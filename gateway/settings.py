"""What one gateway process needs to know. Plain values: who serves needs no configuration file."""

from dataclasses import dataclass
from typing import Final

from engine.config import EngineConfig, GatewayConfig
from engine.errors import ConfigError
from engine.tokens import TokenBook
from gateway.addresses import is_loopback as is_loopback
from gateway.addresses import networks
from gateway.origins import allow_list
from gateway.scopes import unknown
from gateway.tls import server_context

DEFAULTS = GatewayConfig()  # the configuration says what is usual, nobody else
CH_SYMBOL_BITS = 20  # a frame's `ch` is channel.code << 20 | symbol_id
INTERVAL_STEPS_MS = (0, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000)
PORT_MAX: Final = 65_535
LEAST: Final = {  # of settings that would otherwise shut everybody out, or never let go
    "conflate_ms": 0,
    "heartbeat_ms": 1,
    "client_budget_bytes": 1,
    "clients_max": 1,
    "topics_max": 1,
    "message_bytes_max": 1,
    "kernel_buffer_bytes": 1,
    "address_clients_max": 1,
    "address_messages_max": 1,
    "auth_ms": 1,
    "silence_ms": 1_000,  # clients are looked after once a second
    "resume_bytes": 0,
    "replays_max": 0,
}


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Settings of one gateway process.

    ``lossless`` is for replays and benchmarks: instead of closing a client in mode `all` that falls
    behind, the gateway stops reading the bus until the client has caught up. It hurts everybody
    else, which is why a live tape never does it.
    """

    endpoints: tuple[tuple[str, str], ...]  # (delta, snapshot) of shard 0, 1 ..., then the board
    host: str = DEFAULTS.host
    port: int = DEFAULTS.port  # 0 picks a free one
    symbols_max: int = EngineConfig().symbols_max
    board_keys_max: int = 64  # keys of the market-wide board; their ids follow the symbols'
    conflate_ms: int = DEFAULTS.conflate_ms  # default interval of conflated subscriptions
    heartbeat_ms: int = DEFAULTS.heartbeat_ms
    client_budget_bytes: int = DEFAULTS.client_budget_bytes  # unsent, of a client in mode `all`
    clients_max: int = DEFAULTS.clients_max
    topics_max: int = DEFAULTS.topics_max  # per client; a wildcard counts once
    tokens_file: str = DEFAULTS.tokens_file  # "": nobody needs a token
    tls_cert_file: str = DEFAULTS.tls_cert_file  # "": no TLS
    tls_key_file: str = DEFAULTS.tls_key_file
    origins: tuple[str, ...] = tuple(DEFAULTS.origins)
    trusted_proxies: tuple[str, ...] = tuple(DEFAULTS.trusted_proxies)
    address_clients_max: int = DEFAULTS.address_clients_max
    address_messages_max: int = DEFAULTS.address_messages_max  # a second
    auth_ms: int = DEFAULTS.auth_ms
    silence_ms: int = DEFAULTS.silence_ms
    resume_bytes: int = DEFAULTS.resume_bytes
    replays_max: int = DEFAULTS.replays_max
    lossless: bool = False
    message_bytes_max: int = 262_144  # of a client's message; `since` may name many keys
    kernel_buffer_bytes: int = 262_144  # SO_SNDBUF: what the kernel may hold unsent per client

    @property
    def capacity(self) -> int:
        """Ids the mirror has room for."""
        return self.symbols_max + self.board_keys_max

    def intervals_ms(self) -> tuple[int, ...]:
        """Return the conflation intervals on offer; a wish is rounded up to the next.

        Few intervals mean few groups, and a frame is encoded once per group.
        """
        return tuple(sorted({*INTERVAL_STEPS_MS, self.conflate_ms}))

    def check(self) -> None:
        """Refuse what cannot work, and what would not be safe.

        Raises
        ------
        ConfigError
            A public address without tokens; a tokens or TLS file that cannot be used; an origin,
            proxy or number that makes no sense; a mirror larger than `ch` can number.
        """
        if not self.endpoints:
            raise ConfigError("the gateway was given no shard to follow")
        symbols_most = (1 << CH_SYMBOL_BITS) - self.board_keys_max
        if not 1 < self.symbols_max <= symbols_most:
            raise ConfigError(f"symbols_max is {self.symbols_max}, allowed 2 to {symbols_most}")
        if not 0 <= self.port <= PORT_MAX:
            raise ConfigError(f"gateway.port is {self.port}, allowed 0 to {PORT_MAX}")
        for name, least in LEAST.items():
            value = getattr(self, name)
            if value < least:
                raise ConfigError(f"gateway.{name} is {value}, at least {least} is needed")
        check_public("gateway.host", self.host, self.tokens_file)
        check_tokens(self.tokens_file)
        check_tls(self.tls_cert_file, self.tls_key_file)
        allow_list(self.origins)
        networks(self.trusted_proxies)

    def warnings(self) -> list[str]:
        """Return what works, but should be known: sentences for the log."""
        found = []
        if not is_loopback(self.host) and not self.tls_cert_file and not self.trusted_proxies:
            found.append(
                f"gateway.host is {self.host!r} without TLS, so tokens cross the network in the "
                "clear: set gateway.tls_cert_file and gateway.tls_key_file, or put a proxy in "
                "front and name it in gateway.trusted_proxies"
            )
        if self.trusted_proxies and not self.tokens_file:
            found.append(
                "gateway.trusted_proxies is set and gateway.tokens_file is not: whoever the proxy "
                "lets through needs no token"
            )
        return found


def check_public(key: str, host: str, tokens_file: str) -> None:
    """Refuse an address that others can reach when nobody has to say who he is.

    Parameters
    ----------
    key
        Name of the setting, for the error.
    host
        Address to bind.
    tokens_file
        gateway.tokens_file.

    Raises
    ------
    ConfigError
        Says what to do.
    """
    if not tokens_file and not is_loopback(host):
        raise ConfigError(
            f"{key} is {host!r}, which others can reach, and nobody would need a token: set "
            "gateway.tokens_file and make one with `vntape token new`, or bind loopback "
            "(127.0.0.1 or ::1)"
        )


def check_tokens(tokens_file: str) -> None:
    """Refuse a tokens file that cannot be used; "" is none, and fine.

    Raises
    ------
    ConfigError
        See `engine.tokens.TokenBook.load`; also a scope that names no channel.
    """
    if not tokens_file:
        return
    for token in TokenBook.load(tokens_file).tokens:
        for scope in unknown(token.scopes):
            raise ConfigError(
                f"gateway.tokens_file: {token.name} has the scope {scope!r}, and there is no such "
                "channel; write *, trade.*, trade.VN30* or trade.FPT"
            )


def check_tls(cert_file: str, key_file: str) -> None:
    """Refuse TLS files that cannot be used; two "" are none, and fine.

    Raises
    ------
    ConfigError
        See `gateway.tls.server_context`; also one file without the other.
    """
    if bool(cert_file) != bool(key_file):
        raise ConfigError(
            "gateway.tls_cert_file and gateway.tls_key_file belong together: set both or none"
        )
    if cert_file:
        server_context(cert_file, key_file)
