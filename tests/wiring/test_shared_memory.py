"""Shared memory is made for a day, adopted when it is the very same, and swept otherwise."""

from dataclasses import replace

import pytest

from engine import segment
from engine.decode.symbols import SymbolTable
from engine.errors import ConfigError
from engine.journal.days import journal_day
from engine.process import boot_id
from engine.ring.layout import WRITE_CELL, view_ring, write_cell
from engine.rundir import RunDir
from engine.schema.codes import Venue
from engine.schema.segments import RING_HEADER
from engine.wiring.open_day import close_day, open_day
from engine.wiring.shard_map import shard_rule
from engine.wiring.shared_memory import (
    OF_THE_DAY,
    SAME,
    adopt,
    can_keep_symbols,
    check_start,
    make_counters,
    make_day,
    manifest_facts,
    published_seqs,
    why_not_adopt,
)
from tests.wiring.days import DAY_NS, NOON_NS, SYMBOLS, bite, folder_of, settings, write


class Start:
    """One start of an instance, as far as its shared memory goes."""

    def __init__(self, config, now_ns=NOON_NS):
        self.config = config
        self.run = RunDir.of(config)
        self.run.path.mkdir(exist_ok=True)
        published = published_seqs(self.run, journal_day(now_ns))
        self.day = open_day(config, RunDir.data_dir(config), now_ns, published=published)
        self.facts = manifest_facts(config, self.day, now_ns)

    def make(self):
        make_counters(self.run, self.config)
        make_day(self.run, self.config, self.day)
        self.run.write_config(self.config)
        self.run.write_manifest(self.facts)
        return self

    def refusal(self):
        return why_not_adopt(self.run, self.facts, self.day)

    def table(self):
        memory = segment.open_writable(self.run.symbols_file).memory
        return SymbolTable(memory, shard_rule(self.config.engine.shards))

    def ring(self, shard=0):
        return segment.open_writable(self.run.ring_file(shard)).memory


@pytest.fixture
def config(tmp_path):
    return settings(tmp_path)


def test_rings_and_symbols_begin_where_the_journal_ends(tmp_path):
    config = settings(tmp_path, "engine.shards=2")
    close_day(Start(config).day)
    write(folder_of(config), 1, bite(0, 6, symbols=True))
    start = Start(config, NOON_NS + 5).make()
    assert [view_ring(start.ring(shard)).write_seq for shard in (0, 1)] == [0, 6]
    header = segment.record_view(start.ring(1), RING_HEADER)[0]
    assert (header["created_ns"], header["capacity"]) == (NOON_NS, 4096)
    symbols = segment.open_writable(start.run.symbols_file).memory
    table = SymbolTable(symbols, shard_rule(2))
    assert [table.find(code) for _, code, _ in SYMBOLS] == [each[0] for each in SYMBOLS]
    assert [int(table.rows[i]["shard"]) for i in (1, 2)] == [1, 0], "FPT by its hash"


def test_what_a_killed_supervisor_left_is_adopted(config):
    first = Start(config).make()
    first.ring()[-8:] = 7
    first.run.state_file(0).write_bytes(b"state")
    for name in ("crash-0", "gaps.ipc", "delta-0.ipc", "day-began-ns"):
        (first.run.path / name).touch()
    cells = {
        role: first.run.open_counters(role, 0, writable=True)[0]
        for role in ("shard", "ingest", "gateway")
    }
    write_cell(view_ring(first.ring()).cells, WRITE_CELL, 11)
    cells["shard"]["settled_seq"], cells["ingest"]["frames"] = 5, 12
    for cell in cells.values():
        cell["pid"] = cell["heartbeat_ns"] = 99
    cells["gateway"]["port"] = 8765
    second = Start(config, NOON_NS + 5)
    assert second.refusal() == ""
    adopt(second.run, config)
    assert (second.ring()[-8:] == 7).all()
    assert second.run.state_file(0).read_bytes() == b"state"
    assert (second.run.path / "day-began-ns").exists()
    assert not list(second.run.path.glob("*.ipc")) + list(second.run.path.glob("crash-*"))
    assert cells["shard"]["settled_seq"] == 11, "rows would be said again to nobody"
    assert cells["ingest"]["frames"] == 12
    assert cells["shard"]["last_exit"] == -15
    for cell in cells.values():
        assert (cell["pid"], cell["heartbeat_ns"]) == (0, 0)
    assert cells["gateway"]["port"] == -8765, "where it was, and is not yet"
    adopt(second.run, config)
    assert cells["gateway"]["port"] == -8765


@pytest.mark.parametrize("key", SAME)
def test_any_difference_is_a_reason_not_to_adopt(config, key):
    start = Start(config).make()
    start.run.write_manifest(start.facts | {key: "other"})
    assert start.refusal() == SAME[key]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("engine.ring_slots=8192", "ring_slots"),
        ("alerts.repeat_s=61", "new epoch"),
        ("journal.write=off", "without a journal"),
    ],
)
def test_a_changed_configuration_adopts_nothing(config, tmp_path, override, words):
    Start(config).make()
    assert words in Start(settings(tmp_path, override), NOON_NS + 5).refusal()


def test_the_next_day_adopts_nothing(config):
    Start(config).make()
    assert Start(config, NOON_NS + DAY_NS).refusal() == SAME["day"]


def test_an_unfinished_or_unknown_directory_is_not_adopted(config):
    start = Start(config)
    assert start.refusal() == "it was not finished"
    start.make().run.write_manifest(start.facts | {"complete": False})
    assert start.refusal() == "it was not finished"
    start.run.manifest_file.write_text("{")
    assert start.refusal() == "it was not finished"


