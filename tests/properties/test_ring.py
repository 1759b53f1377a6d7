"""Ring against its naive twin: any order of publishing, polling, dying and coming back."""

from hypothesis import given
from hypothesis import strategies as st

from engine.ring.layout import INTENT_CELL, write_cell
from engine.ring.reader import BATCH_SLOTS_MIN, RingReader
from engine.ring.writer import RingWriter
from tests.ring.helpers import CAPACITY, new_batch, new_ring, slots_of, taken
from tests.ring.naive import NaiveReader, NaiveRing

# Counts that matter: single slots, a frame's worth, the group limit, half a ring, more than one.
COUNTS = st.one_of(
    st.integers(0, 40),
    st.sampled_from([1023, 1024, 1025, 2048, CAPACITY - 1, CAPACITY, CAPACITY + 1]),
    st.integers(0, CAPACITY + 700),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), COUNTS),
        st.tuples(st.just("poll"), st.integers(BATCH_SLOTS_MIN, CAPACITY + 5)),
        st.tuples(st.just("look in place"), st.integers(BATCH_SLOTS_MIN, CAPACITY + 5)),
        st.tuples(st.just("writer dies announcing"), st.integers(1, 1024)),
        st.tuples(st.just("reader restarts"), st.sampled_from(["oldest", "live", "where it was"])),
    ),
    max_size=25,
)


@given(steps=STEPS)
def test_ring_and_twin_agree(steps):
    memory, twin = new_ring(), NaiveRing(CAPACITY)
    writer = RingWriter(memory, None)
    reader, naive = RingReader(memory, None), NaiveReader(twin, "oldest")
    for what, argument in steps:
        match what:
            case "publish":
                first = len(twin.slots)
                payloads = list(range(first, first + argument))
                writer.publish(slots_of(payloads), argument)
                twin.publish(payloads)
            case "poll":
                batch = new_batch(argument)
                assert taken(batch, reader.poll(batch)) == naive.poll(argument)
            case "look in place":
                first, end = reader.claim(argument)
                expected = naive.poll(argument)
                assert list(range(first, end)) == [seq for seq, _, _ in expected]
                rows = reader.ring.slots.take(range(first, end), mode="wrap")
                assert taken(rows, len(rows)) == expected
                assert reader.confirm(end)
            case "writer dies announcing":
                write_cell(
                    writer.ring.cells,
                    INTENT_CELL,
                    max(writer.ring.intent_seq, writer.write_seq + argument),
                )
                twin.announce(argument)
                writer = RingWriter(memory, None)
            case _:
                start = naive.read_seq if argument == "where it was" else argument
                reader, naive = RingReader(memory, None, start), NaiveReader(twin, start)
        assert reader.read_seq == naive.read_seq
        assert reader.lapped_slots == naive.lapped_slots
        assert reader.lag_slots == len(twin.slots) - naive.read_seq
        assert writer.write_seq == len(twin.slots)


@given(
    groups=st.lists(st.integers(1, 1024), max_size=30),
    cuts=st.lists(st.integers(BATCH_SLOTS_MIN, 3 * BATCH_SLOTS_MIN), min_size=1, max_size=6),
)
def test_batching_is_invisible(groups, cuts):
    """However the reader cuts it, the same slots in the same groups come out."""
    memory, expected, seen = new_ring(), [], []
    writer, reader = RingWriter(memory, None), RingReader(memory, None)

    def drain() -> None:
        while True:
            batch = new_batch(cuts[len(seen) % len(cuts)])
            count = reader.poll(batch)
            if not count:
                return
            seen.extend(taken(batch, count))

    for group in groups:
        if writer.free_slots < group:
            drain()
        first = len(expected)
        expected += [(seq, seq, seq == first + group - 1) for seq in range(first, first + group)]
        writer.publish(slots_of(list(range(first, first + group))), group)
    drain()
    assert seen == expected
    assert reader.lapped_slots == 0
