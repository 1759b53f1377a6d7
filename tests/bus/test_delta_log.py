"""The delta log: what a gateway finds that starts later, whatever happened to who wrote it."""

import errno
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.bus import delta_log
from engine.bus.delta_log import FILES, LENGTH_BYTES, DeltaLogWriter, read_log
from engine.bus.wire import encode
from engine.schema.bus import BusKind
from engine.schema.channels import TRADE

PLENTY_BYTES = 1 << 20
EMPTY_BYTES = LENGTH_BYTES + 40  # a record of a message without rows


def message(frame_seq, epoch=1, rows=0):
    trades = np.zeros(rows, TRADE.dtype)
    trades["seq"] = np.arange(1, rows + 1)
    sections = [(TRADE, trades)] if rows else []
    return memoryview(encode(BusKind.DELTA, 0, epoch, frame_seq, frame_seq, sections))


def write(writer, first, last, **more):
    for frame_seq in range(first, last + 1):
        writer.append(message(frame_seq, **more))


def read(path):
    return [frame.frame_seq for frame in read_log(path)]


def files(path):
    return sorted(path.parent.glob(f"{path.name}.*"), key=lambda file: int(file.suffix[1:]))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deltas-1"


def test_what_was_published_is_read_in_order(path):
    writer = DeltaLogWriter(path, PLENTY_BYTES)
    write(writer, 1, 3, rows=2)
    frames = list(read_log(path))
    assert [frame.frame_seq for frame in frames] == [1, 2, 3]
    ((channel, rows),) = frames[2].sections
    assert (channel, rows["seq"].tolist()) == (TRADE, [1, 2])
    assert (writer.records, writer.lost_records, writer.failing) == (3, 0, False)
    assert [oct(file.stat().st_mode & 0o777) for file in files(path)] == ["0o600"]
    writer.close()
    assert read(path) == [1, 2, 3], "it outlives its writer"


def test_nobody_wrote(path):
    assert read(path) == []
    assert read(path.parent / "no such directory" / "deltas-0") == []


def test_other_sources_files_are_left_alone(path):
    other = DeltaLogWriter(path.with_name("deltas-11"), PLENTY_BYTES)
    write(other, 7, 7)
    path.with_name("deltas-1.next").write_bytes(b"no number")
    writer = DeltaLogWriter(path, PLENTY_BYTES)
    write(writer, 1, 1)
    write(writer, 2, 2, epoch=2)
    assert read(path) == [2]
    assert read(path.with_name("deltas-11")) == [7]
    assert path.with_name("deltas-1.next").exists()


def test_the_budget_holds_and_the_newest_stay(path):
    budget_bytes = 64 * EMPTY_BYTES + 7
    writer = DeltaLogWriter(path, budget_bytes)
    for frame_seq in range(1, 500):
        writer.append(message(frame_seq))
        used_bytes = sum(file.stat().st_size for file in files(path))
        assert used_bytes <= budget_bytes
    kept = read(path)
    assert kept == list(range(500 - len(kept), 500))
    assert len(kept) >= 64 * (FILES - 1) // FILES
    assert len(files(path)) <= FILES + 1


def test_a_record_larger_than_the_log_is_told_and_the_rest_is_kept(path):
    said = []
    writer = DeltaLogWriter(path, 20 * EMPTY_BYTES, said.append)
    write(writer, 1, 2)
    write(writer, 3, 3, rows=20)
    assert writer.failing
    write(writer, 4, 4)
    assert read(path) == [1, 2, 4]
    assert said == ["deltas-1: a record has 1812 bytes, the log 880"]
    assert (writer.failing, writer.records, writer.lost_records) == (False, 3, 1)


def test_a_new_epoch_removes_the_old_one_s_past(path):
    writer = DeltaLogWriter(path, 64 * EMPTY_BYTES)
    write(writer, 1, 30, epoch=1)
    write(writer, 31, 32, epoch=2)
    assert read(path) == [31, 32]
    writer.close()
    again = DeltaLogWriter(path, 64 * EMPTY_BYTES)
    write(again, 33, 33, epoch=2)
    assert read(path) == [31, 32, 33]
    again.close()
    write(DeltaLogWriter(path, 64 * EMPTY_BYTES), 1, 1, epoch=3)
    assert read(path) == [1]


@pytest.mark.parametrize("kept_bytes", range(EMPTY_BYTES))
def test_half_a_record_is_not_read_and_its_successor_writes_over_it(path, kept_bytes):
    writer = DeltaLogWriter(path, PLENTY_BYTES)
    write(writer, 1, 3)
    writer.close()
    (file,) = files(path)
    os.truncate(file, 2 * EMPTY_BYTES + kept_bytes)
    assert read(path) == [1, 2]
    successor = DeltaLogWriter(path, PLENTY_BYTES)
    write(successor, 4, 5)
    assert read(path) == [1, 2, 4, 5]
    assert len(files(path)) == 1


def test_a_killed_writer_may_have_left_an_empty_file(path):
    writer = DeltaLogWriter(path, 64 * EMPTY_BYTES)
    write(writer, 1, 8)
    writer.close()
    path.with_name("deltas-1.1").touch()
    write(DeltaLogWriter(path, 64 * EMPTY_BYTES), 9, 9)
    assert read(path) == list(range(1, 10))


def test_files_of_nobody_are_replaced(path):
    path.with_name("deltas-1.4").write_bytes(bytes(1000))
    writer = DeltaLogWriter(path, PLENTY_BYTES)
    write(writer, 1, 2)
    assert read(path) == [1, 2]
    assert [file.name for file in files(path)] == ["deltas-1.5"]


