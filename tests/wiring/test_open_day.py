"""Opening a trading day: go on, refuse, or go on under a new epoch, and say what is wrong."""

import errno
import json
from dataclasses import replace

import pytest

from engine.errors import ConfigError
from engine.journal.days import journal_day, list_days, read_about, write_about
from engine.journal.disk import RealDisk
from engine.schema import SCHEMA_ID
from engine.wiring import open_day as module
from engine.wiring.open_day import MARK_NAME, close_day, open_day, write_again
from engine.wiring.today import fold_settings, settings_hash
from tests.wiring.days import DAY_NS, NOON_NS, SYMBOLS, bite, folder_of, settings, write

LATER_NS = NOON_NS + 1_000
BOOT, NEXT_BOOT = "boot-1", "boot-2"


def opened(config, now_ns=LATER_NS, **more):
    """Open the day on a machine that still has the shared memory of the life before."""
    more.setdefault("boot", BOOT)
    more.setdefault("published", [0])
    return open_day(config, config_data(config), now_ns, **more)


def config_data(config):
    return module.Path(config.run.data_dir) / config.run.name


def texts(day, level=None):
    return [text for its_level, text in day.messages if level in (None, its_level)]


@pytest.fixture
def config(tmp_path):
    return settings(tmp_path)


@pytest.fixture
def begun(config):
    """Return a day with ten slots, three of them symbols."""
    opened(config, NOON_NS)
    write(folder_of(config), 0, bite(0, 6, symbols=True), bite(6, 4))
    return config


def test_a_new_day_begins_with_nothing(config):
    day = opened(config, NOON_NS)
    assert (day.day, day.epoch, day.next_seqs) == (journal_day(NOON_NS), NOON_NS, (0,))
    assert (len(day.symbols), day.messages) == (0, ())
    about = read_about(day.folder)
    assert (about.epoch, about.schema, about.shards, about.symbols_max) == (
        NOON_NS,
        SCHEMA_ID,
        1,
        64,
    )
    assert about.settings == fold_settings(config)


def test_a_start_goes_on_with_the_day_it_finds(begun):
    day = opened(begun)
    assert (day.epoch, day.next_seqs) == (NOON_NS, (10,))
    assert day.symbols["symbol_id"].tolist() == [each[0] for each in SYMBOLS]
    assert texts(day, "info") == ["journal of shard-0: goes on at slot 10"]


def test_before_six_it_is_still_the_day_before(config):
    six_ns = NOON_NS - 6 * 3_600 * 10**9
    assert opened(config, six_ns).day == opened(config, six_ns - 1).day + 1


def test_a_torn_tail_is_cut_with_its_position(begun):
    file = write(folder_of(begun), 0, bite(10, 2))
    whole_bytes = file.stat().st_size
    with file.open("r+b") as handle:
        handle.truncate(whole_bytes - 30)
    day = opened(begun)
    assert day.next_seqs == (10,)
    assert file.stat().st_size == whole_bytes - 400
    (text,) = texts(day, "warning")
    assert f"{file}, byte {whole_bytes - 400}: 370 bytes (1 whole slots)" in text


def test_damage_and_holes_are_told_with_their_position_and_cost_only_themselves(begun):
    file = write(folder_of(begun), 0, bite(20, 5))
    with min(folder_of(begun).glob("shard-0.*")).open("r+b") as handle:
        handle.seek(64 + 7 * 200 + 33)
        handle.write(b"\xff")
    day = opened(begun)
    assert day.next_seqs == (25,)
    hole, damage = texts(day, "error")
    assert hole == "journal of shard-0: slots 10 to 19 were never written"
    assert "byte 1464" in damage
    assert "slot 7" in damage
    assert file.exists()


def test_many_holes_are_summed_up(begun):
    for first in (20, 30, 40, 50):
        write(folder_of(begun), 0, bite(first, 5))
    lines = texts(opened(begun), "error")
    assert len(lines) == 4
    assert "25 slots in 4 holes and 0 damaged slots in 0 places" in lines[-1]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("engine.shards=2", "engine.shards is 2, .* was begun with 1"),
        ("engine.symbols_max=128", "engine.symbols_max is 128, .* was begun with 64"),
    ],
)
def test_another_shape_is_refused_with_the_way_out(begun, tmp_path, override, words):
    with pytest.raises(ConfigError, match=words) as refusal:
        opened(settings(tmp_path, override))
    assert "set it back" in str(refusal.value)
    assert str(folder_of(begun)) in str(refusal.value)
    assert opened(begun).epoch == NOON_NS, "a refusal changes nothing"


