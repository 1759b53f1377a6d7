"""What is news and what is missed, as a table: frames in, what the user is told out."""

import pytest

from gateway.client import Gap
from gateway.client.ledger import Data, Ledger, namers

FPT = "trade.FPT"


def snap(seq, n, epoch="7", topic=FPT):
    return Data("snap", 1, seq, n, f"row {seq}", None, topic, epoch)


def d(seq, n=1, merged=None):
    return Data("d", 1, seq, n, f"row {seq}", merged)


def sub(mode="all", **more):
    return {"op": "sub_ok", "topics": {FPT: {"mode": mode, "ch": 1, **more}}}


def skip(first, last):
    return {"op": "skip", "rows": last - first + 1, "keys": {FPT: [first, last]}, "more": 0}


AGAIN = {"op": "again"}  # the connection ended and there is another one
BEAT = {"op": "heartbeat", "epoch": "7"}


def told(frames):
    """Return (seq, n) of each update and (first, last, reason) of each gap."""
    ledger = Ledger()
    ledger.connected("7")
    found = []
    for frame in frames:
        if frame is AGAIN:
            ledger.connected("7")
            continue
        events = ledger.data(frame) if isinstance(frame, Data) else ledger.control(frame)
        found += [event[1:] if isinstance(event, Gap) else (event.seq, event.n) for event in events]
    return found


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        pytest.param([snap(1, 1), d(2), d(3)], [(1, 1), (2, 1), (3, 1)], id="a quiet day"),
        pytest.param([snap(5, 0), d(6)], [(5, 0), (6, 1)], id="the state is no news"),
        pytest.param([snap(5, 0), d(9)], [(5, 0), (6, 8, "lost"), (9, 1)], id="a jump"),
        pytest.param(
            [sub("conflate"), snap(5, 0), d(9, 4)], [(5, 0), (9, 4)], id="conflation is no jump"
        ),
        pytest.param(
            [sub("all"), snap(5, 0), d(9, 4)],
            [(5, 0), (6, 8, "bus"), (9, 1)],
            id="but mode all promised every row",
        ),
        pytest.param([snap(5, 0), d(6), d(6), d(5)], [(5, 0), (6, 1)], id="twice is once"),
        pytest.param([snap(5, 0), snap(5, 0), snap(4, 0)], [(5, 0)], id="a state known is dropped"),
        pytest.param(
            [snap(5, 0), AGAIN, snap(8, 0), d(9)],
            [(5, 0), (6, 8, "resume"), (8, 0), (9, 1)],
            id="not recovered",
        ),
        pytest.param([snap(5, 0), AGAIN, d(6), d(7)], [(5, 0), (6, 1), (7, 1)], id="recovered"),
        pytest.param(
            [snap(5, 0), AGAIN, d(5), d(6)], [(5, 0), (6, 1)], id="a gateway that lags behind"
        ),
        pytest.param(
            [snap(5, 0), snap(2, 2, "8"), d(3)],
            [(5, 0), (1, 0, "epoch"), (2, 2), (3, 1)],
            id="numbering starts over, nothing of the new one is missed",
        ),
        pytest.param(
            [snap(5, 0), snap(9, 0, "8")],
            [(5, 0), (1, 9, "epoch"), (9, 0)],
            id="and missed",
        ),
        pytest.param(
            [sub("skip"), snap(5, 0), skip(6, 90), snap(90, 0), d(91)],
            [(5, 0), (6, 90, "skip"), (90, 0), (91, 1)],
            id="skipped, then the state",
        ),
        pytest.param([sub(seq=0), snap(1, 1)], [(1, 1)], id="a first row"),
        pytest.param(
            [sub(seq=0), AGAIN, snap(3, 0)], [(1, 3, "resume"), (3, 0)], id="first rows missed"
        ),
        pytest.param(
            [{"op": "sub_ok", "topics": {"trade.*": {"mode": "all"}}}, BEAT, AGAIN, snap(3, 0)],
            [(1, 3, "resume"), (3, 0)],
            id="a key that appeared while we were away",
        ),
        pytest.param(
            [sub(), snap(5, 0), {"op": "unsub_ok", "topics": [FPT]}, sub(), snap(9, 0)],
            [(5, 0), (9, 0)],
            id="what we left is not missed",
        ),
        pytest.param([d(4)], [(None, None, "lost")], id="a ch that nobody introduced"),
    ],
)
def test_what_is_told(frames, expected):
    assert told(frames) == expected


@pytest.mark.parametrize(("n", "merged"), [(2, {"count": 2}), (3, None)])
def test_sums_that_reach_into_what_is_known_are_left_out(n, merged):
    ledger = Ledger()
    ledger.data(snap(5, 0))
    (update,) = ledger.data(d(7, n, {"count": n}))
    assert (update.n, update.merged) == (2, merged)


def test_what_promises_every_row_is_resumed_first():
    ledger = Ledger()
    ledger.connected("7")
    for ch, (topic, mode) in enumerate(
        [("stats.A", "conflate"), ("trade.A", "conflate"), ("alerts.A", "all"), ("trade.B", "all")]
    ):
        ledger.control({"op": "sub_ok", "topics": {topic: {"mode": mode, "ch": ch}}})
        ledger.data(Data("snap", ch, 3, 0, {}, None, topic, "7"))
    assert list(ledger.positions()) == ["trade.B", "alerts.A", "trade.A", "stats.A"]


def test_the_topics_that_name_a_key_from_the_most_exact_to_the_vaguest():
    assert list(namers("bar.1m.FPT")) == [
        *("bar.1m.FPT", "bar.1m.FPT*", "bar.1m.FP*", "bar.1m.F*", "bar.1m.*", "*")
    ]
