"""How a shard's new life begins: what the last one left, put together into a worker.

In: saved state, counters, last words, the day's journal. Out: a `Worker` that stands where the
saved state does. Owner of the memory: the caller's fold and ring. May lose: nothing; a state that
cannot be used only costs time. Counts: quarantined_slots of SHARD_COUNTERS.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.config import Config
from engine.journal import quarantine
from engine.journal.reader import JournalReader
from engine.log import Log
from engine.market.days import day_text
from engine.ring.reader import RingReader
from engine.rundir import RunDir
from engine.schema import SCHEMA_ID
from engine.schema.channels import SYMBOL
from engine.schema.codes import Instrument
from engine.schema.segments import RING_HEADER
from engine.schema.slots import SLOT
from engine.segment import record_view
from engine.shard.fold import Fold
from engine.wiring import last_words
from engine.wiring.capsule import SUFFIX, Capsule, Case, write_capsule
from engine.wiring.children import describe_exit
from engine.wiring.day_books import Ledger
from engine.wiring.follow import Follower
from engine.wiring.state_file import State, read_state
from engine.wiring.suspects import SlotRange, Suspects, forget
from engine.wiring.today import Today, fold_settings, settings_hash
from engine.wiring.worker import BATCH_SLOTS, Saving, Take, Worker

BEFORE_SLOTS = 1_000  # of a capsule: what led up to the group


def begin_worker(
    run_dir: RunDir,
    config: Config,
    shard: int,
    ring: RingReader,
    fold: Fold,
    ledger: Ledger,
    cell: np.void,
    take: Take,
    now_ns: int,
    log: Log,
) -> Worker:
    """Put a worker together from what is there.

    Parameters
    ----------
    fold, ledger
        Blank; a saved state is put into them.
    ring
        A reader that stands at the oldest slot the ring has.
    cell
        The shard's counters as the last life left them.
    """
    header = record_view(ring.memory, RING_HEADER)[0]
    epoch, first_seq = int(header["created_ns"]), int(header["first_seq"])
    stack = last_words.take(run_dir.crash_file(shard))
    today = Today.of(run_dir, config)
    folder = today.folder
    if folder is None:
        whole = ring.read_seq == first_seq
        if not whole:
            log.write("warning", "the ring was lapped before this start: new epoch")
        forget(cell)  # without a journal nothing can be left out, so nobody is suspected
        return Worker(
            Follower(ring, None, shard, ring.read_seq, lambda: 0),
            fold,
            ledger,
            cell,
            Suspects.of(cell),
            take,
            saving=None,
            quarantine=None,
            epoch=epoch if whole else now_ns,
            quiet_until=0,
            now_ns=now_ns,
            log=log,
        )
    suspects = Suspects.of(cell)
    saving = Saving(run_dir.state_file(shard), epoch, settings_hash(fold_settings(config)))
    state = read_state(
        saving.path, journal_epoch=epoch, schema=SCHEMA_ID, settings_hash=saving.settings_hash
    )
    next_seq = 0
    if isinstance(state, State):
        fold.restore(state.image)
        ledger.restore(state.books)
        next_seq, epoch = state.head.seq, state.head.epoch
    elif state is not None:
        log.write("warning", "saved state not used", reason=state.why)
    follower = Follower(ring, folder, shard, next_seq, lambda: _feed_symbol_id(fold))
    return Worker(
        follower,
        fold,
        ledger,
        cell,
        suspects,
        take,
        saving=saving,
        quarantine=Execution(run_dir, config, shard, today, folder, stack, suspects, now_ns, log),
        epoch=epoch,
        quiet_until=max(int(cell["settled_seq"]), first_seq),
        now_ns=now_ns,
        log=log,
    )


def _feed_symbol_id(fold: Fold) -> int:
    """Return the id of the feed's pseudo symbol, 0 while it is not known."""
    found = np.flatnonzero(fold.latest[SYMBOL.name]["instrument"] == Instrument.FEED)
    return int(found[0]) if len(found) else 0


class Execution:
    """Puts a group that killed two workers away: a capsule for us, a line for readers."""

    def __init__(
        self,
        run_dir: RunDir,
        config: Config,
        shard: int,
        today: Today,
        folder: Path,
        stack: str,
        suspects: Suspects,
        now_ns: int,
        log: Log,
    ) -> None:
        self._config = config
        self._shard = shard
        self._folder = folder
        self._dead_letter = run_dir.data_dir(config) / "dead-letter"
        self._stack = stack
        self._how = describe_exit(suspects.last_exit)
        self._deaths = suspects.deaths
        self._day = day_text(today.day)
        self._now_ns = now_ns
        self._log = log

    def __call__(self, slots: SlotRange, worker: Worker) -> None:
        """Keep the evidence, then have the journal's readers leave the slots out."""
        path = self._dead_letter / (f"{self._day}-shard{self._shard}-{slots.first_seq}{SUFFIX}")
        try:
            self._dead_letter.mkdir(parents=True, exist_ok=True)
            write_capsule(path, self._capsule(slots, worker.fold))
        except OSError as error:
            self._log.write("error", "no capsule", reason=str(error))
        why = f"killed {self._deaths} workers: {self._how}"
        quarantine.add(self._folder, self._shard, slots.first_seq, slots.end_seq, why, self._now_ns)
        self._log.write(
            "error",
            "slots that killed two workers are left out",
            first_seq=slots.first_seq,
            slots=slots.slots,
            how=self._how,
            capsule=path.name,
        )

    def _capsule(self, slots: SlotRange, fold: Fold) -> Capsule:
        before_seq = max(0, slots.first_seq - BEFORE_SLOTS)
        before = self._read(before_seq, slots.first_seq)
        group = self._read(slots.first_seq, slots.end_seq)
        ids = np.unique(np.concatenate([before["symbol_id"], group["symbol_id"]]))
        codes = fold.latest[SYMBOL.name]["code"]
        config = self._config
        case = Case(
            shard=self._shard,
            day=self._day,
            first_seq=slots.first_seq,
            end_seq=slots.end_seq,
            deaths=self._deaths,
            how=self._how,
            stack=self._stack,
            written_ns=self._now_ns,
            symbols_max=config.engine.symbols_max,
            side_precedence=tuple(config.engine.side_precedence),
            alerts=config.alerts,
            rules=config.rules,
            codes={int(i): codes[i].decode() for i in ids if i < len(codes)},
        )
        return Capsule(case, before, group, fold.save())

    def _read(self, first_seq: int, end_seq: int) -> NDArray[np.void]:
        reader = JournalReader(self._folder, self._shard, from_seq=first_seq)
        batch = np.zeros(BATCH_SLOTS, SLOT)
        count = reader.read(batch, end_seq)
        return batch[:count].copy()
