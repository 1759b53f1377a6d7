"""What is odd about a book in an auction: market-behaviour section 5, ssi-wire 3.3."""

from typing import Any

from engine.jit import kernel
from engine.schema.codes import DeltaFlag

CROSSED = int(DeltaFlag.CROSSED)
MARKET_ORDERS = int(DeltaFlag.MARKET_ORDERS)


@kernel
def auction_flags(bid: Any, ask: Any, book: Any) -> Any:
    """Return CROSSED and MARKET_ORDERS for a best bid and ask and the book they are from.

    CROSSED: both prices positive and bid >= ask. MARKET_ORDERS: a level 1 with volume at
    price 0 (ssi-wire 3.3, ATO/ATC orders before KRX).
    """
    flags = 0
    if bid > 0 and ask > 0 and bid >= ask:
        flags |= CROSSED
    if (book["bid_price_e2"][0] == 0 and book["bid_volume_shares"][0] > 0) or (
        book["ask_price_e2"][0] == 0 and book["ask_volume_shares"][0] > 0
    ):
        flags |= MARKET_ORDERS
    return flags
