"""What must be true once everything has come to rest: compared with what was really published.

journal    every published slot, whole bites, nothing else; what the disk refused is a hole
state      the fold of exactly the slots it says it is of, for every shard and any past
rows       what any gateway was ever told in this epoch is what that fold says
mirrors    equal to the shard's own newest rows
losses     a slot that is not the one published is a LOST slot, never silence
"""

import random
from typing import TYPE_CHECKING

import numpy as np

from engine.journal.layout import HEADER_BYTES, journal_files, slots_in
from engine.journal.reader import JournalReader
from engine.schema.codes import ControlOp, SlotFlag, SlotKind
from engine.schema.journal import JOURNAL_RECORD
from engine.schema.slots import CONTROL, SLOT, rows_over
from engine.shard.digest import NOT_MEANING
from engine.shard.fold import Fold
from engine.shard.stage import StageSettings
from engine.shard.stats import check_invariants
from engine.wiring.stages import make_fold
from tests.simulation.client import differences
from tests.simulation.errors import Violation
from tests.simulation.machine import SYMBOLS_MAX
from tests.simulation.script import REFUSALS

if TYPE_CHECKING:
    from tests.simulation.processes import Shard
    from tests.simulation.world import World

BATCH_SLOTS = 2_048  # another one than the worker's
LAST = int(SlotFlag.LAST)
STRICT_WITHOUT = REFUSALS | {"drop", "jump", "power", "flip"}


def need(truth: bool, text: str) -> None:
    """Raise a Violation with this text unless it is true."""
    if not truth:
        raise Violation(text)


def everything(world: "World") -> None:
    """Check all of it."""
    codes: dict[int, bytes] = {}
    for index, shard in enumerate(world.shards):
        assert shard is not None
        check_journal(world, index, codes)
        check_slots(world, index, shard)
        check_state(world, index, shard)
        for gateway in world.gateways:
            assert gateway is not None
            gateway.check_rows(index, shard.worker.epoch, shard.worker.fold.latest)
    used = {event.name for event in world.script.events}
    if not used & STRICT_WITHOUT:
        skipped = [gateway.skipped for gateway in world.gateways if gateway is not None]
        need(not any(skipped), f"gateways never saw {skipped} rows although nothing was lost")


def read_journal(world: "World", shard: int) -> tuple[dict[int, bytes], list[tuple[int, int]]]:
    """Read a journal as everybody does: what it gives by seq, and its holes."""
    reader = JournalReader(world.machine.journal, shard)
    batch = np.zeros(BATCH_SLOTS, SLOT)
    slots: dict[int, bytes] = {}
    holes: list[tuple[int, int]] = []
    while True:
        count = reader.read(batch, world.rings[shard].write_seq)
        for slot in batch[:count]:
            slots[int(slot["seq"])] = slot.tobytes()
        if reader.hole is not None:
            holes.append(reader.hole)
            reader.skip_hole()
        elif not count:
            return slots, holes


def check_journal(world: "World", shard: int, codes: dict[int, bytes]) -> None:
    """The journal is what was published, but for what the disk did to it; an id has one code."""
    found, holes = read_journal(world, shard)
    published = world.published[shard]
    end_seq = world.rings[shard].write_seq
    missing = {seq for first, end in holes for seq in range(first, end)}
    need(
        set(found) | missing == set(range(end_seq)),
        f"shard {shard}: the journal has {len(found)} slots and holes {holes}, {end_seq} were "
        "published",
    )
    used = {event.name for event in world.script.events}
    need(
        not missing or bool(used & REFUSALS), f"shard {shard}: holes {holes}, and the disk is well"
    )
    for seq, raw in found.items():
        if raw == published.get(seq):
            symbol_id = int(np.frombuffer(raw, SLOT)["symbol_id"][0])
            code = world.code_of[shard][seq]
            need(
                symbol_id == 0 or codes.setdefault(symbol_id, code) == code,
                f"shard {shard}: slot {seq} is of {code!r} and has the id {symbol_id} of "
                f"{codes.get(symbol_id)!r}",
            )
            continue
        need(is_told(raw), f"shard {shard}: journal slot {seq} is another one than was published")
        need(
            world.spoilt or world.poisoned[shard] is not None,
            f"shard {shard}: journal slot {seq} is told as lost, and nothing spoilt it",
        )


def is_told(raw: bytes) -> bool:
    """Is this the slot that says that another one is lost?"""
    slot = np.frombuffer(raw, CONTROL)[0]
    return bool(slot["kind"] == SlotKind.CONTROL and slot["op"] == ControlOp.LOST)


