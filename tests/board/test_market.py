"""Channel ``market``: breadth and sums of a venue, of all venues, and of VN30."""

from engine.schema.channels import ATTRIBUTION, MARKET, PUT_THROUGH, REFERENCE
from engine.schema.codes import IndexMember, Instrument, Phase, Venue
from tests.board.feed import Feed, sides


def test_breadth_is_counted_from_last_and_reference_price():
    feed = Feed()
    feed.quoted("AAA", 11_000, 10_000)
    feed.quoted("BBB", 10_000, 10_000)
    feed.quoted("CCC", 9_000, 10_000)
    feed.quoted("DDD", 9_900, 10_000)
    row = feed.latest(MARKET, "ALL")
    assert (row["advances"], row["unchanged"], row["declines"]) == (1, 1, 2)
    assert row["symbol_count"] == 4


def test_ceilings_are_among_the_advances_and_floors_among_the_declines():
    feed = Feed()
    limits = {"ceiling_price_e2": 10_700_00, "floor_price_e2": 9_300_00}
    feed.quoted("AAA", 10_700, 10_000, **limits)
    feed.quoted("BBB", 10_600, 10_000, **limits)
    feed.quoted("CCC", 9_300, 10_000, **limits)
    row = feed.latest(MARKET, "HOSE")
    assert (row["advances"], row["ceilings"]) == (2, 1)
    assert (row["declines"], row["floors"]) == (1, 1)


def test_a_band_too_narrow_to_move_makes_no_ceiling():
    feed = Feed()
    feed.quoted("AAA", 400, 400, ceiling_price_e2=400_00, floor_price_e2=400_00)
    row = feed.latest(MARKET, "HOSE")
    assert (row["unchanged"], row["ceilings"], row["floors"]) == (1, 0, 0)


def test_a_share_with_volume_0_did_not_trade_and_is_in_no_direction():
    feed = Feed()
    feed.quoted("AAA", 11_000, 10_000, volume=0)  # its price repeats an older close
    row = feed.latest(MARKET, "ALL")
    assert (row["untraded"], row["symbol_count"]) == (1, 1)
    assert row["advances"] == row["unchanged"] == row["declines"] == 0


def test_a_share_whose_whole_volume_was_missed_did_trade():
    feed = Feed()
    feed.quoted("AAA", 11_000, 10_000, volume=0, total_volume_shares=500, missed_volume_shares=500)
    row = feed.latest(MARKET, "ALL")
    assert (row["advances"], row["untraded"]) == (1, 0)
    assert (row["volume_shares"], row["missed_volume_shares"]) == (0, 500)


def test_without_a_reference_price_a_share_is_in_no_direction():
    feed = Feed()
    feed.quoted("AAA", 11_000, 0)
    row = feed.latest(MARKET, "ALL")
    assert row["advances"] + row["unchanged"] + row["declines"] + row["untraded"] == 0
    assert row["symbol_count"] == 1


def test_sums_are_of_matches_seen_and_put_through_stands_apart():
    feed = Feed()
    feed.quoted("AAA", 10_000, 10_000, volume=600, missed_volume_shares=50,
                total_volume_shares=650,
                phase_side_volume_shares=sides(BUY=400, SELL=150, NEUTRAL=50),
                phase_side_value_vnd=sides(BUY=4_000_000, SELL=1_500_000))  # fmt: skip
    feed.quoted("BBB", 20_000, 20_000, volume=100,
                phase_side_volume_shares=sides(BUY=100),
                phase_side_value_vnd=sides(BUY=2_000_000))  # fmt: skip
    for total in (1_000, 3_000):  # two deals; the row has the day's total
        feed.put(PUT_THROUGH, "AAA", total_volume_shares=total, total_value_vnd=total * 10_000)
    row = feed.latest(MARKET, "HOSE")
    assert (row["volume_shares"], row["value_vnd"]) == (700, 8_000_000)
    assert (row["buy_volume_shares"], row["sell_volume_shares"]) == (500, 150)
    assert (row["buy_value_vnd"], row["sell_value_vnd"]) == (6_000_000, 1_500_000)
    assert row["missed_volume_shares"] == 50
    assert (row["put_through_volume_shares"], row["put_through_value_vnd"]) == (3_000, 30_000_000)


def test_every_share_is_in_its_venue_and_in_all():
    feed = Feed()
    for code, venue in (("AAA", Venue.HOSE), ("BBB", Venue.HNX), ("CCC", Venue.UPCOM)):
        feed.introduce(code, venue)
        feed.quoted(code, 11_000, 10_000, volume=100 * venue)
    found = {
        key: feed.latest(MARKET, key)["volume_shares"] for key in ("HOSE", "HNX", "UPCOM", "ALL")
    }
    assert found == {"HOSE": 100, "HNX": 200, "UPCOM": 300, "ALL": 600}


