"""What one gateway process needs to know. Plain values: who serves needs no configuration file."""

import ipaddress
from dataclasses import dataclass

from engine.config import EngineConfig, GatewayConfig
from engine.errors import ConfigError

DEFAULTS = GatewayConfig()  # the configuration says what is usual, nobody else
CH_SYMBOL_BITS = 20  # a frame's `ch` is channel.code << 20 | symbol_id
INTERVAL_STEPS_MS = (0, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000)


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
    lossless: bool = False
    message_bytes_max: int = 65_536  # of a client's message
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
        """Refuse what cannot work.

        Raises
        ------
        ConfigError
            A public address (there are no tokens yet), or a mirror larger than `ch` can number.
        """
        if not is_loopback(self.host):
            raise ConfigError(
                f"gateway.host is {self.host!r}: only loopback is allowed until "
                "clients can prove who they are; use 127.0.0.1 or ::1"
            )
        symbols_most = (1 << CH_SYMBOL_BITS) - self.board_keys_max
        if not 1 < self.symbols_max <= symbols_most:
            raise ConfigError(f"symbols_max is {self.symbols_max}, allowed 2 to {symbols_most}")
        if not self.endpoints:
            raise ConfigError("the gateway was given no shard to follow")


def is_loopback(host: str) -> bool:
    """Return whether a host name or address can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
