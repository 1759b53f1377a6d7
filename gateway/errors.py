"""The errors a client can be told, with what it should do about them (client-protocol.md)."""

from enum import IntEnum
from typing import Final, Literal

Retry = Literal["none", "reconnect", "backoff"]


class ErrorCode(IntEnum):
    """Error and close codes. Wire format: append, never renumber."""

    BAD_REQUEST = 4000
    UNAUTHORIZED = 4001
    FORBIDDEN = 4003
    UNKNOWN_TOPIC = 4004
    TOPIC_LIMIT = 4005
    CONNECTION_LIMIT = 4006
    SLOW_CONSUMER = 4008
    TOO_LARGE = 4009
    IDLE = 4010
    RATE_LIMITED = 4029
    INTERNAL = 4500


RETRY: Final[dict[ErrorCode, Retry]] = {
    ErrorCode.BAD_REQUEST: "none",
    ErrorCode.UNAUTHORIZED: "none",
    ErrorCode.FORBIDDEN: "none",
    ErrorCode.UNKNOWN_TOPIC: "none",
    ErrorCode.TOPIC_LIMIT: "none",
    ErrorCode.CONNECTION_LIMIT: "backoff",
    ErrorCode.SLOW_CONSUMER: "reconnect",
    ErrorCode.TOO_LARGE: "none",
    ErrorCode.IDLE: "reconnect",
    ErrorCode.RATE_LIMITED: "backoff",
    ErrorCode.INTERNAL: "reconnect",
}


def error(code: ErrorCode, message: str, request_id: object = None) -> dict[str, object]:
    """Return an error frame as a dict."""
    head = {"op": "error"} if request_id is None else {"op": "error", "id": request_id}
    return {
        **head,
        "code": int(code),
        "error": code.name.lower(),
        "message": message,
        "retry": RETRY[code],
    }