def test_damaged_segments_are_not_adopted(config):
    start = Start(config).make()
    with start.run.symbols_file.open("r+b") as file:
        file.truncate(100)
    assert "symbols" in start.refusal()
    segment.record_view(start.ring(), RING_HEADER)["created_ns"] += 1
    assert "ring-0 is of another epoch" in start.refusal()
    with start.run.ring_file(0).open("r+b") as file:
        file.truncate(100)
    assert "ring-0 is missing or damaged" in start.refusal()
    start.run.ring_file(0).unlink()
    assert "ring-0 is missing or damaged" in start.refusal()


def test_another_number_of_gateways_is_no_reason(config, tmp_path):
    start = Start(config).make()
    gateway = start.run.open_counters("gateway", 0)
    more = settings(tmp_path, "gateway.count=2")
    assert Start(more).refusal() == ""
    adopt(start.run, more)
    assert start.run.counters_file("gateway", 1).exists()
    adopt(start.run, config)
    assert not start.run.counters_file("gateway", 1).exists()
    assert gateway[0]["pid"] == 0


def test_slots_that_only_the_ring_has_keep_their_numbers(config, tmp_path):
    start = Start(config).make()
    segment.record_view(start.ring(), RING_HEADER)["write_seq"] = 17
    assert published_seqs(start.run, start.day.day) == [17]
    other = Start(settings(tmp_path, "engine.ring_slots=8192"), NOON_NS + 5)
    assert other.refusal() != ""
    other.run.sweep()
    other.make()
    assert view_ring(other.ring()).write_seq == 17


def test_rings_of_another_day_boot_or_make_say_nothing(config):
    start = Start(config).make()
    day = start.day.day
    assert published_seqs(start.run, day) == [0]
    assert published_seqs(start.run, day + 1) == []
    for change in ({"boot": "other"}, {"schema": "sha256:00"}, {"complete": False}):
        start.run.write_manifest(start.facts | change)
        assert published_seqs(start.run, day) == []
    start.run.write_manifest(start.facts)
    start.run.ring_file(0).unlink()
    assert published_seqs(start.run, day) == []


def test_a_new_day_forgets_where_the_shards_were(config):
    start = Start(config).make()
    start.run.state_file(0).touch()
    start.run.crash_file(0).touch()
    old = segment.open_writable(start.run.ring_file(0)).memory
    segment.record_view(old, RING_HEADER)["write_seq"] = 9
    cell = start.run.open_counters("shard", 0, writable=True)[0]
    cell["matches"] = 5
    assert {f"{what}_slots" for what in ("quarantined", "damaged", "replayed", "caught_up")} < {
        *OF_THE_DAY
    }
    for name in OF_THE_DAY:
        cell[name] = 3
    make_day(start.run, config, replace(start.day, epoch=77))
    assert all(cell[name] == 0 for name in OF_THE_DAY)
    assert cell["matches"] == 5
    assert not start.run.state_file(0).exists()
    assert not start.run.crash_file(0).exists()
    assert view_ring(start.ring()).write_seq == 0
    assert segment.record_view(start.ring(), RING_HEADER)[0]["created_ns"] == 77


def test_a_code_keeps_its_id_on_a_new_day(config):
    start = Start(config).make()
    table = start.table()
    for code, venue in ((b"HPG", Venue.HOSE), (b"FPT", Venue.UPCOM)):
        assert table.introduce(table.intern(code, venue))
    assert can_keep_symbols(start.run, config, start.day)
    tomorrow = Start(config, NOON_NS + DAY_NS).day
    make_day(start.run, config, tomorrow, keep_symbols=True)
    table = start.table()
    assert [table.find(code) for code in (b"HPG", b"FPT")] == [1, 2]
    # The other order, a new one between them, and one that has moved to another exchange.
    days = [(b"FPT", Venue.HOSE), (b"SSI", Venue.HOSE), (b"HPG", Venue.HOSE)]
    assert [table.intern(*each) for each in days] == [2, 3, 1]
    assert table.rows["venue"][1:4].tolist() == [Venue.HOSE] * 3
    assert [table.introduce(symbol_id) for symbol_id in (1, 2, 3)] == [True] * 3
    assert view_ring(start.ring()).write_seq == 0


def test_ids_end_with_a_day_that_has_its_own_or_with_a_full_table(config):
    start = Start(config).make()
    table = start.table()
    tomorrow = Start(config, NOON_NS + DAY_NS).day
    for number in range(47):
        table.intern(b"A%02d" % number, Venue.HOSE)
    assert can_keep_symbols(start.run, config, tomorrow)
    its_own = replace(tomorrow, symbols=bite(0, 3, symbols=True))
    assert not can_keep_symbols(start.run, config, its_own)
    table.intern(b"B", Venue.HOSE)
    assert not can_keep_symbols(start.run, config, tomorrow), "49 of 64"
    make_day(start.run, config, its_own)
    assert [start.table().find(code) for code in (b"FPT", b"A00")] == [1, 0]


def test_a_start_wants_room_for_saved_states_and_a_roll_does_not(tmp_path, monkeypatch):
    config = settings(tmp_path, "engine.shards=2")
    start = Start(config)
    free_bytes = 140 << 20
    monkeypatch.setattr(segment, "_free_bytes", lambda _path: free_bytes)
    with pytest.raises(ConfigError, match=r"needs \d+ bytes .* 83886080 of these .* of 2 shards"):
        check_start(start.run, config)
    start.make()
    free_bytes = 150 << 20
    check_start(start.run, config)


def test_the_manifest_names_its_maker(config):
    start = Start(config).make()
    facts = start.run.manifest()
    assert facts["boot"] == boot_id()
    assert start.run.maker_lives()
    start.run.write_manifest(start.facts | {"pid_start": 1})
    assert not start.run.maker_lives()
