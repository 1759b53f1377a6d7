"""The route table: every path, who may ask, with which parameters, and what it shows.

Requests are checked, guarded and documented (gateway.rest.openapi) from these entries.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from engine.history import tables
from engine.schema import channels as ch
from engine.schema.channels import Channel
from gateway.rest.history_request import MEDIA, PARAMETERS, SHAPES
from gateway.rest.market import INDICES, SORTS
from gateway.rest.notable import ALERT_TYPES, GAP_STATES, SEVERITIES
from gateway.rest.parameters import Parameter
from gateway.topics import Topic

Guard = Literal["open", "operator", "token"]
Values = Mapping[str, Any]

JSON: Final = MEDIA["json"]
FEW_MAX: Final = 2_000  # rows of one answer about the present


@dataclass(frozen=True, slots=True)
class Route:
    """One path.

    Attributes
    ----------
    path
        As aiohttp writes it.
    name
        What the handler is called, and the operation in OpenAPI.
    summary
        One line.
    guard
        ``open``: anybody. ``operator``: a token, or this machine. ``token``: a token where there
        is a tokens file.
    parameters
        Of the query.
    shows
        Values -> the topics that are shown: the token's scopes must reach them all.
    media
        What it may answer with.
    history
        The query is a question to the history, and `parameters` only describe it.
    statuses
        What it may answer besides 200 and the ones that every route may.
    """

    path: str
    name: str
    summary: str
    guard: Guard = "token"
    parameters: Sequence[Parameter] = ()
    shows: Callable[[Values], Sequence[Topic]] = lambda _values: ()
    media: Sequence[str] = (JSON,)
    history: bool = False
    statuses: Sequence[int] = ()


def topics(channels: Sequence[Channel], codes: Sequence[str]) -> list[Topic]:
    """Return the topics of some codes, or of all keys when there are none."""
    return [
        Topic(f"{channel.name}.{code}", (channel,), code.removesuffix("*"), wildcard=code == "*")
        for channel in channels
        for code in (codes or ("*",))
    ]


def _of(parameter: str, *shown: Channel) -> Callable[[Values], list[Topic]]:
    return lambda values: topics(shown, values[parameter] if parameter else ())


def _foreign(values: Values) -> list[Topic]:
    found = topics((ch.FOREIGN,), values["symbol"])
    return found if values["symbol"] else found + topics((ch.FOREIGN_SUMMARY,), ())


def _history(values: Values) -> list[Topic]:
    table, interval = tables.BY_NAME[values["table"]], values["interval"]
    shown = [c for c in table.channels if interval is None or c.name == f"bar.{interval}"]
    return topics(shown or table.channels, values["symbols"])


def _limit(default: int, high: int = FEW_MAX) -> Parameter:
    return Parameter("limit", "most rows", "integer", default, low=1, high=high)


SYMBOLS: Final = Parameter("symbol", "codes with commas between; all by default", "codes")
NAMED: Final = tuple(parameter for parameter in PARAMETERS if parameter.name != "symbol")
MARKET_ROUTES: Final = (
    Route(
        "/api/market/snapshot",
        "snapshot",
        "The market at a glance: boards with breadth, indices, sessions, feed",
        shows=_of("", ch.MARKET, ch.INDEX),
        statuses=(304,),
    ),
    Route(
        "/api/market/foreign-detail",
        "foreign_detail",
        "Foreign flow by symbol, and summed up",
        parameters=(
            SYMBOLS,
            Parameter("index", "only members of a basket or of a venue", words=INDICES),
            Parameter("sort", "the largest first", default="net_buy", words=tuple(SORTS)),
            _limit(50),
        ),
        shows=_foreign,
        statuses=(304,),
    ),
    Route(
        "/api/market/volume-stats",
        "volume_stats",
        "The day of a symbol: prices, volumes and sides by session phase",
        parameters=(Parameter("symbol", "codes with commas between", "codes", required=True),),
        shows=_of("symbol", ch.STATS),
        statuses=(304,),
    ),
    Route(
        "/api/market/basis-trend",
        "basis_trend",
        "Index futures against their spot: now, and minute by minute",
        parameters=(
            Parameter("contract", "codes with commas between; all by default", "codes"),
            Parameter("minutes", "of the trend, up to its newest", "integer", 60, 1, 360),
        ),
        shows=_of("contract", ch.BASIS_TREND, ch.BASIS),
        statuses=(304,),
    ),
    Route(
        "/api/market/alerts",
        "alerts",
        "The newest alerts, newest last",
        parameters=(
            _limit(100, ch.ALERTS.keep),
            Parameter("type", "only of this type", words=tuple(ALERT_TYPES)),
            Parameter("severity", "at least", words=tuple(SEVERITIES)),
            SYMBOLS,
        ),
        shows=_of("symbol", ch.ALERTS),
        statuses=(304,),
    ),
    Route(
        "/api/market/feed",
        "feed",
        "The connection to the exchange: its state and its outages",
        shows=_of("", ch.FEED),
        statuses=(304,),
    ),
    Route(
        "/api/market/gaps",
        "gaps",
        "Volume the feed did not show, last changed first",
        parameters=(
            SYMBOLS,
            Parameter("state", "only such", default="all", words=tuple(GAP_STATES)),
            _limit(100),
        ),
        shows=_of("symbol", ch.GAPS),
        statuses=(304,),
    ),
)


def _asked(path: str, name: str, summary: str, parameters: Sequence[Parameter]) -> Route:
    return Route(
        path,
        name,
        summary,
        parameters=parameters,
        shows=_history,
        media=tuple(MEDIA.values()),
        history=True,
        statuses=(404, 406, 503),
    )


HISTORY_ROUTES: Final = (
    Route("/api/history", "history_tables", "Which tables there are", statuses=(503,)),
    _asked(
        "/api/history/index/{id}", "history_index", "An index over time", NAMED
    ),  # before the symbols: `index` is none
    _asked(
        "/api/history/derivatives/{contract}",
        "history_derivatives",
        "A contract's price, spot and basis over time",
        NAMED,
    ),
    *(
        _asked(
            f"/api/history/{{symbol}}/{shape}",
            f"history_{shape}",
            f"A symbol's {tables.BY_NAME[table].meaning}",
            NAMED,
        )
        for shape, table in SHAPES.items()
    ),
    _asked("/api/history/{table}", "history_rows", "Rows of a table", PARAMETERS),
)
OPERATOR_ROUTES: Final = (
    Route("/livez", "livez", "This process turns", "open", media=("text/plain",)),
    Route("/readyz", "readyz", "Is the tape to be trusted, or why not", "open", statuses=(503,)),
    Route("/statusz", "statusz", "What the operator's status line says, as JSON", "operator"),
    Route("/metrics", "metrics", "Counters for Prometheus", "operator", media=("text/plain",)),
    Route("/openapi.json", "openapi", "This document", "open"),
    Route("/asyncapi.json", "asyncapi", "The WebSocket's protocol", "open"),
)
ROUTES: Final = (*MARKET_ROUTES, *HISTORY_ROUTES, *OPERATOR_ROUTES)
EVERY_STATUS: Final = (200, 401, 403, 405, 422, 429, 500)
