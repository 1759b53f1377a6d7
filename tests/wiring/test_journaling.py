"""Ingest's lives: the next one goes on exactly where the journal ends."""

from pathlib import Path

import numpy as np
import pytest

from engine.decode.symbols import SymbolTable, format_symbols, symbols_bytes
from engine.journal import quarantine
from engine.journal.survey import survey
from engine.ring.reader import RingReader
from engine.schema.codes import SlotFlag, Venue
from engine.schema.slots import SLOT, SYMBOL
from engine.wiring.shard_map import shard_rule
from tests.wiring.standing import Life, Stand, digest_of, trades


def ring_slots(stand: Stand) -> np.ndarray:
    reader, batch = RingReader(stand.memory, None), np.zeros(4_096, SLOT)
    return batch[: reader.poll(batch)].copy()


def test_the_journal_has_what_the_ring_has_byte_for_byte(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    stand.publish(1_000)
    stand.publish(2_500, bite=2_500)  # three groups in one bite
    follower, batch = stand.follower(), np.zeros(4_096, SLOT)
    follower._avoid_until = 10**9  # from the journal, though the ring has them
    assert follower.poll(batch) == 3_500
    assert batch[:3_500].tobytes() == ring_slots(stand).tobytes()
    bites = np.flatnonzero(batch["flags"][:3_500] & SlotFlag.BITE)
    assert bites.tolist() == [*range(99, 1_000, 100), 3_499]


def test_what_was_written_and_not_published_is_published_first(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    stand.publish(300)
    stand.publish(2_500, bite=2_500, only_journal=True)  # and here ingest dies
    assert stand.ring.write_seq == 300
    stand.restart()
    assert stand.ring.write_seq == 2_800
    slots = ring_slots(stand)
    assert slots["seq"].tolist() == list(range(2_800))
    lasts = np.flatnonzero(slots["flags"] & SlotFlag.LAST).tolist()
    assert lasts == [99, 199, 299, 300 + 1_023, 300 + 2_047, 2_799]  # groups as they were
    stand.publish(100)
    assert Life(stand).run().state == Life(stand).run().state


@pytest.mark.parametrize("cut_bytes", [1, 100, 200, 201, 5_000, 19_999])
def test_a_torn_bite_is_cut_off_and_said(tmp_path: Path, cut_bytes: int) -> None:
    stand = Stand(tmp_path)
    stand.publish(300)
    stand.publish(100, only_journal=True)  # dies while writing:
    file = next(tmp_path.glob("*.vnj"))
    data = file.read_bytes()
    file.write_bytes(data[:-cut_bytes])
    stand.restart()
    assert stand.ring.write_seq == 300
    assert any("torn" in line for line in stand.told)
    stand.publish(200)
    assert Life(stand).run() == digest_of(500)


def test_symbols_of_the_journal_are_not_introduced_again(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    stand.publish(100)
    memory = np.zeros(symbols_bytes(16), np.uint8)
    format_symbols(memory, 16)

    def table() -> SymbolTable:
        return SymbolTable(memory, shard_rule(1))

    first = table()
    for code, venue in ((b"FPT", Venue.HOSE), (b"SSI", Venue.HOSE), (b"HPG", Venue.HOSE)):
        first.intern(code, venue)
    stand.restart()
    known = stand.introductions.view(SYMBOL)
    assert known["code"].tolist() == [b"FPT", b"SSI", b"FEED"]
    for slot in known[:2]:  # as this table would have introduced them
        row = first.rows[slot["symbol_id"]]
        slot["value_multiplier"], slot["instrument"] = row["value_multiplier"], row["instrument"]
    second = table()
    assert second.resume(known[:2]) == 2
    assert [second.introduce(symbol_id) for symbol_id in (1, 2, 3)] == [False, False, True]


def test_a_symbol_whose_venue_became_known_later_is_introduced_again() -> None:
    memory = np.zeros(symbols_bytes(16), np.uint8)
    format_symbols(memory, 16)
    table = SymbolTable(memory, shard_rule(1))
    symbol_id = table.intern(b"FPT", Venue.UNKNOWN)
    told = np.zeros(1, SLOT).view(SYMBOL)
    told["symbol_id"] = symbol_id
    for column in ("code", "value_multiplier", "instrument", "underlying", "expiry_day", "venue"):
        told[column] = table.rows[symbol_id][column]
    table.intern(b"FPT", Venue.HOSE)  # and ingest dies before it can tell
    again = SymbolTable(memory, shard_rule(1))
    assert again.resume(told) == 0
    assert again.introduce(symbol_id)


def test_counters_tell_of_the_journal(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    stand.publish(250)
    assert stand.journals is not None
    stand.journals.report()
    cell = stand.counters[0]
    assert int(cell["journal_slots"]) == 250
    assert int(cell["journal_bytes"]) == 64 + 250 * 200
    assert int(cell["journal_lost_slots"]) == int(cell["journal_failing"]) == 0
    assert int(cell["journal_ns"]) >= int(cell["journal_worst_ns"]) > 0


def test_a_disk_that_refuses_is_told_and_the_tape_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "day"
    folder.write_text("a file where the folder should be", encoding="ascii")
    stand = Stand(folder)
    stand.publish(300)
    assert stand.ring.write_seq == 300
    assert stand.journals is not None
    stand.journals.report()
    assert int(stand.counters[0]["journal_failing"]) == 1
    assert int(stand.counters[0]["journal_lost_slots"]) == 300
    assert any("the journal is not written" in line for line in stand.told)
    folder.unlink()
    slots = trades(300, 100)
    words = stand.ring.stamp(slots, 100)
    stand.journals.append(0, words, 100, int(slots["recv_ns"][-1]) + 2_000_000_000)
    stand.ring.publish(slots, 100)
    stand.journals.report()
    assert int(stand.counters[0]["journal_failing"]) == 0
    assert any("is written again" in line for line in stand.told)


def test_symbols_of_quarantined_slots_are_introduced_again(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    stand.publish(100, bite=3)
    quarantine.add(tmp_path, 0, 0, 2, "killed", 1)
    stand.restart()
    assert stand.introductions.view(SYMBOL)["code"].tolist() == [b"FEED"]


def test_everybody_is_introduced_again_after_slots_were_lost() -> None:
    memory = np.zeros(symbols_bytes(16), np.uint8)
    format_symbols(memory, 16)
    table = SymbolTable(memory, shard_rule(1))
    symbol_id = table.intern(b"FPT", Venue.HOSE)
    assert table.introduce(symbol_id)
    assert not table.introduce(symbol_id)
    table.introduce_again()
    assert not table.index.any()  # the scanner must ask, or nobody would tell
    assert table.introduce(symbol_id)


@pytest.mark.parametrize("from_seq", [0, 100, 250, 300, 400])
def test_an_ingest_looks_at_the_end_of_its_journal_only(tmp_path: Path, from_seq: int) -> None:
    stand = Stand(tmp_path)
    stand.publish(300, bite=50)
    stand.publish(100, only_journal=True)
    file = next(tmp_path.glob("*.vnj"))
    file.write_bytes(file.read_bytes()[:-10])
    found = survey(tmp_path, 0, from_seq=from_seq)
    assert found.end_seq == (300 if from_seq <= 300 else 399)
    assert found.torn is not None
    if from_seq <= 300:
        assert found.torn.offset == 64 + 300 * 200
