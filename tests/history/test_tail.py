"""The tail: what crosses the socket, and that no row is missing or there twice."""

import json
import threading
import time

import pyarrow as pa
import pytest
import zmq

from engine.errors import ConfigError
from engine.history.catalogue import Commit, Listing
from engine.history.compaction import Compactor
from engine.history.query import History
from engine.history.tail import Tail, TailClient, TailServer, pack, unpack
from engine.history.views import up_to
from tests.history.days import DAY, bar_table, filled, seqs_of, trade_table

DEADLINE_S = 10.0


def a_tail(first: int = 300, last: int = 340) -> Tail:
    rows = {"trades": trade_table(first, last - first), "bars": bar_table(last, {(1, 9): 9})}
    return Tail(DAY, {0: (first, last)}, rows)


@pytest.fixture
def context():
    context = zmq.Context()
    yield context
    context.destroy(linger=0)


class Recorder:
    """Answers in a thread until it is closed."""

    def __init__(self, context, endpoint, answer):
        self.server = TailServer(context, endpoint)
        self._answer = answer
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while not self._stop.is_set():
            if not self.server.serve(self._answer):
                self._stop.wait(0.002)
        self.server.close()

    def close(self):
        self._stop.set()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()


# --- bytes ---------------------------------------------------------------------------------------


def test_a_tail_crosses_as_it_is():
    tail = a_tail()
    frames = pack(tail)
    told = unpack(frames)
    assert (told.day, told.seqs) == (tail.day, tail.seqs)
    assert {name: rows.to_pylist() for name, rows in told.tables.items()} == {
        name: rows.to_pylist() for name, rows in tail.tables.items()
    }
    assert json.loads(frames[0])["tables"] == ["trades", "bars"]


def test_rows_of_several_chunks_with_other_symbols_cross():
    rows = pa.concat_tables([trade_table(0, 3), trade_table(3, 3)])
    told = unpack(pack(Tail(DAY, {0: (0, 6)}, {"trades": rows})))
    assert told.tables["trades"].to_pylist() == rows.to_pylist()


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b""],
        [b"{}"],
        [b"[]"],
        [b"\xff"],
        pack(a_tail())[:2],
        [*pack(a_tail()), b"more"],
        [pack(a_tail())[0], b"no stream", b"no stream"],
    ],
)
def test_what_is_no_answer_is_refused(frames):
    with pytest.raises(ValueError, match=r"."):
        unpack(frames)


# --- the socket ----------------------------------------------------------------------------------


@pytest.fixture
def recorders():
    running = []
    yield running
    for recorder in running:
        recorder.close()


def test_a_question_over_the_socket(context, recorders, tmp_path):
    asked = []

    def answer(names):
        asked.append(names)
        return a_tail()

    endpoint = f"ipc://{tmp_path}/tail.ipc"
    recorder = Recorder(context, endpoint, answer)
    recorders.append(recorder)
    client = TailClient(context, endpoint, timeout_ms=int(DEADLINE_S * 1000))
    assert [client(["trades"]).seqs, client(["bars"]).seqs] == [{0: (300, 340)}] * 2
    assert asked == [["trades"], ["bars"]]
    assert (recorder.server.requests, client.missing) == (2, 0)
    client.close()


def test_without_a_recorder_there_is_no_tail_and_later_there_is(context, recorders, tmp_path):
    endpoint = f"ipc://{tmp_path}/tail.ipc"
    client = TailClient(context, endpoint, timeout_ms=5)
    assert client(["trades"]) is None
    assert client.missing == 1
    recorders.append(Recorder(context, endpoint, lambda _: a_tail()))
    deadline = time.monotonic() + DEADLINE_S
    while (tail := client(["trades"])) is None:
        assert time.monotonic() < deadline
    assert tail.seqs == {0: (300, 340)}
    client.close()


@pytest.mark.parametrize("request_", [b"", b"{}", b"[1]", b'{"tables": [1]}', b"\xff"])
def test_a_malformed_question_gets_an_answer_that_says_nothing(context, request_):
    server = TailServer(context, "inproc://tail")
    asker = context.socket(zmq.REQ)
    asker.connect("inproc://tail")
    asker.send(request_)
    deadline = time.monotonic() + DEADLINE_S
    while not server.serve(lambda _: a_tail()):
        assert time.monotonic() < deadline
    assert asker.recv_multipart() == [b"{}"]
    asker.close()
    server.close()


