"""What the REST clients of both versions do alike: pages, and turns between lookups."""

import asyncio
from abc import ABC, abstractmethod
from typing import Any

import aiohttp

from engine.feed.source import FeedError

PAGE_SIZE = 1_000
PAGES_MAX = 10

Rows = list[dict[str, Any]]


class Lookups(ABC):
    """Lookups one after the other, never faster than the quota allows.

    Parameters
    ----------
    interval_s
        Least time between two lookups.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._lookup_due_s = 0.0  # on the loop's clock

    @abstractmethod
    async def token(self, http: aiohttp.ClientSession) -> str:
        """Return a token that may be used now."""

    @abstractmethod
    async def get(self, http: aiohttp.ClientSession, api: str, **query: str | int) -> Rows:
        """Return the rows of one page of a lookup."""

    def row_count(self, page: Rows) -> int:
        """Return how many rows of the lookup a page stands for."""
        return len(page)

    async def pages(self, http: aiohttp.ClientSession, api: str, **query: str | int) -> Rows:
        """Return the rows of all pages of a lookup, at most `PAGES_MAX`; raises as `get`.

        The last page is short.
        """
        rows: Rows = []
        before: Rows = []
        for number in range(1, PAGES_MAX + 1):
            page = await self.get(http, api, **query, pageIndex=number, pageSize=PAGE_SIZE)
            if page == before:  # a server that does not know pages repeats itself
                break
            rows += page
            if self.row_count(page) < PAGE_SIZE:
                break
            before = page
        return rows

    async def _token_when_due(self, http: aiohttp.ClientSession) -> str:
        """Return the token once the next lookup is due.

        A token that is not given costs a turn too: a long backlog must not become a storm of
        logins at a server that refuses them.
        """
        now_s = asyncio.get_running_loop().time
        await asyncio.sleep(max(0.0, self._lookup_due_s - now_s()))
        try:
            return await self.token(http)
        except FeedError:
            self._lookup_due_s = now_s() + self._interval_s
            raise
