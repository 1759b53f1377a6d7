"""The words of one line of a script, taken from left to right, and refusals that say where."""

import re
from typing import Final, NamedTuple, NoReturn

from engine.errors import ConfigError
from tools.simulator.moments import parse_length_ms, parse_time_ms

COUNT_MAX: Final = 1_000_000

# A comment to the end, a text in quotes, a word, or a quote that nobody closed.
_TOKEN: Final = re.compile(r'\s*(?:(#.*)|"([^"]*)"|([^\s"#]+)|(.))')
_SYMBOL: Final = re.compile(r"[A-Z0-9._-]{1,16}")
_COUNT: Final = re.compile(r"x(\d{1,7})")


class _Word(NamedTuple):
    column: int
    text: str
    quoted: bool


class Words:
    """The words of one line, taken from left to right."""

    def __init__(self, source: str, number: int, line: str) -> None:
        self.line_no = number
        self._source = source
        self._line = line
        self._words: list[_Word] = []
        self._end = len(line.rstrip())
        at = 0
        while at < len(line.rstrip()) and (match := _TOKEN.match(line, at)):
            at = match.end()
            if match[1] is not None:
                self._end = len(line[: match.start(1)].rstrip())
                break
            if match[4] is not None:
                self._refuse_at(match.start(4), "a quote is not closed")
            group = 2 if match[2] is not None else 3
            self._words.append(_Word(match.start(group), match[group], group == 2))
        self._next = 0

    @property
    def more(self) -> bool:
        """Whether words are left."""
        return self._next < len(self._words)

    def rest(self) -> str:
        """Return what is left, as written."""
        return self._line[self._words[self._next].column : self._end] if self.more else ""

    def refuse(self, why: str, *, last: bool = True) -> NoReturn:
        """Refuse the word taken last, or the one that should come next."""
        place = self._next - 1 if last else self._next
        words = self._words
        self._refuse_at(words[place].column if place < len(words) else self._end, why)

    def take(self, what: str, *, quoted: bool = False) -> str:
        """Return the next word."""
        if not self.more:
            self.refuse(f"{what} is missing", last=False)
        word = self._words[self._next]
        self._next += 1
        if word.quoted != quoted:
            self.refuse(f"write {what} {'in' if quoted else 'without'} quotes")
        return word.text

    def time_ms(self) -> int:
        """Return a time of day."""
        text = self.take("a time of day")
        time_ms = parse_time_ms(text)
        if time_ms is None:
            self.refuse(f"{text!r} is no time of day; write HH:MM, HH:MM:SS or HH:MM:SS.mmm")
        return time_ms

    def length_ms(self) -> int:
        """Return a length of time of at least a millisecond."""
        text = self.take("a length of time")
        length = parse_length_ms(text)
        if not length:
            self.refuse(f"{text!r} is no length of time; write 500ms, 20s, 3m or 1h")
        return length

    def length_ms_if_any(self) -> int:
        """Return a length of time, or 0 when the line ends here."""
        return self.length_ms() if self.more else 0

    def count_if_any(self) -> int:
        """Return the number of ``x3``, or 1 when the line ends here."""
        if not self.more:
            return 1
        text = self.take("a count")
        match = _COUNT.fullmatch(text)
        if match is None or not 1 <= int(match[1]) <= COUNT_MAX:
            self.refuse(f"{text!r} is no count; write x1 to x{COUNT_MAX}")
        return int(match[1])

    def symbol(self) -> str:
        """Return a symbol."""
        text = self.take("a symbol")
        if not _SYMBOL.fullmatch(text):
            self.refuse(f"{text!r} is no symbol; write 1 to 16 capital letters and digits")
        return text

    def symbol_if_any(self) -> str:
        """Return a symbol, or nothing when a length of time comes next."""
        if self.more and parse_length_ms(self._words[self._next].text) is None:
            return self.symbol()
        return ""

    def number(self, what: str, least: int, most: int) -> int:
        """Return a whole number in a range."""
        text = self.take(what)
        if not text.isdecimal() or not least <= int(text) <= most:
            self.refuse(f"{text!r} is no {what}; write {least} to {most}")
        return int(text)

    def keyword(self, word: str) -> None:
        """Take a word that has to be there."""
        text = self.take(f"{word!r}")
        if text != word:
            self.refuse(f"write {word!r} here, not {text!r}")

    def end(self) -> None:
        """Refuse whatever is left."""
        if self.more:
            self._next += 1
            self.refuse(f"{self._words[self._next - 1].text!r} is too much")

    def _refuse_at(self, at: int, why: str) -> NoReturn:
        raise ConfigError(f"{self._source}, line {self.line_no}, column {at + 1}: {why}")
