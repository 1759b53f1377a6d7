"""HTTP/1.1, server side: whole requests in, whole responses out, keep-alive, no chunks."""

from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

HEAD_BYTES_MAX = 32_768  # a bearer token, a connection token and a long query fit many times
BODY_BYTES_MAX = 65_536
HEAD_END = b"\r\n\r\n"
JSON = "application/json; charset=UTF-8"
TEXT = "text/plain"


class BadRequest(Exception):
    """What arrived is not a request this server can answer. The text is the answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Names of query parameters and headers are in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""

    @property
    def bearer(self) -> str:
        """The access token, from the header or the query (ssi-wire section 1.3), or empty."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else self.query.get("access_token", "")


@dataclass(frozen=True, slots=True)
class Response:
    """One response."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return the bytes to write."""
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.status != HTTPStatus.SWITCHING_PROTOCOLS:
            lines += [f"Content-Type: {self.content_type}", f"Content-Length: {len(self.body)}"]
        return "\r\n".join(lines).encode() + HEAD_END + self.body


def take_request(buffer: bytearray) -> Request | None:
    """Remove one whole request from the front of `buffer`, or return None until it is there.

    Raises
    ------
    BadRequest
        It is malformed, too large or chunked.
    """
    head_end = buffer.find(HEAD_END)
    if head_end < 0:
        if len(buffer) > HEAD_BYTES_MAX:
            raise BadRequest(f"request head is larger than {HEAD_BYTES_MAX} bytes")
        return None
    lines = bytes(buffer[:head_end]).decode("latin-1").split("\r\n")
    try:
        method, target, _version = lines[0].split(" ")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:])
        }
        length = int(headers.get("content-length", "0"))
    except ValueError:
        raise BadRequest("malformed request") from None
    if "transfer-encoding" in headers:
        raise BadRequest("chunked requests are not supported")
    if not 0 <= length <= BODY_BYTES_MAX:
        raise BadRequest(f"request body of {length} bytes, allowed are {BODY_BYTES_MAX}")
    body_start = head_end + len(HEAD_END)
    if len(buffer) < body_start + length:
        return None
    body = bytes(buffer[body_start : body_start + length])
    del buffer[: body_start + length]
    url = urlsplit(target)
    query = {name.lower(): value for name, value in parse_qsl(url.query, keep_blank_values=True)}
    return Request(method.upper(), url.path, query, headers, body)
