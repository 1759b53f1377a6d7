"""What a request to the gateway's port gets: a WebSocket, a small page, or a polite no. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gateway.settings import is_loopback

WS_PATH: Final = "/ws"
JSON_PROTOCOL: Final = "vntape.v1.json"
BINARY_PROTOCOL: Final = "vntape.v1.bin"
PAGE: Final = (Path(__file__).parent / "static" / "index.html").read_bytes()


@dataclass(frozen=True, slots=True)
class Verdict:
    """How to answer an HTTP request. Status 101 means: speak WebSocket."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


def judge(path: bytes, headers: Mapping[str, str]) -> Verdict:
    """Decide about one request.

    Parameters
    ----------
    path
        Request target.
    headers
        Case-insensitive.
    """
    where = urlsplit(path.decode("latin-1")).path
    if where == "/":
        return Verdict(200, {"Content-Type": "text/html; charset=utf-8"}, PAGE)
    if where != WS_PATH:
        return _no(404, f"nothing here; the WebSocket is at {WS_PATH}")
    if "websocket" not in headers.get("Upgrade", "").lower():
        return _no(426, f"{WS_PATH} speaks WebSocket only", {"Upgrade": "websocket"})
    if not _same_origin(headers.get("Origin"), headers.get("Host", "")):
        return _no(403, "pages of another host may not connect")
    offered = [word.strip() for word in headers.get("Sec-WebSocket-Protocol", "").split(",")]
    offered = [word for word in offered if word]
    if JSON_PROTOCOL in offered:
        return Verdict(101, {"Sec-WebSocket-Protocol": JSON_PROTOCOL})
    if BINARY_PROTOCOL in offered:
        return _no(400, f"{BINARY_PROTOCOL} is not offered yet; use {JSON_PROTOCOL}")
    if offered:
        return _no(400, f"sub-protocol {offered[0][:32]!r} is unknown; use {JSON_PROTOCOL} or none")
    return Verdict(101, {})


def _no(status: int, text: str, headers: Mapping[str, str] | None = None) -> Verdict:
    return Verdict(
        status,
        {"Content-Type": "text/plain; charset=utf-8", **(headers or {})},
        text.encode() + b"\n",
    )


def _same_origin(origin: str | None, host: str) -> bool:
    """Return whether a browser's page comes from this host. No Origin: not a browser."""
    if origin is None:
        return True
    theirs, ours = urlsplit(origin).hostname, urlsplit(f"//{host}").hostname
    if theirs is None or ours is None:
        return False
    return theirs == ours or (is_loopback(theirs) and is_loopback(ours))
