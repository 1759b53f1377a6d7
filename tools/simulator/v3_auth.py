"""Signing in to v3: tokens with and without an OTP, refreshing, asking for an OTP.

What is known of the real server is what the official SDK was written against: one session per
apiKey, refresh tokens that work once, and a session that is revoked whole when one is used twice.
Streaming needs a token that was signed in for with an OTP; REST market data does not.
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from tools.simulator.http import Request, Response

PREFIX: Final = "/api/v3/auth/"
_SIGNING_KEY: Final = b"vntape simulator, v3"

OTP_FAILED: Final = 401100
REFRESH_INVALID: Final = 401101
REFRESH_REVOKED: Final = 401103
CREDENTIALS_INVALID: Final = 401105
APPROVAL_UNKNOWN: Final = 401113
APPROVAL_PENDING: Final = 401114
_PENDING_STATUS: Final = 202  # a pending approval is not an error to HTTP


@dataclass(frozen=True, slots=True)
class Keys:
    """The client this server knows. An empty field accepts any that is not."""

    api_key: str = field(default="", repr=False)
    api_secret: str = field(default="", repr=False)
    otp: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class AuthOptions:
    """How signing in behaves. Lives are not published.

    `approval_polls` makes OTPs smart ones: that many polls of a push-approval find it pending.
    """

    access_life_s: int = 28_800
    refresh_life_s: int = 86_400
    approval_polls: int | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """Whom a valid access token belongs to."""

    client: str
    with_otp: bool


def refused(code: int, text: str) -> Response:
    """Return an error as the server words them; the HTTP status is the code's first digits."""
    status = _PENDING_STATUS if code == APPROVAL_PENDING else int(str(code)[:3])
    return Response(status, orjson.dumps({"code": code, "msg": text}))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


_HEADER: Final = _encoded(b'{"alg":"HS256","typ":"JWT"}')


def _signature(signed: str) -> str:
    return _encoded(hmac.new(_SIGNING_KEY, signed.encode(), hashlib.sha256).digest())


def sign(claims: dict[str, Any]) -> str:
    """Return a token of the JWT's shape."""
    signed = f"{_HEADER}.{_encoded(orjson.dumps(claims))}"
    return f"{signed}.{_signature(signed)}"


def verify(token: object, use: str, now_s: int) -> dict[str, Any] | None:
    """Return the claims of a token that a simulator signed for `use`, and that is still good."""
    if not isinstance(token, str):
        return None
    signed, _, signature = token.rpartition(".")
    if not hmac.compare_digest(signature.encode(), _signature(signed).encode()):
        return None
    payload = signed.partition(".")[2]
    claims: dict[str, Any] = orjson.loads(
        base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    )
    return claims if claims["use"] == use and now_s < claims["exp"] else None


class Doorkeeper:
    """Gives out tokens and tells good ones from bad. Knows no session of before its start."""

    def __init__(self, keys: Keys, options: AuthOptions) -> None:
        self._keys = keys
        self._options = options
        self._sessions: dict[str, str] = {}  # client: its one session, "" when revoked
        self._approvals: dict[str, int] = {}  # transaction: polls until it is approved

    def holder(self, request: Request, now_s: int) -> Pass | None:
        """Return whose token a request carries, or None."""
        claims = verify(request.bearer, "access", now_s)
        if claims is None or not self._is_current(claims):
            return None
        return Pass(claims["sub"], claims["otp"])

    def answer(self, request: Request, now_s: int) -> Response:
        """Answer a request below `PREFIX`."""
        route = {
            "token": self._token,
            "refresh": self._refresh,
            "requestOtp": self._request_otp,
        }.get(request.path.removeprefix(PREFIX))
        if route is None or request.method != "POST":
            return Response(404)
        try:
            asked = orjson.loads(request.body)
        except orjson.JSONDecodeError:
            asked = None
        return route(asked if isinstance(asked, dict) else {}, now_s)

    def _is_current(self, claims: dict[str, Any]) -> bool:
        """Return whether no newer session has replaced the token's; a restart forgets them."""
        session = str(claims["sid"])
        return self._sessions.get(claims["sub"], session) == session

    def _client(self, asked: dict[str, Any]) -> str | None:
        """Return a name for the client behind an apiKey and its secret, or None."""
        given = asked.get("apiKey"), asked.get("apiSecret")
        known = self._keys.api_key, self._keys.api_secret
        if not all(isinstance(each, str) and each for each in given):
            return None
        if self._keys.api_key and given != known:
            return None
        return hashlib.sha256(str(given[0]).encode()).hexdigest()[:16]

    def _token(self, asked: dict[str, Any], now_s: int) -> Response:
        client = self._client(asked)
        if client is None:
            return refused(CREDENTIALS_INVALID, "Invalid API credential")
        otp, transaction = asked.get("otp"), asked.get("transactionId")
        if otp is not None and (not otp or self._keys.otp not in ("", otp)):
            return refused(OTP_FAILED, "OTP verification failed")
        if transaction is not None:
            if transaction not in self._approvals:
                return refused(APPROVAL_UNKNOWN, "Push-approval not found")
            self._approvals[transaction] -= 1
            if self._approvals[transaction] >= 0:
                return refused(APPROVAL_PENDING, "Push-approval is pending")
            del self._approvals[transaction]
        return self._issue(client, now_s, with_otp=otp is not None or transaction is not None)

    def _refresh(self, asked: dict[str, Any], now_s: int) -> Response:
        claims = verify(asked.get("refreshToken"), "refresh", now_s)
        if claims is None:
            return refused(REFRESH_INVALID, "Refresh token is invalid")
        if not self._is_current(claims):
            self._sessions[claims["sub"]] = ""  # a token used twice has leaked
            return refused(REFRESH_REVOKED, "Refresh token is revoked or expired")
        return self._issue(claims["sub"], now_s, with_otp=claims["otp"])

    def _request_otp(self, asked: dict[str, Any], _now_s: int) -> Response:
        if self._client(asked) is None:
            return refused(CREDENTIALS_INVALID, "Invalid API credential")
        answer = {"message": "OTP has been sent"}
        if self._options.approval_polls is not None:
            transaction = secrets.token_hex(12)
            self._approvals[transaction] = self._options.approval_polls
            answer |= {"transactionId": transaction}
        return Response(200, orjson.dumps(answer))

    def _issue(self, client: str, now_s: int, *, with_otp: bool) -> Response:
        session = self._sessions[client] = secrets.token_hex(8)
        claims = {"sub": client, "sid": session, "otp": with_otp, "iat": now_s}
        lives = {
            "access": self._options.access_life_s,
            "refresh": self._options.refresh_life_s,
        }
        tokens = {
            use: sign(claims | {"use": use, "exp": now_s + life_s}) for use, life_s in lives.items()
        }
        return Response(
            200,
            orjson.dumps(
                {
                    "accessToken": tokens["access"],
                    "tokenType": "Bearer",
                    "expiresAt": now_s + lives["access"],
                    "refreshToken": tokens["refresh"],
                    "refreshExpiresAt": now_s + lives["refresh"],
                }
            ),
        )
