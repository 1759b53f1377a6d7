"""SSI FastConnect v3 over REST: rows of its lookups, within the session of `session_v3`."""

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp

from engine.clock import Clock
from engine.feed.lookups import Lookups
from engine.feed.reconnect import TOO_MANY_REQUESTS
from engine.feed.session_v3 import RestV3Settings, SessionV3
from engine.feed.v3_link import Refused

DATA_PATH = "/api/v3/data/"
QUOTA_WAIT_S = 1.0  # when a 429 does not say
QUOTA_WAIT_S_MAX = 30.0


class RestV3(SessionV3, Lookups):
    """Asks SSI's v3 REST host. One object per key, shared by everyone who asks with that key.

    Parameters
    ----------
    settings
        Where and as whom.
    clock
        Judges a token's age.
    """

    def __init__(self, settings: RestV3Settings, clock: Clock) -> None:
        SessionV3.__init__(self, settings, clock)
        Lookups.__init__(self, settings.interval_s)
        self._lookup_turn = asyncio.Lock()

    async def get(
        self, http: aiohttp.ClientSession, api: str, **query: str | int
    ) -> list[dict[str, Any]]:
        """Return one page of rows of a lookup; none when the server has no data.

        Waits for its turn. A refused token is renewed once; a 429 is waited out once.

        Parameters
        ----------
        api
            A name below ``/api/v3/data/``, as ``ohlc``, or a whole path.
        query
            For example ``symbol="SSI", timeFrame="1m"``.

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
                except Refused as error:
                    if error.status == TOO_MANY_REQUESTS and not waited:
                        waited = True
                        await asyncio.sleep(min(error.wait_s or QUOTA_WAIT_S, QUOTA_WAIT_S_MAX))
                    elif error.status == 401 and not renewed:
                        renewed = True
                        if token == self._token:  # else somebody renewed it meanwhile
                            self.forget_token()
                    else:
                        raise

    async def _rows(
        self,
        http: aiohttp.ClientSession,
        api: str,
        token: str,
        query: Mapping[str, str | int],
    ) -> list[dict[str, Any]]:
        """Make one lookup.

        Rows come bare, or as ``data`` of an envelope. No rows are ``{"code": 204}``.
        """
        now_s = asyncio.get_running_loop().time
        path = api if api.startswith("/") else DATA_PATH + api
        try:
            answer = await self._ask(
                http,
                path.rsplit("/", 1)[-1],
                "GET",
                path,
                headers={"Authorization": f"Bearer {token}"},
                query={name: str(value) for name, value in query.items()},
            )
        finally:
            self._lookup_due_s = now_s() + self._settings.interval_s
        rows = answer.get("data") or [] if isinstance(answer, dict) else answer
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self._failure(f"{path} answered no rows")
        return rows
