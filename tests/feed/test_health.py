"""Is the tape alive? A table an operator can read."""

import datetime as dt
from pathlib import Path

import pytest

from engine.feed.health import FeedHealth
from engine.schema.codes import FeedState

ICT = dt.timezone(dt.timedelta(hours=7))
STALE_S = 15.0
REASON = "negotiate answered 502"
TABLES = Path(__file__).parent.parent / "tables"


def moment(text):
    return dt.datetime.fromisoformat(text).replace(tzinfo=ICT).timestamp()


def rows(table):
    lines = (TABLES / table).read_text(encoding="utf-8").splitlines()
    return [
        tuple(part.strip() for part in line.split("|"))
        for line in lines
        if line.strip() and not line.startswith("#")
    ]


def judged(health, now_s, link, live, data, exch_s=None):
    """Make the link what the row says, live for that long, and ask."""
    now_ns = int(now_s * 1e9)
    since_ns = now_ns - int(float(live) * 1e9) if live != "-" else now_ns
    state = FeedState[link]
    health.link(state, "live" if state >= FeedState.LIVE else REASON)
    health.judge(since_ns, 0, 0, 0)
    if data == "-":
        return health.judge(now_ns, 0, 0, 0)
    last_ns = now_ns - int(float(data) * 1e9)
    stamp_s = int(now_s) - int(data) if exch_s is None else exch_s
    return health.judge(now_ns, last_ns, last_ns, stamp_s)


@pytest.mark.parametrize("row", rows("feed_health.txt"))
def test_by_the_wall_clock(row):
    now, link, live, data, state, line = row
    assert judged(FeedHealth(STALE_S), moment(now), link, live, data) == (FeedState[state], line)


@pytest.mark.parametrize("row", rows("feed_health_replay.txt"))
def test_a_replay_is_judged_by_its_own_clock(row):
    stamp, data, link, state, line = row
    sunday_night_s = moment("2026-08-16 22:00:00")
    found = judged(FeedHealth(STALE_S), sunday_night_s, link, "3600", data, int(moment(stamp)))
    assert found == (FeedState[state], line)


def test_stamps_of_the_last_session_are_no_replay():
    """On Monday at 8:30 the newest stamp is Friday's, and so is the message that brought it."""
    health = FeedHealth(STALE_S)
    friday_s, monday_s = moment("2026-08-14 15:05:00"), moment("2026-08-17 08:30:00")
    health.link(FeedState.DOWN, REASON)
    last_ns = int(friday_s * 1e9)
    assert health.judge(int(monday_s * 1e9), last_ns, last_ns, int(friday_s))[0] is FeedState.DOWN


@pytest.mark.parametrize(
    ("stamp", "told", "now"),
    [
        ("2026-08-14 14:45:00", "2026-08-15 10:00:00", "2026-08-17 09:20:00"),  # on Saturday
        ("2026-08-17 14:45:00", "2026-08-18 04:00:00", "2026-08-18 09:20:00"),  # token renewal
        ("2026-08-19 05:00:00", "2026-08-18 09:19:00", "2026-08-18 09:20:00"),  # a wrong stamp
    ],
)
def test_last_prices_told_again_to_a_new_link_are_no_replay(stamp, told, now):
    """Else a feed that is broken at the open would be called closed."""
    told_ns, now_ns = (int(moment(text) * 1e9) for text in (told, now))
    for link, state in ((FeedState.DOWN, FeedState.DOWN), (FeedState.LIVE, FeedState.STALE)):
        health = FeedHealth(STALE_S)
        health.link(link, REASON)
        health.judge(told_ns, told_ns, told_ns, int(moment(stamp)))
        assert health.judge(now_ns, told_ns, told_ns, int(moment(stamp)))[0] is state


def test_old_stamps_of_today_are_no_replay():
    ten_s = moment("2026-08-14 10:00:00")
    found = judged(FeedHealth(STALE_S), ten_s, "LIVE", "3600", "20", int(ten_s) - 9_000)
    assert found[0] is FeedState.STALE


def test_keepalives_are_no_data():
    health, now_ns = FeedHealth(STALE_S), int(moment("2026-08-14 10:00:00") * 1e9)
    health.link(FeedState.LIVE, "live")
    health.judge(now_ns - 60 * 10**9, 0, 0, 0)
    assert health.judge(now_ns, now_ns - 10**9, now_ns - 20 * 10**9, 0) == (
        FeedState.STALE,
        "no market data for 15 s in CONTINUOUS, only keep-alives",
    )


def test_a_silence_is_one_piece_of_news_until_data_or_a_new_link_ends_it():
    health, start_ns = FeedHealth(STALE_S), int(moment("2026-08-14 10:00:00") * 1e9)
    health.link(FeedState.LIVE, "live")
    seconds = [10**9 * second for second in range(60)]
    found = [health.judge(start_ns + each, 0, start_ns, 0) for each in seconds]
    assert len(set(found)) == 2
    assert [state for state, _ in found].index(FeedState.STALE) == 15
    health.link(FeedState.LIVE, "the hub says: quota")  # news about the link, not a new link
    assert health.judge(start_ns + 60 * 10**9, 0, start_ns, 0)[0] is FeedState.STALE
    health.link(FeedState.CONNECTING, "token renewal")
    health.link(FeedState.LIVE, "live again")
    assert health.judge(start_ns + 61 * 10**9, 0, start_ns, 0) == (FeedState.LIVE, "live again")
    assert health.judge(start_ns + 76 * 10**9, 0, start_ns, 0)[0] is FeedState.STALE


def test_before_anybody_has_said_anything():
    health = FeedHealth(STALE_S)
    assert health.judge(int(moment("2026-08-14 10:00:00") * 1e9), 0, 0, 0) == (
        FeedState.DOWN,
        "not started",
    )