def test_another_version_s_layouts_are_refused(begun):
    folder = folder_of(begun)
    write_about(folder, replace(read_about(folder), schema="sha256:00", vntape="0.4"))
    with pytest.raises(ConfigError, match=r"begun by vntape 0\.4 with schema sha256:00"):
        opened(begun)


def test_a_spoilt_about_is_refused_in_words(begun):
    (folder_of(begun) / "about.json").write_text("{")
    with pytest.raises(ConfigError, match="move its folder away"):
        opened(begun)


@pytest.mark.parametrize(
    "override",
    [
        "alerts.repeat_s=61",
        "engine.side_precedence=TICK,QUOTE,EXCHANGE",
        "rules.r=stats.value_vnd>5",
    ],
)
def test_other_settings_go_on_with_the_slots_under_a_new_epoch(begun, tmp_path, override):
    other = settings(tmp_path, override)
    day = opened(other)
    assert (day.epoch, day.next_seqs) == (LATER_NS, (10,))
    assert "new epoch: other settings" in texts(day, "warning")[0]
    again = opened(other, LATER_NS + 5)
    assert (again.epoch, texts(again, "warning")) == (LATER_NS, [])
    assert settings_hash(fold_settings(other)) != settings_hash(fold_settings(begun))


def test_files_without_their_about_get_a_new_epoch(begun):
    (folder_of(begun) / "about.json").unlink()
    day = opened(begun)
    assert (day.epoch, day.next_seqs) == (LATER_NS, (10,))
    assert "about.json is missing" in texts(day, "warning")[0]


def test_a_machine_that_went_down_under_the_tape_costs_the_epoch(begun):
    day = opened(begun, boot=NEXT_BOOT)
    assert (day.epoch, day.next_seqs) == (LATER_NS, (10,))
    assert "the machine went down" in texts(day, "warning")[0]
    assert opened(begun, LATER_NS + 5, boot=NEXT_BOOT).epoch == LATER_NS


def test_a_boot_after_an_orderly_stop_costs_nothing(begun):
    close_day(opened(begun))
    assert not (folder_of(begun) / MARK_NAME).exists()
    assert opened(begun, boot=NEXT_BOOT).epoch == NOON_NS


def test_even_with_fsync_always_a_power_cut_costs_the_epoch(begun, tmp_path):
    # The disk may have refused just before: then published slots are not in the journal.
    assert opened(settings(tmp_path, "journal.fsync=always"), boot=NEXT_BOOT).epoch == LATER_NS


@pytest.mark.parametrize("fsync", ["always", "interval"])
def test_shared_memory_that_went_under_the_tape_costs_the_epoch(begun, tmp_path, fsync):
    # A container was killed: the boot is the same, what the rings had is not known any more.
    config = settings(tmp_path, f"journal.fsync={fsync}")
    day = opened(config, published=())
    assert (day.epoch, day.next_seqs) == (LATER_NS, (10,))
    assert "the shared memory went" in texts(day, "warning")[0]
    assert opened(config, LATER_NS + 5).epoch == LATER_NS
    close_day(day)
    assert opened(config, LATER_NS + 5, published=()).epoch == LATER_NS, "an orderly stop"


def test_a_spoilt_mark_is_no_mark(begun):
    for text in ("", "[]", "{}"):
        (folder_of(begun) / MARK_NAME).write_text(text)
        assert opened(begun, boot=NEXT_BOOT).epoch == NOON_NS


def test_published_numbers_are_not_given_again(begun):
    day = opened(begun, published=[17])
    assert day.next_seqs == (17,)
    assert texts(day, "error") == [
        "shard-0: the last 7 slots published are not in the journal",
    ]
    assert opened(begun, published=[3]).next_seqs == (10,)


def test_every_shard_has_its_own_journal(tmp_path):
    config = settings(tmp_path, "engine.shards=2")
    opened(config, NOON_NS)
    write(folder_of(config), 1, bite(0, 4, symbols=True))
    day = opened(config)
    assert day.next_seqs == (0, 4)
    assert len(day.symbols) == 3


def test_without_a_journal_every_start_is_an_epoch(begun, tmp_path):
    day = opened(settings(tmp_path, "journal.write=off"), published=[5])
    assert (day.folder, day.epoch, day.next_seqs) == (None, LATER_NS, (0,))
    close_day(day)


