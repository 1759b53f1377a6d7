"""The board against its naive twin, and what must hold whatever shards say and in which order."""

import datetime as dt

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.board.keys import KEYS
from engine.board.weights import Weights
from engine.schema.channels import FOREIGN, INDEX, PUT_THROUGH, REFERENCE
from engine.schema.codes import Instrument, Phase, Side, Venue
from tests.board.feed import CAPACITY, DATE, Feed

SHARES = ("AAA", "BBB", "CCC", "DDD", "EEE", "FUEVFVND", "CFPT2401")
INDICES = ("VN30", "VNINDEX")
VENUE = (Venue.HOSE, Venue.HNX, Venue.UPCOM, Venue.HOSE, Venue.HOSE, Venue.HOSE, Venue.HOSE)
STAMPS_BYTES = 28  # seq, stamps, symbol_id and updates at the start of a row
WEIGHTS: Weights = {
    "VN30": {"AAA": 33_333_333, "EEE": 7, "QQQ": 10_000_000},
    "VNINDEX": {"AAA": 50_000_000, "BBB": 1},
}
# One second before and at the ends of five and of six minutes after the first, and far apart.
TIMES = ("09:05:00", "09:09:59", "09:10:00", "09:10:59", "09:11:00", "11:40:00", "14:40:00",
         "15:02:00")  # fmt: skip

prices = st.sampled_from([0, 9_300_00, 9_999_00, 10_000_00, 10_001_00, 10_700_00])
volumes = st.sampled_from([0, 1, 100, 5_000])
values = st.sampled_from([0, 999_999_999, 10**9, 3 * 10**9])
shares = st.integers(0, len(SHARES) - 1)
stats = st.tuples(
    st.just("stats"),
    shares,
    st.fixed_dictionaries({
        "last_price_e2": prices,
        "reference_price_e2": prices,
        "ceiling_price_e2": st.just(10_700_00),
        "floor_price_e2": st.just(9_300_00),
        "volume_shares": volumes,
        "total_volume_shares": volumes,
        "missed_volume_shares": volumes,
        "value_vnd": values,
        "total_value_vnd": values,
    }),
    st.tuples(volumes, volumes),
)  # fmt: skip
flow = st.fixed_dictionaries({
    "buy_value_vnd": values,
    "sell_value_vnd": values,
    "buy_volume_shares": volumes,
    "net_value_5m_vnd": st.sampled_from([-5, 0, 5]),
    "net_value_5m_before_vnd": st.sampled_from([-7, 0, 7]),
    "net_volume_5m_shares": st.sampled_from([-1, 0, 1]),
    "net_volume_5m_before_shares": st.sampled_from([-3, 0, 3]),
})  # fmt: skip
facts = st.fixed_dictionaries({
    "indices": st.integers(0, 7),
    "listed_shares": st.sampled_from([0, 1_000, 10**9, 10**14]),
})  # fmt: skip
deal = st.fixed_dictionaries({"total_volume_shares": volumes, "total_value_vnd": values})
value = st.fixed_dictionaries({
    "value_e2": st.sampled_from([0, 150_123]),
    "prior_value_e2": st.sampled_from([0, 150_000]),
})  # fmt: skip
steps = st.one_of(
    stats,
    stats,
    st.tuples(st.just("foreign"), shares, flow),
    st.tuples(st.just("reference"), shares, facts),
    st.tuples(st.just("put_through"), shares, deal),
    st.tuples(st.just("index"), st.integers(0, len(INDICES) - 1), value),
    st.tuples(st.just("time"), st.sampled_from(TIMES)),
    st.tuples(st.just("day"), st.integers(0, 1)),
    st.tuples(st.just("start_over"), st.integers(0, 1)),
    st.tuples(st.just("sum up")),
)
STORIES = st.lists(steps, max_size=40)
CHANNELS = {"foreign": FOREIGN, "reference": REFERENCE, "put_through": PUT_THROUGH}


def introduce(feed: Feed, shard: int | None = None) -> None:
    for place, code in enumerate(SHARES):
        if shard in (None, place % 2):
            feed.introduce(code, VENUE[place], shard=place % 2)
    for code in INDICES:
        if shard in (None, 0):
            feed.introduce(code, instrument=Instrument.INDEX)


def play(feed: Feed, story: list, *, sum_up: bool = True) -> None:
    """Tell a story; every summary on the way is compared with the twin's."""
    introduce(feed)
    for step in story:
        what, *rest = step
        if what == "stats":
            place, fields, (buy, sell) = rest
            table = np.zeros((len(Phase), len(Side)), np.int64)
            table[Phase.CONTINUOUS, [Side.BUY, Side.SELL]] = buy, sell
            feed.stats(SHARES[place], phase_side_volume_shares=table,
                       phase_side_value_vnd=table * 10, **fields)  # fmt: skip
        elif what == "index":
            feed.put(INDEX, INDICES[rest[0]], **rest[1])
        elif what == "time":
            feed.time(rest[0])
        elif what == "day":
            feed.at(DATE + dt.timedelta(days=rest[0]))
        elif what == "start_over":
            feed.start_over(rest[0])
            introduce(feed, rest[0])
        elif what == "sum up":
            if sum_up:
                feed.summarise()
        else:
            feed.put(CHANNELS[what], SHARES[rest[0]], **rest[1])
    feed.summarise()


@given(STORIES, st.booleans())
def test_the_board_says_what_the_naive_twin_says(story, with_file):
    play(Feed(WEIGHTS if with_file else None), story)


@given(STORIES)
def test_how_often_it_sums_up_does_not_show_in_what_it_ends_on(story):
    often, once = Feed(), Feed()
    play(often, story)
    play(once, story, sum_up=False)
    for name, rows in once.board.latest().items():
        other = often.board.latest()[name]
        told = rows["seq"] > 0  # who was asked in between may have said more, and taken it back
        for field in set(rows.dtype.names) - {"seq", "exch_s", "recv_ns"}:
            assert np.array_equal(rows[field][told], other[field][told]), (name, field)


@given(STORIES)
def test_sums_of_the_venues_are_the_sum_of_all(story):
    feed = Feed()
    play(feed, story)
    market, foreign = (feed.board.latest()[name] for name in ("market", "foreign.summary"))
    for rows in (market, foreign):
        for field in set(rows.dtype.names) - {
            "seq", "recv_ns", "exch_s", "symbol_id", "updates", "phase", "venue", "flags",
            "trade_day", "reserved",
        }:  # fmt: skip
            assert rows[field][0] == rows[field][1:4].sum(), field


@given(STORIES)
def test_every_row_said_is_newer_than_the_one_before_and_differs_from_it(story):
    feed = Feed()
    seen: dict[tuple[str, int], np.void] = {}
    for step in story:
        play(feed, [step])
        for name, rows in feed.board.latest().items():
            for row in rows[rows["seq"] > 0]:
                key = (name, int(row["symbol_id"]))
                assert CAPACITY <= key[1] < CAPACITY + len(KEYS)
                before = seen.get(key)
                if before is not None and row["seq"] != before["seq"]:
                    assert row["seq"] == before["seq"] + 1
                    assert row.tobytes()[STAMPS_BYTES:] != before.tobytes()[STAMPS_BYTES:]
                seen[key] = row.copy()
