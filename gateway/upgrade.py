"""What a request to the gateway's port gets: a WebSocket, a small page, or a polite no. Pure.

What a client sent is never repeated in an answer: it may hold a secret, or markup.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote

from engine.tokens import MARK, Token
from gateway.addresses import every
from gateway.groups import Format
from gateway.origins import Origin, allow_list, may_connect
from gateway.presets import PRESETS
from gateway.settings import GatewaySettings

WS_PATH: Final = "/ws"
JSON_PROTOCOL: Final = "vntape.v1.json"
BINARY_PROTOCOL: Final = "vntape.v1.bin"
FORMATS: Final[Mapping[str, Format]] = {JSON_PROTOCOL: "json", BINARY_PROTOCOL: "bin"}
PAGE: Final = (Path(__file__).parent / "static" / "index.html").read_bytes()

TARGET_CHARS_MAX: Final = 1_024
VALUE_CHARS_MAX: Final = 4_096  # of any one header
ONCE: Final = ("Authorization", "Host", "Origin", "Sec-WebSocket-Key", "Sec-WebSocket-Version")
CHARS_MAX: Final = {  # of these, in small letters
    "authorization": 512,
    "host": 300,
    "origin": 300,
    "sec-websocket-key": 64,
    "sec-websocket-protocol": 512,
}
SECRET_NAMES = re.compile(r"(?i)token|auth|bearer|secret|passw|jwt|\bkey\b|api_?key")
BEARER = re.compile(r"(?i)bearer +([!-~]+)")
KEY_BYTES: Final = 16
SAFE: Final = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator allows."""

    origins: frozenset[Origin] = frozenset()  # pages that may connect besides our own
    tokens: bool = False  # whether a client must show one


def rules_of(settings: GatewaySettings) -> Rules:
    """Return the rules of a gateway's settings.

    Raises
    ------
    ConfigError
        An origin that is none.
    """
    return Rules(allow_list(settings.origins), bool(settings.tokens_file))


@dataclass(frozen=True, slots=True)
class Verdict:
    """How to answer an HTTP request. Status 101 means: speak WebSocket."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    format: Format = "json"
    preset: str | None = None  # of gateway.presets: subscribe to it at once
    token: Token | None = None  # shown in the request; None: none needed, or it must be said yet


def judge(
    path: bytes,
    headers: Mapping[str, str],
    rules: Rules,
    token_of: Callable[[str], Token | None],
) -> Verdict:
    """Decide about one request.

    Parameters
    ----------
    path
        Request target.
    headers
        Case-insensitive; with `getall` when a header can stand there twice.
    rules
        What the operator allows.
    token_of
        Returns the token of a secret, None for a wrong one. Asked only when tokens are needed.

    Returns
    -------
    Verdict
        400 a broken or unsafe request, 401 a wrong token, 403 a page of somebody else, 404 no such
        place, 414 and 431 too long, 426 no WebSocket.
    """
    target = path.decode("latin-1")
    refusal = _too_long(target, headers) or _unsafe(target, headers)
    if refusal is not None:
        return refusal
    where = target.partition("?")[0]
    if where == "/":
        return Verdict(200, {**SAFE, "Content-Type": "text/html; charset=utf-8"}, PAGE)
    preset = where.removeprefix(WS_PATH + "/")
    if where != WS_PATH and (preset == where or preset not in PRESETS):
        places = ", ".join([WS_PATH, *(f"{WS_PATH}/{name}" for name in PRESETS)])
        return _no(404, f"nothing here; WebSockets are at {places}")
    refusal = _no_websocket(headers)
    if refusal is not None:
        return refusal
    if not may_connect(
        headers.get("Origin"), headers.get("Host", ""), rules.origins, anonymous=not rules.tokens
    ):
        return _no(403, "pages of another host may not connect, unless gateway.origins lists them")
    token = None
    if rules.tokens and "Authorization" in headers:
        said = BEARER.fullmatch(headers["Authorization"])
        token = token_of(said[1]) if said else None
        if token is None:
            return _no(
                401,
                "the token is unknown, revoked or expired; send `Authorization: Bearer TOKEN`, or "
                'none here and {"op":"auth","token":"..."} as the first message',
                {"WWW-Authenticate": 'Bearer error="invalid_token"'},
            )
    protocol = _protocol(headers)
    if isinstance(protocol, Verdict):
        return protocol
    return Verdict(
        101,
        {"Sec-WebSocket-Protocol": protocol} if protocol else {},
        format=FORMATS[protocol or JSON_PROTOCOL],
        preset=None if where == WS_PATH else preset,
        token=token,
    )


def _no(status: int, text: str, headers: Mapping[str, str] | None = None) -> Verdict:
    return Verdict(
        status,
        {**SAFE, "Content-Type": "text/plain; charset=utf-8", **(headers or {})},
        text.encode() + b"\n",
    )


def _too_long(target: str, headers: Mapping[str, str]) -> Verdict | None:
    if len(target) > TARGET_CHARS_MAX:
        return _no(414, f"a request target has at most {TARGET_CHARS_MAX} characters")
    for name, value in headers.items():
        most = CHARS_MAX.get(name.lower(), VALUE_CHARS_MAX)
        if len(value) > most:
            return _no(431, f"a header of this kind has at most {most} characters")
    return None


def _unsafe(target: str, headers: Mapping[str, str]) -> Verdict | None:
    """Refuse what could be read in two ways, and secrets where logs keep them."""
    for name in ONCE:
        if len(every(headers, name)) > 1:
            return _no(400, f"{name} stands there twice")
    names = [name for name, _ in parse_qsl(target.partition("?")[2], keep_blank_values=True)]
    if MARK in unquote(target) or any(SECRET_NAMES.search(name) for name in names):
        return _no(
            400,
            "a token does not belong in a URL: logs and histories keep URLs. If this was a real "
            "one, replace it (vntape token rm, vntape token new). Send `Authorization: Bearer "
            'TOKEN`, or {"op":"auth","token":"..."} as the first message',
        )
    return None


def _no_websocket(headers: Mapping[str, str]) -> Verdict | None:
    if "websocket" not in headers.get("Upgrade", "").lower():
        return _no(426, "WebSocket only", {"Upgrade": "websocket"})
    if headers.get("Sec-WebSocket-Version", "") != "13":
        return _no(426, "WebSocket version 13 only", {"Sec-WebSocket-Version": "13"})
    try:
        key = base64.b64decode(headers.get("Sec-WebSocket-Key", ""), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEY_BYTES:
        return _no(400, f"Sec-WebSocket-Key is no base64 of {KEY_BYTES} bytes")
    return None


def _protocol(headers: Mapping[str, str]) -> str | Verdict:
    """Return the first sub-protocol offered that we speak; "" when none is offered."""
    text = ",".join(every(headers, "Sec-WebSocket-Protocol"))
    offered = [word for word in (part.strip() for part in text.split(",")) if word]
    known = next((word for word in offered if word in FORMATS), None)
    if offered and known is None:
        return _no(400, f"unknown sub-protocol; use {' or '.join(FORMATS)}, or none")
    return known or ""
