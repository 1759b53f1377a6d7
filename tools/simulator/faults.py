"""A fault script: what goes wrong on a simulated day, and when.

One fault a line, market time first; ``#`` starts a comment. Times are HH:MM[:SS[.mmm]], lengths
500ms, 20s, 3m or 1h, counts x3. Lengths are market time too, so that a script does the same at
every speed; at --speed max the day waits for a client before whatever needs one.

    the link
      09:20:00 drop [20s]         TCP ends without a word; nobody gets in for 20 s of the market
      09:25:10 half-open 30s      sockets stay but never carry anything again, not even keep-alives;
                                  newcomers are turned away for 30 s
      09:40 close 1001 [20s]      a WebSocket close frame with this code
      09:45 shutdown [20s]        the server says that it is leaving, then leaves
      10:00 refuse WHAT ANSWER [x3]
                                  the next requests are answered like this. WHAT: negotiate,
                                  connect, start, token, rest, one lookup (IntradayOhlc), switch.
                                  ANSWER: an HTTP status (502), or quota, no-data, unauthorized,
                                  unknown-key; for switch a text in quotes
      10:40 error "Connection has been blocked, quota 10 exceeded by 2"
                                  the hub's Error message
      10:45 bad-frame [x2]        a frame that is no JSON at all
      10:50 stall 90s             only keep-alives; what happens meanwhile is sent afterwards

    prints (X-TRADE, in x mode X), each keeping its own cumulative numbers
      10:05 skip HPG [x3]         the next three matches are never sent
      10:10 repeat SSI [x5]       each of the next five is sent twice
      10:11 replay SSI [x5]       the next five are sent, then all five once more
      10:12 swap VNM [x2]         the next two arrive in the opposite order
      10:14 overtake SSI [x4]     the next four arrive before the books that led to them
      10:20 late 11s for 30s      for 30 s every print arrives 11 s after its stamp;
      10:20 late SSI 11s for 30s  or one symbol's

    messages
      10:30 unknown-type [x3]     the next three come once more as a DataType nobody knows
      13:30 bad-json [x2]         the next two come once more, cut off early
      10:31 unknown-session 20s   for 20 s TradingSession is a word nobody knows
      11:00 burst 10000 for 1s    so many more book messages a second: copies of the last books
      08:00 zero-snapshot         every symbol's numbers as zeroes, session C
      08:30 auction-books pre-krx from here on market orders of an auction show as price 0 on
                                  level 1 (ssi-wire 3.3); ``concrete`` goes back

Refusals of a moment are in force before the other faults of that moment, so that ``drop`` and
``refuse negotiate 502 x3`` at one time mean: dropped, then refused three times.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from engine.errors import ConfigError
from tools.simulator.words import Words


class What(StrEnum):
    """A kind of fault, spelled as in a script."""

    DROP = "drop"
    HALF_OPEN = "half-open"
    CLOSE = "close"
    SHUTDOWN = "shutdown"
    REFUSE = "refuse"
    ERROR = "error"
    BAD_FRAME = "bad-frame"
    STALL = "stall"
    SKIP = "skip"
    REPEAT = "repeat"
    REPLAY = "replay"
    SWAP = "swap"
    OVERTAKE = "overtake"
    LATE = "late"
    UNKNOWN_TYPE = "unknown-type"
    BAD_JSON = "bad-json"
    UNKNOWN_SESSION = "unknown-session"
    BURST = "burst"
    ZERO_SNAPSHOT = "zero-snapshot"
    AUCTION_BOOKS = "auction-books"


# After these the client has to connect anew.
CUTS: Final = frozenset({What.DROP, What.HALF_OPEN, What.CLOSE, What.SHUTDOWN})
# These say something to a client, so somebody must be there.
SPOKEN: Final = CUTS | {What.ERROR, What.BAD_FRAME}

PRE_KRX: Final = "pre-krx"
CONCRETE: Final = "concrete"
REFUSED_STEPS: Final = ("negotiate", "connect", "start", "token", "rest", "switch")
REFUSED_LOOKUPS: Final = (
    "Securities",
    "SecuritiesDetails",
    "IndexComponents",
    "IndexList",
    "DailyOhlc",
    "IntradayOhlc",
    "DailyIndex",
    "DailyStockPrice",
)
REFUSAL_WORDS: Final = ("quota", "no-data", "unauthorized", "unknown-key")
RATE_MAX: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Fault:
    """One line of a script. Fields that its kind has no use for are zero or empty."""

    time_ms: int  # since midnight in Vietnam
    what: What
    line: int  # in the script, from 1
    text: str  # as written, without time and comment
    length_ms: int = 0
    count: int = 1
    symbol: str = ""
    lag_ms: int = 0  # late: how much
    rate_per_s: int = 0  # burst
    code: int = 0  # close: the WebSocket's; refuse: the HTTP status, 0 for a word
    target: str = ""  # refuse: which requests, lower case
    words: str = ""  # error: the text; refuse: the answer; auction-books: the encoding


def read(path: Path) -> tuple[Fault, ...]:
    """Read a script from a file. Raises ConfigError as `parse` does."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    return parse(text, str(path))


