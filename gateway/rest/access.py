"""Who may ask: addresses, names of this machine, tokens, and pages of other origins."""

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from engine.clock import Clock
from engine.log import Log
from engine.tokens import LiveTokens, Token
from gateway.addresses import Addresses
from gateway.rest.errors import Refusal
from gateway.rest.routes import Guard
from gateway.rest.settings import RestSettings
from gateway.scopes import allows
from gateway.settings import is_loopback
from gateway.topics import Topic

METHODS: Final = "GET, HEAD"
SENT_HEADERS: Final = "Authorization, If-None-Match"
SHOWN_HEADERS: Final = "ETag, Retry-After, Vntape-Next-Cursor, Vntape-Warnings"
PREFLIGHT_S: Final = 600  # a browser may remember the answer for so long
FORWARDED: Final = ("Forwarded", "X-Forwarded-For", "X-Real-IP")
TOKEN_CHARS_MAX: Final = 256


class Access:
    """Decides about requests.

    Parameters
    ----------
    settings
        Tokens file, origins, proxies and limits.
    clock
        The time.
    log
        Told when the tokens file cannot be read any more.

    Raises
    ------
    ConfigError
        The tokens file cannot be used, or a proxy is none.
    """

    def __init__(self, settings: RestSettings, clock: Clock, log: Log) -> None:
        self._clock = clock
        self._origins = frozenset(settings.origins)
        self._addresses = Addresses(0, settings.address_requests_max, settings.trusted_proxies)

        def on_trouble(text: str) -> None:
            log.write("error", text)

        self._tokens = (
            LiveTokens(settings.tokens_file, on_trouble, clock) if settings.tokens_file else None
        )

    def admit(self, request: web.Request, guard: Guard) -> Token | None:
        """Let a request in; return whose token it shows.

        Raises
        ------
        Refusal
            429 too many requests, 401 no good token, 403 not of this machine.
        """
        if not self._addresses.said(
            self._addresses.of(request.remote or "", request.headers), self._clock.now_ns()
        ):
            raise Refusal(429, "", "too many requests from this address", {"Retry-After": "1"})
        if self._tokens is None:
            # A page elsewhere whose name was pointed at us shows its own name.
            if not is_local(request.headers.get("Host", "")):
                raise Refusal(403, "Host", "only for programs on this machine")
            return None
        if guard == "open":
            return None
        said = request.headers.get("Authorization")
        if said is None and guard == "operator" and _is_direct(request):
            return None
        scheme, _, secret = (said or "").partition(" ")
        token = None
        if scheme.lower() == "bearer" and len(secret) <= TOKEN_CHARS_MAX:
            token = self._tokens.find(secret.strip())
        if token is None:
            text = "is no good token" if said else "is missing: send `Authorization: Bearer TOKEN`"
            raise Refusal(401, "Authorization", text, {"WWW-Authenticate": "Bearer"})
        return token

    def reaches(self, token: Token | None, topics: Sequence[Topic]) -> None:
        """Check that a token's scopes cover what would be shown.

        Raises
        ------
        Refusal
            403, naming the first topic they do not.
        """
        if token is None:
            return
        for topic in topics:
            if not allows(token.scopes, topic):
                raise Refusal(403, "Authorization", f"the token does not reach {topic.text}")

    def cross_origin(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return what lets a page of another origin read the answer; nothing for a stranger."""
        if not self._origins:
            return {}
        found = {"Vary": "Origin"}
        origin = headers.get("Origin")
        if origin in self._origins:
            found["Access-Control-Allow-Origin"] = origin
            found["Access-Control-Expose-Headers"] = SHOWN_HEADERS
        return found

    def preflight(self, headers: Mapping[str, str]) -> web.Response:
        """Answer a browser that asks whether it may ask.

        Raises
        ------
        Refusal
            403: the origin is not in gateway.origins.
        """
        allowed = self.cross_origin(headers)
        if "Access-Control-Allow-Origin" not in allowed:
            raise Refusal(403, "Origin", "this origin is not in gateway.origins")
        allowed |= {
            "Access-Control-Allow-Methods": METHODS,
            "Access-Control-Allow-Headers": SENT_HEADERS,
            "Access-Control-Max-Age": str(PREFLIGHT_S),
        }
        return web.Response(status=204, headers=allowed)


def is_local(host: str) -> bool:
    """Return whether a request was meant for this machine: a page elsewhere cannot pretend so."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name is not None and is_loopback(name)


def _is_direct(request: web.Request) -> bool:
    """Return whether a program on this machine asks, and no proxy for somebody else."""
    return (
        is_loopback(request.remote or "")
        and is_local(request.headers.get("Host", ""))
        and not any(name in request.headers for name in FORWARDED)
    )
