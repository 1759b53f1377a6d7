"""REST: the access token and the lookups (ssi-wire section 2); what the day says is in `figures`.

Values inside rows are strings, as SSI sends them. A missing token is HTTP 200 with a 401 inside.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from tools.simulator.figures import BadQuery, Figures
from tools.simulator.http import Request, Response

PREFIX = "/api/v2/Market/"
TOKEN_LIFE_S = 28_800
PAGE_SIZES = (10, 20, 50, 100, 500, 1_000)
PAGES_MAX = 10

# A forged token does no harm here; it only has to be told from a real one, by any simulator.
SIGNING_KEY = b"vntape simulator"

DAY_LOOKUPS = frozenset({"dailyohlc", "intradayohlc", "dailyindex", "dailystockprice"})

INDICES = {  # IndexCode: exchange
    "VNINDEX": "HOSE",
    "VN30": "HOSE",
    "HNXIndex": "HNX",
    "HNX30": "HNX",
    "HNXUpcomIndex": "UPCOM",
}


@dataclass(frozen=True, slots=True)
class Instrument:
    """One row of the lookups. `market` as REST spells it: HOSE, HNX, UPCOM or DER."""

    symbol: str
    market: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Keys:
    """The consumer this server knows; when empty, any id and secret that are not."""

    consumer_id: str = field(default="", repr=False)
    consumer_secret: str = field(default="", repr=False)

    def fit(self, consumer_id: object, consumer_secret: object) -> bool:
        """Return whether the pair opens the door."""
        if not (isinstance(consumer_id, str) and isinstance(consumer_secret, str)):
            return False
        if not self.consumer_id:
            return bool(consumer_id and consumer_secret)
        return (consumer_id, consumer_secret) == (self.consumer_id, self.consumer_secret)


def _base64(data: bytes) -> str:
    """Encode without padding; standard alphabet, which the official client decodes with."""
    return base64.b64encode(data).decode().rstrip("=")


def _signature(signed: str) -> str:
    return hmac.new(SIGNING_KEY, signed.encode(), hashlib.sha256).hexdigest()


def issue_token(consumer_id: str, now_s: int) -> str:
    """Return a token of the JWT's shape that lives eight hours."""
    header = _base64(b'{"alg":"RS256","typ":"JWT"}')
    payload = _base64(
        json.dumps(
            {
                "aud": hashlib.sha256(consumer_id.encode()).hexdigest()[:32],
                "iat": now_s,
                "exp": now_s + TOKEN_LIFE_S,
                "scope": "FastConnectData",
            }
        ).encode()
    )
    signed = f"{header}.{payload}"
    return f"{signed}.{_signature(signed)}"


def is_valid_token(token: str, now_s: int) -> bool:
    """Return whether a simulator issued this token and it has not expired."""
    signed, _, signature = token.rpartition(".")
    _, _, payload = signed.partition(".")
    if not hmac.compare_digest(signature.encode(), _signature(signed).encode()):
        return False
    claims = json.loads(base64.b64decode(payload + "=" * (-len(payload) % 4)))
    return bool(now_s < claims["exp"])


def _json(document: object) -> Response:
    return Response(200, orjson.dumps(document))


