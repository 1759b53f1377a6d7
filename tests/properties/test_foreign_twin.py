"""Channel ``foreign`` against its naive twin, over random days and random cuts of the batches."""

from collections import defaultdict
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from engine.schema.codes import ControlOp, DeltaFlag, FeedState, SlotKind
from tests.oracle.foreign_naive import FIGURES, NaiveForeign
from tests.shard.folding import fold_groups
from tests.shard.messages import Message, exch_s
from tests.trackers.told_table import new_fold

DAYS = ("2021-07-15", "2021-07-16")
STEP = st.tuples(
    st.integers(1, 2),  # symbol
    st.sampled_from("FFFFFFRRTQXOZDNUAAL"),
    st.sampled_from((-7, -1, 0, 0, 1, 3, 5, 9, 55, 61, 245, 299, 300, 340, 420, 2000)),  # seconds
    st.lists(st.sampled_from((0, 0, 1, 2, 5, 40)), min_size=4, max_size=4),  # growth of the figures
    st.integers(-3, 6),  # by how much the room falls
    st.booleans(),  # ends a group
)
STREAMS = st.one_of(st.lists(STEP, max_size=9), st.lists(STEP, min_size=30, max_size=60))
CONTROLS: dict[str, Message] = {
    "U": {"op": ControlOp.FEED_STATE, "arg0": FeedState.LIVE},
    "A": {"op": ControlOp.FEED_STATE, "arg0": FeedState.DOWN},
    "L": {"op": ControlOp.LOST, "arg0": 1},
}
CUTS = st.lists(st.integers(1, 50), max_size=6)


def interpret(steps) -> list[list[Message]]:
    """Tell drawn steps: F figures, R again, T and Q time, X a fall, O room untold, Z stale, D day,
    N a zero snapshot, U the feed here, A the feed away, L lost frames.

    What a symbol tells grows from a start that is 0 for one and a baseline for the other.
    """
    figures = {1: [0, 0, 0, 0], 2: [100, 200, 3_000, 5_000]}
    room = {1: 1_000, 2: 0}
    day, clock = 0, 10 * 3600
    groups: list[list[Message]] = [[]]
    for symbol_id, what, seconds, growth, used, ends in steps:
        clock = min(max(clock + seconds, 0), 86_000)
        if what == "D" and day + 1 < len(DAYS):
            day, clock, figures = day + 1, 9 * 3600, {1: [0, 0, 0, 0], 2: [5, 5, 5, 5]}
            continue
        if what in CONTROLS:
            groups[-1].append({"kind": SlotKind.CONTROL} | CONTROLS[what])
            if ends:
                groups.append([])
            continue
        message = {
            "kind": {"T": SlotKind.TRADE, "Q": SlotKind.QUOTE}.get(what, SlotKind.FOREIGN),
            "symbol_id": symbol_id,
            "venue": symbol_id,
            "exch_s": exch_s(DAYS[0 if what == "Z" else day], "00:00:00") + clock,
            "recv_ns": 1 + sum(map(len, groups)),
        }
        if message["kind"] == SlotKind.FOREIGN:
            told = [0, 0, 0, 0] if what == "N" else figures[symbol_id]
            if what in "FO":
                figures[symbol_id] = told = [x + y for x, y in zip(told, growth, strict=True)]
            if what == "X":
                figures[symbol_id] = told = [
                    max(0, x - y) for x, y in zip(told, growth, strict=True)
                ]
            message |= dict(zip(FIGURES, told, strict=True))
            room[symbol_id] = max(0, room[symbol_id] - used)
            if what != "O":
                message |= {"total_room_shares": 5_000, "current_room_shares": room[symbol_id]}
        groups[-1].append(message)
        if ends:
            groups.append([])
    return [group for group in groups if group]


def twin_rows(groups, notes) -> list[dict]:
    """Return what the twin says to the same slots and notes."""
    twin, judged = NaiveForeign(), iter(SimpleNamespace(**note) for note in notes)
    return [row for group in groups for row in twin.feed(group, [next(judged) for _ in group])]


@given(STREAMS)
def test_the_kernel_says_what_the_naive_twin_says(steps):
    groups = interpret(steps)
    notes, emitted = fold_groups(new_fold(), groups)
    assert emitted.get("foreign", []) == twin_rows(groups, notes)


@given(STREAMS, CUTS)
def test_batching_is_invisible(steps, cuts):
    groups = interpret(steps)
    whole, cut = new_fold(), new_fold()
    assert fold_groups(whole, groups) == fold_groups(cut, groups, cuts)
    assert whole.digest() == cut.digest()


@given(STREAMS)
def test_flow_is_never_negative_and_adds_up_to_the_exchanges_figures(steps):
    """Deltas of messages that stand alone in their group, from base to base."""
    base: dict[int, list[int]] = {}
    seen: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    resets: dict[int, tuple[int, int]] = {}
    fold = new_fold()
    for message in (message for group in interpret(steps) for message in group):
        _, emitted = fold_groups(fold, [[message]])
        for row in emitted.get("foreign", []):
            symbol_id, life = row["symbol_id"], (row["trade_day"], row["reset_count"])
            figures = [row[name] for name in FIGURES]
            deltas = [row[f"delta_{name}"] for name in FIGURES]
            assert min(deltas) >= 0
            found = message["kind"] == SlotKind.FOREIGN and row["flags"] & DeltaFlag.AFTER_OUTAGE
            if resets.get(symbol_id) != life or found:
                assert deltas == [0, 0, 0, 0]
                resets[symbol_id], base[symbol_id], seen[symbol_id] = life, figures, [0, 0, 0, 0]
            elif message["kind"] == SlotKind.FOREIGN:
                seen[symbol_id] = [x + y for x, y in zip(seen[symbol_id], deltas, strict=True)]
            assert [x + y for x, y in zip(base[symbol_id], seen[symbol_id], strict=True)] == figures
