"""SSI FastConnect v2 over REST: the access token, and rows of its lookups (ssi-wire section 2).

What is asked costs quota, so a token is kept while it is fresh and lookups are made one at a
time, `interval_s` apart. A refusal is an answer of status 200 with the real status in its body.
"""

import asyncio
import re
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from engine.clock import Clock
from engine.feed.http import ask
from engine.feed.lookups import Lookups, Rows
from engine.feed.reconnect import TOO_MANY_REQUESTS
from engine.feed.redact import Redactor
from engine.feed.source import FeedError
from engine.feed.tokens import expiry_s

PATH = "api/v2/Market/"
UNAUTHORISED = 401

# "API calls quota exceeded! maximum admitted x per y s" (section 1.8): the window is y seconds.
QUOTA_WORD = "quota"
QUOTA_WINDOW = re.compile(r"per\s+(\d+(?:\.\d+)?)\s*s", re.IGNORECASE)
QUOTA_WINDOW_MAX_S = 60.0


@dataclass(frozen=True, slots=True)
class RestSettings:
    """Where to ask and as whom. `repr` shows neither id nor secret.

    Parameters
    ----------
    url
        REST host, for example ``https://fc-data.ssi.com.vn/``.
    timeout_s
        Limit for one request.
    interval_s
        Least time between two lookups.
    token_margin_s
        A token with less left than this is not used for anything new.
    """

    url: str
    consumer_id: str = field(repr=False)
    consumer_secret: str = field(repr=False)
    timeout_s: float
    interval_s: float
    token_margin_s: float


