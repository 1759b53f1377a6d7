"""Ledger and feed_state against their naive twins, and what must hold whatever happens."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from engine.schema.codes import GapCause, GapOutcome, GapState, SlotKind
from engine.shard import feed_state, ledger
from engine.shard.fold import Fold
from tests.oracle.ledger_naive import NaiveFeed, NaiveLedger, NaiveReference
from tests.shard import folding, streams
from tests.shard.judged import FEED_ID, STORIES, SYMBOLS, Note, Single, interpret, introduce

STAGES = ((ledger.STAGE, NaiveLedger), (feed_state.STAGE, NaiveFeed))


@given(STORIES)
def test_kernels_say_what_the_naive_twins_say(steps):
    groups = interpret(steps)
    for stage, naive in STAGES:
        twin = naive()
        wanted = [
            row
            for group in groups
            for row in twin.feed([message for message, _ in group], [note for _, note in group])
        ]
        assert Single(stage).run(groups) == wanted


@given(STORIES, st.lists(st.integers(1, 60), max_size=6))
def test_batching_is_invisible(steps, cuts):
    groups = interpret(steps)
    for stage, _ in STAGES:
        whole, cut = Single(stage), Single(stage)
        assert whole.run(groups) == cut.run(groups, cuts)
        assert whole.state.tobytes() == cut.state.tobytes()


@given(STORIES)
def test_whoever_sees_only_gaps_can_sum_the_missed_volume_after_every_slot(steps):
    """Slot by slot: the newest remainders of a day's gaps are what its messages missed."""
    books = Single(ledger.STAGE)
    missed: dict[int, int] = defaultdict(int)
    left: dict[int, dict[int, int]] = defaultdict(dict)
    told_day: dict[int, int] = {}
    for group in interpret(steps):
        for message, note in group:
            symbol_id = message["symbol_id"]
            rows = books.run([[(message, note)]])
            if note.flags & 1:  # NEW_DAY: what follows belongs to the new day
                missed[symbol_id] = 0
            for row in rows:
                if told_day.get(symbol_id) != row["trade_day"]:
                    told_day[symbol_id] = row["trade_day"]
                    left[symbol_id].clear()
                left[symbol_id][row["gap_no"]] = row["open_volume_shares"]
                assert sum(left[symbol_id].values()) == row["day_missed_volume_shares"]
            missed[symbol_id] += note.missed_volume_shares
            account = books.state[symbol_id]["today"]
            if message["kind"] == SlotKind.TRADE and not note.flags & 2:
                assert account["missed_volume_shares"] == missed[symbol_id]
                assert (
                    account["total_volume_shares"]
                    == account["seen_volume_shares"] + account["missed_volume_shares"]
                )
                if told_day.get(symbol_id) == account["day"]:
                    assert sum(left[symbol_id].values()) == missed[symbol_id]
                else:
                    assert missed[symbol_id] == 0


@given(STORIES)
def test_every_gap_has_one_life(steps):
    books = Single(ledger.STAGE)
    rows = books.run(interpret(steps))
    lives: dict[tuple[int, int, int], list[dict]] = defaultdict(list)
    seqs: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        lives[row["symbol_id"], row["trade_day"], row["gap_no"]].append(row)
        seqs[row["symbol_id"]].append(row["seq"])
    for (_, _, gap_no), life in lives.items():
        volumes = [row["open_volume_shares"] for row in life]
        assert volumes == sorted(volumes, reverse=True)
        if gap_no == 0:
            assert all(row["open_volume_shares"] < 0 for row in life)
            assert {row["gap_outcome"] for row in life} <= {
                GapOutcome.ARRIVED,
                GapOutcome.RETRACTED,
            }
            continue
        assert all(volume >= 0 for volume in volumes)
        assert life[0]["open_volume_shares"] == life[0]["missed_volume_shares"] > 0
        assert all(row["gap_state"] == GapState.OPEN for row in life[:-1])
        assert all(row["gap_cause"] != GapCause.NONE for row in life)
        assert all(row["from_exch_s"] <= row["to_exch_s"] for row in life)
        last = life[-1]
        assert (last["gap_outcome"] != GapOutcome.NONE) == (last["gap_state"] == GapState.CLOSED)
        if last["gap_outcome"] in {GapOutcome.ARRIVED, GapOutcome.RETRACTED}:
            assert last["open_volume_shares"] == 0
        if last["gap_outcome"] in {GapOutcome.BACKFILLED, GapOutcome.UNEXPLAINED}:
            assert last["open_volume_shares"] > 0
    for sequence in seqs.values():
        assert sequence == list(range(1, len(sequence) + 1))
    opened, open_now = ledger.gap_counts(books.state)
    assert opened == sum(gap_no > 0 for _, _, gap_no in lives)
    assert open_now == sum(life[-1]["gap_state"] == GapState.OPEN for life in lives.values())
    assert open_now == sum(int(books.state[i]["open_count"]) for i in range(1, SYMBOLS))


def with_feed_and_bars(events) -> list[list[dict]]:
    """Return the shard's random stream, its controls named and its bars meant for some gap."""
    groups = [[introduce()[0]], *streams.interpret(events)]
    for number, message in enumerate(each for group in groups for each in group):
        if message["kind"] == SlotKind.CONTROL:
            message |= {"symbol_id": FEED_ID, "recv_ns": 1_000 + number}
        if message["kind"] == SlotKind.BACKFILL:
            message |= {"gap_no": 1 + number % 3, "volume_shares": number % 5, "bars_left": 0}
    return groups


@given(streams.STREAMS)
def test_behind_the_real_classify_the_twins_agree_too(events):
    groups = with_feed_and_bars(events)
    fold = Fold(folding.SYMBOLS, folding.SLOTS)
    notes, emitted = folding.fold_groups(fold, groups)
    judged = iter(Note(**note) for note in notes)
    noted = [[next(judged) for _ in group] for group in groups]
    for name, twin in (
        ("gaps", NaiveLedger()),
        ("feed", NaiveFeed()),
        ("reference", NaiveReference()),
    ):
        wanted = [
            row for group, said in zip(groups, noted, strict=True) for row in twin.feed(group, said)
        ]
        assert emitted.get(name, []) == wanted


@given(streams.STREAMS)
def test_the_gaps_of_a_day_add_up_to_what_stats_says_was_missed(events):
    """Group by group, for a client that keeps the newest row of every gap and nothing else."""
    fold = Fold(folding.SYMBOLS, folding.SLOTS)
    left: dict[tuple[int, int], dict[int, int]] = defaultdict(dict)
    for group in with_feed_and_bars(events):
        _, emitted = folding.fold_groups(fold, [group])
        for row in emitted.get("gaps", []):
            gaps = left[row["symbol_id"], row["trade_day"]]
            gaps[row["gap_no"]] = row["open_volume_shares"]
            assert sum(gaps.values()) == row["day_missed_volume_shares"]
        accounts, stats = fold.state("ledger")["today"], fold.latest["stats"]
        for symbol_id in range(1, folding.SYMBOLS):
            account, row = accounts[symbol_id], stats[symbol_id]
            if not account["message_count"]:
                continue
            assert sum(left[symbol_id, int(account["day"])].values()) == row["missed_volume_shares"]
            for ours, theirs in (
                ("day", "trade_day"),
                ("total_volume_shares", "total_volume_shares"),
                ("seen_volume_shares", "volume_shares"),
                ("missed_volume_shares", "missed_volume_shares"),
                ("repeat_count", "repeat_count"),
                ("correction_count", "correction_count"),
            ):
                assert account[ours] == row[theirs], ours
