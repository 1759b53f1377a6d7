"""The whole engine in one process: the same intake, rings and stages, no second process.

Tests, replays and the bench use this, so that a test, a replayed bug and a figure run the very
code that runs in production. Time is whatever the caller stamps on the frames.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.board.board import Board
from engine.config import RuleConfig
from engine.decode.symbols import SymbolTable, format_symbols, symbols_bytes
from engine.feed.recording import Recorder
from engine.ring.layout import format_ring, ring_bytes
from engine.ring.reader import RingReader
from engine.ring.writer import RingWriter
from engine.schema.channels import Channel
from engine.schema.counters import INGEST_COUNTERS
from engine.schema.slots import SLOT, rows_over
from engine.shard.digest import Digest, combine
from engine.shard.stage import StageSettings
from engine.wiring.intake import BACKLOG_BYTES, Intake
from engine.wiring.shard_map import shard_rule
from engine.wiring.stages import make_fold

Sections = list[tuple[Channel, NDArray[np.void]]]


class LocalShard:
    """One ring's reader and the fold behind it."""

    def __init__(
        self,
        ring: NDArray[np.uint8],
        symbols_max: int,
        batch_slots: int,
        settings: StageSettings,
        rules: Sequence[RuleConfig],
        hash_deltas: bool,
    ) -> None:
        self.reader = RingReader(ring, None, start="oldest")
        self.fold = make_fold(symbols_max, batch_slots, settings, rules, hash_deltas=hash_deltas)
        self._batch = np.zeros(batch_slots, SLOT)
        self._rows = rows_over(self._batch, 0)

    def step(self) -> Sections:
        """Fold one batch. The sections are views, valid until the next step; empty when idle."""
        count = self.reader.poll(self._batch)
        return self.fold.fold(self._rows._replace(count=count)) if count else []


class LocalTape:
    """Frames in, delta sections out.

    Parameters
    ----------
    shards, ring_slots, symbols_max, batch_slots
        As in the configuration; `batch_slots` is the most a step folds at once.
    settings, rules
        What the stages obey, and the operator's own alert rules.
    hash_deltas
        Keep the running hashes of all deltas for `digest`.
    protocol, horizon_s, backlog_bytes, recorder
        As `Intake` takes them.
    board
        Also sum up the market, for `summaries`; it costs what the board process would.
    """

    def __init__(
        self,
        *,
        shards: int = 1,
        ring_slots: int = 65_536,
        symbols_max: int = 4_096,
        batch_slots: int = 4_096,
        settings: StageSettings | None = None,
        rules: Sequence[RuleConfig] = (),
        hash_deltas: bool = True,
        protocol: str = "v2",
        horizon_s: int | None = None,
        backlog_bytes: int = BACKLOG_BYTES,
        recorder: Recorder | None = None,
        board: bool = False,
    ) -> None:
        self._table = np.zeros(symbols_bytes(symbols_max), np.uint8)
        format_symbols(self._table, symbols_max)
        self.counters = np.zeros(1, INGEST_COUNTERS)
        rings = [np.zeros(ring_bytes(ring_slots), np.uint8) for _ in range(shards)]
        for ring in rings:
            format_ring(ring, ring_slots, created_ns=0)
        writers = [RingWriter(ring, None) for ring in rings]

        def intake() -> tuple[SymbolTable, Intake]:
            symbols = SymbolTable(self._table, shard_rule(shards))
            return symbols, Intake(
                symbols,
                writers,
                self.counters,
                protocol=protocol,
                horizon_s=horizon_s,
                backlog_bytes=backlog_bytes,
                recorder=self.recorder,
            )

        self.recorder = recorder
        self._new_intake = intake
        self.symbols, self.intake = intake()
        self.shards = [
            LocalShard(
                ring, symbols_max, batch_slots, settings or StageSettings(), rules, hash_deltas
            )
            for ring in rings
        ]

        self.board = Board(symbols_max) if board else None

    def restart_intake(self, *, resumed: bool = False) -> None:
        """Go on as a restarted ingest does: the same table, every symbol introduced anew.

        One that found a journal (`resumed`) introduces only those that are not in it.
        """
        self.intake.flush()
        before = self.symbols
        self.symbols, self.intake = self._new_intake()
        if resumed:
            self.symbols.take_over(before)

    def play(self, frames: Iterable[tuple[int, bytes]], flush_every: int = 64) -> None:
        """Run ``(recv_ns, frame)`` pairs through everything, keeping state and digest only."""
        for index, (recv_ns, frame) in enumerate(frames, 1):
            self.intake.on_frame(frame, recv_ns)
            if index % flush_every == 0:
                self.intake.flush()
                self.drain()
        self.intake.flush()
        self.drain()

    def drain(self) -> int:
        """Fold everything published so far. Return the number of delta rows it gave."""
        rows = 0
        for index, shard in enumerate(self.shards):
            while shard.reader.lag_slots:
                for channel, section in shard.step():
                    rows += len(section)
                    if self.board is not None:
                        self.board.take(channel, section, index)
            assert shard.reader.lapped_slots == 0, "the local ring is too small for one flush"
        return rows

    def latest(self, channel: str) -> dict[str, np.void]:
        """Return the newest row of a channel by symbol code, for symbols that have one."""
        codes = self.symbols.rows["code"]
        return {
            codes[row["symbol_id"]].decode(): row
            for shard in self.shards
            for row in shard.fold.latest[channel]
            if row["seq"] > 0
        }

    def summaries(self, channel: str) -> dict[str, np.void]:
        """Return the board's newest row of a channel by key, for keys that have one."""
        assert self.board is not None, "the tape was made without a board"
        self.board.summarise()
        latest = self.board.latest()
        names = {int(row["symbol_id"]): row["code"].decode() for row in latest["symbol"]}
        return {names[int(row["symbol_id"])]: row for row in latest[channel] if row["seq"] > 0}

    def digest(self) -> Digest:
        """Return what all shards together ended on: the same however many there are."""
        return combine(shard.fold.digest() for shard in self.shards)
