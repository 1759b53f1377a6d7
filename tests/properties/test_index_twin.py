"""Channels ``index`` and ``index.series`` against their naive twins, and under random cuts."""

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from engine.schema.codes import SlotKind
from tests.oracle.index_naive import AMOUNTS, BREADTH, NaiveIndex, NaiveIndexSeries
from tests.shard.folding import fold_groups
from tests.shard.messages import Message, exch_s
from tests.trackers.told_table import new_fold

DAYS = ("2021-07-15", "2021-07-16")
CLOCKS = ("08:00:07", "08:59:55", "09:00:05", "09:14:59", "11:29:50", "14:29:50", "14:44:55")
STEP = st.tuples(
    st.integers(1, 2),  # symbol
    st.sampled_from("VVVVVVVVRRRBBCEPZSBD"),
    st.sampled_from((-65, -1, 0, 1, 5, 5, 20, 60, 61, 120)),  # seconds
    st.integers(0, 6),  # how much
    st.sampled_from((None, None, None, *CLOCKS)),
    st.booleans(),  # ends a group
)
STREAMS = st.one_of(st.lists(STEP, max_size=9), st.lists(STEP, min_size=30, max_size=70))
CUTS = st.lists(st.integers(1, 50), max_size=6)
TWINS = {"index": NaiveIndex, "index.series": NaiveIndexSeries}


def interpret(steps) -> list[list[Message]]:
    """Tell drawn steps as groups; R says again what the symbol said last.

    V a value and its volumes, C volume taken back, E an estimate without a value, P the prior value
    with nothing but put-through volume, B a value without breadth, Z a zero snapshot, S a
    straggler, D the next day.
    """
    day, clock, volume = 0, 9 * 3600, 0
    last: dict[int, Message] = {}
    groups: list[list[Message]] = [[]]
    for symbol_id, what, seconds, much, jump, ends in steps:
        clock = min(max(clock + seconds, 0), 86_000)
        if jump is not None:
            clock = max(clock, exch_s(DAYS[0], jump) - exch_s(DAYS[0], "00:00:00"))
        if what == "D" and day + 1 < len(DAYS):
            day, clock, volume = day + 1, 8 * 3600, 0
            continue
        volume = max(0, volume + (-much if what == "C" else much // 2 * 100))
        message: Message = {
            "kind": SlotKind.INDEX,
            "symbol_id": symbol_id,
            "venue": symbol_id,
            "exch_s": exch_s(DAYS[0 if what == "S" else day], "00:00:00") + clock,
            "recv_ns": 1 + sum(map(len, groups)),
        }
        if what in "VCBS":
            message |= {"value_e2": 128_000 + 10 * much, "prior_value_e2": 128_000 * (much % 2)}
        if what in "VCBE":
            message |= {name: volume + place for place, name in enumerate(AMOUNTS) if volume}
        if what in "VZ":
            message |= {name: much // (2 + place) for place, name in enumerate(BREADTH)}
        if what == "E":
            message["estimated_value_e2"] = 128_000 + much
        if what == "P":
            message |= {"value_e2": 128_000, "prior_value_e2": 128_000}
            message |= dict.fromkeys(("put_through_volume_shares", "total_volume_shares"), much)
        if what == "R":
            message = last.get(symbol_id, message) | {"exch_s": message["exch_s"]}
        last[symbol_id] = message
        groups[-1].append(message)
        if ends:
            groups.append([])
    return [group for group in groups if group]


def assert_twins_agree(groups) -> None:
    """Fold the groups; every row must be the twin's."""
    notes, emitted = fold_groups(new_fold(), groups)
    for name, naive in TWINS.items():
        twin, judged = naive(), iter(SimpleNamespace(**note) for note in notes)
        wanted = [
            row for group in groups for row in twin.feed(group, [next(judged) for _ in group])
        ]
        assert emitted.get(name, []) == wanted, name


@given(STREAMS)
def test_kernels_say_what_the_naive_twins_say(steps):
    assert_twins_agree(interpret(steps))


@given(STREAMS, CUTS)
def test_batching_is_invisible(steps, cuts):
    groups = interpret(steps)
    whole, cut = new_fold(), new_fold()
    assert fold_groups(whole, groups) == fold_groups(cut, groups, cuts)
    assert whole.digest() == cut.digest()


@given(STREAMS)
def test_the_range_holds_the_open_and_breadth_is_never_erased(steps):
    told: set[tuple[int, int]] = set()
    for row in fold_groups(new_fold(), interpret(steps))[1].get("index", []):
        if row["open_value_e2"]:
            assert row["low_value_e2"] <= row["open_value_e2"] <= row["high_value_e2"]
        key = (row["symbol_id"], row["trade_day"])
        if any(row[name] for name in BREADTH):
            told.add(key)
        assert key not in told or any(row[name] for name in BREADTH)


@given(STREAMS)
def test_minutes_of_a_series_ascend_and_past_ones_never_change_again(steps):
    past: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for row in fold_groups(new_fold(), interpret(steps))[1].get("index.series", []):
        count = row["series_count"]
        entries = list(
            zip(row["series_exch_s"][:count], row["series_value_e2"][:count], strict=True)
        )
        assert entries == sorted(entries, key=lambda entry: entry[0])
        assert len({start for start, _ in entries}) == count
        assert all(value > 0 and start % 60 == 0 for start, value in entries)
        known = past.setdefault((row["symbol_id"], row["trade_day"]), [])
        assert entries[: len(known)] == known
        known[:] = entries[:-1]
