"""The fold as a whole: twin on one long stream, digests, counts, latest rows, refusals."""

import random
from dataclasses import replace

import numpy as np
import pytest

import tests.oracle.shard_naive as naive
from engine.errors import ConfigError
from engine.jit import kernel
from engine.market.sessions import phase_at
from engine.schema.codes import (
    GapCause,
    NoteFlag,
    Phase,
    Side,
    SideRule,
    SlotKind,
    TradeEvent,
    Venue,
)
from engine.schema.deltas import STATS_DELTA
from engine.schema.slots import SLOT, rows_over
from engine.shard import directory
from engine.shard.fold import Fold
from engine.shard.groups import NO_PARAMS
from engine.shard.stage import Stage, StageSettings
from engine.shard.stages import STAGES
from engine.shard.stats import check_invariants
from engine.shard.step import TALLY, fuse, plan, step_source
from tests.shard.folding import SLOTS, SYMBOLS, assert_same_as_naive, fold_groups
from tests.shard.messages import rows_of
from tests.shard.streams import CLOCKS, GROWTHS, LISTED, interpret

EVENTS = 1_500


def long_stream(seed: int) -> list:
    """One long bad day; the clock creeps, so that every phase sees many messages."""
    rng = random.Random(seed)
    events = []
    every = EVENTS // (3 * len(CLOCKS))
    for number in range(EVENTS):
        odd = [rng.choice((0, 0, 0, rng.randrange(10))) for _ in range(3)]
        events.append(
            (
                rng.choice(sorted(LISTED)),
                rng.choice("TTTTTXXXQQFIRBOSCEPK"),
                rng.choice(GROWTHS + ("grow",) * 6),
                rng.randint(-2, 2),
                int(number % every == 0),
                *odd[:2],
                rng.randrange(4),
                1 if number in (EVENTS // 3, 2 * EVENTS // 3) else rng.choice((0,) * 40 + (-1,)),
                rng.randrange(6),
                rng.random() < 0.4,
            )
        )
    return interpret(events)


def name_of(code) -> str:
    """Name a code with its enum: members of two IntEnums are equal as numbers."""
    return f"{type(code).__name__}.{code.name}"


def test_a_long_bad_day_is_what_the_twin_says_and_visits_everything(seed):
    groups = long_stream(seed)
    batches = [groups[i : i + 20] for i in range(0, len(groups), 20)]
    fold = Fold(SYMBOLS, SLOTS)
    twin = naive.NaiveShard(symbol_capacity=SYMBOLS)
    seen: set[str] = set()
    emitted: dict[str, list] = {}
    for batch in batches:
        notes, news = fold_groups(fold, batch)
        for group in batch:
            twin.feed(group)
        for note in notes:
            seen |= {
                name_of(TradeEvent(note["event"])),
                name_of(Phase(note["phase"])),
                name_of(Side(note["side"])),
                name_of(SideRule(note["side_rule"])),
                name_of(GapCause(note["cause"])),
                *map(name_of, NoteFlag(note["flags"])),
            }
        for name, rows in news.items():
            emitted.setdefault(name, []).extend(rows)
    assert {name: rows for name, rows in emitted.items() if name in naive.CHANNELS} == twin.rows
    wanted = {
        name_of(code)
        for codes in (TradeEvent, Side, SideRule, Phase, NoteFlag, GapCause)
        for code in codes
    } - {"NoteFlag.NONE", "NoteFlag.GAP_OPENED", "NoteFlag.GAP_CLOSED", "Phase.PUT_THROUGH"}
    assert wanted <= seen
    assert fold.counts.matches + fold.counts.late == len(emitted["trade"])
    assert check_invariants(fold.latest["stats"]) == []


@pytest.mark.parametrize("wrong", ["halted", "tick", "prices_of_day"])
def test_the_comparison_would_notice_a_wrong_rule(wrong, seed, monkeypatch):
    right = getattr(naive, wrong)
    lies = {
        "halted": lambda day: not right(day),
        "tick": lambda earlier, price: Side.BUY,
        "prices_of_day": lambda told: right(told) | {"high_price_e2": 1},
    }
    monkeypatch.setattr(naive, wrong, lies[wrong])
    with pytest.raises(AssertionError):
        assert_same_as_naive(long_stream(seed)[:60])


def test_same_slots_same_digest_and_one_share_less_is_another():
    groups = long_stream(1)[:80]

    def digest(changed: bool, hash_deltas: bool) -> str:
        fold = Fold(SYMBOLS, SLOTS, hash_deltas=hash_deltas)
        rows = rows_of(groups)
        last = int(np.flatnonzero((rows.head["kind"] == 1) & (rows.head["symbol_id"] == 1))[-1])
        rows.trade[last]["last_volume_shares"] -= changed
        fold.fold(rows)
        return fold.digest()

    for hash_deltas in (False, True):
        assert digest(False, hash_deltas) == digest(False, hash_deltas)
        assert digest(False, hash_deltas) != digest(True, hash_deltas)


def test_warm_changes_nothing():
    fold, cold = Fold(SYMBOLS, SLOTS), Fold(SYMBOLS, SLOTS)
    fold.warm()
    assert fold.digest() == cold.digest()
    assert fold.counts == cold.counts


def test_an_empty_batch_has_no_news():
    fold = Fold(SYMBOLS, SLOTS)
    assert fold.fold(rows_over(np.zeros(4, SLOT), 0)) == []


def test_a_batch_that_is_too_large_is_a_bug():
    with pytest.raises(AssertionError, match="batch of 5 slots, the fold was built for 4"):
        Fold(SYMBOLS, 4).fold(rows_over(np.zeros(5, SLOT), 5))


@pytest.mark.parametrize(
    ("precedence", "says"),
    [(("EXCHANGE", "AUCTION"), "'AUCTION'"), (("TICK", "TICK"), "twice"), (("tick",), "'tick'")],
)
def test_a_bad_precedence_is_refused(precedence, says):
    with pytest.raises(ConfigError, match=says):
        Fold(SYMBOLS, SLOTS, StageSettings(precedence))


@pytest.mark.parametrize(("symbols", "slots"), [(1, 10), (0, 10), (10, 0)])
def test_a_fold_without_room_is_refused(symbols, slots):
    with pytest.raises(ConfigError, match="room for 2 symbols"):
        Fold(symbols, slots)


def test_a_slot_of_a_symbol_outside_the_table_is_ignored_and_counted():
    groups = [
        [
            {
                "kind": 1,
                "symbol_id": symbol_id,
                "venue": 1,
                "exch_s": 1_626_315_600,
                "last_price_e2": 100,
                "last_volume_shares": 1,
                "total_volume_shares": 1,
            }
        ]
        for symbol_id in (0, SYMBOLS, 2**32 - 1, SYMBOLS - 1)
    ]
    fold = Fold(SYMBOLS, SLOTS)
    _, emitted = fold_groups(fold, groups)
    assert [row["symbol_id"] for row in emitted["trade"]] == [SYMBOLS - 1]
    assert fold.counts.ignored_slots == 3


def test_unknown_venues_sessions_and_kinds_break_nothing():
    head = {"symbol_id": 1, "exch_s": 1_626_315_600, "venue": 250, "session": 250, "status": 250}
    groups = [[head | {"kind": kind}] for kind in (1, 2, 3, 5)]
    fold = Fold(SYMBOLS, SLOTS)
    notes, _ = fold_groups(fold, groups)
    rows = rows_of([[head | {"kind": 1}]])
    rows.head[0]["kind"] = 200
    fold.fold(rows)
    assert {note["phase"] for note in notes} == {phase_at(Venue.UNKNOWN, 18823, 9 * 3600 + 1200)}


def test_fusing_is_by_the_tuple():
    text = step_source("step", STAGES)
    places = [text.index(f"counts[{index}] = kernel{index}(") for index in range(len(STAGES))]
    assert places == sorted(places)
    assert fuse(STAGES) is fuse(STAGES)
    reordered = (STAGES[1], STAGES[0], *STAGES[2:])
    assert fuse(reordered).__name__ != fuse(STAGES).__name__


def test_every_stage_with_a_channel_keeps_its_last_row():
    for stage in STAGES:
        if stage.channel is not None:
            assert stage.state_dtype["row"] == stage.channel.dtype
            assert stage.scope == "symbol"
        assert stage.meaning


def test_a_stage_can_be_added_without_touching_the_others():
    again = replace(directory.STAGE, name="directory_again")
    fold = Fold(SYMBOLS, SLOTS, stages=(*STAGES, again))
    fold.warm()
    assert len(fold.state("directory_again")) == SYMBOLS


CALLS = np.dtype([("calls", "<i8")])


@kernel
def count_calls(rows, notes, state, params, out):
    state[0]["calls"] += 1
    return 0


def test_a_stage_is_called_for_a_batch_with_its_kinds_and_for_no_other():
    def counter(name, *kinds):
        return Stage(
            name, "market", CALLS, NO_PARAMS, None, count_calls, "", kinds=frozenset(kinds)
        )

    stages = (counter("quotes", SlotKind.QUOTE), counter("both", SlotKind.QUOTE, SlotKind.TRADE))
    fold = Fold(SYMBOLS, SLOTS, stages=stages)
    head = {"symbol_id": 1, "exch_s": 1_626_315_600}
    for kinds in ([SlotKind.TRADE], [SlotKind.TRADE, SlotKind.QUOTE], [SlotKind.INDEX], []):
        fold.fold(rows_of([[head | {"kind": kind} for kind in kinds]]))
    assert fold.state("quotes")[0]["calls"] == 1
    assert fold.state("both")[0]["calls"] == 2


def test_with_rules_a_batch_is_judged_group_by_group():
    class Judge:
        def __init__(self):
            self.seen = []

        def attach(self, fold):
            self.fold = fold

        def judge(self, sections):
            self.seen.append({channel.name: len(rows) for channel, rows in sections})
            return sections

        def save(self):
            return {"rules": np.zeros((0, 1), np.int64)}

    judge = Judge()
    ruled, plain = Fold(SYMBOLS, SLOTS, rules=judge), Fold(SYMBOLS, SLOTS)
    groups = long_stream(7)[:40]
    assert fold_groups(ruled, groups) == fold_groups(plain, groups)
    assert judge.fold is ruled
    assert len(judge.seen) == sum(bool(group) for group in groups)
    assert ruled.digest() == plain.digest()


def test_places_do_not_overlap_and_lie_on_cache_lines():
    layout = plan(STAGES, SYMBOLS, SLOTS)
    bounds = layout.bounds()
    assert (bounds[:, 0] % 64 == 0).all()
    assert (bounds[1:, 0] >= bounds[:-1, 1]).all()
    assert bounds[-1, 1] <= layout.size_bytes
    assert layout.tally.dtype == TALLY


def test_check_invariants_says_which_sum_is_wrong():
    rows = np.zeros(3, STATS_DELTA)
    rows["symbol_id"] = (1, 2, 3)
    rows[1]["volume_shares"] = 500
    rows[1]["total_volume_shares"] = 500
    assert check_invariants(rows) == ["symbol 2 day 0: phase x side volume is 0, volume is 500"]
    rows[2]["total_volume_shares"] = 7
    assert check_invariants(rows[2]) == ["symbol 3 day 0: volume is 0, total - missed is 7"]
