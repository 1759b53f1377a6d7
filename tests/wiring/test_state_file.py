"""The saved state of a shard: whole or refused, and the old one until the new one is whole."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.shard.stage import StageSettings
from engine.wiring import state_file
from engine.wiring.stages import make_fold
from engine.wiring.state_file import Refused, State, StateHead, read_state, write_state
from tests.shard.folding import SLOTS, SYMBOLS, fold_groups
from tests.shard.test_fold import long_stream

HEAD = StateHead(
    seq=1_234_567,
    epoch=2**62 + 1,
    journal_epoch=77,
    schema="sha256:aa",
    settings_hash="bb",
    saved_ns=1_700_000_000_000_000_001,
)
BOOKS = {"gaps": [[1, "Hòa Phát", None]], "lost_frames": 3}
SMALL = {
    "empty": np.zeros((0, 7), np.int64),
    "bytes": np.arange(21, dtype=np.uint8).reshape(3, 7),
    "words": np.array([1, 2**64 - 1], np.uint64),
}


def read(path: Path, head: StateHead = HEAD) -> State | Refused | None:
    return read_state(
        path,
        journal_epoch=head.journal_epoch,
        schema=head.schema,
        settings_hash=head.settings_hash,
    )


def assert_same(image: dict, other: dict) -> None:
    assert list(image) == list(other)
    for name, array in image.items():
        assert array.dtype == other[name].dtype
        assert array.shape == other[name].shape
        assert array.tobytes() == other[name].tobytes(), name


def test_what_was_written_is_read(tmp_path):
    path = tmp_path / "state-0"
    size_bytes = write_state(path, HEAD, SMALL, BOOKS)
    assert path.stat().st_size == size_bytes
    assert path.stat().st_mode & 0o777 == 0o600
    found = read(path)
    assert isinstance(found, State)
    assert (found.head, found.books) == (HEAD, BOOKS)
    assert_same(found.image, SMALL)
    assert list(tmp_path.iterdir()) == [path], "no draft is left"


def test_a_fold_goes_on_from_the_file(tmp_path, seed):
    groups = [group for group in long_stream(seed) if group][:120]
    straight = make_fold(SYMBOLS, SLOTS, StageSettings(), hash_deltas=True)
    fold_groups(straight, groups[:80], cuts=range(0, 80, 10))
    write_state(tmp_path / "state-0", HEAD, straight.save(), {})
    found = read(tmp_path / "state-0")
    assert isinstance(found, State)
    other = make_fold(SYMBOLS, SLOTS, StageSettings(), hash_deltas=True)
    other.restore(found.image)
    assert fold_groups(other, groups[80:110]) == fold_groups(straight, groups[80:110])
    assert other.digest() == straight.digest()


def test_nothing_was_ever_saved(tmp_path):
    assert read(tmp_path / "state-0") is None


@pytest.mark.parametrize(
    ("wanted", "word"),
    [
        ({"schema": "sha256:cc"}, "another schema: sha256:aa, and now it is sha256:cc"),
        ({"settings_hash": "dd"}, "another settings"),
        ({"journal_epoch": 78}, "another journal: 77, and now it is 78"),
    ],
)
def test_a_state_of_something_else_is_refused(tmp_path, wanted, word):
    write_state(tmp_path / "state-0", HEAD, SMALL, BOOKS)
    found = read(tmp_path / "state-0", replace(HEAD, **wanted))
    assert isinstance(found, Refused)
    assert word in found.why


def test_a_state_of_another_program_is_refused(tmp_path, monkeypatch):
    """The layout may be the same and mean something else."""
    write_state(tmp_path / "state-0", HEAD, SMALL, BOOKS)
    monkeypatch.setattr(state_file, "PROGRAM", "0123456789abcdef")
    found = read(tmp_path / "state-0")
    assert isinstance(found, Refused)
    assert "another program" in found.why


def test_any_changed_byte_is_refused_or_means_nothing(tmp_path):
    path = tmp_path / "state-0"
    write_state(path, HEAD, SMALL, BOOKS)
    whole = path.read_bytes()
    refused = 0
    for at in range(len(whole)):
        for bit in (1, 128):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
            found = read(path)
            if isinstance(found, Refused):
                refused += 1
                continue
            assert isinstance(found, State)
            assert (found.head, found.books) == (HEAD, BOOKS)
            assert_same(found.image, SMALL)
    padding = 64 - 21 + 64 - 16  # behind the two arrays that have anything
    assert refused == 2 * (len(whole) - padding)


def test_a_piece_of_a_file_is_refused_wherever_it_ends(tmp_path):
    path = tmp_path / "state-0"
    write_state(path, HEAD, SMALL, BOOKS)
    whole = path.read_bytes()
    needed = len(whole) - 48  # the last array has 16 bytes; what is behind is padding
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert isinstance(read(path), Refused) == (length < needed), length


def test_the_reason_names_the_place(tmp_path):
    path = tmp_path / "state-0"
    write_state(path, HEAD, SMALL, BOOKS)
    data = bytearray(path.read_bytes())
    data[-64] ^= 1
    path.write_bytes(data)
    found = read(path)
    assert isinstance(found, Refused)
    assert found.why == (
        f"it is damaged: words, bytes {len(data) - 64} to {len(data) - 48} of {len(data)}"
    )
    data[40] ^= 1
    path.write_bytes(data)
    found = read(path)
    assert isinstance(found, Refused)
    assert "its head" in found.why
    path.write_bytes(b"")
    found = read(path)
    assert isinstance(found, Refused)
    assert "(0 bytes)" in found.why


@pytest.mark.parametrize("most", [1, 7, 64, 100])
def test_a_system_that_takes_little_at_once_gets_it_all(tmp_path, monkeypatch, most):
    real = os.writev

    def slow(fd, views):
        first = next(view for view in views if view.nbytes)
        return real(fd, [first[:most]])

    monkeypatch.setattr(state_file.os, "writev", slow)
    write_state(tmp_path / "state-0", HEAD, SMALL, BOOKS)
    found = read(tmp_path / "state-0")
    assert isinstance(found, State)
    assert_same(found.image, SMALL)


def test_a_full_disk_leaves_the_old_state(tmp_path, monkeypatch):
    path = tmp_path / "state-0"
    write_state(path, HEAD, SMALL, BOOKS)
    real, calls = os.writev, []

    def full(fd, views):
        calls.append(1)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "no space left")
        return real(fd, [views[0][:50]])

    monkeypatch.setattr(state_file.os, "writev", full)
    with pytest.raises(OSError, match="no space"):
        write_state(path, replace(HEAD, seq=9), SMALL, BOOKS)
    monkeypatch.undo()
    found = read(path)
    assert isinstance(found, State)
    assert found.head == HEAD
    assert list(tmp_path.iterdir()) == [path]


def test_whoever_dies_before_the_end_leaves_the_old_state(tmp_path, monkeypatch):
    """Killed between the last byte and the change of names: a draft lies there, nothing else."""
    path = tmp_path / "state-0"
    write_state(path, HEAD, SMALL, BOOKS)

    class Killed(BaseException):
        pass

    def die(self, target):
        raise Killed

    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(Killed):
        write_state(path, replace(HEAD, seq=9), SMALL, BOOKS)
    monkeypatch.undo()
    found = read(path)
    assert isinstance(found, State)
    assert found.head == HEAD
    monkeypatch.setattr(state_file.os, "getpid", lambda: 1)  # another process
    write_state(path, replace(HEAD, seq=10), SMALL, BOOKS)
    assert list(tmp_path.iterdir()) == [path], "the draft's name is used again"


def test_more_arrays_than_one_call_takes(tmp_path):
    image = {f"array {number}": np.full(3, number) for number in range(700)}
    write_state(tmp_path / "state-0", HEAD, image, {})
    found = read(tmp_path / "state-0")
    assert isinstance(found, State)
    assert_same(found.image, image)
