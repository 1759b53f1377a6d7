"""Themes: ``/ws/market`` and the like subscribe at once to the whole of one."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

PRESETS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "market": ("market.*", "movers.*", "attribution.*", "limits.*"),
        "foreign": ("foreign.*", "foreign.summary.*"),
        "index": ("index.*", "index.series.*", "basis.*", "basis.trend.*"),
        "alerts": ("alerts.*",),
    }
)
