"""Bars against their naive twin, and what must hold whatever happens."""

from collections import defaultdict
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.schema.codes import BarFlag, FeedSession, Phase, Side, SlotKind, Venue
from engine.shard import classify, stats
from engine.shard.fold import Fold
from engine.shard.stage import Stage
from engine.trackers import bars
from tests.oracle.bars_naive import Bar, NaiveBars
from tests.shard import streams
from tests.shard.folding import fold_groups
from tests.shard.judged import Note
from tests.shard.messages import Message, exch_s

SYMBOLS, SLOTS = 10, 256
INTERVALS = {"bar.1m": 60, "bar.5m": 300, "bar.15m": 900, "bar.1h": 3_600, "bar.1d": 86_400}
STAGES: tuple[Stage, ...] = (classify.STAGE, stats.STAGE, *bars.STAGES)
DAYS = ("2021-07-15", "2021-07-16", "2026-08-14")
VENUES = {1: Venue.HOSE, 2: Venue.HNX, 3: Venue.DERIVATIVES, 4: Venue.UPCOM}
INDEX_IDS = {5: Venue.HOSE, 6: Venue.HNX}

# From one to the next a stamp moves by seconds, or jumps to just before something happens.
JUMPS = (
    "08:44:50",
    "08:59:40",
    "09:14:50",
    "09:59:30",
    "11:29:30",
    "12:59:58",
    "14:29:50",
    "14:44:50",
    "14:59:50",
)

# m match, g after missed volume, u untold, h held back, l told late, r repeat, a an older repeat,
# c correction, z zero snapshot of an index, j jump, d next day, o older day
STEP = st.tuples(
    st.sampled_from("mmmmmmmmmmmmgguhhlllllracczjjjdo"),
    st.sampled_from((1, 1, 1, 1, 1, 2, 3, 4, 5, 6)),  # symbol
    st.integers(1, 9),  # how much, in lots
    st.integers(-3, 3),  # price
    st.sampled_from((0, 0, 1, 1, 2, 7, 29, 40, 61, -1, -2, -70)),  # seconds
    st.booleans(),  # ends a group
)
# Short stories say little: bars have to open, and what was held back has to be late for them.
STORIES = st.lists(STEP, min_size=30, max_size=70)


def second_of(time: str) -> int:
    """Second of the day."""
    hours, minutes, seconds = map(int, time.split(":"))
    return hours * 3_600 + minutes * 60 + seconds


def interpret(steps: list[tuple[Any, ...]]) -> list[list[Message]]:
    """Tell drawn steps as groups of messages."""
    groups: list[list[Message]] = [[]]
    totals: dict[int, int] = defaultdict(int)
    held: dict[int, list[Message]] = defaultdict(list)
    told: dict[int, list[Message]] = defaultdict(list)
    second, jumps, day = second_of("09:14:58"), 3, 0
    for number, (what, symbol_id, much, step, passed, ends) in enumerate(steps):
        second = min(second + passed, 86_399)
        if what == "j" and jumps < len(JUMPS):
            second, jumps = second_of(JUMPS[jumps]), jumps + 1
        if what == "d" and day + 1 < len(DAYS):
            day, jumps, second = day + 1, 0, second_of("08:30:00")
            for memory in (totals, held, told):
                memory.clear()
        date = DAYS[max(0, day - (what == "o"))]
        head = {
            "symbol_id": symbol_id,
            "recv_ns": 1_000 + number,
            "exch_s": exch_s(date, "00:00:00") + second,
        }
        if symbol_id in INDEX_IDS:
            if what not in "jd":
                message = head | {"kind": SlotKind.INDEX, "venue": INDEX_IDS[symbol_id]}
                groups[-1].append(message | values(what, much, step, totals, symbol_id))
        else:
            trade = head | {"kind": SlotKind.TRADE, "venue": VENUES[symbol_id]}
            trade |= {"session": FeedSession.ATC if much == 9 else FeedSession.LO}
            trade |= {"side": (Side.BUY, Side.SELL, Side.UNKNOWN)[much % 3]}
            trade |= {"last_price_e2": 2_000_000 + 5_000 * step}
            groups[-1] += trades(
                what, much, trade, totals, held[symbol_id], told[symbol_id], symbol_id
            )
        if ends and groups[-1]:
            groups.append([])
    return groups if groups[-1] or len(groups) == 1 else groups[:-1]


def values(
    what: str, much: int, step: int, totals: dict[int, int], symbol_id: int
) -> dict[str, int]:
    """Payload of an INDEX slot: totals stand still, grow or fall; a zero snapshot has nothing."""
    if what == "z":
        return {}
    totals[symbol_id] += {"m": 100, "g": 300, "h": 100, "c": -150}.get(what, 0) * much
    totals[symbol_id] = max(0, totals[symbol_id])
    return {
        "value_e2": 140_000 + 10 * step,
        "matched_volume_shares": totals[symbol_id],
        "matched_value_vnd": 7 * totals[symbol_id],
    }


