"""The backlog against its naive twin: all that was missed, each row once, or a plain no."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.schema.channels import BASIS_TREND, GAPS, LIMITS, QUOTE, STATS, SYMBOL, TRADE
from gateway.backlog import Backlog

CAPACITY = 8
PLENTY_BYTES = 1 << 20
TIGHT_BYTES = 6_000
CHANNELS = (TRADE, LIMITS, QUOTE, STATS, BASIS_TREND, SYMBOL)
PUBLIC = (TRADE, LIMITS, QUOTE, STATS, BASIS_TREND)


def batch(channel, *keys_and_seqs, stamp=0):
    """Rows of a channel; recv_ns tells rows of the same key and seq apart."""
    rows = np.zeros(len(keys_and_seqs), channel.dtype)
    for i, (key, seq) in enumerate(keys_and_seqs):
        rows[i]["symbol_id"], rows[i]["seq"], rows[i]["recv_ns"] = key, seq, stamp + i
    return rows


def run(channel, key, first, last):
    return batch(channel, *((key, seq) for seq in range(first, last + 1)))


def table(values, missing, capacity=CAPACITY):
    """Positions as the backlog wants them."""
    out = np.full(capacity, missing, np.int64)
    for key, value in values.items():
        out[key] = value
    return out


def ask(backlog, channel, since, upto, capacity=CAPACITY):
    """Return (key, seq) of the rows that were missed, and the keys that are complete."""
    rows, complete = backlog.after(
        channel.code, table(since, -1, capacity), table(upto, 0, capacity)
    )
    found = list(zip(rows["symbol_id"].tolist(), rows["seq"].tolist(), strict=True))
    return found, np.flatnonzero(complete).tolist()


class Twin:
    """Every row ever taken, in one list per channel, looked through from its beginning."""

    def __init__(self):
        self.rows = {channel.code: [] for channel in CHANNELS}
        self.newest = {}

    def add(self, channel, rows):
        for row in rows:
            key, seq = int(row["symbol_id"]), int(row["seq"])
            if 0 < key < CAPACITY and seq > self.newest.get((channel.code, key), 0):
                self.newest[channel.code, key] = seq
                self.rows[channel.code].append((key, seq, row.tobytes()))

    def forget(self, ids):
        for code, rows in self.rows.items():
            self.rows[code] = [row for row in rows if row[0] not in ids]
            for key in ids:
                self.newest.pop((code, key), None)

    def complete(self, channel, since, upto):
        have = {(key, seq) for key, seq, _ in self.rows[channel.code]}
        return [
            key
            for key in range(CAPACITY)
            if 0 <= since[key] <= upto[key]
            and all((key, seq) in have for seq in range(since[key] + 1, upto[key] + 1))
        ]

    def missed(self, channel, keys, since, upto):
        return b"".join(
            data
            for key, seq, data in self.rows[channel.code]
            if key in keys and since[key] < seq <= upto[key]
        )


keys = st.integers(0, CAPACITY)  # 0 and the last are nobody's
steps = st.lists(st.tuples(keys, st.sampled_from([1, 1, 1, 1, 1, 2, 0, -1, -3])), max_size=12)
additions = st.tuples(st.just("add"), st.sampled_from(CHANNELS), steps)
questions = st.tuples(
    st.just("ask"),
    st.sampled_from(PUBLIC),
    st.lists(st.integers(-1, 9), min_size=CAPACITY, max_size=CAPACITY),
)
oblivions = st.tuples(st.just("forget"), st.sets(st.integers(1, CAPACITY - 1)), st.none())
stories = st.lists(st.one_of(additions, additions, additions, questions, oblivions), max_size=40)


def tell(story, backlog, check):
    """Play a story to a backlog and its twin. `step` is from the newest seq of the key."""
    twin, next_seq, stamp = Twin(), {}, 0
    for what, subject, more in story:
        if what == "add":
            pairs = []
            for key, step in more:
                seq = next_seq.get((subject.code, key), 0) + step
                next_seq[subject.code, key] = max(seq, next_seq.get((subject.code, key), 0))
                pairs.append((key, seq))
            rows, stamp = batch(subject, *pairs, stamp=stamp), stamp + 100
            backlog.add(subject, rows)
            twin.add(subject, rows)
        elif what == "forget":
            backlog.forget(np.array(sorted(subject), np.int64))
            twin.forget(subject)
            next_seq = {pair: seq for pair, seq in next_seq.items() if pair[1] not in subject}
        else:
            upto = [twin.newest.get((subject.code, key), 0) for key in range(CAPACITY)]
            # How far back each receiver is; some claim to be ahead, some do not ask.
            since = [
                max(-1, newest + 1 - back) if back >= 0 else -1
                for newest, back in zip(upto, more, strict=True)
            ]
            check(backlog, twin, subject, since, upto)
        assert backlog.used_bytes >= 0
    return twin


@given(stories)
@settings(max_examples=200)
def test_the_backlog_equals_its_naive_twin(story):
    def check(backlog, twin, channel, since, upto):
        rows, complete = backlog.after(channel.code, np.array(since), np.array(upto))
        whole = twin.complete(channel, since, upto)
        assert np.flatnonzero(complete).tolist() == whole
        assert rows.dtype == channel.dtype
        assert rows.tobytes() == twin.missed(channel, whole, since, upto)

    tell(story, Backlog(CAPACITY, PLENTY_BYTES), check)


@given(stories)
@settings(max_examples=200)
def test_within_a_tight_budget_it_is_all_or_a_plain_no(story):
    def check(backlog, twin, channel, since, upto):
        assert backlog.used_bytes <= TIGHT_BYTES
        rows, complete = backlog.after(channel.code, np.array(since), np.array(upto))
        whole = np.flatnonzero(complete).tolist()
        assert set(whole) <= set(twin.complete(channel, since, upto))
        assert rows.tobytes() == twin.missed(channel, whole, since, upto)
        assert backlog.used_bytes <= TIGHT_BYTES

    tell(story, Backlog(CAPACITY, TIGHT_BYTES), check)


def test_a_client_gets_what_it_missed_in_the_order_of_the_day():
    backlog = Backlog(CAPACITY, PLENTY_BYTES)
    backlog.add(TRADE, batch(TRADE, (1, 1), (2, 1), (1, 2)))
    backlog.add(QUOTE, batch(QUOTE, (1, 1)))
    backlog.add(TRADE, batch(TRADE, (2, 2), (1, 3)))
    upto = {1: 3, 2: 2}
    assert ask(backlog, TRADE, {1: 1, 2: 1}, upto) == ([(1, 2), (2, 2), (1, 3)], [1, 2])
    assert ask(backlog, TRADE, {1: 0}, upto) == ([(1, 1), (1, 2), (1, 3)], [1])
    assert ask(backlog, TRADE, {1: 1}, {1: 2}) == ([(1, 2)], [1])  # not what the mirror has not


@pytest.mark.parametrize(
    ("since", "upto", "complete"),
    [
        (13, 13, True),  # missed nothing
        (12, 13, True),
        (11, 13, True),  # the row after the hole is the first it needs
        (10, 13, False),  # 11 never came
        (9, 13, False),
        (14, 13, False),  # claims more than there is
        (13, 14, False),  # the mirror learnt 14 from a snapshot
        (0, 0, True),  # had nothing, and there is nothing
        (-1, 13, False),  # did not ask
    ],
)
def test_a_hole_is_never_papered_over(since, upto, complete):
    backlog = Backlog(CAPACITY, PLENTY_BYTES)
    backlog.add(TRADE, run(TRADE, 1, 8, 10))
    backlog.add(TRADE, run(TRADE, 1, 12, 13))
    found, whole = ask(backlog, TRADE, {1: since}, {1: upto})
    assert whole == ([1] if complete else [])
    assert found == [(1, seq) for seq in range(since + 1, upto + 1) if complete]


def test_a_shard_that_says_it_again_says_nothing_new():
    backlog = Backlog(CAPACITY, PLENTY_BYTES)
    backlog.add(TRADE, batch(TRADE, (1, 1), (1, 2), (1, 2), (1, 1), (1, 3)))
    backlog.add(TRADE, run(TRADE, 1, 2, 4))
    assert ask(backlog, TRADE, {1: 0}, {1: 4})[0] == [(1, 1), (1, 2), (1, 3), (1, 4)]


def test_a_source_that_starts_over_takes_its_rows_along_and_no_others():
    backlog = Backlog(CAPACITY, PLENTY_BYTES)
    for key in (1, 2):
        backlog.add(TRADE, run(TRADE, key, 7, 9))  # heard since 7
    backlog.forget(np.array([1]))
    assert ask(backlog, TRADE, {1: 8, 2: 8}, {1: 9, 2: 9}) == ([(2, 9)], [2])
    backlog.add(TRADE, run(TRADE, 1, 1, 1))  # the new epoch numbers anew
    assert ask(backlog, TRADE, {1: 0}, {1: 1}) == ([(1, 1)], [1])
    backlog.forget(np.array([1, 2]))
    assert backlog.used_bytes == 0


@pytest.mark.parametrize(("event", "state"), [(TRADE, STATS), (GAPS, QUOTE)])
def test_a_storm_of_one_half_pushes_nothing_out_of_the_other(event, state):
    backlog = Backlog(CAPACITY, 200_000)
    backlog.add(event, run(event, 1, 1, 300))
    backlog.add(state, run(state, 1, 1, 300))
    for storm, quiet in ((state, event), (event, state)):
        first, calm = (301, [1]) if storm is state else (301, [])
        for seq in range(first, first + 20_000, 100):
            backlog.add(storm, run(storm, 2, seq, seq + 99))
        assert backlog.used_bytes <= 200_000
        # The storm spared the events; then the events' own storm comes, and theirs go.
        assert ask(backlog, event, {1: 0}, {1: 300})[1] == calm
        assert ask(backlog, quiet, {1: 300}, {1: 300})[1] == [1]


def test_what_is_longest_without_news_goes_first():
    backlog = Backlog(CAPACITY, 200_000)
    backlog.add(GAPS, run(GAPS, 1, 1, 1))
    backlog.add(LIMITS, run(LIMITS, 1, 1, 1))
    for seq in range(1, 20_001, 50):
        backlog.add(TRADE, run(TRADE, 1, seq, seq + 49))
        if seq % 500 == 1:
            backlog.add(LIMITS, run(LIMITS, 1, 2 + seq // 500, 2 + seq // 500))
    assert ask(backlog, GAPS, {1: 0}, {1: 1})[1] == []  # 20,000 trades ago
    assert ask(backlog, LIMITS, {1: 40}, {1: 41}) == ([(1, 41)], [1])
    newest, _ = ask(backlog, TRADE, {1: 19_500}, {1: 20_000})
    assert newest == [(1, seq) for seq in range(19_501, 20_001)]
    assert ask(backlog, TRADE, {1: 0}, {1: 20_000})[1] == []


def test_what_fits_nowhere_is_not_kept_and_not_promised():
    for budget_bytes in (0, 1, 5_000):  # a row of this channel has more than half of it
        backlog = Backlog(CAPACITY, budget_bytes)
        backlog.add(BASIS_TREND, run(BASIS_TREND, 1, 1, 2))
        assert ask(backlog, BASIS_TREND, {1: 1}, {1: 2}) == ([], [])
        assert ask(backlog, BASIS_TREND, {1: 2}, {1: 2}) == ([], [1])
        assert backlog.used_bytes <= budget_bytes


@pytest.mark.parametrize("wanted", [1, 8, 9, 5_000])
def test_one_key_and_the_whole_market_are_found_alike(wanted):
    capacity = 1 << 17  # ids of more than 16 bits
    backlog = Backlog(capacity, 8 << 20)
    everybody = range(1, capacity, capacity // 5_000)
    for seq in (1, 2, 3):
        backlog.add(TRADE, batch(TRADE, *((key, seq) for key in everybody)))
    some = list(everybody)[-wanted:]
    found, complete = ask(
        backlog, TRADE, dict.fromkeys(some, 1), dict.fromkeys(everybody, 3), capacity
    )
    assert found == [(key, seq) for seq in (2, 3) for key in some]
    assert complete == some


def test_rows_are_copies_both_ways():
    backlog = Backlog(CAPACITY, PLENTY_BYTES)
    rows = run(TRADE, 1, 1, 2)
    backlog.add(TRADE, rows)
    rows["price_e2"] = 99
    since, upto = table({1: 0}, -1), table({1: 2}, 0)
    got, _ = backlog.after(TRADE.code, since, upto)
    assert got["price_e2"].tolist() == [0, 0]
    got["price_e2"] = 77
    again, _ = backlog.after(TRADE.code, since, upto)
    assert again["price_e2"].tolist() == [0, 0]
