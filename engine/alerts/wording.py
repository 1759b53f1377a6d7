"""Numbers as humans of two languages read them. Integers in, text out; no float in between.

English has 1,234.5 and bn VND, Vietnamese 1.234,5 and tỷ đồng. Pure: gateways import it.
"""

from typing import Final

BILLION: Final = 10**9
MILLION: Final = 10**6

# English number marks to Vietnamese ones: 1,234.5 is 1.234,5.
_SWAP_MARKS: Final = str.maketrans(",.", ".,")


def decimal(value: int, places: int, *, least: int = 0) -> str:
    """Return an integer of `places` decimals as text with thousands, at least `least` decimals.

    ``decimal(128050, 2)`` is ``1,280.5``, with ``least=2`` it is ``1,280.50``.
    """
    whole, rest = divmod(abs(value), 10**places)
    fraction = f"{rest:0{places}}".rstrip("0").ljust(least, "0") if places else ""
    return f"{'-' if value < 0 else ''}{whole:,}{'.' if fraction else ''}{fraction}"


def rounded(value: int, unit: int, places: int) -> int:
    """Return value / unit in 10**-places, rounded half away from zero."""
    scaled = (2 * abs(value) * int(10**places) + unit) // (2 * unit)
    return -scaled if value < 0 else scaled


class Language:
    """The words numbers come with."""

    def __init__(self, words: dict[str, str], *, swap_marks: bool) -> None:
        self.words = words
        self._swap_marks = swap_marks

    def number(self, value: int, places: int = 0, *, least: int = 0) -> str:
        """Return an integer of `places` decimals, see `decimal`."""
        text = decimal(value, places, least=least)
        return text.translate(_SWAP_MARKS) if self._swap_marks else text

    def money(self, value_vnd: int) -> str:
        """Return billions or millions with two decimals at most; below a million, every dong."""
        for unit, word in ((BILLION, "billion"), (MILLION, "million")):
            if abs(value_vnd) >= unit:
                return f"{self.number(rounded(value_vnd, unit, 2), 2)} {self.words[word]}"
        return f"{self.number(value_vnd)} {self.words['vnd']}"

    def duration(self, seconds: int) -> str:
        """Return hours and minutes, or minutes and seconds; without what is 0."""
        minutes, rest = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        parts = [(hours, "hours"), (minutes, "minutes")] + [(rest, "seconds")] * (hours == 0)
        told = [f"{self.number(much)} {self.words[unit]}" for much, unit in parts if much]
        return " ".join(told) or f"0 {self.words['seconds']}"


ENGLISH = Language(
    {
        "billion": "bn VND",
        "million": "m VND",
        "vnd": "VND",
        "hours": "h",
        "minutes": "min",
        "seconds": "s",
        "shares": "shares",
        "contracts": "contracts",
    },
    swap_marks=False,
)
VIETNAMESE = Language(
    {
        "billion": "tỷ đồng",
        "million": "triệu đồng",
        "vnd": "đồng",
        "hours": "giờ",
        "minutes": "phút",
        "seconds": "giây",
        "shares": "cổ phiếu",
        "contracts": "hợp đồng",
    },
    swap_marks=True,
)