def check_slots(world: "World", index: int, shard: "Shard") -> None:
    """A shard has folded what was published; where not, it was told, and says so by its epoch."""
    published = world.published[index]
    end_seq = shard.worker.follower.next_seq
    strange = [seq for seq in range(end_seq) if shard.slots.get(seq) != published.get(seq)]
    untold = [seq for seq in strange if seq in shard.slots and not is_told(shard.slots[seq])]
    need(not untold, f"shard {index} folded other slots than were published: {untold[:5]}")
    absent = [seq for seq in strange if seq not in shard.slots]
    told = any(is_told(raw) for raw in shard.slots.values())
    need(not absent or told, f"shard {index}: slots {absent[:5]} are lost and nobody was told")
    poisoned = world.poisoned[index]
    excused = poisoned is not None and _one_group(world, index, strange, poisoned)
    exact = shard.worker.epoch == world.machine.opened.epoch
    need(
        not strange or excused or not exact or shard.worker.follower.lost_slots > 0,
        f"shard {index} keeps the day's epoch and lacks slots {strange[:5]}",
    )


def _one_group(world: "World", index: int, strange: list[int], poisoned: int) -> bool:
    """Are these slots all of the group that the poisoned one is in?"""
    published = world.published[index]
    return bool(strange) and all(
        not any(published[seq][25] & LAST for seq in range(min(one, poisoned), max(one, poisoned)))
        for one in strange
    )


def check_state(world: "World", index: int, shard: "Shard") -> None:
    """State and rows are those of a fold that saw the same slots, undisturbed and in other cuts."""
    fold = make_fold(
        SYMBOLS_MAX, BATCH_SLOTS, StageSettings.of(world.machine.config), (), hash_deltas=True
    )
    epoch = shard.worker.epoch
    told = world.told.of(index, epoch)
    _refold(fold, shard, told, index)
    if fold.digest() != shard.worker.fold.digest():
        raise Violation(
            f"shard {index}: its state is not the fold of its slots: {_where(fold, shard)}"
        )
    need(not told, f"shard {index}: rows were told that its slots do not give: {sorted(told)[:3]}")
    wrong = check_invariants(fold.latest["stats"])
    need(not wrong, f"shard {index}: {wrong}")


def _refold(
    fold: Fold, shard: "Shard", told: dict[tuple[int, int, int], bytes], index: int
) -> None:
    """Fold a shard's slots again; take every row that was told right out of `told`."""
    slots = np.frombuffer(b"".join(shard.slots[seq] for seq in sorted(shard.slots)), SLOT).copy()
    ends = np.flatnonzero(slots["flags"] & LAST) + 1
    first = 0
    while first < len(slots):
        end = int(ends[np.searchsorted(ends, first + BATCH_SLOTS, side="right") - 1])
        part = slots[first:end]
        for channel, rows in fold.fold(rows_over(part, len(part))):
            size = rows.dtype.itemsize
            raw = rows.tobytes()
            pairs = zip(rows["symbol_id"].tolist(), rows["seq"].tolist(), strict=True)
            for at, (symbol_id, seq) in enumerate(pairs):
                row = told.pop((channel.code, symbol_id, seq), None)
                mine = raw[at * size : (at + 1) * size]
                if row is not None and row != mine:
                    raise Violation(
                        f"shard {index}: {channel.name} {symbol_id} seq {seq} was told wrong: "
                        f"{differences(channel, row, mine)}"
                    )
        first = end


def _where(fold: Fold, shard: "Shard") -> str:
    """Name the states that differ."""
    other = shard.worker.fold
    return ", ".join(
        f"{stage.name}.{name}"
        for stage in fold.stages
        for name in fold.state(stage.name).dtype.names or ()
        if name not in NOT_MEANING
        and fold.state(stage.name)[name].tobytes() != other.state(stage.name)[name].tobytes()
    )


def flip(world: "World", shard: int, dice: random.Random) -> None:
    """Flip one bit somewhere in a shard's journal."""
    files = journal_files(world.machine.disk, world.machine.journal, shard)
    full = [file for file in files if slots_in(world.machine.disk.size(file.path))]
    if not full:
        return
    path = dice.choice(full).path
    records = slots_in(world.machine.disk.size(path))
    at = HEADER_BYTES + dice.randrange(records * JOURNAL_RECORD.itemsize)
    world.machine.disk.flip(path, at, dice.randrange(8))
    world.spoilt = True
