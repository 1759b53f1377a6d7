"""The port: a connection from its first byte on, before anybody knows what it wants.

picows does the work. What it only logs is known here: who never made a request that can be read,
and what our own code raised. The first is counted, the second ends the gateway, as every bug does.
"""

import asyncio
import logging
import ssl
import sys
from collections.abc import Callable
from typing import Any, Final

import aiofastnet
from picows import WSAutoPingStrategy, WSProtocolError, WSUpgradeRequest
from picows import WSUpgradeResponseWithListener as Response
from picows.picows import WSProtocol  # type: ignore[attr-defined]  # not in its stub

HANDSHAKE_S: Final = 5.0  # to say what it wants; and, before that, to shake hands with TLS
READ_BUFFER_BYTES: Final = 8_192
LOGGER: Final = "picows.gateway"

Route = Callable[[WSUpgradeRequest], Response]


class Door(WSProtocol):  # type: ignore[misc]  # picows tells no types of it
    """One connection, whatever becomes of it."""

    def __init__(self, nobody: Callable[[], None], *rest: Any) -> None:
        super().__init__(*rest)
        self._nobody = nobody

    def connection_lost(self, failure: Exception | None) -> None:
        """Count it when it never made a good request: silent, too slow, too long, or no HTTP."""
        super().connection_lost(failure)
        # Also one that we would have let in, and picows found a fault with.
        if self.transport.request is None or (self.listener and self.listener.wire is None):
            self._nobody()


class Bugs(logging.Handler):
    """Takes what picows logs, and keeps what our own code raised.

    Anything else is a client's doing: it is counted, and a client does not write our log.
    """

    def __init__(self, found: Callable[[BaseException], None]) -> None:
        super().__init__(logging.ERROR)
        self._found = found

    def emit(self, _record: logging.LogRecord) -> None:
        """Hand on an exception that is being handled now; a line that broke is none."""
        failure = sys.exc_info()[1]
        if failure is not None and not isinstance(failure, WSProtocolError | OSError):
            self._found(failure)


async def open_door(
    route: Route,
    nobody: Callable[[], None],
    host: str,
    port: int,
    context: ssl.SSLContext | None,
    frame_bytes_max: int,
) -> asyncio.Server:
    """Bind a port; the server it returns does not listen yet.

    Parameters
    ----------
    route
        Answers a request.
    nobody
        Called for each connection that ends before it has made one that can be answered.
    host, port, context
        Where, and with which certificate.
    frame_bytes_max
        A longer frame ends its connection with 1009.

    Raises
    ------
    OSError
        The address cannot be bound.
    """
    logger = logging.getLogger(LOGGER)

    def knock() -> Door:
        return Door(
            nobody,
            None,
            None,
            False,
            route,
            logger,
            True,
            HANDSHAKE_S,
            *(False, 20, 20, WSAutoPingStrategy.PING_WHEN_IDLE),  # pings: gateway.server
            False,  # pongs: gateway.connection
            frame_bytes_max,
            None,
            READ_BUFFER_BYTES,
        )

    server: asyncio.Server = await aiofastnet.create_server(
        asyncio.get_running_loop(),
        knock,
        host=host,
        port=port,
        ssl=context,
        ssl_handshake_timeout=HANDSHAKE_S if context else None,
        start_serving=False,
    )
    return server