def trades(
    what: str,
    much: int,
    trade: Message,
    totals: dict[int, int],
    held: list[Message],
    told: list[Message],
    symbol_id: int,
) -> list[Message]:
    """Return the TRADE messages of one step, with the arithmetic of cumulative volume."""
    size = 100 * much
    now = {"recv_ns": trade["recv_ns"]}
    if what == "l" and held:
        message = held.pop(0) | now
    elif what == "a" and told:
        message = told[-min(len(told), much)] | now
    elif what in "mghuc":
        totals[symbol_id] += {"g": 2 * size, "c": -min(size, totals[symbol_id])}.get(what, size)
        message = trade | {
            "last_volume_shares": 0 if what == "u" else size,
            "total_volume_shares": totals[symbol_id],
        }
        if what == "h":
            held.append(message)
            return []
    elif what in "ro":
        message = trade | {
            "last_volume_shares": size,
            "total_volume_shares": totals[symbol_id],
        }
    else:
        return []
    told.append(message)
    return [message]


def new_fold() -> Fold:
    return Fold(SYMBOLS, SLOTS, stages=STAGES, hash_deltas=True)


def told_twice(groups: list[list[Message]]) -> dict[str, NaiveBars]:
    """Assert that kernels and twins say the same; return the twins by channel."""
    notes, emitted = fold_groups(new_fold(), groups)
    judged = iter(Note(**note) for note in notes)
    noted = [[next(judged) for _ in group] for group in groups]
    twins = {name: NaiveBars(interval_s) for name, interval_s in INTERVALS.items()}
    for name, twin in twins.items():
        wanted = [
            row for group, said in zip(groups, noted, strict=True) for row in twin.feed(group, said)
        ]
        assert emitted.get(name, []) == wanted, name
    return twins


@given(STORIES)
def test_kernels_say_what_the_naive_twin_says(steps):
    told_twice(interpret(steps))


@given(streams.STREAMS)
def test_kernel_and_twin_agree_on_the_shard_s_random_streams_too(events):
    groups = streams.interpret(events)
    for number, message in enumerate(each for group in groups for each in group):
        if message["kind"] == SlotKind.INDEX:
            message |= {
                "value_e2": 140_000 + number * 37 % 100,
                "matched_volume_shares": number * 53 % 400,
                "matched_value_vnd": number * 11,
            }
    told_twice(groups)


@given(STORIES, st.lists(st.integers(1, 60), max_size=6))
def test_batching_is_invisible(steps, cuts):
    groups = interpret(steps)
    whole, cut = new_fold(), new_fold()
    assert fold_groups(whole, groups) == fold_groups(cut, groups, cuts)
    assert whole.digest() == cut.digest()


@given(STORIES)
def test_bars_and_unplaced_volume_add_up_to_the_volume_of_stats(steps):
    """Slot by slot, for a client that keeps the newest form of every bar it is shown."""
    fold = new_fold()
    held: dict[tuple[str, int, int], dict[tuple[int, int], int]] = defaultdict(dict)
    unplaced: dict[tuple[str, int, int], int] = defaultdict(int)
    for message in (each for group in interpret(steps) for each in group):
        _, emitted = fold_groups(fold, [[message]])
        for name in INTERVALS:
            for row in emitted.get(name, []):
                whose = name, row["symbol_id"], row["trade_day"]
                unplaced[whose] = row["unplaced_volume_shares"]
                for prefix in ("prev_", ""):
                    key = row[f"{prefix}start_exch_s"], row[f"{prefix}bar_phase"]
                    if key[0]:
                        held[whose][key] = row[f"{prefix}volume_shares"]
        for row in fold.latest["stats"]:
            for name in INTERVALS:
                whose = name, int(row["symbol_id"]), int(row["trade_day"])
                assert sum(held[whose].values()) + unplaced[whose] == row["volume_shares"]


@given(STORIES)
def test_every_bar_is_well_formed(steps):
    for name, twin in told_twice(interpret(steps)).items():
        for (symbol_id, day), telling in twin.told.items():
            for earlier, later in pairwise(telling.bars):
                assert earlier.key < later.key
            for bar in telling.bars:
                assert_well_formed(bar)
                if name != "bar.1d":
                    assert_in_place(bar, day, INTERVALS[name], trades=symbol_id not in INDEX_IDS)


def assert_well_formed(bar: Bar) -> None:
    """Prices are in order, sides within the volume, and only a gap makes a bar suspect."""
    row = bar.figures()
    prices = sorted((row["open_price_e2"], row["close_price_e2"]))
    assert row["low_price_e2"] <= prices[0] <= prices[1] <= row["high_price_e2"]
    assert row["buy_volume_shares"] + row["sell_volume_shares"] <= row["volume_shares"]
    assert bool(row["bar_flags"] & BarFlag.SUSPECT) == (row["missed_count"] > 0)


def assert_in_place(bar: Bar, day: int, interval_s: int, *, trades: bool) -> None:
    """Aligned, of one matching phase, and of one side of lunch: 11:30 to 13:00 everywhere."""
    midnight_s = day * 86_400 - 7 * 3_600
    start = bar.key[0] - midnight_s
    assert start % interval_s == 0
    assert bar.key[1] in {Phase.ATO, Phase.CONTINUOUS, Phase.ATC, Phase.PLO}
    assert not second_of("11:30:00") <= start < second_of("13:00:00")
    if trades:
        noon = midnight_s + second_of("13:00:00")
        assert {each.exch_s < noon for each in bar.prints} == {start < second_of("13:00:00")}
