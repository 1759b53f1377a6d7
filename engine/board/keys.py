"""What the board's rows are about: scopes, lists and indices, and the symbol ids they have.

A key's id is ``symbol_capacity + its place in KEYS``: above every symbol of the shards. One key may
carry several channels: VN30 is a market, a foreign summary and an attribution.
"""

from typing import Final

from engine.schema.codes import IndexMember, Venue

SCOPES: Final = ("ALL", "HOSE", "HNX", "UPCOM", "VN30")

# Ranked by value, by change, by active-buy share, and by foreign net value.
LISTS: Final = ("VALUE", "GAIN", "LOSS", "BUYING", "SELLING", "FBUY", "FSELL")

VENUE_SCOPES: Final[dict[str, Venue]] = {
    "HOSE": Venue.HOSE,
    "HNX": Venue.HNX,
    "UPCOM": Venue.UPCOM,
}
BASKETS: Final[dict[str, IndexMember]] = {
    "VN30": IndexMember.VN30,
    "VN100": IndexMember.VN100,
    "HNX30": IndexMember.HNX30,
}
# Indices of everything a venue lists.
VENUE_INDICES: Final[dict[str, Venue]] = {"VNINDEX": Venue.HOSE, "HNXINDEX": Venue.HNX}

INDICES: Final = (*BASKETS, *VENUE_INDICES)  # spelt as their MI messages are interned
MOVERS: Final = tuple(f"{scope}-{name}" for scope in SCOPES for name in LISTS)

KEYS: Final = tuple(dict.fromkeys((*SCOPES, *MOVERS, *INDICES)))
PLACE: Final[dict[str, int]] = {key: place for place, key in enumerate(KEYS)}


def venue_of(key: str) -> Venue:
    """Return the venue a key belongs to; UNKNOWN when it covers several."""
    scope = key.split("-")[0]
    if scope == "ALL":
        return Venue.UNKNOWN
    return {**VENUE_SCOPES, **VENUE_INDICES, "HNX30": Venue.HNX}.get(scope, Venue.HOSE)


def clock_of(key: str) -> Venue:
    """Return the venue whose hours a key keeps: its own, and HOSE's for all venues together."""
    return venue_of(key) or Venue.HOSE
