"""The simulated disk does what it says: everything else believes it."""

import errno
import random

import pytest

from tests.simulation.disk import PAGE_BYTES, SimDisk
from tests.simulation.errors import Crash


@pytest.fixture
def disk():
    return SimDisk()


def content(disk, path):
    data = bytearray(disk.size(path))
    assert disk.read(path, 0, memoryview(data)) == len(data)
    return bytes(data)


def test_appends_are_kept_in_order(disk, tmp_path):
    file = disk.create(tmp_path / "a")
    assert file.append(memoryview(b"one")) == 3
    file.close()
    file = disk.open(tmp_path / "a")
    file.append(memoryview(b"two"))
    assert (file.size_bytes, content(disk, tmp_path / "a")) == (6, b"onetwo")
    file.truncate(4)
    assert content(disk, tmp_path / "a") == b"onet"
    with pytest.raises(FileExistsError):
        disk.create(tmp_path / "a")
    assert disk.list(tmp_path) == ["a"]


@pytest.mark.parametrize("room", range(6))
def test_a_full_disk_takes_what_fits_and_then_refuses(disk, tmp_path, room):
    file = disk.create(tmp_path / "a")
    disk.room_bytes = room
    taken = 0
    while taken < room:
        taken += file.append(memoryview(b"123"))
    with pytest.raises(OSError, match="No space left"):
        file.append(memoryview(b"123"))
    assert taken == disk.size(tmp_path / "a") == room
    file.truncate(0)
    assert disk.room_bytes == room


def test_a_read_only_disk_refuses_every_change(disk, tmp_path):
    path = tmp_path / "a"
    file = disk.create(path)
    disk.read_only = True
    for change in (
        lambda: file.append(memoryview(b"x")),
        lambda: file.truncate(0),
        file.sync,
        lambda: disk.create(tmp_path / "b"),
        lambda: disk.open(path),
        lambda: disk.remove(path),
        lambda: disk.rename(path, tmp_path / "b"),
        lambda: disk.make_folder(tmp_path / "c"),
        lambda: disk.remove_folder(tmp_path),
        lambda: disk.sync_folder(tmp_path),
    ):
        with pytest.raises(OSError) as refused:
            change()
        assert refused.value.errno == errno.EROFS
    assert content(disk, path) == b""


def test_a_tear_leaves_a_part_and_ends_the_process(disk, tmp_path):
    def die(_path):
        raise Crash

    file = disk.create(tmp_path / "a")
    disk.on_append, disk.torn = (lambda _path, count: count - 1), die
    with pytest.raises(Crash):
        file.append(memoryview(b"123"))
    assert content(disk, tmp_path / "a") == b"12"


@pytest.mark.parametrize("seed", range(30))
def test_a_power_loss_keeps_what_was_synced_and_invents_nothing(disk, tmp_path, seed):
    path = tmp_path / "a"
    file = disk.create(path)
    safe, rest = b"s" * 5_000, b"r" * 3 * PAGE_BYTES
    file.append(memoryview(safe))
    file.sync()
    disk.sync_folder(tmp_path)
    file.append(memoryview(rest))
    disk.power_loss(random.Random(seed))
    left = content(disk, path)
    assert left.startswith(safe)
    assert len(left) <= len(safe) + len(rest)
    assert set(left[len(safe) :]) <= set(b"r\0")


def test_a_power_loss_has_all_its_ways(disk, tmp_path):
    """Cut, zeroed, complete and gone: each happens under some seed."""
    seen = set()
    for seed in range(60):
        disk, path = SimDisk(), tmp_path / str(seed)
        disk.create(path).append(memoryview(b"r" * 2 * PAGE_BYTES))
        disk.power_loss(random.Random(seed))
        left = content(disk, path) if path.exists() else None
        seen.add("gone" if left is None else "zeroed" if b"\0" in left else "cut")
    assert seen == {"gone", "zeroed", "cut"}


def test_a_file_whose_name_was_synced_stays(disk, tmp_path):
    for seed in range(30):
        path = tmp_path / str(seed)
        disk.create(path)
        disk.sync_folder(tmp_path)
        disk.power_loss(random.Random(seed))
        assert path.exists()


def test_a_flipped_bit_survives_a_power_loss(disk, tmp_path):
    path = tmp_path / "a"
    file = disk.create(path)
    file.append(memoryview(b"\0\0"))
    file.sync()
    disk.sync_folder(tmp_path)
    disk.flip(path, 1, 3)
    disk.power_loss(random.Random(1))
    assert content(disk, path) == b"\0\x08"
