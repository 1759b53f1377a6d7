"""From requests to handlers and back: what goes wrong becomes an answer that says so."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import numpy as np
from aiohttp import web

from engine.log import Log
from gateway.rest.access import METHODS, Access
from gateway.rest.answers import Answer, has_it
from gateway.rest.errors import Refusal, json_response
from gateway.rest.parameters import read
from gateway.rest.routes import ROUTES, Route

CACHE: Final = "private, no-cache"  # ask every time; If-None-Match makes that cheap

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
# A handler gets the request and its checked values.
Endpoint = Callable[[web.Request, Mapping[str, Any]], Awaitable[web.StreamResponse]]
Reader = Callable[[Route, web.Request], Mapping[str, Any]]


class RestApp:
    """The routes of one REST process.

    Parameters
    ----------
    access
        Who may ask.
    endpoints
        Handler of every route, by its name.
    ask_history
        Reads the question of a route to the history.
    cell
        REST_COUNTERS, one record.
    log
        Where failures are told.
    """

    def __init__(
        self,
        access: Access,
        endpoints: Mapping[str, Endpoint],
        ask_history: Reader,
        cell: np.void,
        log: Log,
    ) -> None:
        self._access = access
        self._endpoints = endpoints
        self._ask_history = ask_history
        self._cell = cell
        self._log = log

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(middlewares=[self._outermost], client_max_size=1_024)
        for route in ROUTES:
            app.router.add_get(route.path, self._guarded(route, self._endpoints[route.name]))
        return app

    def _guarded(self, route: Route, endpoint: Endpoint) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            token = self._access.admit(request, route.guard)
            if route.history:
                values = self._ask_history(route, request)
            else:
                values = read(route.parameters, request.query.items())
            self._access.reaches(token, route.shows(values))
            return await endpoint(request, values)

        return handle

    def told(self, request: web.Request, answer: Answer) -> web.Response:
        """Return an answer, or that the client has it."""
        headers = {"ETag": answer.etag, "Cache-Control": CACHE}
        if has_it(request.headers.get("If-None-Match"), answer.etag):
            self._cell["not_modified"] += 1
            return web.Response(status=304, headers=headers)
        return json_response(answer.body(), headers=headers)

    @web.middleware
    async def _outermost(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._cell["requests"] += 1
        try:
            response = await self._answer(request, handler)
        except Refusal as refusal:
            cell = "unauthorized" if refusal.status in (401, 403) else "refused"
            self._cell[cell] += 1
            response = refusal.response()
        except Exception as error:
            self._cell["failed"] += 1
            self._log.write("error", "request failed", path=request.path, reason=repr(error))
            response = Refusal(500, "", "this failed; the log of role rest says why").response()
        if not response.prepared and request.method != "OPTIONS":
            for name, value in self._access.cross_origin(request.headers).items():
                before = response.headers.get(name)
                response.headers[name] = f"{before}, {value}" if before else value
        return response

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return self._access.preflight(request.headers)
        try:
            return await handler(request)
        except web.HTTPMethodNotAllowed:
            raise Refusal(
                405, "", f"{METHODS} are answered, nothing can be changed", {"Allow": METHODS}
            ) from None
        except web.HTTPException as error:
            raise Refusal(error.status, "path", f"{error.reason}; see /openapi.json") from None
