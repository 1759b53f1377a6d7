"""Shared memory: room reserved at creation, refusals with numbers, nothing left behind."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from engine import segment
from engine.errors import ConfigError
from engine.schema.record import record

PAIR = record("pair", [("a", "i8"), ("b", "i8")], size_bytes=16)


def test_what_one_side_stores_the_other_reads(tmp_path: Path) -> None:
    path = tmp_path / "cells"
    made = segment.create(path, 4096)
    assert made.memory.shape == (4096,)
    assert made.memory.dtype == np.uint8
    assert not made.memory.any()
    writer, reader = segment.open_writable(path), segment.open_readonly(path)
    segment.record_view(writer.memory, PAIR, offset=64)[0]["b"] = 7
    assert segment.record_view(reader.memory, PAIR, offset=64)[0]["b"] == 7
    assert segment.record_view(made.memory, PAIR, offset=64)[0].tolist() == (0, 7)


def test_only_the_owner_may_open_it(tmp_path: Path) -> None:
    segment.create(tmp_path / "cells", 4096)
    assert (tmp_path / "cells").stat().st_mode & 0o777 == 0o600


def test_room_is_reserved_not_promised(tmp_path: Path) -> None:
    size_bytes = 1 << 20
    segment.create(tmp_path / "cells", size_bytes)
    assert (tmp_path / "cells").stat().st_blocks * 512 >= size_bytes


def test_a_readonly_segment_refuses_stores(tmp_path: Path) -> None:
    segment.create(tmp_path / "cells", 4096)
    memory = segment.open_readonly(tmp_path / "cells").memory
    with pytest.raises(ValueError, match="read-only"):
        memory[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        segment.record_view(memory, PAIR)[0]["a"] = 1


def test_an_existing_file_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "cells"
    path.write_bytes(b"somebody's")
    with pytest.raises(ConfigError, match=r"exists already.*Stop that run"):
        segment.create(path, 4096)
    assert path.read_bytes() == b"somebody's"


def test_a_missing_folder_and_a_missing_file_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="create the run directory"):
        segment.create(tmp_path / "no" / "cells", 4096)
    with pytest.raises(ConfigError, match="is the supervisor running"):
        segment.open_writable(tmp_path / "cells")
    with pytest.raises(ConfigError, match="is the supervisor running"):
        segment.open_readonly(tmp_path / "cells")


def test_a_place_of_another_user_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_arguments: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", forbidden)
    with pytest.raises(ConfigError, match=r"may not write to .*choose another run.dir"):
        segment.create(tmp_path / "cells", 4096)
    with pytest.raises(ConfigError, match=r"may not open .*run as the one who made it"):
        segment.open_readonly(tmp_path / "cells")


def test_an_empty_file_is_a_creation_cut_short(tmp_path: Path) -> None:
    (tmp_path / "cells").touch()
    with pytest.raises(ConfigError, match=r"empty \(0 bytes\)"):
        segment.open_readonly(tmp_path / "cells")


def test_no_room_names_both_numbers_and_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_fd: int, _offset: int, _size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ConfigError, match=r"needs 123456 bytes.* has \d+ free.*shm-size"):
        segment.create(tmp_path / "cells", 123456)
    assert not (tmp_path / "cells").exists(), "a segment without room was left behind"


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no tmpfs at /dev/shm")
def test_a_real_tmpfs_refuses_more_than_it_has() -> None:
    place = os.statvfs("/dev/shm")
    too_much = place.f_blocks * place.f_frsize + (1 << 20)
    path = Path(f"/dev/shm/vntape-test-{os.getpid()}")
    with pytest.raises(ConfigError, match=f"needs {too_much} bytes"):
        segment.create(path, too_much)
    assert not path.exists()


def test_other_troubles_are_not_dressed_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_fd: int, _offset: int, _size: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "posix_fallocate", broken)
    with pytest.raises(OSError, match="Input/output"):
        segment.create(tmp_path / "cells", 4096)
    assert not (tmp_path / "cells").exists()


def test_views_outlive_close_and_close_may_be_repeated(tmp_path: Path) -> None:
    with segment.create(tmp_path / "cells", 4096) as made:
        view = segment.record_view(made.memory, PAIR)
    made.close()
    assert made.memory.size == 0
    view[0]["a"] = 5  # still mapped
    assert segment.record_view(segment.open_readonly(tmp_path / "cells").memory, PAIR)[0]["a"] == 5


@pytest.mark.parametrize(("offset", "count"), [(4096, 1), (4088, 1), (0, 257), (8, 256), (-8, 1)])
def test_a_record_outside_the_segment_is_a_bug(tmp_path: Path, offset: int, count: int) -> None:
    memory = segment.create(tmp_path / "cells", 4096).memory
    with pytest.raises(AssertionError, match="of a segment of 4096 bytes"):
        segment.record_view(memory, PAIR, offset, count)


def test_an_unaligned_record_is_a_bug(tmp_path: Path) -> None:
    memory = segment.create(tmp_path / "cells", 4096).memory
    with pytest.raises(AssertionError, match="not a multiple of 8"):
        segment.record_view(memory, PAIR, 4)
