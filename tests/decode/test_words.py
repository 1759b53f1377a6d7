"""Eight bytes in a register, each function against its plain form."""

import random

import numpy as np
import pytest

from engine.decode.words import (
    digits,
    eight,
    eight_digits,
    lowest_bits,
    not_digits,
    not_plain,
    same_bytes,
    text_word,
    upper_case,
    words_over,
)
from engine.jit import kernel


def samples(seed):
    """Return words of all flavours: random bytes, digits, text, with every byte value seen."""
    draw = random.Random(seed)
    alphabets = (bytes(range(256)), b"0123456789", b"0123456789.,", b'abcXYZ09_\\"-.', b"/0:9")
    words = [
        bytes(draw.choice(alphabet) for _ in range(8)) for alphabet in alphabets for _ in range(60)
    ]
    return words + [bytes([value]) * 8 for value in range(256)]


def first(text, is_marked):
    return next((i for i, byte in enumerate(text) if is_marked(byte)), None)


def lowest(marks):
    return lowest_bits(marks) // 8 if marks else None


def test_marks(seed):
    for text in samples(seed):
        word = int.from_bytes(text, "little", signed=True)
        assert lowest(not_digits(word)) == first(text, lambda byte: not 48 <= byte <= 57)
        assert lowest(not_plain(word)) == first(
            text, lambda byte: byte < 32 or byte >= 128 or byte in b'"\\'
        )


def test_same_bytes(seed):
    draw = random.Random(seed)
    for text in samples(seed):
        word = int.from_bytes(text, "little", signed=True)
        byte = draw.choice(text)
        other = int.from_bytes(bytes([byte]) * 8, "little", signed=True)
        assert lowest(same_bytes(word, other)) == text.index(byte)
        assert lowest(same_bytes(word, ~word)) is None


def test_numbers(seed):
    draw = random.Random(seed)
    for _ in range(300):
        count = draw.randint(1, 8)
        text = "".join(draw.choice("0123456789") for _ in range(count))
        word = text_word((text + ".,}x\xff,12")[:8].encode("latin-1"))
        assert digits(word, 8 * count) == int(text)
        whole = text.rjust(8, "0")
        assert eight_digits(text_word(whole.encode())) == int(whole)


def test_upper_case():
    for start in range(0, 128, 8):
        text = bytes(range(start, start + 8))
        assert upper_case(text_word(text)) == text_word(text.upper())


def test_words_over():
    data = np.frombuffer(bytes(range(20)), np.uint8)
    words = words_over(data)
    assert len(words) == 13
    for at in range(13):
        assert eight(words, at) == text_word(bytes(range(at, at + 8)))
    assert len(words_over(data[:7])) == 0


@kernel
def impossible(word):
    """Tell whether eight bytes hold more than eight: what an optimiser may not conclude."""
    marks = not_digits(word)
    return marks != 0 and lowest_bits(marks) > 64


@pytest.mark.jit
def test_wrapping_products_are_no_promise_to_the_compiler():
    """Numba tells LLVM that signed products never overflow; LLVM then folds such comparisons."""
    for at in range(8):
        assert not impossible(text_word((b"1" * at + b"}").ljust(8, b"}")))


@pytest.mark.jit
def test_every_position_of_the_lowest_mark():
    for at in range(8):
        assert lowest_bits(1 << (8 * at)) == 8 * at
        assert lowest_bits(0x0101010101010101 & ~((1 << (8 * at)) - 1)) == 8 * at
