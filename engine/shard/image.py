"""A fold's state as named arrays of plain numbers: what is saved, and what a fold takes back.

    layout            uint8 (32,)            of the stages: a fold of other stages refuses the image
    tally             int64 (fields of TALLY,)
    state.<stage>     uint8 (used, bytes)    rows of ids below `used`; all others are zero
    chain.<channel>   uint64 (used,)         only of a fold that keeps them (``hash_deltas``)
    rules, rule_names                        only with a rule book: its own, see there

Copies, each made once and contiguous: keep them, write them to a file, send them.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import SchemaMismatch
from engine.schema.record import describe
from engine.shard.stage import Stage

Image = dict[str, NDArray[Any]]


def layout_of(stages: Iterable[Stage]) -> NDArray[np.uint8]:
    """Return a hash of which stages there are, in which order, and how their state lies."""
    lines = [
        f"{stage.name} {stage.channel.name if stage.channel else ''} {describe(stage.state_dtype)}"
        for stage in stages
    ]
    return np.frombuffer(hashlib.sha256("\n".join(lines).encode()).digest(), np.uint8).copy()


def part(image: Image, name: str, like: NDArray[Any]) -> NDArray[Any]:
    """Return one array of an image that must fit into `like`: same dtype, no more rows.

    Raises
    ------
    SchemaMismatch
        It is missing or does not fit.
    """
    found = image.get(name)
    if (
        found is None
        or found.dtype != like.dtype
        or found.shape[1:] != like.shape[1:]
        or len(found) > len(like)
    ):
        told = "is missing" if found is None else f"is {found.dtype} {found.shape}"
        raise SchemaMismatch(
            f"a saved state cannot be used here: {name} {told}, needed is {like.dtype} "
            f"{like.shape} or fewer rows; fold the journal instead"
        )
    return found


def check_layout(image: Image, layout: NDArray[np.uint8]) -> None:
    """Refuse an image of other stages with SchemaMismatch."""
    if not np.array_equal(part(image, "layout", layout), layout):
        raise SchemaMismatch(
            "a saved state is of other stages than this program has; fold the journal instead"
        )
