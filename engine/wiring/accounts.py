"""A shard's bookkeeping beside the tape: asks ingest about gaps, leaves certificates.

In: the sections each fold gives. Out: rows of open gaps to ingest (which asks REST for their
minutes), parts of the day's certificate. May lose: a question, when ingest is away; all open ones
are asked again when it is back. Nothing here waits, and files are written only when the shard is
idle, once in `CERTIFICATE_NS`, and at a stop.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import zmq
from numpy.typing import NDArray

from engine.log import Log
from engine.schema.channels import FEED, GAPS, Channel
from engine.schema.codes import FeedState, GapState
from engine.wiring.certificate import Ledger, merge, write_part

CERTIFICATE_NS = 1_800_000_000_000  # rarely: reading the books takes some 80 ms of a shard's time
CLOSED_CERTIFICATE_NS = 30_000_000_000  # once the feed is closed: late news is rare, and matters

Sections = Sequence[tuple[Channel, NDArray[np.void]]]


class Accounts:
    """Keeps the books of one shard.

    Parameters
    ----------
    ledger
        The shard's books; the worker feeds them.
    shard, shards
        Which one of how many.
    folder
        Where certificates go.
    gaps
        ZeroMQ PUSH socket to ingest.
    ingest
        Ingest's counters, shape (1,): a new `started_ns` means that it forgot what it was asked.
    """

    def __init__(
        self,
        ledger: Ledger,
        shard: int,
        shards: int,
        folder: Path,
        gaps: "zmq.Socket[bytes]",
        ingest: NDArray[np.void],
        log: Log,
        now_ns: int,
    ) -> None:
        self._ledger = ledger
        self._shard = shard
        self._shards = shards
        self._folder = folder
        self._gaps = gaps
        self._ingest = ingest[0]
        self._log = log
        self._asked_of_ns = int(ingest[0]["started_ns"])
        self._written_ns = now_ns
        self._dirty = False
        self._closed = False

    def take(self, sections: Sections, *, news: bool) -> None:
        """Look at what one batch gave. An earlier life asked about gaps that are no news."""
        self._dirty = True
        for channel, rows in sections:
            if channel is GAPS and news:
                self._ask(rows[rows["gap_state"] == GapState.OPEN])
            elif channel is FEED:
                self._closed = rows[-1]["feed_state"] == FeedState.CLOSED

    @property
    def gap_counts(self) -> tuple[int, int]:
        """Return how many gaps were opened, and how many are open."""
        return self._ledger.gap_counts

    def when_idle(self, now_ns: int) -> None:
        """Do what may take a few milliseconds, if it is due."""
        started_ns = int(self._ingest["started_ns"])
        if started_ns != self._asked_of_ns:
            self._asked_of_ns = started_ns
            self.ask_again()
        due_ns = CLOSED_CERTIFICATE_NS if self._closed else CERTIFICATE_NS
        if self._dirty and now_ns - self._written_ns > due_ns:
            self.write(now_ns)

    def ask_again(self) -> None:
        """Ask about every gap that is open: who was asked has forgotten, or the answer was lost."""
        for row in self._ledger.open_gaps():
            self._ask(row)

    def write(self, now_ns: int) -> None:
        """Write this shard's parts, and each day's certificate from all parts there are."""
        self._written_ns, self._dirty = now_ns, False
        try:
            for day in self._ledger.days():
                part = self._ledger.part(day, self._shard)
                write_part(self._folder, part)
                merge(self._folder, part["date"], self._shards)
        except OSError as error:
            self._log.write("error", "no certificate", reason=str(error))

    def _ask(self, rows: NDArray[np.void]) -> None:
        if rows.size:
            try:
                self._gaps.send(rows.tobytes(), zmq.NOBLOCK)
            except zmq.Again:
                self._log.write("warning", "ingest does not take gaps", rows=int(rows.size))