def test_vn30_is_empty_until_reference_rows_told_its_members():
    feed = Feed()
    feed.quoted("AAA", 11_000, 10_000)
    feed.quoted("BBB", 11_000, 10_000)
    feed.summarise()
    assert not feed.board.latest()["market"]["seq"][4]
    feed.put(REFERENCE, "AAA", indices=IndexMember.VN30 | IndexMember.VN100)
    feed.put(REFERENCE, "BBB", indices=IndexMember.VN100)
    row = feed.latest(MARKET, "VN30")
    assert (row["symbol_count"], row["advances"]) == (1, 1)


def test_vn30_has_the_codes_of_the_file_without_any_reference_data():
    feed = Feed({"VN30": {"AAA": 1, "CCC": 1, "ZZZ": 1}})
    for code in ("AAA", "BBB", "CCC"):
        feed.quoted(code, 11_000, 10_000)
    row = feed.latest(MARKET, "VN30")
    assert (row["symbol_count"], row["advances"], row["volume_shares"]) == (2, 2, 200)
    assert feed.top("VN30-GAIN") == [("AAA", 100_000), ("CCC", 100_000)]


def test_the_file_wins_against_reference_rows_for_the_indices_it_names():
    feed = Feed({"VN30": {"AAA": 1}})
    for code in ("AAA", "BBB", "CCC"):
        feed.quoted(code, 11_000, 10_000)
        feed.put(REFERENCE, code, indices=IndexMember.VN100)
    feed.put(REFERENCE, "BBB", indices=IndexMember.VN30 | IndexMember.VN100)
    assert feed.top("VN30-GAIN") == [("AAA", 100_000)]
    assert feed.latest(MARKET, "VN30")["symbol_count"] == 1
    assert feed.latest(ATTRIBUTION, "VN30")["constituent_count"] == 1
    assert feed.latest(ATTRIBUTION, "VN100")["constituent_count"] == 3  # not in the file
    assert feed.latest(MARKET, "HOSE")["symbol_count"] == 3


def test_funds_warrants_indices_and_futures_are_no_shares():
    feed = Feed()
    feed.quoted("AAA", 11_000, 10_000)
    for code in ("E1VFVN30", "FUEVFVND", "CFPT2401"):
        feed.quoted(code, 11_000, 10_000)
    feed.introduce("VN30F2108", Venue.DERIVATIVES, instrument=Instrument.FUTURE)
    feed.quoted("VN30F2108", 1_500, 1_490)
    feed.introduce("VN30", Venue.HOSE, instrument=Instrument.INDEX)
    feed.quoted("VN30", 1_500, 1_490)
    assert feed.latest(MARKET, "ALL")["symbol_count"] == 1


def test_a_row_keeps_its_venue_s_hours():
    feed = Feed()
    feed.time("08:00:00")
    for code, venue in (("AAA", Venue.HOSE), ("BBB", Venue.HNX), ("CCC", Venue.UPCOM)):
        feed.introduce(code, venue)
        feed.quoted(code, 11_000, 10_000)
    phases = {}
    for time in ("08:59:00", "09:05:00", "11:45:00", "14:40:00", "14:50:00", "15:01:00"):
        feed.time(time)
        feed.quoted("AAA", 11_000, 10_000)  # anybody's message moves everybody's clock
        phases[time] = [
            Phase(feed.latest(MARKET, key)["phase"]).name for key in ("HOSE", "HNX", "UPCOM", "ALL")
        ]
    assert phases == {
        "08:59:00": ["PRE", "PRE", "PRE", "PRE"],
        "09:05:00": ["ATO", "CONTINUOUS", "CONTINUOUS", "ATO"],
        "11:45:00": ["BREAK", "BREAK", "BREAK", "BREAK"],
        "14:40:00": ["ATC", "ATC", "CONTINUOUS", "ATC"],
        "14:50:00": ["CLOSED", "PLO", "CONTINUOUS", "CLOSED"],
        "15:01:00": ["CLOSED", "CLOSED", "CLOSED", "CLOSED"],
    }


def test_the_head_has_the_newest_stamps_of_what_went_in():
    feed = Feed()
    feed.introduce("BBB", Venue.HNX)
    feed.time("10:00:05")
    feed.quoted("AAA", 11_000, 10_000)
    newest = feed.exch_s
    feed.time("10:00:03")
    feed.quoted("CCC", 11_000, 10_000)
    feed.time("10:00:09")
    feed.quoted("BBB", 11_000, 10_000)  # of another venue
    row = feed.latest(MARKET, "HOSE")
    assert (row["exch_s"], row["recv_ns"]) == (newest, newest * 10**9 + 1)
    assert row["venue"] == Venue.HOSE
    assert feed.latest(MARKET, "ALL")["exch_s"] == feed.exch_s
