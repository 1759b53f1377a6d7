"""Channel ``basis.trend``: the basis minute by minute (market-behaviour section 8)."""

from engine.schema.codes import DeltaFlag, SlotKind
from engine.schema.deltas import SERIES_MINUTES
from tests.shard.folding import fold_groups
from tests.shard.messages import exch_s
from tests.trackers.basis_messages import at, both_ways, introduce, new_fold

DAY, NEXT_DAY = "2021-07-15", "2021-07-16"
JULY, AUGUST, SPOT = 1, 2, 5


class Tape:
    """A fold of two contracts and their index."""

    def __init__(self):
        self.fold = new_fold()
        who = ((JULY, "VN30F2107"), (AUGUST, "VN30F2108"), (SPOT, "VN30"))
        self.play(*(introduce(*each) for each in who))
        self.totals = {JULY: 0, AUGUST: 0}

    def play(self, *group):
        """Fold one group; return the rows of channel basis.trend."""
        _, emitted = fold_groups(self.fold, [group])
        return emitted.get("basis.trend", [])

    def match(self, who, price_e2, time, day=DAY):
        self.totals[who] += 1
        fields = {"last_volume_shares": 1, "total_volume_shares": self.totals[who]}
        return self.play(at(day, time, who, SlotKind.TRADE, last_price_e2=price_e2, **fields))

    def tick(self, value_e2, time, day=DAY):
        return self.play(at(day, time, SPOT, SlotKind.INDEX, value_e2=value_e2))


