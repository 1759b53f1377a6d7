"""Bus frames that came together, as one: a busy gateway looks at fewer and larger ones. Pure."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from numpy.typing import NDArray

from engine.bus.wire import BusFrame
from engine.schema.bus import BusKind
from engine.schema.channels import CHANNELS
from gateway.rows import joined_rows

if TYPE_CHECKING:
    import numpy as np


def joined_frames(frames: Iterable[BusFrame]) -> list[BusFrame]:
    """Join runs of deltas of one source that nothing is missing between.

    Rows of a channel stay in their order. A frame that has to be told about (a loss, another epoch,
    a snapshot) begins a run of its own.
    """
    found: list[list[BusFrame]] = []
    for frame in frames:
        if found and _joins(found[-1][-1], frame):
            found[-1].append(frame)
        else:
            found.append([frame])
    return [run[0] if len(run) == 1 else _joined(run) for run in found]


def _joins(before: BusFrame, frame: BusFrame) -> bool:
    return (
        frame.kind is BusKind.DELTA
        and before.kind is BusKind.DELTA
        and not frame.lost_frames
        and (frame.shard, frame.epoch) == (before.shard, before.epoch)
    )


def _joined(run: list[BusFrame]) -> BusFrame:
    rows: dict[int, list[NDArray[np.void]]] = {}
    for frame in run:
        for channel, some in frame.sections:
            rows.setdefault(channel.code, []).append(some)
    return replace(
        run[-1],
        sections=[(CHANNELS[code], joined_rows(parts)) for code, parts in rows.items()],
        size_bytes=sum(frame.size_bytes for frame in run),
        lost_frames=run[0].lost_frames,
    )
