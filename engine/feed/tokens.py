"""Access tokens: when one expires, and when a live stream should change to a fresh one. Pure.

SSI's token is a JWT that lives eight hours (ssi-wire section 2.1); whether the server cuts a live
stream when its token expires is not known (section 1.3). So the stream changes tokens before that
moment, and outside trading hours when it can choose.
"""

import base64
import binascii
from typing import Any

import orjson

from engine.clock import DAY_S, ICT_OFFSET_S
from engine.market.days import date_of, is_trading_day

# From five minutes before the futures' opening auction until the last matches of UPCOM have
# arrived (ssi-wire section 4.1): nobody wants a reconnect then.
TRADING_START_S = (8 * 60 + 40) * 60
TRADING_END_S = (15 * 60 + 10) * 60

TOKEN_CHARACTERS_MAX = 65_536
EXPIRY_MAX_S = 253_402_300_800  # the year 10000: beyond it a number is not a time in seconds


def expiry_s(jwt: str) -> int:
    """Return when a token expires, UTC seconds; 0 when that cannot be told.

    The token is read, not verified: it is the server's to judge. Never raises.

    Parameters
    ----------
    jwt
        ``header.payload.signature``; the payload in standard or URL-safe base64, padded or not.
    """
    parts = jwt.split(".")
    if len(parts) != 3 or len(jwt) > TOKEN_CHARACTERS_MAX:
        return 0
    payload = parts[1].rstrip("=").replace("-", "+").replace("_", "/")
    try:
        text = base64.b64decode(payload + "=" * (-len(payload) % 4), validate=True)
        claims: Any = orjson.loads(text)
    except (binascii.Error, ValueError):
        return 0
    expires = claims.get("exp") if isinstance(claims, dict) else None
    if isinstance(expires, bool) or not isinstance(expires, int | float):
        return 0
    return int(expires) if 0 < expires < EXPIRY_MAX_S else 0


def renew_at_s(now_s: float, expires_s: float, margin_s: float) -> float:
    """Return when a live stream should reconnect with a fresh token.

    The latest moment that leaves the margin and is outside trading hours (08:40 to 15:10 ICT of a
    trading day; both ends count as outside), if there is one after `now_s`. Otherwise the margin
    decides alone, and the moment may be past.

    Parameters
    ----------
    now_s, expires_s
        UTC seconds.
    margin_s
        Seconds the old token should still have.
    """
    latest_s = expires_s - margin_s
    day, second_of_day = divmod(latest_s + ICT_OFFSET_S, DAY_S)
    if not is_trading_day(date_of(int(day))):
        return latest_s
    if not TRADING_START_S < second_of_day < TRADING_END_S:
        return latest_s
    before_open_s = latest_s - (second_of_day - TRADING_START_S)
    return before_open_s if before_open_s > now_s else latest_s
