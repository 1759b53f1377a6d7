"""The session of SSI FastConnect v3: login, OTP, refresh, and what every request has in common.

Facts from ssi-wire section 8 and the official SDK 3.3.2. A key has one session. A login with an
OTP opens it, and each refresh token prolongs it once: the answer holds the next one, and a server
that sees a used one again ends the session. So a refresh that has been sent is always waited for,
and its answer is on disk before it is used.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import orjson

from engine.clock import Clock
from engine.feed.http import HINTS, exchange
from engine.feed.reconnect import TOO_MANY_REQUESTS
from engine.feed.redact import Redactor
from engine.feed.refresh_file import RefreshFile, RefreshToken
from engine.feed.source import FeedError
from engine.feed.tokens import expiry_s
from engine.feed.v3_link import Refused, number_or_zero

LOGIN_PATH = "/api/v3/auth/token"
REFRESH_PATH = "/api/v3/auth/refresh"
OTP_PATH = "/api/v3/auth/requestOtp"

# In place of a code: ask SSI for one. It pushes an approval to a device, or sends a message.
OTP_REQUEST = "request"

PENDING = 401_114  # with HTTP 202: the approval has been asked for and not been given
NOT_APPROVED = frozenset({401_113, 401_115, 401_116})  # unknown, rejected, of somebody else
SESSION_OVER = frozenset({401_101, 401_102, 401_103, 401_104, 401_106, 401_107, 401_108})
NO_DATA = 204

MILLISECONDS_FROM = 10**10  # as seconds this is the year 2286

LOG_IN_AGAIN = "set VNTAPE_OTP to a new code (or to 'request') and start again"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RestV3Settings:
    """Where to ask and as whom. `repr` shows no secret.

    Parameters
    ----------
    url
        REST host, for example ``https://api.ssi.com.vn/``.
    api_key, api_secret
        SSI's key.
    otp
        A code from SMS, e-mail or the app, used once; ``request`` to ask SSI for an approval on
        the device or for a message; empty to log in without, which a stream may not accept.
    token_file
        Keeps the refresh token for the next start; None keeps it in memory only.
    timeout_s
        Limit for one request.
    interval_s
        Least time between two lookups.
    token_margin_s
        A token with less left than this is not used for anything new.
    otp_poll_s, otp_poll_max
        How often, and how many times, to ask whether the approval has been given.
    """

    url: str
    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)
    otp: str = field(repr=False)
    token_file: Path | None
    timeout_s: float
    interval_s: float
    token_margin_s: float
    otp_poll_s: float = 5.0
    otp_poll_max: int = 12


class SessionV3:
    """Keeps one key's session with SSI's v3 REST host.

    Parameters
    ----------
    settings
        Where and as whom.
    clock
        Judges a token's age.

    Attributes
    ----------
    tell
        Called with one line when a person has to do something while we wait.
    """

    def __init__(self, settings: RestV3Settings, clock: Clock) -> None:
        self.request_count = 0
        self.failure_count = 0
        self.token_expires_s = 0  # UTC seconds; 0: unknown, or no token is kept
        self.margin_s = settings.token_margin_s  # of the token that is kept
        self.tell: Callable[[str], None] = lambda _line: None
        self._settings = settings
        self._clock = clock
        self._redactor = Redactor(settings.api_key, settings.api_secret)
        if settings.otp != OTP_REQUEST:
            self._redactor.hide(settings.otp)
        self._otp_used = False  # a code is good for one login, an approval is asked for once
        self._transaction = ""  # of an approval that was asked for
        self._token = ""
        self._refresh: RefreshToken | None = None
        self._file = RefreshFile(settings.token_file, settings.api_key)
        self._file_read = False
        self._token_turn = asyncio.Lock()  # one token is fetched for all who wait

    def clean(self, text: str) -> str:
        """Return text that may be shown: one line, cut, without any secret of ours."""
        return self._redactor.clean(text)

    def hide(self, secret: str) -> None:
        """Make `clean` cover one more secret."""
        self._redactor.hide(secret)

    # Session --------------------------------------------------------------------------------

    async def token(self, http: aiohttp.ClientSession) -> str:
        """Return the access token: the one at hand while it is fresh, else a new one.

        One whose expiry is unknown is kept until `forget_token`.

        Raises
        ------
        FeedError
            None was given. The text may be shown; `status` is 401 when only a person can help.
        """
        async with self._token_turn:
            left_s = self.token_expires_s - self._now_s()
            if self._token and (not self.token_expires_s or left_s > self.margin_s):
                return self._token
            return await self._open_session(http)

    async def renew(self, http: aiohttp.ClientSession) -> str:
        """Return a new token in any case. On failure the present one is kept; raises as `token`."""
        async with self._token_turn:
            return await self._open_session(http)

    def forget_token(self) -> None:
        """Make the next `token` a new one: a server did not accept this one."""
        self._token, self.token_expires_s = "", 0

    async def _open_session(self, http: aiohttp.ClientSession) -> str:
        """Prolong the session, or log in when there is none to prolong."""
        if not self._file_read:
            self._refresh, self._file_read = self._file.load(), True
        refresh = self._refresh
        if refresh is not None and 0 < refresh.expires_s <= self._now_s():
            self._end_session()
            refresh = None
        if refresh is not None:
            self._redactor.hide(refresh.text)
            try:
                return await self._take(
                    http, "auth/refresh", REFRESH_PATH, {"refreshToken": refresh.text}
                )
            except Refused as error:
                if error.code not in SESSION_OVER:
                    raise
                self._end_session()
                if not self._settings.otp or self._otp_used:
                    raise Refused(
                        self.clean(f"SSI has ended the session ({error.code}): {LOG_IN_AGAIN}"),
                        error.code,
                    ) from None
        return await self._log_in(http)

    def _end_session(self) -> None:
        """Forget the refresh token, here and on disk."""
        self._refresh = None
        self._file.clear()

    async def _log_in(self, http: aiohttp.ClientSession) -> str:
        settings = self._settings
        key = {"apiKey": settings.api_key, "apiSecret": settings.api_secret}
        if not settings.otp:
            return await self._take(http, "auth/token", LOGIN_PATH, key)
        if self._otp_used:
            raise Refused(f"the session is over and the OTP was used: {LOG_IN_AGAIN}", 401)
        if settings.otp == OTP_REQUEST:
            return await self._log_in_by_approval(http, key)
        try:
            token = await self._take(http, "auth/token", LOGIN_PATH, {**key, "otp": settings.otp})
        except Refused as error:
            self._otp_used = error.status < 500 and error.status != TOO_MANY_REQUESTS
            raise
        self._otp_used = True
        return token

    async def _log_in_by_approval(self, http: aiohttp.ClientSession, key: Mapping[str, str]) -> str:
        """Ask for an approval once, and then whether it has been given.

        One that is still pending after the last question is asked about again by the next call.
        """
        if not self._transaction:
            answer = await self._post(http, "auth/requestOtp", OTP_PATH, key)
            self._transaction = str(_payload(answer).get("transactionId") or "")
            if not self._transaction:  # a message with a code: only a person can go on
                self._otp_used = True
                raise Refused(
                    "SSI has sent a code by message: set VNTAPE_OTP to it and start again", 401
                )
            self._redactor.hide(self._transaction)
        self.tell("waiting for the login to be approved on the device")
        for number in range(self._settings.otp_poll_max):
            if number:
                await asyncio.sleep(self._settings.otp_poll_s)
            try:
                token = await self._take(
                    http, "auth/token", LOGIN_PATH, {**key, "transactionId": self._transaction}
                )
            except Refused as error:
                if error.code == PENDING:
                    continue
                if error.code in NOT_APPROVED:
                    self._transaction, self._otp_used = "", True
                    raise Refused(
                        f"the login was not approved ({error.code}): start again to ask again",
                        error.code,
                    ) from None
                raise
            self._transaction, self._otp_used = "", True
            return token
        raise Refused("nobody has approved the login on the device yet", PENDING)

    async def _take(
        self, http: aiohttp.ClientSession, what: str, path: str, body: Mapping[str, str]
    ) -> str:
        """Make a request that answers with tokens, and keep them, even if cancelled meanwhile."""

        async def take() -> str:
            return self._keep(what, _payload(await self._post(http, what, path, body)))

        return await _finished(take())

    def _keep(self, what: str, tokens: dict[str, Any]) -> str:
        """Keep an answer's tokens and return the access token."""
        token, refresh = tokens.get("accessToken"), tokens.get("refreshToken")
        if isinstance(refresh, str) and refresh:
            self._redactor.hide(refresh)
            self._refresh = RefreshToken(refresh, _epoch_s(tokens.get("refreshExpiresAt")))
            try:
                self._file.store(self._refresh)
            except OSError as error:
                self.tell(
                    "the refresh token cannot be written, so a restart will need a new OTP: "
                    f"{error.strerror}"
                )
        else:  # what we had is used up
            self._end_session()
        if not isinstance(token, str) or not (token and token.isascii() and token.isprintable()):
            raise self._failure(f"{what} answered something that cannot be a token")
        self._redactor.hide(token)
        now_s = self._now_s()
        expires = [
            _epoch_s(tokens.get("expiresAt")) or expiry_s(token),
            self._refresh.expires_s if self._refresh else 0,  # beyond it nothing can be renewed
        ]
        known = [
            each for each in expires if each > now_s
        ]  # else our clock or the server's is wrong
        self._token, self.token_expires_s = token, min(known, default=0)
        if known:
            # Of a token with a short life half is left, else it would be renewed at every use.
            self.margin_s = min(self._settings.token_margin_s, (min(known) - now_s) / 2)
        return token

    # Requests -------------------------------------------------------------------------------

    async def _post(
        self, http: aiohttp.ClientSession, what: str, path: str, body: Mapping[str, str]
    ) -> dict[str, Any]:
        answer = await self._ask(http, what, "POST", path, body=body)
        if not isinstance(answer, dict):
            raise self._failure(f"{what} answered JSON that is not an object")
        return answer

    async def _ask(
        self,
        http: aiohttp.ClientSession,
        what: str,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, str] | None = None,
    ) -> Any:
        """Make one request and return its JSON.

        A failure may come as an HTTP status or as ``{"code", "msg"}`` with any status; a pending
        approval is HTTP 202.
        """
        url = f"{self._settings.url.rstrip('/')}{path}"
        timeout_s = self._settings.timeout_s
        self.request_count += 1
        try:
            response, text = await exchange(
                http,
                what,
                method,
                url,
                timeout_s=timeout_s,
                headers=headers,
                query=query,
                body=body,
            )
        except FeedError as error:
            raise self._failure(str(error)) from None
        try:
            answer: Any = orjson.loads(text)
        except orjson.JSONDecodeError:
            answer = None
        said = answer if isinstance(answer, dict) else {}
        status, code = response.status, int(number_or_zero(said.get("code")))
        if status == NO_DATA or (status < 300 and code == NO_DATA):
            return {}
        spoken = "msg" in said or "message" in said
        if status >= 300 or (spoken and code not in (0, 200)):
            reason = said.get("msg") or said.get("message") or response.reason or ""
            raise self._refused(what, code if code >= 100 else status, str(reason), response)
        if answer is None:
            raise self._failure(f"{what} answered {len(text)} bytes that are not JSON")
        return answer

    def _refused(
        self, what: str, code: int, reason: str, response: aiohttp.ClientResponse
    ) -> Refused:
        hint = HINTS.get(response.status, "the server has a problem" if code >= 500 else "")
        parts = (f"{what} answered {code} {reason}".rstrip(), hint)
        self.failure_count += 1
        return Refused(
            self.clean(": ".join(part for part in parts if part)),
            code,
            number_or_zero(response.headers.get("Retry-After")),
        )

    def _failure(self, text: str) -> FeedError:
        self.failure_count += 1
        return FeedError(self.clean(text))

    def _now_s(self) -> float:
        return self._clock.now_ns() / 1e9


def _payload(answer: dict[str, Any]) -> dict[str, Any]:
    """Return what an answer is about: its ``data``, or itself."""
    data = answer.get("data", answer)
    return data if isinstance(data, dict) else {}


def _epoch_s(value: object) -> int:
    """Read a moment in seconds or milliseconds; 0 when it is missing or nonsense."""
    moment = int(number_or_zero(value))
    return moment // 1_000 if moment >= MILLISECONDS_FROM else moment


async def _finished(work: Awaitable[T]) -> T:
    """Await to the end even when cancelled: a used refresh token has only its answer left."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # seen: nobody waits for it any more
        raise
