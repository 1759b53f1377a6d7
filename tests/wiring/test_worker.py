"""A shard's lives: wherever one ends, the next arrives at the same numbers."""

from pathlib import Path

import numpy as np
import pytest

from engine.journal import quarantine
from engine.journal.disk import RealDisk
from engine.journal.layout import file_name
from engine.ring.layout import RING_SLOTS_MIN
from engine.schema import SCHEMA_ID
from engine.schema.codes import ControlOp, SlotKind
from engine.schema.counters import SHARD_COUNTERS
from engine.schema.journal import JOURNAL_HEADER, JOURNAL_RECORD
from engine.schema.slots import CONTROL, SLOT
from engine.wiring.state_file import State, read_state
from engine.wiring.suspects import SlotRange
from tests.wiring.standing import (
    EPOCH,
    FEED_ID,
    SAVE_NS,
    Life,
    Stand,
    blank_fold,
    digest_of,
    fold_of,
    trades,
)

MANY = RING_SLOTS_MIN + 1_504  # more than the ring holds, and whole bites


def saved(path: Path) -> State:
    state = read_state(path, journal_epoch=EPOCH, schema=SCHEMA_ID, settings_hash="settings")
    assert isinstance(state, State)
    return state


def test_a_worker_that_keeps_up_never_looks_into_the_journal(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    life = Life(stand)
    assert life.worker.live
    stand.publish(1_000)
    assert life.run() == digest_of(1_000)
    assert life.worker.follower.journal_slots == 0
    assert int(life.cell[0]["slots"]) == 1_000


def test_a_new_worker_folds_from_the_journal_what_the_ring_has_lost(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    stand.publish(MANY)
    life = Life(stand)
    assert not life.worker.live
    assert life.run() == digest_of(MANY)
    assert life.worker.live
    assert life.worker.epoch == EPOCH
    assert life.worker.follower.lost_slots == 0
    assert int(life.cell[0]["replayed_slots"]) > MANY - RING_SLOTS_MIN


def test_a_worker_that_was_overtaken_misses_nothing(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    life = Life(stand)
    stand.publish(500)
    life.run()
    stand.publish(MANY)
    assert life.run() == digest_of(500 + MANY)
    assert life.worker.follower.journal_slots > 0
    assert life.worker.follower.lost_slots == 0
    stand.publish(100)
    before = life.worker.follower.journal_slots
    assert life.run() == digest_of(600 + MANY)
    assert life.worker.follower.journal_slots == before  # back on the ring


@pytest.mark.parametrize("at", [100, 1_000, 3_900])
def test_a_saved_state_is_gone_on_with(tmp_path: Path, at: int) -> None:
    stand, path = Stand(tmp_path), tmp_path / "state"
    first = Life(stand, state=path)
    stand.publish(at)
    first.run()
    first.worker.save(SAVE_NS)
    assert not path.exists()  # rows may still be in our buffers
    first.worker.settle(at - 1)
    assert not path.exists()
    first.worker.settle(at)
    assert int(first.cell[0]["state_seq"]) == at
    stand.publish(500)
    state = saved(path)
    assert (state.head.seq, state.head.epoch) == (at, EPOCH)
    fold = blank_fold()
    fold.restore(state.image)
    second = Life(stand, seq=state.head.seq, fold=fold)
    second.worker.ledger.restore(state.books)
    assert second.run() == digest_of(at + 500)


def test_what_everybody_knows_is_not_said_again(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    stand.publish(1_000)
    whole = Life(stand)
    whole.run()
    again = Life(stand, quiet_until=600)
    assert not again.worker.live
    again.run()
    assert again.worker.live
    assert 0 < len(again.rows) <= len(whole.rows)
    assert again.rows == whole.rows[-len(again.rows) :]  # the same numbers, none left out
    stand.publish(200)
    whole.run(), again.run()
    assert again.rows == whole.rows[-len(again.rows) :]


def flip(folder: Path, seq: int) -> None:
    path = folder / file_name(0, 0)
    data = bytearray(path.read_bytes())
    data[JOURNAL_HEADER.itemsize + seq * JOURNAL_RECORD.itemsize + 60] ^= 4
    path.write_bytes(data)


def test_a_flipped_byte_costs_one_slot_and_the_epoch(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    stand.publish(MANY)
    flip(tmp_path, 1_234)
    life = Life(stand)
    life.run()
    follower = life.worker.follower
    assert (follower.damaged_slots, follower.lost_slots) == (1, 0)
    assert follower.damage[0].seq == 1_234
    assert follower.damage[0].offset == 64 + 1_234 * 200
    assert life.worker.epoch == EPOCH + 2  # not what earlier lives published
    counts, whole = life.fold.counts, fold_of(MANY).counts
    assert counts.slots == whole.slots
    assert counts.matches == whole.matches - 1
    assert counts.missed_volume_shares == whole.missed_volume_shares + 100  # missed, and told
    assert int(life.fold.latest["feed"][FEED_ID]["lost_frames"]) == 1


def test_damage_behind_a_saved_state_costs_nothing(tmp_path: Path) -> None:
    stand, path = Stand(tmp_path), tmp_path / "state"
    first = Life(stand, state=path)
    stand.publish(2_000)
    first.run()
    first.worker.save(SAVE_NS)
    first.worker.settle(2_000)
    stand.publish(MANY)
    flip(tmp_path, 1_234)
    fold = blank_fold()
    fold.restore(saved(path).image)
    second = Life(stand, seq=2_000, fold=fold)
    assert second.run() == digest_of(2_000 + MANY)
    assert second.worker.epoch == EPOCH


def test_quarantined_slots_are_left_out_by_every_life(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    stand.publish(1_000)
    quarantine.add(tmp_path, 0, 500, 600, "killed 2 workers", EPOCH)
    one, other = Life(stand), Life(stand)
    stand.publish(MANY)  # the first finds them on the ring no more, the second neither
    assert one.run() == other.run()
    assert one.worker.epoch == EPOCH
    assert one.fold.counts.slots == 1_000 + MANY
    assert one.fold.counts.matches < 1_000 + MANY - 3 - 100


def test_quarantined_slots_that_the_ring_still_has_are_left_out_too(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    stand.publish(1_000)
    quarantine.add(tmp_path, 0, 500, 600, "killed 2 workers", EPOCH)
    life = Life(stand)
    life.run()
    assert life.fold.counts.matches < 1_000 - 3 - 99


def died_folding(first_seq: int, end_seq: int, cell: np.ndarray) -> None:
    cell[0]["fold_first_seq"], cell[0]["fold_end_seq"] = first_seq, end_seq
    cell[0]["last_exit"] = -11


def test_a_group_that_kills_twice_is_tried_on_the_third_life(tmp_path: Path) -> None:
    stand, cell = Stand(tmp_path), np.zeros(1, SHARD_COUNTERS)
    stand.publish(1_000)
    died_folding(400, 800, cell)
    second = Life(stand, cell)
    seen: list[tuple[int, int]] = []
    begin = second.suspects.begin
    second.suspects.begin = lambda first, end: (seen.append((first, end)), begin(first, end))[1]  # type: ignore[method-assign]
    second.run()
    assert [pair for pair in seen if 500 <= pair[0] < 700] == [(500, 600), (600, 700)]
    assert not second.executed  # it went well this time
    died_folding(400, 800, cell)
    Life(stand, cell)
    died_folding(500, 600, cell)
    third = Life(stand, cell)

    def execute(slots: SlotRange, worker: object) -> None:
        third.executed.append(slots)
        assert third.fold.counts.slots == 500  # the state just before it
        quarantine.add(tmp_path, 0, slots.first_seq, slots.end_seq, "killed", EPOCH)

    third.worker._quarantine = execute
    third.run()
    assert third.executed == [SlotRange(500, 600)]
    assert third.fold.counts.slots == 1_000
    assert int(cell[0]["quarantined_slots"]) == 100
    assert third.run() == Life(stand).run()


def test_states_are_saved_when_it_is_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.wiring.worker.SAVE_SLOTS", 800)
    monkeypatch.setattr("engine.wiring.worker.SAVE_IDLE_SLOTS", 200)
    monkeypatch.setattr("engine.wiring.worker.SAVE_IDLE_NS", 50)
    stand = Stand(tmp_path)
    life = Life(stand, state=tmp_path / "state")
    stand.publish(300)
    life.run()
    assert life.worker.save_if_due(EPOCH + 40, idle=True) == 0  # too soon
    assert life.worker.save_if_due(EPOCH + 60, idle=False) == 0  # busy
    assert life.worker.save_if_due(EPOCH + 60, idle=True) == 300
    stand.publish(700)
    life.run()
    assert life.worker.save_if_due(EPOCH + 61, idle=False) == 0
    stand.publish(100)
    life.run()
    assert life.worker.save_if_due(EPOCH + 62, idle=False) == 800
    life.worker.settle(1_100)
    assert saved(tmp_path / "state").head.seq == 1_100


def test_a_disk_that_refuses_a_state_costs_nothing_else(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    life = Life(stand, state=tmp_path / "nowhere" / "state")
    stand.publish(300)
    life.run()
    life.worker.save(SAVE_NS)
    assert any("state not saved" in line for line in stand.told)
    assert int(life.cell[0]["state_seq"]) == 0
    assert life.run() == digest_of(300)


def test_without_a_journal_what_is_overwritten_is_lost_and_counted(tmp_path: Path) -> None:
    stand = Stand(tmp_path, write=False)
    follower, batch = stand.follower(journal=False), np.zeros(4_096, SLOT)
    stand.publish(100)
    assert follower.poll(batch) == 100
    stand.publish(MANY)
    taken = 0
    while count := follower.poll(batch):
        taken += count
    assert follower.lost_slots > 0
    assert taken + follower.lost_slots == MANY


def test_a_hole_that_the_ring_has_forgotten_is_told_by_one_slot(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    stand.publish(200)
    assert stand.journals is not None
    journals, stand.journals = stand.journals, None
    journals.close()
    stand.publish(300)  # nobody wrote these
    stand.restart()
    stand.publish(MANY)
    follower, batch = stand.follower(), np.zeros(4_096, SLOT)
    assert follower.poll(batch) == 200
    assert follower.poll(batch) == 1
    told = batch.view(CONTROL)[0]
    assert (told["kind"], told["op"], told["arg0"]) == (SlotKind.CONTROL, ControlOp.LOST, 300)
    assert (told["seq"], told["symbol_id"]) == (499, FEED_ID)
    assert told["exch_s"] == trades(199, 1)[0]["exch_s"]
    assert follower.lost_slots == 300
    assert follower.poll(batch) > 0
    assert batch["seq"][0] == 500


def test_a_group_that_was_published_before_it_killed_costs_the_epoch(tmp_path: Path) -> None:
    stand, cell = Stand(tmp_path), np.zeros(1, SHARD_COUNTERS)
    stand.publish(1_000)
    cell[0]["folded_seq"] = 1_000  # an earlier life told all of it
    died_folding(400, 800, cell)
    Life(stand, cell)
    died_folding(500, 600, cell)
    third = Life(stand, cell)
    third.worker._quarantine = lambda slots, _worker: quarantine.add(
        tmp_path, 0, slots.first_seq, slots.end_seq, "killed", EPOCH
    )
    third.run()
    assert third.worker.epoch == EPOCH + 1


class DeadDisk(RealDisk):
    """A disk whose files can be listed and not be read."""

    def read(self, path: Path, offset: int, into: memoryview) -> int:
        raise OSError(5, "Input/output error")


def test_a_journal_that_cannot_be_read_costs_its_slots_not_the_tape(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    stand.publish(MANY)
    stand.disk = DeadDisk()
    life = Life(stand)
    life.run()
    follower = life.worker.follower
    assert follower.next_seq == MANY
    assert follower.lost_slots > 0
    assert "Input/output" in follower.error
    assert life.worker.epoch != EPOCH
    stand.publish(100)
    life.run()
    assert follower.next_seq == MANY + 100
