"""Exact money (design law 4): no value ever passes through a float."""

PRICE_SCALE = 100  # `_e2`: hundredths of a VND, or of a point


def value_vnd(price_e2: int, volume_shares: int, value_multiplier: int = 1) -> int:
    """Return the value of a match in VND: price x volume x multiplier, rounded down to 1 VND.

    Parameters
    ----------
    price_e2
        Hundredths of a VND (shares) or of a point (index futures).
    volume_shares
        Shares, or contracts.
    value_multiplier
        VND per 1.00 of price and unit of volume (``symbology.Identity``): 1 for shares, 100,000
        for index futures, 10,000 for bond futures.
    """
    return price_e2 * volume_shares * value_multiplier // PRICE_SCALE
