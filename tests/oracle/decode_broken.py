"""Frames as nobody should send them: hypothesis strategies for both protocols."""

from hypothesis import strategies as st

_PIECES = (b"\\", b'"', b"0", b"9" * 30, b"\\u0041", b" ", b"e5", b"[" * 3000, b"-", b".")


@st.composite
def broken(
    draw: st.DrawFn, frames: st.SearchStrategy[bytes], pieces: tuple[bytes, ...] = ()
) -> bytes:
    """Return a frame with bytes cut, flipped, inserted (`pieces` among them) or repeated."""
    raw = bytearray(draw(frames))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(len(raw) - 1, 0)))
        what = draw(st.sampled_from(["cut", "flip", "insert", "drop", "digit", "repeat"]))
        if not raw:
            break
        if what == "cut":
            del raw[at:]
        elif what == "flip":
            raw[at] = draw(st.integers(0, 255))
        elif what == "insert":
            inserted = st.one_of(st.binary(max_size=9), st.sampled_from([*_PIECES, *pieces]))
            raw[at:at] = draw(inserted)
        elif what == "drop":
            del raw[at : at + draw(st.integers(1, 12))]
        elif what == "digit":
            digits = [i for i, byte in enumerate(raw) if 48 <= byte <= 57]
            if digits:
                raw[digits[at % len(digits)]] = draw(st.sampled_from(b"0123456789.-eE,"))
        else:
            raw[at:at] = raw[at : at + draw(st.integers(1, 200))]
    return bytes(raw)


def odd_values(*more: object) -> st.SearchStrategy[object]:
    """Return what no number, word or stamp should be, and `more` of the kind."""
    words = ("NaN", "", "123", "-1", "1e5", 'a"b', "a\\b", "\u0110\u1ed3ng")
    limits = (1e30, -0.0, 1.5e-9, 10**17, 10**17 + 1, 0.005, 0.015, 2.675, 1e15, 20_000_000.005)
    return st.one_of(
        st.none(),
        st.booleans(),
        st.text(max_size=20),
        st.floats(),
        st.integers(-(10**25), 10**25),
        st.sampled_from([*words, *limits, [], {}, *more]),
    )