SPOILT = {
    "an impossible length": (0, b"\xff\xff\xff\xff"),
    "a length of nothing": (0, b"\0\0\0\0"),
    "another schema": (LENGTH_BYTES, b"\0\0"),
    "not a delta": (LENGTH_BYTES + 34, b"\2\0"),
    "a section too many": (LENGTH_BYTES + 36, b"\1"),
}


@pytest.mark.parametrize("damage", SPOILT)
def test_a_damaged_record_hides_the_rest_of_its_file_and_no_more(path, damage):
    writer = DeltaLogWriter(path, FILES * 4 * EMPTY_BYTES)  # four records a file
    write(writer, 1, 10)
    offset, data = SPOILT[damage]
    spoilt = bytearray(files(path)[1].read_bytes())
    spoilt[EMPTY_BYTES + offset : EMPTY_BYTES + offset + len(data)] = data
    files(path)[1].write_bytes(spoilt)
    assert read(path) == [1, 2, 3, 4, 5, 9, 10]


def test_a_full_disk_stops_the_log_until_there_is_room(path, monkeypatch):
    said, room_bytes = [], [EMPTY_BYTES // 2]

    def writev(fd, parts):
        """The kernel takes what there is room for, then nothing."""
        data = b"".join(parts)[: room_bytes[0]]
        room_bytes[0] -= len(data)
        if not data:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.write(fd, data)

    writer = DeltaLogWriter(path, PLENTY_BYTES, said.append)
    write(writer, 1, 2)
    with monkeypatch.context() as patch:
        patch.setattr(delta_log.os, "writev", writev)
        write(writer, 3, 5)
    assert writer.failing
    assert read(path) == [1, 2], "no torn record in the middle"
    write(writer, 6, 7)
    assert read(path) == [1, 2, 6, 7]
    assert (writer.records, writer.lost_records, writer.failing) == (4, 3, False)
    assert said == [f"deltas-1: {os.strerror(errno.ENOSPC)}"]


def test_a_directory_that_is_gone_costs_only_the_log(path):
    said = []
    writer = DeltaLogWriter(path.parent / "gone" / path.name, PLENTY_BYTES, said.append)
    write(writer, 1, 2)
    assert writer.failing
    assert len(said) == 1


def test_a_reader_is_not_disturbed_by_a_writer_that_overtakes_it(path):
    writer = DeltaLogWriter(path, 64 * EMPTY_BYTES)
    write(writer, 1, 64)
    reading = read_log(path)
    seen = [next(reading).frame_seq for _ in range(3)]  # its file is open
    write(writer, 65, 150)  # all files it had listed are gone
    seen += [frame.frame_seq for frame in reading]
    assert seen == [*range(1, 9), *read(path)]  # that file to its end, then what is there now
    assert len(seen) > 56


def test_a_file_that_goes_between_listing_and_opening_is_passed_over(path, monkeypatch):
    writer = DeltaLogWriter(path, 64 * EMPTY_BYTES)
    write(writer, 1, 64)
    opened, doomed = os.open, files(path)[0]

    def late(name, *more):
        if name == doomed:
            doomed.unlink(missing_ok=True)
        return opened(name, *more)

    monkeypatch.setattr(delta_log.os, "open", late)
    assert read(path) == list(range(9, 65))


def test_nothing_is_missed_when_a_file_is_finished_behind_the_reader_s_back(path, monkeypatch):
    """The reader is at the end of the file; it grows, is full, and a next one begins."""
    writer = DeltaLogWriter(path, FILES * 4 * EMPTY_BYTES)
    write(writer, 1, 2)
    look, written = delta_log._next_number, [2]

    def looking(at, after):
        found = look(at, after)
        written.append(written[-1])
        if found is None and written[-1] < 20:
            write(writer, written[-1] + 1, written[-1] + 3)
            written[-1] += 3
        return found

    monkeypatch.setattr(delta_log, "_next_number", looking)
    seen = read(path)
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) >= written[-2] == 8, "all there was when it looked last"


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("write"), st.integers(1, 9)),
            st.tuples(st.just("kill"), st.integers(0, EMPTY_BYTES)),
            st.tuples(st.just("epoch"), st.just(0)),
        ),
        max_size=30,
    )
)
def test_any_life_leaves_the_end_of_what_was_published(tmp_path_factory, story):
    path = tmp_path_factory.mktemp("log") / "deltas-0"
    budget_bytes = 24 * EMPTY_BYTES
    writer = DeltaLogWriter(path, budget_bytes)
    published, epoch, frame_seq = [], 1, 0
    for what, number in story:
        if what == "write":
            write(writer, frame_seq + 1, frame_seq + number, epoch=epoch)
            published += range(frame_seq + 1, frame_seq + number + 1)
            frame_seq += number
        elif what == "epoch":
            epoch += 1
            frame_seq += 1
            writer.append(message(frame_seq, epoch=epoch))
            published = [frame_seq]
        else:
            writer.close()
            size_bytes = files(path)[-1].stat().st_size if files(path) else 0
            if number and size_bytes:  # it died before its last record was whole
                os.truncate(files(path)[-1], size_bytes - number)
                published.pop()
            writer = DeltaLogWriter(path, budget_bytes)
        kept = read(path)
        assert kept == published[len(published) - len(kept) :]
        assert len(kept) >= min(len(published), 24 * (FILES - 1) // FILES - FILES)
    writer.close()
