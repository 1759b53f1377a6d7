"""The batch: what fits, what does not, and where things are."""

import pytest

from engine.decode.frames import FRAME_BYTES_MAX, PADDING_BYTES, FrameBatch


def test_frames_lie_end_to_end():
    batch = FrameBatch(64, 4)
    for i, frame in enumerate((b"abc", b"", memoryview(b"defgh"))):
        assert batch.append(frame, 100 + i)
    assert batch.count == 3
    assert list(batch.ends[:3]) == [3, 3, 8]
    assert list(batch.recv_ns[:3]) == [100, 101, 102]
    assert bytes(batch.data[:8]) == b"abcdefgh"
    assert [batch.frame(i) for i in range(3)] == [b"abc", b"", b"defgh"]


def test_a_full_batch_says_so_and_is_emptied_by_clear():
    batch = FrameBatch(16, 2)
    assert batch.append(b"x" * 10, 1)
    assert not batch.append(b"y" * 7, 2)  # no bytes left
    assert batch.append(b"y" * 6, 2)
    assert not batch.append(b"", 3)  # no frames left
    batch.clear()
    assert batch.count == 0
    assert batch.append(b"z" * 16, 4)
    assert batch.frame(0) == b"z" * 16


def test_a_frame_that_could_never_fit_is_a_mistake():
    with pytest.raises(ValueError, match="17 bytes can never fit a batch of 16"):
        FrameBatch(16, 2).append(b"x" * 17, 1)


def test_an_oversized_frame_takes_no_space():
    batch = FrameBatch(16, 3)
    assert batch.append(b"x" * 16, 1)
    assert batch.append(b"h" * (FRAME_BYTES_MAX + 1), 2)
    assert batch.oversize == {1: (FRAME_BYTES_MAX + 1, b"h" * 2048)}
    assert batch.frame(1) == b""
    batch.clear()
    assert not batch.oversize


def test_words_may_be_loaded_up_to_the_padding():
    batch = FrameBatch(16, 1)
    assert batch.append(b"x" * 16, 1)
    assert len(batch.words) == 16 + PADDING_BYTES - 7
    assert int(batch.words[15]["eight"]) == ord("x")