class Rest:
    """The REST half of the server.

    Parameters
    ----------
    instruments, vn30, keys
        What is listed, the basket, and who may ask.
    figures
        The day's numbers; without them their lookups have no data.
    market_ms
        Returns the market's time of day: what has not happened yet is not told.
    """

    def __init__(
        self,
        instruments: Sequence[Instrument],
        vn30: Sequence[str],
        keys: Keys,
        figures: Figures | None = None,
        market_ms: Callable[[], int] = lambda: 0,
    ) -> None:
        self._instruments = instruments
        self._components = {"VN30": tuple(vn30)}
        self._keys = keys
        self._figures = figures
        self._market_ms = market_ms

    def answer(self, request: Request, now_s: int) -> Response:
        """Answer a request below `PREFIX`."""
        name = request.path.removeprefix(PREFIX).lower()
        if name == "accesstoken":
            return self._access_token(request, now_s)
        rows = {
            "securities": self._securities,
            "securitiesdetails": self._details,
            "indexcomponents": self._index_components,
            "indexlist": self._index_list,
        }.get(name)
        figures = self._figures.endpoint(name) if self._figures else None
        if rows is None and figures is None and name not in DAY_LOOKUPS:
            return Response(404)
        if not is_valid_token(request.bearer, now_s):
            return _json({"message": "Missing Authorization header", "status": 401})
        query = {key.removeprefix("lookuprequest."): value for key, value in request.query.items()}
        try:
            if rows is not None:
                return self._page(rows(query), query)
            return self._page(figures(query, self._market_ms()) if figures else [], query)
        except BadQuery as error:
            return _json({"data": None, "message": str(error), "status": "Error", "totalRecord": 0})

    def _access_token(self, request: Request, now_s: int) -> Response:
        try:
            asked = orjson.loads(request.body)
            pair = asked["consumerID"], asked["consumerSecret"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            pair = None, None
        if not self._keys.fit(*pair):
            return _json({"message": "Key does not exist.", "status": 400, "data": None})
        token = issue_token(str(pair[0]), now_s)
        return _json({"message": "Success", "status": 200, "data": {"accessToken": token}})

    def _page(self, rows: list[dict[str, Any]], query: dict[str, str]) -> Response:
        try:
            number, size = int(query.get("pageindex", "1")), int(query.get("pagesize", "10"))
        except ValueError:
            number, size = 0, 0
        if not 1 <= number <= PAGES_MAX or size not in PAGE_SIZES:
            return _json(
                {"data": None, "message": "Invalid page", "status": "Error", "totalRecord": 0}
            )
        page = rows[(number - 1) * size : number * size]
        return _json(
            {
                "data": page or None,
                "message": "Success" if page else "No data",
                "status": "Success",
                "totalRecord": len(rows),
            }
        )

    def _chosen(self, query: dict[str, str]) -> list[Instrument]:
        market, symbol = query.get("market", "").upper(), query.get("symbol", "").upper()
        return [
            item
            for item in self._instruments
            if market in ("", item.market) and symbol in ("", item.symbol)
        ]

    def _securities(self, query: dict[str, str]) -> list[dict[str, Any]]:
        return [
            {
                "Market": item.market,
                "Symbol": item.symbol,
                "StockName": item.name or None,
                "StockEnName": None,
            }
            for item in self._chosen(query)
        ]

    def _details(self, query: dict[str, str]) -> list[dict[str, Any]]:
        return [
            {
                "RType": "y",
                "ReportDate": self._figures.date if self._figures else "",
                "TotalNoSym": "1",
                "RepeatedInfo": [
                    {
                        "Isin": None,
                        "Symbol": item.symbol,
                        "SymbolName": item.name,
                        "SymbolEngName": "",
                        "SecType": "F" if item.market == "DER" else "S",
                        "MarketId": item.market,
                        "Exchange": item.market,
                        "Issuer": None,
                        "LotSize": "1" if item.market == "DER" else "100",
                        "IssueDate": "",
                        "MaturityDate": "",
                        "FirstTradingDate": "",
                        "LastTradingDate": "",
                        "ContractMultiplier": "100000" if item.market == "DER" else "0",
                        "SettlMethod": "",
                        "Underlying": None,
                        "PutOrCall": None,
                        "ExercisePrice": "0",
                        "ExerciseStyle": "",
                        "ExcerciseRatio": "0",
                        "ListedShare": self._listed(item.symbol),
                        **{f"TickPrice{step}": None for step in range(1, 5)},
                        **{f"TickIncrement{step}": None for step in range(1, 5)},
                    }
                ],
            }
            for item in self._chosen(query)
        ]

    def _listed(self, symbol: str) -> str:
        shares = self._figures.listed_shares(symbol) if self._figures else 0
        return str(shares) if shares else ""

    def _index_components(self, query: dict[str, str]) -> list[dict[str, Any]]:
        code = query.get("indexcode", "").upper()
        members = self._components.get(code, ())
        return (
            [
                {
                    "IndexCode": code,
                    "IndexName": code,
                    "Exchange": "HOSE",
                    "TotalSymbolNo": str(len(members)),
                    "IndexComponent": [
                        {"Isin": symbol, "StockSymbol": symbol} for symbol in members
                    ],
                }
            ]
            if members
            else []
        )

    def _index_list(self, query: dict[str, str]) -> list[dict[str, Any]]:
        exchange = query.get("exchange", "").upper()
        return [
            {"IndexCode": code, "IndexName": code, "Exchange": home}
            for code, home in INDICES.items()
            if exchange in ("", home)
        ]
