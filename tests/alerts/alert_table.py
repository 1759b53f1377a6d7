"""A tiny interpreter for the stories in tests/tables/alerts_*.txt.

Lines:

    thresholds block_trade_min_vnd=1000000000   settings of ``[alerts]``, before anything else
    symbol FPT HOSE                   a symbol; the first one is meant where none is named, another
                                      by ``@VN30F2107`` before what happens
    feed                              this shard tells of the feed
    day 2021-07-15                    trading date of the lines below
    limit FPT 94100 81900             ceiling and floor that its trade messages carry
    09:15:10  match 88000 100         a match; ``x12`` at the end: twelve of them; ``skipped=500``:
                                      after volume that was not shown
    09:15:10  untold 88000 500        volume is counted and no match told
    09:15:10  correct 88000 500       volume is taken back
    09:15:10  book 94100x500 -        bids and asks
    09:15:10  foreign buy=1.5 sell=0 room=1000 total=5000    since the last message, bn VND
    09:15:10  deal 88000 300000       a put-through deal
    09:15:10  status H                an F message
    09:15:10  index 1280.5            an index value
    09:15:10  feed_is DOWN            the connection's state;  lost 12: we dropped frames
    #                                 for the reader

Right of ``|`` stands all that is told: alerts separated by ``//``, ``-`` for none. Of a line that
sends several messages, what all of them led to.
"""

from pathlib import Path

from tests.alerts.market import Market

SETTINGS = ("symbol", "feed", "limit")


class AlertTable:
    """One story being told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.market = Market()
        self.checked = 0

    def play(self) -> int:
        """Run every line; return how many were checked."""
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), 1):
            text = line.split("#", 1)[0].strip()
            if text:
                self._line(text, f"{self.path.name}:{number}: {line.strip()}")
        return self.checked

    def _line(self, text: str, where: str) -> None:
        given, _, wanted = (part.strip() for part in text.partition("|"))
        word, *rest = given.split()
        if word == "thresholds":
            self.market = Market(**{name: int(value) for name, value in _pairs(rest)})
        elif word in SETTINGS:
            getattr(self.market, word)(*rest)
        elif word == "day":
            self.market.on(rest[0])
        else:
            told = " // ".join(self._happens(word, rest)) or "-"
            self.checked += 1
            assert told == wanted, f"told: {told}\n{where}"

    def _happens(self, time: str, words: list[str]) -> list[str]:
        market = self.market.at(time)
        name = words.pop(0)[1:] if words[0].startswith("@") else next(iter(market.ids))
        what, *rest = words
        times = int(rest.pop()[1:]) if rest and rest[-1].startswith("x") else 1
        named = {key: _number(value) for key, value in _pairs(rest)}
        plain = [word for word in rest if "=" not in word]
        if what in ("feed_is", "lost"):
            arguments = [plain[0] if what == "feed_is" else int(plain[0])]
        elif what in ("match", "untold", "correct", "deal"):
            arguments = [name, plain[0], *(int(word) for word in plain[1:])]
        else:
            arguments = [name, *plain]
        told: list[str] = []
        for _ in range(times):
            getattr(market, what)(*arguments, **named)
            told += market.told()
        return told


def _pairs(words: list[str]) -> list[tuple[str, str]]:
    return [(key, value) for key, _, value in (word.partition("=") for word in words) if value]


def _number(text: str) -> float:
    return float(text) if "." in text else int(text)
