"""Query parameters: declared once, checked and documented from the same words. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.rest.errors import BadParameter

CODES_MAX: Final = 50  # symbols in one request
CODE_CHARS_MAX: Final = 16
SHOWN_CHARS: Final = 24  # of a wrong value, in a refusal


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a route.

    Attributes
    ----------
    name
        As it stands in the URL.
    meaning
        One line.
    type
        ``text``, ``integer`` or ``codes`` (several, with commas between).
    default
        When it is absent; None: nothing is said.
    low, high
        Of an integer.
    words
        What a text may be, in any case; empty: anything.
    required
        Refused when absent.
    """

    name: str
    meaning: str
    type: str = "text"
    default: str | int | None = None
    low: int = 0
    high: int = 0
    words: tuple[str, ...] = ()
    required: bool = False

    def read(self, text: str) -> Any:
        """Return the value that a text stands for: str, int or tuple of codes.

        Raises
        ------
        BadParameter
            It stands for none.
        """
        shown = text[:SHOWN_CHARS]
        if self.type == "integer":
            if not re.fullmatch(r"[0-9]{1,9}", text) or not self.low <= int(text) <= self.high:
                raise BadParameter(
                    self.name, f"{shown!r} is no whole number from {self.low} to {self.high}"
                )
            return int(text)
        if self.type == "codes":
            return self._codes(text)
        if not self.words:
            return text
        for word in self.words:
            if word.lower() == text.lower():
                return word
        raise BadParameter(self.name, f"{shown!r} is not one of {', '.join(self.words)}")

    def _codes(self, text: str) -> tuple[str, ...]:
        codes = tuple(code.strip() for code in text.split(","))
        if not all(codes):
            raise BadParameter(self.name, "there is an empty code in it")
        if len(codes) > CODES_MAX:
            raise BadParameter(self.name, f"{len(codes)} codes, at most {CODES_MAX} are answered")
        if any(len(code) > CODE_CHARS_MAX or not code.isascii() for code in codes):
            raise BadParameter(self.name, f"a code is at most {CODE_CHARS_MAX} ASCII characters")
        return tuple(dict.fromkeys(codes))

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the value."""
        if self.type == "integer":
            found: dict[str, Any] = {"type": "integer", "minimum": self.low, "maximum": self.high}
        elif self.type == "codes":
            code = {"type": "string", "minLength": 1, "maxLength": CODE_CHARS_MAX}
            return {"type": "array", "items": code, "maxItems": CODES_MAX}
        else:
            found = {"type": "string"}
            if self.words:
                found["enum"] = list(self.words)
        if self.default is not None:
            found["default"] = self.default
        return found


def told_once(pairs: Iterable[tuple[str, str]], known: Sequence[str]) -> dict[str, str]:
    """Return parameters by name.

    Raises
    ------
    BadParameter
        A name that is unknown, or there twice.
    """
    told: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            names = ", ".join(known)
            raise BadParameter(
                name[:SHOWN_CHARS],
                f"unknown parameter; known are {names}" if names else "this takes no parameters",
            )
        if name in told:
            raise BadParameter(name, "told twice; put a comma between several values")
        told[name] = value
    return told


def read(parameters: Sequence[Parameter], pairs: Iterable[tuple[str, str]]) -> Mapping[str, Any]:
    """Check a query.

    Parameters
    ----------
    parameters
        What there may be.
    pairs
        Names and values, decoded.

    Returns
    -------
    mapping
        A value for every parameter; its default (codes: an empty tuple) when it is absent.

    Raises
    ------
    BadParameter
        One is unknown, there twice, missing, or stands for nothing.
    """
    told = told_once(pairs, [parameter.name for parameter in parameters])
    values: dict[str, Any] = {}
    for parameter in parameters:
        if parameter.name in told:
            values[parameter.name] = parameter.read(told[parameter.name])
        elif parameter.required:
            raise BadParameter(parameter.name, f"is missing: {parameter.meaning}")
        else:
            values[parameter.name] = () if parameter.type == "codes" else parameter.default
    return values
