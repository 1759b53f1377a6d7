"""A whole gateway in a process of its own, as production runs it but for its limits.

    python -m bench.fanout_gateway DELTA_ENDPOINT SNAPSHOT_ENDPOINT SYMBOLS CLIENTS BUDGET_BYTES

Prints its port once clients can connect; stops when its parent does, or at SIGTERM.
"""

import os
import resource
import sys

import numpy as np

from engine.clock import SystemClock
from engine.process import die_with_parent
from engine.schema.counters import GATEWAY_COUNTERS
from gateway.settings import GatewaySettings
from gateway.wiring import run


def settings(
    endpoints: tuple[str, str], symbol_count: int, client_count: int, budget_bytes: int
) -> GatewaySettings:
    """Return settings that let so many clients come from one address."""
    return GatewaySettings(
        endpoints=(endpoints,),
        port=0,
        symbols_max=symbol_count + 1,
        clients_max=client_count,
        address_clients_max=client_count,
        address_messages_max=10 * client_count,
        client_budget_bytes=budget_bytes,
    )


def raise_descriptor_limit() -> None:
    """Allow as many sockets as this process may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> None:
    """Serve until SIGTERM."""
    die_with_parent(os.getppid())
    raise_descriptor_limit()
    run(
        settings((sys.argv[1], sys.argv[2]), *map(int, sys.argv[3:6])),
        np.zeros(1, GATEWAY_COUNTERS),
        SystemClock(),
        lambda port: print(port, flush=True),
    )


if __name__ == "__main__":
    main()