def parse(text: str, source: str = "faults") -> tuple[Fault, ...]:
    """Read a script.

    Returns
    -------
    tuple of Fault
        By time; of one time refusals first, the rest in the order of the script.

    Raises
    ------
    ConfigError
        A line that is not of the language. Names source, line and column, and what would be.
    """
    faults = [
        _fault(words)
        for number, line in enumerate(text.splitlines(), 1)
        if (words := Words(source, number, line)).more
    ]
    return tuple(sorted(faults, key=lambda fault: (fault.time_ms, fault.what is not What.REFUSE)))


def _fault(words: Words) -> Fault:
    time_ms = words.time_ms()
    written = words.rest()
    verb = words.take("what happens")
    try:
        what = What(verb)
    except ValueError:
        words.refuse(f"{verb!r} is no fault; there are {', '.join(sorted(What))}")
    details = _READERS[what](words)
    words.end()
    return Fault(time_ms, what, words.line_no, written, **details)


def _outage(words: Words) -> dict[str, Any]:
    return {"length_ms": words.length_ms_if_any()}


def _window(words: Words) -> dict[str, Any]:
    return {"length_ms": words.length_ms()}


def _close(words: Words) -> dict[str, Any]:
    return {"code": words.number("close code", 1000, 4999), **_outage(words)}


def _refuse(words: Words) -> dict[str, Any]:
    target = words.take("what is refused")
    known = {name.lower(): name for name in (*REFUSED_STEPS, *REFUSED_LOOKUPS)}
    if target.lower() not in known:
        words.refuse(f"{target!r} cannot be refused; there are {', '.join(known.values())}")
    target = target.lower()
    if target == "switch":
        return {"target": target, "words": words.take("the reply", quoted=True), **_count(words)}
    answer = words.take("the answer")
    if answer.isdecimal() and 400 <= int(answer) <= 599:
        return {"target": target, "code": int(answer), **_count(words)}
    if answer not in REFUSAL_WORDS:
        words.refuse(f"{answer!r} is no answer; write 400 to 599, {', '.join(REFUSAL_WORDS)}")
    return {"target": target, "words": answer, **_count(words)}


def _error(words: Words) -> dict[str, Any]:
    return {"words": words.take("the error's text", quoted=True)}


def _count(words: Words) -> dict[str, Any]:
    return {"count": words.count_if_any()}


def _prints(words: Words) -> dict[str, Any]:
    return {"symbol": words.symbol(), **_count(words)}


def _late(words: Words) -> dict[str, Any]:
    symbol, lag_ms = words.symbol_if_any(), words.length_ms()
    words.keyword("for")
    return {"symbol": symbol, "lag_ms": lag_ms, **_window(words)}


def _burst(words: Words) -> dict[str, Any]:
    rate = words.number("rate in messages a second", 1, RATE_MAX)
    words.keyword("for")
    return {"rate_per_s": rate, **_window(words)}


def _nothing(_words: Words) -> dict[str, Any]:
    return {}


def _books(words: Words) -> dict[str, Any]:
    encoding = words.take("an encoding")
    if encoding not in (PRE_KRX, CONCRETE):
        words.refuse(f"{encoding!r} is no encoding; write {PRE_KRX} or {CONCRETE}")
    return {"words": encoding}


_READERS: Final[dict[What, Callable[[Words], dict[str, Any]]]] = {
    What.DROP: _outage,
    What.HALF_OPEN: _window,
    What.CLOSE: _close,
    What.SHUTDOWN: _outage,
    What.REFUSE: _refuse,
    What.ERROR: _error,
    What.BAD_FRAME: _count,
    What.STALL: _window,
    What.SKIP: _prints,
    What.REPEAT: _prints,
    What.REPLAY: _prints,
    What.SWAP: _prints,
    What.OVERTAKE: _prints,
    What.LATE: _late,
    What.UNKNOWN_TYPE: _count,
    What.BAD_JSON: _count,
    What.UNKNOWN_SESSION: _window,
    What.BURST: _burst,
    What.ZERO_SNAPSHOT: _nothing,
    What.AUCTION_BOOKS: _books,
}