def series(row):
    """Return (time, basis, spot) of the entries in use; the rest must be blank."""
    count = row["series_count"]
    columns = [row[name] for name in ("series_exch_s", "series_basis_e2", "series_spot_value_e2")]
    assert not any(any(column[count:]) for column in columns)
    start = exch_s(DAY, "00:00:00")
    minutes = [(stamp - start) // 60 for stamp in columns[0][:count]]
    times = [f"{minute // 60:02}:{minute % 60:02}" for minute in minutes]
    return list(zip(times, columns[1][:count], columns[2][:count], strict=True))


def test_an_entry_is_the_last_basis_of_its_minute_and_is_published_with_the_next():
    tape = Tape()
    tape.tick(147_500, "09:15:01")
    (row,) = tape.match(JULY, 148_000, "09:15:30")
    assert series(row) == [("09:15", 500, 147_500)]
    assert tape.match(JULY, 148_100, "09:15:40") == []
    assert tape.tick(147_550, "09:15:59") == []
    (row,) = tape.tick(147_560, "09:16:00")
    assert series(row) == [("09:15", 550, 147_550), ("09:16", 540, 147_560)]
    assert (row["seq"], row["symbol_id"], row["flags"]) == (2, JULY, DeltaFlag.NONE)


def test_the_latest_row_is_the_one_that_was_published():
    tape = Tape()
    tape.tick(147_500, "09:15:01")
    (row,) = tape.match(JULY, 148_000, "09:15:30")
    tape.match(JULY, 148_100, "09:15:40")
    latest = tape.fold.latest["basis.trend"][JULY]
    assert latest["series_basis_e2"].tolist() == row["series_basis_e2"]


def test_a_minute_without_a_basis_has_no_entry():
    tape = Tape()
    tape.match(JULY, 148_000, "08:45:00")
    tape.match(JULY, 148_000, "09:10:00")
    tape.tick(147_500, "09:15:01")
    (row,) = tape.tick(147_400, "09:20:59")
    assert [time for time, _, _ in series(row)] == ["09:15", "09:20"]


def test_each_contract_has_a_series_of_its_own():
    tape = Tape()
    tape.tick(147_500, "09:15:01")
    tape.match(JULY, 148_000, "09:15:02")
    (row,) = tape.match(AUGUST, 147_000, "09:16:02")
    assert series(row) == [("09:16", -500, 147_500)]
    rows = {row["symbol_id"]: row for row in tape.tick(147_600, "09:17:00")}
    assert series(rows[JULY]) == [("09:15", 500, 147_500), ("09:17", 400, 147_600)]
    assert series(rows[AUGUST]) == [("09:16", -500, 147_500), ("09:17", -600, 147_600)]


def test_a_stamp_that_steps_back_belongs_to_the_running_minute():
    tape = Tape()
    tape.tick(147_500, "09:16:01")
    tape.match(JULY, 148_000, "09:16:02")
    assert tape.tick(147_450, "09:15:59") == []
    (row,) = tape.tick(147_400, "09:17:00")
    assert series(row)[0] == ("09:16", 550, 147_450)


def test_an_index_that_repeats_itself_at_lunch_and_after_the_close_makes_no_entry():
    tape = Tape()
    tape.tick(147_500, "11:29:01")
    tape.match(JULY, 148_000, "11:29:02")
    assert tape.tick(147_500, "11:45:00") == []
    (row,) = tape.tick(147_700, "13:00:00")
    assert [time for time, _, _ in series(row)] == ["11:29", "13:00"]
    assert series(row)[0] == ("11:29", 500, 147_500)
    assert tape.tick(147_700, "15:05:05") == []


def test_the_spot_of_the_closing_auction_is_in_the_days_last_entry():
    tape = Tape()
    tape.tick(147_500, "14:29:01")
    tape.match(JULY, 148_000, "14:29:02")
    (row,) = tape.tick(147_300, "14:46:05")  # the venue's clock says CLOSED
    assert series(row)[-1] == ("14:46", 700, 147_300)
    assert tape.tick(147_300, "15:05:05") == []


def test_the_days_last_minute_ends_on_its_last_basis():
    tape = Tape()
    tape.match(JULY, 148_000, "14:29:59")
    tape.tick(147_500, "14:44:50")
    (row,) = tape.match(JULY, 148_500, "14:45:00")
    assert series(row)[-1] == ("14:45", 1_000, 147_500)
    assert tape.tick(148_400, "14:45:02") == []
    assert tape.tick(148_400, "14:45:58") == []  # the minute is not over
    (row,) = tape.tick(148_400, "15:05:00")
    assert series(row) == [("14:44", 500, 147_500), ("14:45", 100, 148_400)]
    assert tape.tick(148_400, "15:05:05") == []


def test_the_twin_ends_the_days_last_minute_likewise():
    def spot(value_e2, time):
        return [at(DAY, time, SPOT, SlotKind.INDEX, value_e2=value_e2)]

    def match(price_e2, time, total):
        told = {"last_volume_shares": 1, "total_volume_shares": total}
        return [at(DAY, time, JULY, SlotKind.TRADE, last_price_e2=price_e2, **told)]

    _, emitted, wanted = both_ways(
        [
            [introduce(JULY, "VN30F2107"), introduce(SPOT, "VN30")],
            spot(147_500, "11:29:00"),
            match(148_000, "11:29:01", 1),
            match(148_100, "11:29:02", 2),
            spot(147_500, "11:31:00"),
            spot(147_500, "14:44:50"),
            match(148_500, "14:45:00", 3),
            spot(148_400, "14:45:02"),
            *(spot(148_400, time) for time in ("14:45:58", "15:05:00", "15:05:05")),
        ]
    )
    assert emitted["basis.trend"] == wanted["basis.trend"]
    assert len(wanted["basis.trend"]) == 5


def test_the_last_minute_before_lunch_is_finished_in_the_lunch_break_once():
    tape = Tape()
    tape.tick(147_500, "11:29:01")
    tape.match(JULY, 148_000, "11:29:02")
    assert tape.match(JULY, 148_200, "11:29:30") == []
    (row,) = tape.tick(147_500, "11:31:00")
    assert series(row) == [("11:29", 700, 147_500)]
    assert tape.tick(147_500, "11:32:00") == []


def test_a_new_day_begins_a_blank_series():
    tape = Tape()
    tape.tick(147_500, "09:16:01")
    (row,) = tape.match(JULY, 148_000, "09:16:02")
    tape.totals = {JULY: 0, AUGUST: 0}
    assert tape.match(JULY, 148_000, "08:45:00", NEXT_DAY) == []  # no spot yet
    (new,) = tape.tick(147_000, "09:15:00", NEXT_DAY)
    assert (new["series_count"], new["series_basis_e2"][:2]) == (1, [1_000, 0])
    assert (new["seq"], new["trade_day"]) == (row["seq"] + 1, row["trade_day"] + 1)


def test_more_minutes_than_a_row_holds_are_not_kept():
    tape = Tape()
    tape.tick(147_500, "09:16:01")
    published = 0
    for minute in range(SERIES_MINUTES + 2):
        time = f"{9 + (20 + minute) // 60:02}:{(20 + minute) % 60:02}:00"
        published += len(tape.match(JULY, 148_000 + minute, time))
    assert published == SERIES_MINUTES
    row = tape.fold.latest["basis.trend"][JULY]
    assert row["series_count"] == SERIES_MINUTES
    assert row["series_basis_e2"][-1] == 500 + SERIES_MINUTES - 1


def test_the_last_minute_that_a_row_holds_is_finished_too():
    tape = Tape()
    tape.tick(147_500, "09:16:01")
    for minute in range(SERIES_MINUTES):
        time = f"{9 + (20 + minute) // 60:02}:{(20 + minute) % 60:02}:00"
        tape.match(JULY, 148_000, time)
    end = f"{9 + (20 + SERIES_MINUTES) // 60:02}:{(20 + SERIES_MINUTES) % 60:02}"
    before = f"{9 + (19 + SERIES_MINUTES) // 60:02}:{(19 + SERIES_MINUTES) % 60:02}"
    assert tape.match(JULY, 148_100, f"{before}:30") == []
    (row,) = tape.match(JULY, 148_200, f"{end}:00")
    assert (row["series_count"], row["series_basis_e2"][-1]) == (SERIES_MINUTES, 600)
    assert tape.match(JULY, 148_300, f"{end}:30") == []
