"""How SSI writes things down: numbers, clocks, and JSON inside JSON inside JSON.

Source: ssi-wire sections 1.4 and 3.0. The serialiser is Newtonsoft.Json: a double always carries
a decimal (``25300.0``), in its shortest form that reads back the same; from 1e15 on it turns to
``1E+15``. Not a number is the string "NaN".
"""

from decimal import Decimal
from functools import cache
from typing import Final

_EXPONENT_FROM: Final = 10**15


def whole_number(value: int) -> str:
    """Write an integer held in a double: 60500 -> ``60500.0``, 10**15 -> ``1E+15``."""
    if -_EXPONENT_FROM < value < _EXPONENT_FROM:
        return f"{value}.0"
    negative, digits, exponent = Decimal(repr(float(value))).normalize().as_tuple()
    tail = "".join(map(str, digits[1:]))
    power = int(exponent) + len(digits) - 1
    return f"{'-' if negative else ''}{digits[0]}{'.' + tail if tail else ''}E+{power:02}"


def hundredths(value_e2: int) -> str:
    """Write a price or an index value: 141_080 -> ``1410.8``, 2_530_000 -> ``25300.0``."""
    return repr(value_e2 / 100)


def difference(value_e2: int, reference_e2: int) -> str:
    """Write value - reference as the server's doubles have it: 1283.9 - 1290 = -6.0999...09."""
    return repr(value_e2 / 100 - reference_e2 / 100)


def percent(value_e2: int, reference_e2: int) -> str:
    """Write (value - reference) / reference in percent, two decimals, halves away from zero."""
    change = value_e2 - reference_e2
    rounded = (abs(change) * 20_000 + reference_e2) // (2 * reference_e2)
    return repr((rounded if change >= 0 else -rounded) / 100 + 0.0)


def escape(text: str) -> str:
    """Put a text into a JSON string. Nothing we send needs more than this."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def nested(text: str) -> str:
    """Put a piece of a record's JSON where it ends up in a frame: two strings deep."""
    return escape(escape(text))


def hub_message(data_type: str, content: str) -> str:
    """Return a hub message around a record; `content` may still hold % fields."""
    envelope = '{"DataType":"' + data_type + '","Content":"' + escape(content) + '"}'
    return '{"H":"FcMarketDataV2Hub","M":"Broadcast","A":["' + escape(envelope) + '"]}'


@cache
def clock(second_of_day: int) -> str:
    """Return HH:MM:SS."""
    minute, second = divmod(second_of_day, 60)
    return f"{minute // 60:02}:{minute % 60:02}:{second:02}"
