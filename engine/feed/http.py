"""One HTTP request whose every failure is one line that an operator can act on.

Certificates are verified, redirects are refused (they would carry a token elsewhere), cookies are
dropped, and no text here holds more of a URL than its host.
"""

import os
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from engine import __version__
from engine.feed.source import FeedError

ANSWER_BYTES_MAX = 32 * 1024 * 1024  # a thousand securities with all details are one or two
CHUNK_BYTES = 256 * 1024

HINTS = {
    400: "the server does not accept the request as it is",
    401: "the key or its token is not accepted: is the key right, and younger than a year?",
    403: "is this machine's address among those the key is allowed to be used from?",
    404: "is the address complete?",
    429: "too many requests with this key",
    502: "normal outside trading hours; else: is stream_url the streaming host, not REST's?",
}


def host_of(url: str) -> str:
    """Return the part of a URL that may be shown."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def tls_context(*urls: str) -> ssl.SSLContext | None:
    """Return what verifies the servers, or None when no URL needs it.

    The machine's certificate authorities, or those of the file that ``SSL_CERT_FILE`` names.
    """
    secure = any(url.lower().startswith(("https:", "wss:")) for url in urls)
    return ssl.create_default_context() if secure else None


def open_session(tls: ssl.SSLContext | None) -> aiohttp.ClientSession:
    """Return a session for `ask`.

    Every request has a connection of its own: one kept from before an outage may be dead without
    looking so, and would cost a whole timeout just when time matters.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls if tls is not None else True, force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": f"vntape/{__version__}"},
    )


def refused(what: str, status: int, reason: str = "", said: str = "") -> FeedError:
    """Return the error for an answer that is not the one we need.

    Parameters
    ----------
    what
        What was asked for, in a word.
    status, reason
        The answer's status line.
    said
        What the server gives as its reason, if it does.
    """
    hint = HINTS.get(status, "")
    if 300 <= status < 400:
        hint = "redirects are not followed, set the final address"
    elif status >= 500 and not hint:
        hint = "the server has a problem"
    text = f"{what} answered {int(status)} {reason}".rstrip()
    return FeedError(": ".join(part for part in (text, said, hint) if part), status)


def unreachable(what: str, url: str, error: Exception, timeout_s: float) -> FeedError:
    """Return the error for a server that could not be asked at all."""
    host = host_of(url)
    cause: BaseException = error
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return FeedError(
            f"{what}: the certificate of {host} is not trusted: {cause.verify_message} "
            "(SSL_CERT_FILE may name a file of authorities)"
        )
    if isinstance(error, TimeoutError):
        return FeedError(f"{what}: {host} did not answer within {timeout_s:g} s")
    if isinstance(error, ssl.SSLError | aiohttp.ClientConnectorSSLError):
        return FeedError(f"{what}: {host} does not speak TLS as we do ({type(error).__name__})")
    number = getattr(error, "errno", None) or 0
    reason = os.strerror(number) if number > 0 else type(error).__name__
    return FeedError(f"{what}: cannot reach {host}: {reason}")


def _said(body: bytes) -> str:
    """Return the ``message`` of an error in JSON, as SSI words them, or nothing."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    said = answer.get("message") if isinstance(answer, dict) else None
    return said if isinstance(said, str) else ""


async def ask(
    http: aiohttp.ClientSession,
    what: str,
    method: str,
    url: str,
    *,
    timeout_s: float,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    body: dict[str, Any] | None = None,
) -> bytes:
    """Make one request and return the body of its 200.

    Parameters
    ----------
    what
        Names the request in an error.
    timeout_s
        For all of it, from the name lookup to the last byte.
    body
        Sent as JSON.

    Raises
    ------
    FeedError
        Any other outcome, with the HTTP status when there was one. What the server said may hold
        our secrets: clean the text before it is shown.
    """
    response, answer = await exchange(
        http, what, method, url, timeout_s=timeout_s, headers=headers, query=query, body=body
    )
    if response.status != 200:
        raise refused(what, response.status, response.reason or "", _said(answer))
    return answer


async def exchange(
    http: aiohttp.ClientSession,
    what: str,
    method: str,
    url: str,
    *,
    timeout_s: float,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, Any] | None = None,
    body: Mapping[str, Any] | None = None,
) -> tuple[aiohttp.ClientResponse, bytes]:
    """Make one request; return the response and its whole body, whatever its status.

    Takes what `ask` takes.

    Raises
    ------
    FeedError
        Nobody answered in time, or with too much.
    """
    answer = bytearray()
    try:
        async with http.request(
            method,
            url,
            headers=headers,
            params=query,
            json=body,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=timeout_s),
        ) as response:
            async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                answer += chunk
                if len(answer) > ANSWER_BYTES_MAX:
                    raise FeedError(f"{what} answered more than {ANSWER_BYTES_MAX} bytes")
    except (aiohttp.ClientError, OSError) as error:
        raise unreachable(what, url, error, timeout_s) from None
    return response, bytes(answer)
