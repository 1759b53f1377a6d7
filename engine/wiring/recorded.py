"""Recordings and the intake: what is packed into records, and how records are played back.

A replay hands an intake the very calls the live one got, in the same order, so it publishes the
same groups of the same slots. `restart` marks where another process took over: its symbol table
introduced every symbol anew.
"""

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import orjson

from engine.feed.backfill import Answer, Bar, Gap
from engine.feed.recording import Kind, Record, read_records
from engine.feed.reference import Reference, ReferenceRow
from engine.schema.codes import FeedState, IndexMember, Venue


def pack_reference(reference: Reference) -> dict[str, Any]:
    """Return what a REFERENCE record says."""
    return {"day": reference.day, "rows": reference.rows}


def unpack_reference(payload: bytes) -> Reference:
    """Rebuild what `pack_reference` wrote."""
    tree = orjson.loads(payload)
    rows = [
        ReferenceRow(
            **{**row, "venue": Venue(row["venue"]), "indices": IndexMember(row["indices"])}
        )
        for row in tree["rows"]
    ]
    return Reference(dt.date.fromisoformat(tree["day"]), tuple(rows))


def pack_answer(answer: Answer) -> dict[str, Any]:
    """Return what a BACKFILL record says."""
    return {"gap": answer.gap, "bars": answer.bars}


def unpack_answer(payload: bytes) -> Answer:
    """Rebuild what `pack_answer` wrote."""
    tree = orjson.loads(payload)
    return Answer(Gap(**tree["gap"]), tuple(Bar(**bar) for bar in tree["bars"]))


class Player(Protocol):
    """What a record is played into: an intake, or whatever holds one."""

    def on_frame(self, frame: bytes | memoryview, recv_ns: int) -> None:
        """Take a frame."""
        ...

    def step(self) -> bool:
        """Decode one bite."""
        ...

    def feed_state(self, state: FeedState, detail: str, now_ns: int) -> None:
        """Take a change of the feed's state."""
        ...

    def reference(self, reference: Reference, now_ns: int) -> None:
        """Take reference data."""
        ...

    def backfill(self, answer: Answer, now_ns: int) -> None:
        """Take REST's answer about a gap."""
        ...


def play(record: Record, player: Player) -> None:
    """Give one record to a player. START and HOLE records mean nothing to it."""
    if record.kind is Kind.FRAME:
        player.on_frame(record.payload, record.time_ns)
    elif record.kind is Kind.CUT:
        player.step()
    elif record.kind is Kind.STATE:
        tree = orjson.loads(record.payload)
        player.feed_state(FeedState(tree["state"]), tree["detail"], record.time_ns)
    elif record.kind is Kind.REFERENCE:
        player.reference(unpack_reference(record.payload), record.time_ns)
    elif record.kind is Kind.BACKFILL:
        player.backfill(unpack_answer(record.payload), record.time_ns)


def records_of(files: list[Path], on_start: Callable[[dict[str, Any]], None]) -> Iterator[Record]:
    """Yield the records of several files; `on_start` is told where a process began to record.

    Raises
    ------
    RecordingError
        A file is no recording.
    """
    for file in files:
        for record in read_records(file):
            if record.kind is Kind.START:
                about = orjson.loads(record.payload)
                if about["first"]:
                    on_start(about)
            else:
                yield record