def test_old_days_go(config):
    for days_ago in (1, 2, 3, 40):
        opened(config, NOON_NS - days_ago * DAY_NS)
    strict = replace(config, journal=replace(config.journal, keep_days=3))
    day = opened(strict, NOON_NS)
    root = folder_of(config).parent
    assert list_days(root) == [day.day - 2, day.day - 1, day.day]
    (text,) = texts(day)
    assert "journals removed (journal.keep_days): 2026-10-11, 2026-11-17" in text


class Refusing(RealDisk):
    """A disk on which some things cannot be done."""

    def __init__(self, *what, error=errno.EROFS):
        self.what, self.error = what, error

    def _may(self, what):
        if what in self.what:
            raise OSError(self.error, "Read-only file system")

    def make_folder(self, path):
        self._may("make_folder")
        super().make_folder(path)

    def create(self, path):
        self._may("create")
        return super().create(path)

    def open(self, path):
        self._may("open")
        return super().open(path)

    def read(self, path, offset, into):
        if path.suffix == ".vnj":
            self._may("read")
        return super().read(path, offset, into)


@pytest.mark.parametrize("what", ["make_folder", "create"])
def test_a_disk_that_refuses_does_not_stop_the_tape(config, what):
    day = opened(config, disk=Refusing(what))
    assert (day.epoch, day.next_seqs) == (LATER_NS, (0,))
    (text,) = texts(day, "error")
    assert "Read-only file system" in text
    assert "the tape runs without it" in text


def test_a_read_only_disk_still_tells_where_the_day_stands(begun):
    file = write(folder_of(begun), 0, bite(10, 2))
    with file.open("r+b") as handle:
        handle.truncate(file.stat().st_size - 1)
    day = opened(begun, disk=Refusing("create", "open"))
    assert (day.epoch, day.next_seqs) == (NOON_NS, (10,))
    assert len(texts(day, "error")) == 2


def test_a_journal_that_cannot_be_read_is_refused(begun):
    with pytest.raises(ConfigError, match=r"cannot be read .* move that folder away"):
        opened(begun, disk=Refusing("read", error=errno.EIO))


def test_a_renamed_file_is_refused_in_words(begun):
    file = min(folder_of(begun).glob("shard-0.*"))
    file.rename(file.with_name("shard-0.000000000005.vnj"))
    with pytest.raises(ConfigError, match="it was renamed"):
        opened(begun)


def test_the_mark_says_which_boot_and_epoch(config):
    day = opened(config)
    assert json.loads((day.folder / MARK_NAME).read_bytes()) == {"boot": BOOT, "epoch": LATER_NS}


class RefusingOnce(Refusing):
    """A disk that refuses a file by its name until it is told to behave."""

    def __init__(self, name):
        super().__init__()
        self.name = name

    def create(self, path):
        if path.name == self.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().create(path)

    def make_folder(self, path):
        if path.name == self.name:
            raise OSError(errno.EROFS, "Read-only file system")
        super().make_folder(path)


@pytest.mark.parametrize("name", ["about.json.new", f"{MARK_NAME}.new", "2026-11-20"])
def test_what_the_disk_refused_at_first_is_written_when_it_takes_it(config, name):
    disk = RefusingOnce(name)
    day = opened(config, disk=disk)
    assert texts(day, "error")
    assert write_again(day, disk) is day, "it refuses still"
    assert read_about(day.folder) is None
    disk.name = ""
    later = write_again(day, disk)
    assert later == replace(day, unwritten=None)
    assert write_again(later, disk) is later
    about = read_about(day.folder)
    assert about is not None
    assert (about.epoch, about.settings) == (day.epoch, fold_settings(config))
    assert opened(config, LATER_NS + 5).epoch == day.epoch


def test_a_day_that_was_written_or_has_no_journal_needs_no_second_try(config, tmp_path):
    for day in (opened(config), opened(settings(tmp_path, "journal.write=off"))):
        assert write_again(day) is day


def test_an_epoch_that_about_json_never_got_is_not_forgotten(begun, tmp_path):
    other = settings(tmp_path, "alerts.repeat_s=61")
    assert opened(other, disk=RefusingOnce("about.json.new")).epoch == LATER_NS
    # Back to what about.json says: but rows were told under another epoch meanwhile.
    day = opened(begun, LATER_NS + 5)
    assert day.epoch == LATER_NS + 5
    assert "could not be written" in texts(day, "warning")[0]
