"""What a v3 frame means, worked out the slow way from ssi-wire section 8.

It shares nothing with the decoders but the JSON parser and the codes of the schema: one function a
topic, floats never, Decimal always.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

import numpy as np
import orjson

from engine.schema.codes import FeedSession, Side, SlotKind, SourceType, Venue


class Refused(Exception):
    """A message that is rejected, with the name of the reason."""


_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_NOTHING = (None, "", "NaN")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_VENUES = {
    "HOSE": Venue.HOSE,
    "HNX": Venue.HNX,
    "UPCOM": Venue.UPCOM,
    "DER": Venue.DERIVATIVES,
    "DERIVATIVES": Venue.DERIVATIVES,
    "HNXBOND": Venue.HNXBOND,
}
_SESSIONS = {
    "ATO": FeedSession.ATO,
    "LO": FeedSession.LO,
    "ATC": FeedSession.ATC,
    "PT": FeedSession.PT,
    "PLO": FeedSession.PLO,
    "C": FeedSession.C,
    "CLOSE": FeedSession.C,
    "Close": FeedSession.C,
    "BREAK": FeedSession.BREAK,
    "Break": FeedSession.BREAK,
    "H": FeedSession.HALT,
    "HALT": FeedSession.HALT,
    "Halt": FeedSession.HALT,
}
_SIDES = {"B": Side.BUY, "S": Side.SELL, "BU": Side.BUY, "SD": Side.SELL}
_PRICE_MAX, _LEVEL_MAX, _VOLUME_MAX, _VALUE_MAX = 2 * 10**9, 2 * 10**9, 10**14, 10**17


def nothing(raw: Any) -> bool:
    return raw is None or (isinstance(raw, str) and raw in _NOTHING)


def number(raw: Any, unit: str, largest: int, *, signed: bool = False) -> int:
    """Return a number in hundredths ("0.01") or ones ("1")."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise Refused("BAD_NUMBER")
    text = raw if isinstance(raw, str) else repr(raw)
    if not _NUMBER.fullmatch(text) or len(text.removeprefix("-") if signed else text) > 64:
        raise Refused("BAD_NUMBER")
    try:
        value = Decimal(text)
    except InvalidOperation:  # an exponent of twenty digits
        raise Refused("OUT_OF_RANGE") from None
    if value and not -20 <= value.adjusted() <= 20:
        if value.adjusted() > 20:
            raise Refused("OUT_OF_RANGE")
        return 0
    scaled = int((value / Decimal(unit)).to_integral_value(ROUND_HALF_UP))
    if scaled > largest or scaled < (-largest if signed else 0):
        raise Refused("OUT_OF_RANGE")
    return scaled


def _optional(data: dict[str, Any], key: str, unit: str, largest: int) -> int:
    return 0 if nothing(data.get(key)) else number(data[key], unit, largest)


def _required(data: dict[str, Any], key: str, unit: str, largest: int) -> int:
    if nothing(data.get(key)):
        raise Refused("MISSING_FIELD")
    return number(data[key], unit, largest)


def stamp(raw: Any, recv_ns: int, horizon_s: int | None) -> int:
    """Return `t` as UTC seconds, trying one format after another."""
    seconds = _stamp(raw, recv_ns)
    ict = None
    if seconds is not None and abs(seconds) < 10**11:
        ict = _EPOCH + dt.timedelta(seconds=seconds + 7 * 3600)
    if ict is None or not 2000 <= ict.year <= 2099:
        raise Refused("BAD_TIME")
    if horizon_s is not None and Decimal(seconds) > Decimal(recv_ns) / 10**9 + horizon_s:
        raise Refused("BAD_TIME")
    return seconds