def test_an_address_that_is_taken_is_refused(context):
    server = TailServer(context, "inproc://tail")
    with pytest.raises(ConfigError, match="another instance"):
        TailServer(context, "inproc://tail")
    server.close()


# --- tail and commits together -------------------------------------------------------------------


def asked(root, tail) -> tuple[list[int], History]:
    history = History(root, tail)
    seqs = seqs_of(history.sql("SELECT seq FROM trades"))
    history.close()
    return seqs, history


def test_the_tail_goes_on_where_the_commits_end(tmp_path):
    filled(tmp_path)
    names = []

    def tail(asked_for):
        names.append(list(asked_for))
        return a_tail()

    assert asked(tmp_path, tail)[0] == list(range(340))
    assert names == [["trades"]]
    history = History(tmp_path, tail)
    days = history.sql("SELECT DISTINCT day FROM trades").to_pylist()
    assert [str(row["day"]) for row in days] == ["2026-11-20"]
    assert history.select("trades", limit=1_000)[0].num_rows == 340
    assert history.sql("SELECT 1").num_rows == 1
    assert names == [["trades"]] * 3  # a question without tables asks nobody
    history.close()


def test_a_commit_between_the_two_reads_doubles_nothing(tmp_path):
    store = filled(tmp_path)

    def tail(_):
        told = a_tail()
        start = store.committed_seq(DAY, 0)
        store.commit(DAY, 0, start, start + 40, {"trades": trade_table(start, 40)})
        return told if start == 300 else a_tail(start, start + 40)

    seqs, history = asked(tmp_path, tail)
    assert seqs == list(range(340))
    assert history.tail_missing == 0


def test_a_merge_between_the_two_reads_asks_again(tmp_path):
    store = filled(tmp_path)
    calls = []

    def tail(_):
        calls.append(1)
        if len(calls) == 1:
            told = a_tail()
            store.commit(DAY, 0, 300, 340, {"trades": trade_table(300, 40)})
            Compactor(store).compact_day(DAY)
            return told
        return a_tail(340, 350)

    seqs, history = asked(tmp_path, tail)
    assert seqs == list(range(350))
    assert (len(calls), history.tail_missing) == (2, 0)


def test_a_tail_that_never_fits_is_left_out_and_counted(tmp_path):
    store = filled(tmp_path)
    Compactor(store).compact_day(DAY)
    seqs, history = asked(tmp_path, lambda _: a_tail(250, 340))
    assert seqs == list(range(300))
    assert history.tail_missing == 1


def test_without_an_answer_the_question_is_answered_and_counted(tmp_path):
    filled(tmp_path)
    seqs, history = asked(tmp_path, lambda _: None)
    assert (seqs, history.tail_missing) == (list(range(300)), 1)


def test_a_bar_in_the_tail_replaces_what_was_committed_of_it(tmp_path):
    store = filled(tmp_path, commits=1)
    Compactor(store).compact_day(DAY)
    tail = Tail(DAY, {0: (100, 120)}, {"bars": bar_table(110, {(1, 0): 77, (2, 5): 88})})
    history = History(tmp_path, lambda _: tail)
    closes = history.sql("SELECT symbol, close_price_e2 AS c FROM bars ORDER BY c").to_pylist()
    assert closes == [{"symbol": "FPT", "c": 77}, {"symbol": "HPG", "c": 88}]
    history.close()


@pytest.mark.parametrize(
    ("seqs", "tail", "kept"),
    [
        ({0: (0, 5)}, {0: (5, 9)}, True),
        ({0: (5, 9)}, {0: (5, 9)}, False),
        ({0: (9, 12)}, {0: (5, 9)}, False),
        ({0: (0, 6)}, {0: (5, 9)}, None),
        ({1: (0, 6)}, {0: (5, 9)}, True),
        ({0: (0, 5), 1: (0, 6)}, {0: (5, 9), 1: (6, 6)}, True),
        ({0: (0, 5), 1: (0, 6)}, {0: (5, 9), 1: (5, 6)}, None),
        ({0: (5, 6), 1: (5, 6)}, {0: (5, 9), 1: (5, 6)}, False),
    ],
)
def test_which_commits_a_tail_continues(seqs, tail, kept):
    listing = Listing((Commit("c", DAY, 0, seqs, ()),), (), ())
    fitting = up_to(listing, Tail(DAY, tail))
    assert (fitting and bool(fitting.commits)) == kept
    assert up_to(listing, Tail(DAY + 1, tail)).commits == listing.commits