class RestV2(Lookups):
    """Asks SSI's REST host. One object per key, shared by everyone who asks with that key.

    Parameters
    ----------
    settings
        Where and as whom.
    clock
        Judges a token's age.
    """

    def __init__(self, settings: RestSettings, clock: Clock) -> None:
        super().__init__(settings.interval_s)
        self.request_count = 0
        self.failure_count = 0
        self.token_expires_s = 0  # UTC seconds; 0: no token is kept
        self.margin_s = settings.token_margin_s  # of the token that is kept
        self._settings = settings
        self._clock = clock
        self._redactor = Redactor(settings.consumer_id, settings.consumer_secret)
        self._token = ""
        self._token_turn = asyncio.Lock()  # one token is fetched for all who wait
        self._lookup_turn = asyncio.Lock()

    def row_count(self, page: Rows) -> int:
        """Count rows, or what they wrap (SecuritiesDetails)."""
        return sum(
            max([1, *(len(value) for value in row.values() if isinstance(value, list))])
            for row in page
        )

    def clean(self, text: str) -> str:
        """Return text that may be shown: one line, cut, without any secret of ours."""
        return self._redactor.clean(text)

    def hide(self, secret: str) -> None:
        """Make `clean` cover one more secret."""
        self._redactor.hide(secret)

    # Token ----------------------------------------------------------------------------------

    async def token(self, http: aiohttp.ClientSession) -> str:
        """Return the access token: the one at hand while it is fresh, else a new one.

        A token whose expiry cannot be read is not kept.

        Raises
        ------
        FeedError
            None was given. The text may be shown; `status` is 401 for a key that is not accepted.
        """
        async with self._token_turn:
            fresh = self.token_expires_s - self._now_s() > self.margin_s
            return self._token if self._token and fresh else await self._fetch_token(http)

    async def renew(self, http: aiohttp.ClientSession) -> str:
        """Return a new token in any case. On failure the present one is kept; raises as `token`."""
        async with self._token_turn:
            return await self._fetch_token(http)

    def forget_token(self) -> None:
        """Make the next `token` a new one: a server did not accept this one."""
        self._token, self.token_expires_s = "", 0

    async def _fetch_token(self, http: aiohttp.ClientSession) -> str:
        settings = self._settings
        answer = await self._ask(
            http,
            "POST",
            "AccessToken",
            body={"consumerID": settings.consumer_id, "consumerSecret": settings.consumer_secret},
        )
        data = answer.get("data")
        token = data.get("accessToken") if isinstance(data, dict) else None
        if token is None:  # a bad key is told in the body: status 400 (section 2.1)
            said = self._reason(answer)
            raise self._failure(
                f"AccessToken was refused: {said} (check the consumer id and secret, and the "
                "key's age)",
                TOO_MANY_REQUESTS if QUOTA_WORD in said.lower() else UNAUTHORISED,
            )
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise self._failure("AccessToken answered something that cannot be a token")
        if not token:
            raise self._failure("AccessToken answered an empty token")
        self._redactor.hide(token)
        expires_s, now_s = expiry_s(token), self._now_s()
        if expires_s <= now_s:  # unknown, or already over: ours or the server's clock is wrong
            self.forget_token()
            return token
        # Of a token with a short life half is left, else it would be renewed at every use.
        self.margin_s = min(settings.token_margin_s, (expires_s - now_s) / 2)
        self._token, self.token_expires_s = token, expires_s
        return token

    # Lookups --------------------------------------------------------------------------------

    async def get(
        self, http: aiohttp.ClientSession, api: str, **query: str | int
    ) -> list[dict[str, Any]]:
        """Return one page of rows of a lookup; none when the server has no data.

        Waits for its turn. A refused token is renewed once; a message about the quota is waited
        out once.

        Parameters
        ----------
        api
            For example ``Securities`` (section 2.2).
        query
            For example ``market="HOSE", pageIndex=1``.

        Raises
        ------
        FeedError
            No rows, and no honest absence of them either. The text may be shown.
        """
        async with self._lookup_turn:
            renewed = waited = False
            while True:
                token = await self._token_when_due(http)
                try:
                    return await self._rows(http, api, token, query)
                except _Quota as error:
                    if waited:
                        raise
                    waited = True
                    await asyncio.sleep(error.window_s)
                except FeedError as error:
                    if error.status != UNAUTHORISED or renewed:
                        raise
                    renewed = True
                    if token == self._token:  # else somebody renewed it meanwhile
                        self.forget_token()

    async def _rows(
        self, http: aiohttp.ClientSession, api: str, token: str, query: dict[str, str | int]
    ) -> list[dict[str, Any]]:
        """Make one lookup."""
        now_s = asyncio.get_running_loop().time
        try:
            answer = await self._ask(
                http,
                "GET",
                api,
                headers={"Authorization": f"Bearer {token}"},
                query={name: str(value) for name, value in query.items()},
            )
        except FeedError as error:
            if error.status != TOO_MANY_REQUESTS:
                raise
            raise _Quota(str(error), self._settings.interval_s) from None
        finally:
            self._lookup_due_s = now_s() + self._settings.interval_s
        data, said = answer.get("data"), self._reason(answer)
        if answer.get("status") in ("Success", 200) and (data is None or isinstance(data, list)):
            rows = data or []
            if not all(isinstance(row, dict) for row in rows):
                raise self._failure(f"{api} answered rows that are not objects")
            return rows
        if QUOTA_WORD in said.lower():
            self.failure_count += 1
            raise _Quota(self.clean(f"{api} was refused: {said}"), self._settings.interval_s)
        status = answer.get("status")
        raise self._failure(f"{api} was refused: {said}", status if isinstance(status, int) else 0)

    # Requests -------------------------------------------------------------------------------

    async def _ask(
        self,
        http: aiohttp.ClientSession,
        method: str,
        api: str,
        *,
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
        body: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Make one request and return the JSON object it is answered with."""
        url = f"{self._settings.url.rstrip('/')}/{PATH}{api}"
        self.request_count += 1
        try:
            text = await ask(
                http,
                api,
                method,
                url,
                timeout_s=self._settings.timeout_s,
                headers=headers,
                query=query,
                body=body,
            )
        except FeedError as error:
            raise self._failure(str(error), error.status) from None
        try:
            answer = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise self._failure(f"{api} answered {len(text)} bytes that are not JSON") from None
        if not isinstance(answer, dict):
            raise self._failure(f"{api} answered JSON that is not an object")
        return answer

    def _failure(self, text: str, status: int = 0) -> FeedError:
        self.failure_count += 1
        return FeedError(self.clean(text), status)

    def _reason(self, answer: dict[str, Any]) -> str:
        said = answer.get("message")
        return said if isinstance(said, str) and said else "no reason given"

    def _now_s(self) -> float:
        return self._clock.now_ns() / 1e9


class _Quota(FeedError):
    """Too many lookups; `window_s` says how long to wait."""

    def __init__(self, text: str, interval_s: float) -> None:
        super().__init__(text, TOO_MANY_REQUESTS)
        found = QUOTA_WINDOW.search(text)
        self.window_s = min(max(interval_s, float(found[1]) if found else 0.0), QUOTA_WINDOW_MAX_S)