def _stamp(raw: Any, recv_ns: int) -> int | None:
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        return None
    if isinstance(raw, str) and re.fullmatch("0|[1-9][0-9]{0,12}", raw):
        raw = int(raw)
    if not isinstance(raw, str):
        if raw != raw or abs(raw) > 10**14:
            return None
        whole = int(Decimal(repr(raw)).to_integral_value("ROUND_FLOOR"))
        return whole // 1000 if whole >= 10**11 else whole
    if not raw.isascii():
        return None
    found = re.fullmatch(r"(.{10}[ T])?(.{8})(\.[0-9]{1,9})?(Z|[+-]\d\d:\d\d)?", raw)
    if not found:
        return None
    date, time, fraction, zone = found.groups()
    if date is None:
        if fraction or zone:
            return None
        today = _EPOCH + dt.timedelta(seconds=recv_ns // 10**9 + 7 * 3600)
        date = today.strftime("%Y/%m/%d ")
    for form in ("%Y/%m/%d", "%Y-%m-%d", "%d/%m/%Y"):
        try:
            when = dt.datetime.strptime(f"{date[:10]} {time} +0000", f"{form} %H:%M:%S %z")
        except ValueError:
            continue
        if not re.fullmatch(r"[0-9/-]{10} [0-9:]{8}", f"{date[:10]} {time}"):
            return None
        offset = 7 * 3600
        if zone == "Z":
            offset = 0
        elif zone:
            hours, minutes = int(zone[1:3]), int(zone[4:])
            if hours * 60 + minutes >= 24 * 60:
                return None
            offset = (hours * 3600 + minutes * 60) * (1 if zone[0] == "+" else -1)
        return int((when - _EPOCH).total_seconds()) - offset
    return None


def _levels(raw: Any, count: int) -> tuple[list[int], list[int]]:
    if nothing(raw):
        raw = []
    if not isinstance(raw, list):
        raise Refused("MESSAGE_SHAPE")
    prices, volumes = [0] * count, [0] * count
    for i, level in enumerate(raw[:count]):
        if not isinstance(level, list) or len(level) < 2:
            raise Refused("MESSAGE_SHAPE")
        if not nothing(level[0]) and level[0] not in (
            "ATO",
            "ATC",
            "MP",
            "MTL",
            "MOK",
            "MAK",
            "PLO",
        ):
            prices[i] = number(level[0], "0.01", _PRICE_MAX)
        if not nothing(level[1]):
            volumes[i] = number(level[1], "1", _LEVEL_MAX)
    return prices, volumes


def _price(data: dict[str, Any], key: str) -> int:
    return _optional(data, key, "0.01", _PRICE_MAX)


def _trade(data: dict[str, Any]) -> dict[str, Any]:
    return {
        "last_price_e2": _required(data, "p", "0.01", _PRICE_MAX),
        "last_volume_shares": _required(data, "q", "1", _LEVEL_MAX),
        "total_volume_shares": _required(data, "v", "1", _VOLUME_MAX),
        "open_price_e2": _price(data, "o"),
        "high_price_e2": _price(data, "h"),
        "low_price_e2": _price(data, "l"),
    }


def _book(data: dict[str, Any], count: int) -> dict[str, Any]:
    bid_prices, bid_volumes = _levels(data.get("bids"), count)
    ask_prices, ask_volumes = _levels(data.get("asks"), count)
    return {
        "bid_price_e2": bid_prices,
        "bid_volume_shares": bid_volumes,
        "ask_price_e2": ask_prices,
        "ask_volume_shares": ask_volumes,
    }


def _quote(data: dict[str, Any]) -> dict[str, Any]:
    return _book(data, 10)


def _odd_lot(data: dict[str, Any]) -> dict[str, Any]:
    last = {
        "last_price_e2": _price(data, "p"),
        "last_volume_shares": _optional(data, "q", "1", _VOLUME_MAX),
    }
    return {**last, **_book(data, 3)}


def _room(data: dict[str, Any]) -> dict[str, Any]:
    return {
        "total_room_shares": _required(data, "tr", "1", _VOLUME_MAX),
        "current_room_shares": _required(data, "cr", "1", _VOLUME_MAX),
        "buy_volume_shares": _required(data, "bq", "1", _VOLUME_MAX),
        "buy_value_vnd": _required(data, "bv", "1", _VALUE_MAX),
        "sell_volume_shares": _required(data, "sq", "1", _VOLUME_MAX),
        "sell_value_vnd": _required(data, "sv", "1", _VALUE_MAX),
    }


def _put(data: dict[str, Any]) -> dict[str, Any]:
    return {
        "price_e2": _required(data, "p", "0.01", _PRICE_MAX),
        "volume_shares": _required(data, "q", "1", _VOLUME_MAX),
        "total_volume_shares": _optional(data, "tq", "1", _VOLUME_MAX),
        "total_value_vnd": _optional(data, "tv", "1", _VALUE_MAX),
    }


def _market(data: dict[str, Any]) -> dict[str, Any]:
    return {
        "ceiling_price_e2": _price(data, "ce"),
        "floor_price_e2": _price(data, "fl"),
        "reference_price_e2": _price(data, "ref"),
    }


def _index(data: dict[str, Any]) -> dict[str, Any]:
    value, prior = _required(data, "v", "0.01", _PRICE_MAX), 0
    counts = {"advances": "adv", "declines": "dec", "unchanged": "nc", "ceilings": "ce"}
    fields = {
        name: _optional(data, key, "1", _LEVEL_MAX)
        for name, key in {**counts, "floors": "fl"}.items()
    }
    for name, key in (("matched", "tm"), ("put_through", "t"), ("total", "t")):
        end = "p" if name == "put_through" else ""
        fields[f"{name}_value_vnd"] = _optional(data, f"{key}v{end}", "1", _VALUE_MAX)
        fields[f"{name}_volume_shares"] = _optional(data, f"{key}q{end}", "1", _VOLUME_MAX)
    if not nothing(data.get("c")):
        prior = value - number(data["c"], "0.01", _PRICE_MAX, signed=True)
        if not 0 <= prior <= _PRICE_MAX:
            raise Refused("OUT_OF_RANGE")
    return {"value_e2": value, "prior_value_e2": prior, **fields}


def _bar(data: dict[str, Any]) -> dict[str, Any]:
    return {
        "open_price_e2": _required(data, "o", "0.01", _PRICE_MAX),
        "high_price_e2": _required(data, "h", "0.01", _PRICE_MAX),
        "low_price_e2": _required(data, "l", "0.01", _PRICE_MAX),
        "close_price_e2": _required(data, "c", "0.01", _PRICE_MAX),
        "volume_shares": _required(data, "v", "1", _VOLUME_MAX),
    }


# topic -> kind, source, how to read it, and the keys of which it needs one
_READERS: dict[str, tuple[SlotKind, SourceType, Any, str]] = {
    "trade": (SlotKind.TRADE, SourceType.V3_TRADE, _trade, "p q v o h l"),
    "quote": (SlotKind.QUOTE, SourceType.V3_QUOTE, _quote, "bids asks"),
    "room": (SlotKind.FOREIGN, SourceType.V3_ROOM, _room, "tr cr bq bv sq sv"),
    "put": (SlotKind.PUT_THROUGH, SourceType.V3_PUT, _put, "p q tq tv"),
    "oddlot": (SlotKind.ODD_LOT, SourceType.V3_ODD_LOT, _odd_lot, "p q bids asks"),
    "market": (SlotKind.REFERENCE, SourceType.V3_MARKET, _market, "ce fl ref"),
    "index": (
        SlotKind.INDEX,
        SourceType.V3_INDEX,
        _index,
        "v adv dec nc ce fl tmv tmq tvp tqp tq tv",
    ),
    "bar": (SlotKind.BAR, SourceType.V3_BAR, _bar, "o h l c v"),
}


def _reader_of(topic: str) -> str:
    topic = topic.lower()
    if topic == "market.flag":
        return "flag"
    head, dot, rest = topic.partition(".")
    if not dot or head not in _READERS or head in ("index", "bar"):
        raise Refused("UNKNOWN_TYPE")
    if head != "trade":
        return head
    interval = rest.split("@", 1)[1] if "@" in rest else ""
    if interval in ("1m", "5m"):
        return "bar"
    if interval not in ("", "tick", "*"):
        raise Refused("UNKNOWN_TYPE")
    return "index" if rest.startswith("index.") else "trade"


def meaning(frame: bytes, recv_ns: int, horizon_s: int | None = None) -> dict[str, Any] | str:
    """Return what a frame means: the slot's fields that are not 0, or a word for what else it is.

    A Reject's name, "keepalive" or "hub_error". The symbol stands under "code".
    """
    try:
        parsed = orjson.loads(frame)
    except orjson.JSONDecodeError:
        return "FRAME_NOT_JSON"
    if not isinstance(parsed, dict):
        return "FRAME_SHAPE"
    if "topic" not in parsed:
        return _other(parsed)
    try:
        return {
            name: value
            for name, value in _message(parsed, recv_ns, horizon_s).items()
            if np.any(value)
        }
    except Refused as refused:
        return str(refused)


def _other(parsed: dict[str, Any]) -> str:
    if "code" in parsed and {"msg", "message"} & set(parsed):
        return "hub_error"
    if "method" in parsed:
        return "hub_error" if str(parsed.get("status")).lower() == "error" else "keepalive"
    if parsed == {} or str(parsed.get("channel")).lower() == "heartbeat":
        return "keepalive"
    lists = [parsed[key] for key in ("trading", "data") if key in parsed]
    plain = lists and all(each is None or isinstance(each, str) for each in lists)
    return "keepalive" if plain else "FRAME_SHAPE"


def _message(parsed: dict[str, Any], recv_ns: int, horizon_s: int | None) -> dict[str, Any]:
    topic, channel = parsed["topic"], parsed.get("channel", "DATA")
    if not isinstance(topic, str) or not isinstance(channel, str):
        raise Refused("MESSAGE_SHAPE")
    if channel.lower() != "data":
        raise Refused("UNKNOWN_TYPE")
    name = _reader_of(topic)
    data = parsed.get("data")
    if not isinstance(data, dict):
        raise Refused("MESSAGE_SHAPE")
    if name == "flag":
        return _flag(data, recv_ns, horizon_s)
    kind, source, read, any_of = _READERS[name]
    code = data.get("s")
    if code is None or code == "":
        raise Refused("MISSING_FIELD")
    letters = "A-Za-z" if name in ("index", "bar") else "A-Z"
    if not isinstance(code, str) or not re.fullmatch(rf"[{letters}0-9._-]{{1,16}}", code):
        raise Refused("BAD_SYMBOL")
    fields = {
        "exch_s": stamp(data.get("t"), recv_ns, horizon_s),
        "kind": kind,
        "source_type": source,
        "venue": _word(_VENUES, data.get("b"), Venue.UNKNOWN, Venue.UNKNOWN),
        "session": _word(_SESSIONS, data.get("ss"), FeedSession.NONE, FeedSession.OTHER),
    }
    if name == "trade":
        fields["side"] = _word(_SIDES, data.get("si"), Side.UNKNOWN, Side.UNKNOWN)
    if all(nothing(data.get(key)) for key in any_of.split()):
        raise Refused("MISSING_FIELD")
    return {"code": code.upper(), "recv_ns": recv_ns, **fields, **read(data)}


def _flag(data: dict[str, Any], recv_ns: int, horizon_s: int | None) -> dict[str, Any]:
    board, flag = data.get("b"), data.get("f")
    if nothing(board) or nothing(flag):
        raise Refused("MISSING_FIELD")
    venue = _word(_VENUES, board, Venue.UNKNOWN, Venue.UNKNOWN)
    session = _word(_SESSIONS, flag, FeedSession.NONE, FeedSession.OTHER)
    return {
        "exch_s": stamp(data.get("t"), recv_ns, horizon_s),
        "recv_ns": recv_ns,
        "kind": SlotKind.CONTROL,
        "source_type": SourceType.V3_MARKET_FLAG,
        "venue": venue,
        "session": session,
        "op": 4,
        "arg0": venue,
        "arg1": session,
    }


def _word(words: dict[str, Any], raw: Any, none: Any, other: Any) -> Any:
    if raw is None or raw == "":
        return none
    return words.get(raw, other) if isinstance(raw, str) else other
