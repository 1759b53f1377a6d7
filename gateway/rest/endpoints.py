"""The handler of every route, by its name."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import orjson
from aiohttp import web

from engine.clock import Clock
from engine.history.tables import BASIS, BY_NAME, INDICES
from engine.status import Sources
from gateway.rest import health, openapi
from gateway.rest.answers import Answer
from gateway.rest.app import Endpoint
from gateway.rest.errors import Refusal, json_response
from gateway.rest.follower import Follower
from gateway.rest.history import HistoryService
from gateway.rest.history_request import SHAPES, Request, parse
from gateway.rest.market import Market
from gateway.rest.metrics import CONTENT_TYPE, exposition
from gateway.rest.notable import Notable
from gateway.rest.routes import Route
from gateway.rest.settings import RestSettings

ASKED: Final = "asked"  # among the values of a history route: its Request
NO_HISTORY: Final = "no history is recorded: set history.record = on and journal.write = on"

Values = Mapping[str, Any]
Tell = Callable[[web.Request, Answer], web.Response]


class Endpoints:
    """Answers for every route.

    Parameters
    ----------
    settings
        Of the process.
    follower
        The market's rows.
    whole
        Whether the follower has heard everybody.
    sources
        Everybody's counters.
    history
        None when none is recorded.
    clock
        The time.
    """

    def __init__(
        self,
        settings: RestSettings,
        follower: Follower,
        whole: Callable[[], bool],
        sources: Sources,
        history: HistoryService | None,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._whole = whole
        self._sources = sources
        self._history = history
        self._clock = clock
        self._market = Market(follower, lambda: health.feed_state(sources))
        self._notable = Notable(follower, self._market, lambda: health.feed_state(sources))
        self._exposition = exposition(sources, clock.now_ns)
        self.status = health.StatusPage(sources)

    def table(self, tell: Tell) -> dict[str, Endpoint]:
        """Return handlers by route name; `tell` sends an answer about the present."""
        market, notable = self._market, self._notable
        present: dict[str, Callable[[Values], Answer]] = {
            "snapshot": market.snapshot,
            "foreign_detail": market.foreign_detail,
            "volume_stats": market.volume_stats,
            "basis_trend": market.basis_trend,
            "alerts": notable.alerts,
            "feed": notable.feed,
            "gaps": notable.gaps,
        }

        async def now(
            answer: Callable[[Values], Answer], request: web.Request, values: Values
        ) -> web.Response:
            return tell(request, answer(values))

        asked = ("index", "derivatives", *SHAPES, "rows")
        return {
            **{name: partial(now, answer) for name, answer in present.items()},
            "history_tables": self._tables,
            **{f"history_{shape}": self._rows for shape in asked},
            "livez": self._livez,
            "readyz": self._readyz,
            "statusz": self._statusz,
            "metrics": self._metrics,
            "openapi": self._openapi,
            "asyncapi": self._asyncapi,
        }

    # --- history ----------------------------------------------------------------------------------

    def question(self, route: Route, request: web.Request) -> Values:
        """Read the question of a history route; the values say what it would show.

        Raises
        ------
        Refusal
            It cannot be asked.
        """
        path = request.match_info
        table, key = path.get("table"), None
        if table is None:
            (named,) = path.items()
            key = (named[0], named[1])
            shape = route.name.removeprefix("history_")
            table = {"index": INDICES.name, "derivatives": BASIS.name, **SHAPES}[shape]
        elif table not in BY_NAME:
            known = ", ".join(BY_NAME)
            raise Refusal(404, "table", f"there is no table {table[:32]!r}; there are {known}")
        asked = parse(
            table,
            request.query.items(),
            self._settings.rows_max,
            accept=request.headers.get("Accept", ""),
            key=key,
        )
        return {"table": table, ASKED: asked, **asked.select}

    async def _tables(self, _request: web.Request, _values: Values) -> web.Response:
        return await self._recorded().tables()

    async def _rows(self, _request: web.Request, values: Values) -> web.Response:
        asked: Request = values[ASKED]
        return await self._recorded().rows(asked)

    def _recorded(self) -> HistoryService:
        if self._history is None:
            raise Refusal(503, "", NO_HISTORY)
        return self._history

    # --- health and documents ---------------------------------------------------------------------

    async def _livez(self, _request: web.Request, _values: Values) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request, _values: Values) -> web.Response:
        why = health.reasons(self._sources, self._clock.now_ns())
        if not self._whole():
            why.append("rest has not heard the whole tape yet")
        told = orjson.dumps({"ready": not why, "reasons": why})
        return json_response(told, 503 if why else 200)

    async def _statusz(self, _request: web.Request, _values: Values) -> web.Response:
        return json_response(orjson.dumps(self.status.page(self._clock.now_ns())))

    async def _metrics(self, _request: web.Request, _values: Values) -> web.Response:
        return web.Response(body=self._exposition(), headers={"Content-Type": CONTENT_TYPE})

    async def _openapi(self, _request: web.Request, _values: Values) -> web.Response:
        secured = bool(self._settings.tokens_file)
        return json_response(orjson.dumps(openapi.document(secured=secured)))

    async def _asyncapi(self, _request: web.Request, _values: Values) -> web.Response:
        from gateway.asyncapi import document  # large, and seldom asked for

        url = next(iter(self._settings.gateway_urls), "ws://127.0.0.1")
        return json_response(orjson.dumps(document(url)))
