"""What faults do to connections and requests."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

import orjson

from tools.simulator import hub
from tools.simulator.connection import Connection
from tools.simulator.executor import Act
from tools.simulator.faults import CUTS, Fault, What
from tools.simulator.http import TEXT, Request, Response
from tools.simulator.websocket import encode

GOING_AWAY: Final = 1001
POLICY_VIOLATION: Final = 1008
BAD_FRAME: Final = b'{"C":"d-8F1AB453-B,0|C,0|D,1|E,0","M":[{"H":'

# Path ends by the step of the handshake they belong to; v2's and v3's.
_STEPS: Final = {
    "/negotiate": "negotiate",
    "/connect": "connect",
    "/start": "start",
    "/ws/v3": "connect",
    "/accesstoken": "token",
    "/api/v3/auth/token": "token",
    "/api/v3/auth/refresh": "token",
}
# SSI's words for it inside HTTP 200 (ssi-wire 2 and 1.8), and v3's statuses.
_WORDS: Final[dict[str, tuple[dict[str, object], int]]] = {
    "quota": (
        {
            "message": "API calls quota exceeded! maximum admitted 1 per 1 s",
            "status": 429,
            "data": None,
        },
        429,
    ),
    "no-data": ({"data": None, "message": "No data", "status": "Success", "totalRecord": 0}, 404),
    "unauthorized": ({"message": "Missing Authorization header", "status": 401}, 401),
    "unknown-key": ({"message": "Key does not exist.", "status": 400, "data": None}, 401),
}


@dataclass(slots=True)
class Refusal:
    """A fault that is still to be met by `left` requests."""

    fault: Fault
    left: int


@dataclass(slots=True)
class Faults:
    """What goes wrong on purpose. Scripts change this, and so may tests."""

    negotiate_statuses: list[int] = field(default_factory=list)  # the next answers, one each
    refusals: list[Refusal] = field(default_factory=list)
    silent: bool = False  # half-open: sockets stay, nothing is sent on them any more

    def refuse(self, request: Request) -> tuple[Response, Fault] | None:
        """Return the refusal that a request meets, which uses it up, and its fault; or None."""
        path = request.path.rstrip("/").lower()
        step = next((step for end, step in _STEPS.items() if path.endswith(end)), "")
        name = step or path.rpartition("/")[2]
        is_lookup = not step and path.startswith(("/api/v2/", "/api/v3/"))
        refusal = self._take(name, is_lookup=is_lookup)
        if refusal is None:
            return None
        fault = refusal.fault
        if fault.code:
            return Response(fault.code, b"", TEXT), fault
        body, v3_status = _WORDS[fault.words]
        if path.startswith(("/api/v3/", "/ws/v3")):
            return Response(v3_status, b"", TEXT), fault
        return Response(200, orjson.dumps(body)), fault

    def refuse_switch(self) -> Fault | None:
        """Return the fault that the next SwitchChannels meets, or None."""
        refusal = self._take("switch", is_lookup=False)
        return None if refusal is None else refusal.fault

    def _take(self, name: str, *, is_lookup: bool) -> Refusal | None:
        for refusal in self.refusals:
            target = refusal.fault.target
            if target == name or (target == "rest" and is_lookup):
                refusal.left -= 1
                if not refusal.left:
                    self.refusals.remove(refusal)
                return refusal
        return None


class Links:
    """Performs the faults of a script that concern connections.

    Parameters
    ----------
    faults
        Where refusals go.
    websockets
        Returns the open WebSockets.
    next_cursor
        Returns a number no frame has had.
    v3_error
        Returns a v3 client's error frame for a text, if there are v3 clients.
    """

    def __init__(
        self,
        faults: Faults,
        websockets: Callable[[], Collection[Connection]],
        next_cursor: Callable[[], int],
        v3_error: Callable[[str], bytes] | None,
    ) -> None:
        self._faults = faults
        self._websockets = websockets
        self._next_cursor = next_cursor
        self._v3_error = v3_error

    async def perform(self, act: Act, *, wait: bool) -> None:
        """Do what a fault does when it begins; what ends needs nothing done.

        Parameters
        ----------
        wait
            Return when the clients have taken leave, so that the day can stand still for it.
        """
        fault = act.fault
        leaving: list[Connection] = []
        if act.ends:
            return
        if fault.what is What.REFUSE:
            self._faults.refusals.append(Refusal(fault, fault.count))
        elif fault.what is What.HALF_OPEN:
            for connection in self._websockets():
                connection.mute()
        elif fault.what in CUTS:
            leaving = list(self._websockets())
            for connection in leaving:
                self._end(connection, fault)
        elif fault.what is What.ERROR:
            for connection in self._websockets():
                connection.write(encode(self._error(connection, fault.words)))
                if connection.is_v3:  # there an error is a refusal, and that the end
                    connection.end(POLICY_VIOLATION)
                    leaving.append(connection)
        elif fault.what is What.BAD_FRAME:
            for connection in self._websockets():
                connection.write(encode(BAD_FRAME) * fault.count)
        if wait:
            for connection in leaving:
                await connection.gone.wait()

    def _end(self, connection: Connection, fault: Fault) -> None:
        if fault.what is What.DROP:
            connection.end()
        elif fault.what is What.CLOSE:
            connection.end(fault.code)
        else:
            if not connection.is_v3:
                connection.write(encode(hub.shutdown_frame(self._next_cursor())))
            connection.end(GOING_AWAY)

    def _error(self, connection: Connection, text: str) -> bytes:
        if connection.is_v3 and self._v3_error is not None:
            return self._v3_error(text)
        return hub.data_frame(self._next_cursor(), [hub.error(text)])
