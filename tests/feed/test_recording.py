"""Recordings: what goes in comes out in order; a torn tail costs the tail; the tape never waits."""

import random
from pathlib import Path

import orjson
import pytest
import zstandard

from engine.feed.recording import (
    HEAD,
    Kind,
    Record,
    Recorder,
    RecordingError,
    read_records,
    recording_files,
)

ABOUT = {"protocol": "v2"}


def record_some(folder: Path, count: int, **settings: int) -> tuple[Recorder, list[Record]]:
    """Record frames, cuts and states; return the recorder, closed, and what was given to it."""
    rng, given = random.Random(7), []
    recorder = Recorder(folder, "day", ABOUT, 1, **settings)
    for i in range(count):
        frame = rng.randbytes(rng.randrange(400))
        recorder.frame(memoryview(frame), i)
        given.append(Record(Kind.FRAME, i, frame))
        if i % 7 == 0:
            recorder.note(Kind.CUT, i)
            given.append(Record(Kind.CUT, i, b""))
        if i % 100 == 0:
            recorder.note(Kind.STATE, i, {"state": 2})
            given.append(Record(Kind.STATE, i, b'{"state":2}'))
            recorder.hand_over()
    recorder.close()
    return recorder, given


def read_all(folder: Path) -> list[Record]:
    return [record for file in recording_files([folder]) for record in read_records(file)]


def test_everything_comes_back_in_order(tmp_path: Path) -> None:
    recorder, given = record_some(tmp_path, 500)
    start, *rest = read_all(tmp_path)
    assert start.kind is Kind.START
    assert orjson.loads(start.payload) == {"version": 1, "protocol": "v2", "first": True}
    assert rest == given
    assert (recorder.frame_count, recorder.lost_frame_count, recorder.error) == (500, 0, "")
    assert recorder.written_bytes == sum(f.stat().st_size for f in tmp_path.iterdir())


def test_a_full_file_is_followed_by_another_that_says_so(tmp_path: Path) -> None:
    _, given = record_some(tmp_path, 2_000, segment_bytes=50_000)
    files = recording_files([tmp_path])
    assert len(files) > 2
    starts = [orjson.loads(next(read_records(file)).payload)["first"] for file in files]
    assert starts == [True] + [False] * (len(files) - 1)
    assert [record for record in read_all(tmp_path) if record.kind is not Kind.START] == given


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
def test_a_torn_tail_costs_the_tail(tmp_path: Path, share: float) -> None:
    _, given = record_some(tmp_path, 1_000)
    (file,) = recording_files([tmp_path])
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    read = [record for record in read_records(file) if record.kind is not Kind.START]
    assert read == given[: len(read)]
    assert len(read) < len(given)
    assert len(read) > (share - 0.2) * len(given)


def test_a_file_nothing_reached_is_empty_not_wrong(tmp_path: Path) -> None:
    (tmp_path / "killed.vnrec").touch()
    assert read_all(tmp_path) == []


def test_what_the_disk_cannot_take_is_dropped_counted_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(tmp_path, "slow", ABOUT, 1, waiting_bytes_max=0)
    writer = recorder._writer
    recorder.hand_over()
    monkeypatch.setattr(writer, "taken_bytes", writer.taken_bytes - 1_000_000)
    recorder.frame(b"lost", 2)
    recorder.frame(b"lost too", 3)
    writer.taken_bytes += 10_000_000  # the disk has caught up
    recorder.frame(b"kept", 4)
    recorder.close()
    kinds = [(record.kind, record.payload) for record in read_all(tmp_path)[1:]]
    assert kinds == [(Kind.HOLE, b'{"frames":2}'), (Kind.FRAME, b"kept")]
    assert (recorder.frame_count, recorder.lost_frame_count) == (1, 2)


def test_a_disk_that_refuses_is_told_and_the_tape_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    recorder = Recorder(tmp_path / "file" / "folder", "day", ABOUT, 1)
    recorder.frame(b"one", 1)
    recorder.close()
    assert "Not a directory" in recorder.error
    recorder.frame(b"two", 2)
    assert recorder.lost_frame_count >= 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"plain text, longer than any magic number", "no recording"),
        (zstandard.compress(HEAD.pack(Kind.FRAME, 0, 0)), "does not begin like a recording"),
        (zstandard.compress(HEAD.pack(99, 0, 0)), "kind 99"),
        (zstandard.compress(HEAD.pack(Kind.START, 13, 0) + b'{"version":9}'), "version 9"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "x.vnrec"
    file.write_bytes(content)
    with pytest.raises(RecordingError, match=words):
        list(read_records(file))


def test_paths_that_name_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="does not exist"):
        recording_files([tmp_path / "none"])
    with pytest.raises(RecordingError, match=r"no \*\.vnrec"):
        recording_files([tmp_path])
