"""What the exchanges make different rules for: finer than Instrument, which is wire format."""

from enum import StrEnum
from typing import Final

from engine.schema.codes import Instrument


class Product(StrEnum):
    """A family of instruments with one tick ladder and one price band per venue."""

    SHARE = "SHARE"  # also closed-end funds
    ETF = "ETF"
    WARRANT = "WARRANT"  # covered warrant
    INDEX_FUTURE = "INDEX_FUTURE"
    BOND_FUTURE = "BOND_FUTURE"
    INDEX = "INDEX"  # never traded: no band, and a tick of 0.01


# What an instrument is taken for when nobody looked at its code (symbology.identify does).
USUAL_PRODUCT: Final[dict[Instrument, Product]] = {
    Instrument.UNKNOWN: Product.SHARE,
    Instrument.STOCK: Product.SHARE,
    Instrument.FUTURE: Product.INDEX_FUTURE,
    Instrument.INDEX: Product.INDEX,
}
