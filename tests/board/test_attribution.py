"""Channel ``attribution``: points per constituent, and where the weights come from."""

import pytest

from engine.board.attribution import Share, points_e4
from engine.board.weights import WEIGHT_UNIT, parse_weights
from engine.schema.channels import ATTRIBUTION, INDEX, REFERENCE
from engine.schema.codes import IndexMember, Instrument, Venue, WeightsSource
from tests.board.feed import Feed

WEIGHTS = "index,code,weight_pct\nVN30,AAA,40\nVN30,BBB,10\nVN30,ZZZ,50\n"


def index(feed, code, value, prior, venue=Venue.HOSE):
    if code not in feed.ids:
        feed.introduce(code, venue, instrument=Instrument.INDEX)
    feed.put(INDEX, code, value_e2=round(value * 100), prior_value_e2=round(prior * 100))


def ends(row):
    return tuple(
        [(code.decode(), points) for code, points in
         zip(row[f"{end}_code"], row[f"{end}_points_e4"], strict=True)][: row[f"{end}_count"]]
        for end in ("top", "bottom")
    )  # fmt: skip


def test_points_are_prior_value_times_weight_times_change():
    feed = Feed(parse_weights(WEIGHTS, "test"))
    index(feed, "VN30", 1_510, 1_500)
    feed.quoted("AAA", 10_100, 10_000)
    feed.quoted("BBB", 19_000, 20_000)
    row = feed.latest(ATTRIBUTION, "VN30")
    assert row["weights_source"] == WeightsSource.CONFIG
    assert (row["value_e2"], row["prior_value_e2"]) == (151_000, 150_000)
    assert ends(row) == ([("AAA", 6_0000)], [("BBB", -7_5000)])
    assert row["points_e4"] == -1_5000
    assert (row["constituent_count"], row["priced_count"]) == (3, 2)


def test_without_a_file_listed_shares_are_the_weights_and_the_row_says_so():
    feed = Feed()
    index(feed, "VN30", 1_000, 1_000)
    for code, listed, last in (
        ("AAA", 3_000, 10_100),
        ("BBB", 1_000, 9_000),
        ("CCC", 10**6, 20_000),
    ):
        feed.put(REFERENCE, code, listed_shares=listed,
                 indices=IndexMember.NONE if code == "CCC" else IndexMember.VN30)  # fmt: skip
        feed.quoted(code, last, 10_000)
    row = feed.latest(ATTRIBUTION, "VN30")
    assert row["weights_source"] == WeightsSource.LISTED
    assert ends(row) == ([("AAA", 7_5000)], [("BBB", -25_0000)])
    assert row["constituent_count"] == row["priced_count"] == 2


def test_missing_weights_are_said_and_no_points_are_claimed():
    feed = Feed()
    index(feed, "VN30", 1_010, 1_000)
    for place in range(10):
        feed.put(REFERENCE, f"S{place}", indices=IndexMember.VN30,
                 listed_shares=1_000 if place < 8 else 0)  # fmt: skip
        feed.quoted(f"S{place}", 11_000, 10_000)
    row = feed.latest(ATTRIBUTION, "VN30")
    assert row["weights_source"] == WeightsSource.NONE
    assert (row["points_e4"], ends(row)) == (0, ([], []))
    assert (row["value_e2"], row["constituent_count"], row["priced_count"]) == (101_000, 10, 10)
    feed.put(REFERENCE, "S8", indices=IndexMember.VN30, listed_shares=1_000)
    row = feed.latest(ATTRIBUTION, "VN30")  # nine in ten have told
    assert row["weights_source"] == WeightsSource.LISTED
    assert row["points_e4"] == 9 * 11_1111
    assert row["top_count"] == 9


def test_an_index_of_a_venue_has_all_its_shares():
    feed = Feed()
    index(feed, "VNINDEX", 1_000, 1_000)
    index(feed, "HNXINDEX", 300, 300, Venue.HNX)
    for code, venue in (("AAA", Venue.HOSE), ("BBB", Venue.HNX), ("CCC", Venue.UPCOM)):
        feed.introduce(code, venue)
        feed.put(REFERENCE, code, listed_shares=1_000)
        feed.quoted(code, 10_100, 10_000)
    assert ends(feed.latest(ATTRIBUTION, "VNINDEX")) == ([("AAA", 10_0000)], [])
    assert ends(feed.latest(ATTRIBUTION, "HNXINDEX")) == ([("BBB", 3_0000)], [])


def test_without_the_index_s_own_value_of_today_there_are_no_points():
    feed = Feed(parse_weights(WEIGHTS, "test"))
    index(feed, "VN30", 1_510, 1_500)
    feed.quoted("AAA", 10_100, 10_000)
    assert feed.latest(ATTRIBUTION, "VN30")["top_count"] == 1
    feed.day += 1
    feed.time("09:30:00")
    feed.quoted("AAA", 10_100, 10_000)
    row = feed.latest(ATTRIBUTION, "VN30")
    assert (row["value_e2"], row["top_count"], row["priced_count"]) == (0, 0, 1)
    assert row["weights_source"] == WeightsSource.CONFIG


def test_ends_have_ten_entries_with_equals_in_order_of_their_code():
    feed = Feed()
    index(feed, "VN30", 1_000, 1_000)
    for place in range(24):
        code = f"S{place:02}"
        feed.put(REFERENCE, code, indices=IndexMember.VN30, listed_shares=1_000)
        feed.quoted(code, 10_100 if place % 2 else 9_900, 10_000)
    top, bottom = ends(feed.latest(ATTRIBUTION, "VN30"))
    assert [code for code, _ in top] == [f"S{n:02}" for n in range(1, 21, 2)]
    assert [code for code, _ in bottom] == [f"S{n:02}" for n in range(0, 20, 2)]


@pytest.mark.parametrize(
    ("last", "points"), [(10_001, 1), (9_999, -1), (10_000, 0), (10_002, 1), (10_003, 2)]
)
def test_points_are_rounded_to_a_ten_thousandth_with_halves_away_from_zero(last, points):
    share = Share(b"AAA", WEIGHT_UNIT // 2, last, 10_000)
    assert points_e4(100, WEIGHT_UNIT, share) == points


def test_absurd_prices_do_not_stop_the_board():
    feed = Feed(parse_weights(WEIGHTS, "test"))
    index(feed, "VN30", 20_000_000, 20_000_000)
    feed.put(REFERENCE, "AAA", listed_shares=10**14)
    feed.stats("AAA", last_price_e2=2 * 10**9, reference_price_e2=1, volume_shares=1)
    said = dict(feed.board.summarise())  # the twin knows no limit
    assert said[ATTRIBUTION]["points_e4"].max() == 2**31 - 1
