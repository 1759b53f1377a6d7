"""Time travel at the gateway: a process that is read with care, and its rows as frames."""

import asyncio
import os
import sys
from pathlib import Path

import numpy as np
import orjson
import pytest
import uvloop

from engine.bus import wire
from engine.process import start_ticks
from engine.schema.bus import BusKind
from engine.schema.channels import QUOTE, SYMBOL, TRADE
from gateway.directory import Directory
from gateway.encode import json_codecs
from gateway.replays import BROKE, MODULE, Replay, ReplayView, command, request
from tests.gateway.client import split_frames
from tests.gateway.market import CAPACITY, Market

WATCHDOG_S = 30.0
CAT = "import shutil,sys; shutil.copyfileobj(open(sys.argv[1],'rb'), sys.stdout.buffer)"
FPT, HPG = 1, 2


# --- the process ---------------------------------------------------------------------------------


def end(number=0):
    return wire.encode(BusKind.SNAPSHOT_END, 0, 1, number, 0)


def quotes(count, first_seq=1):
    rows = np.zeros(count, QUOTE.dtype)
    rows["symbol_id"], rows["seq"] = FPT, first_seq + np.arange(count)
    return rows


def news(number, count=3):
    return wire.encode(BusKind.DELTA, 0, 1, number, 0, [(QUOTE, quotes(count))])


def framed(*messages):
    return b"".join(len(message).to_bytes(4, "little") + message for message in messages)


class Heard:
    """A replay of a script, and what it called."""

    def __init__(self, argv, asked=b"{}\n"):
        self.frames, self.ends = [], []
        self.on_frame = lambda frame: None
        self.replay = Replay(argv, asked, self._frame, self.ends.append)

    def _frame(self, frame):
        self.frames.append(frame)
        self.on_frame(frame)

    @property
    def numbers(self):
        return [frame.frame_seq for frame in self.frames]

    async def until(self, condition):
        async with asyncio.timeout(WATCHDOG_S):
            while not condition():
                await asyncio.sleep(0.002)


def run(scenario):
    async def main():
        async with asyncio.timeout(2 * WATCHDOG_S):
            await scenario()

    uvloop.run(main())


def told(tmp_path, data, then=""):
    """Return a replay whose process says these bytes, and then does that."""
    file = tmp_path / "told"
    file.write_bytes(data)
    return Heard([sys.executable, "-c", f"{CAT}; sys.stdout.flush(); {then}", str(file)])


def test_every_message_is_handed_on_in_order_up_to_the_live_edge(tmp_path):
    async def scenario():
        heard = told(tmp_path, framed(news(1), end(2), news(3), news(4), end(5), news(6)))
        heard.replay.start()
        await heard.replay.ended()
        assert heard.numbers == [1, 2, 3, 4, 5]
        assert heard.ends == [None]

    run(scenario)


def test_the_live_edge_waits_for_no_process_to_end(tmp_path):
    async def scenario():
        heard = told(tmp_path, framed(end(), end()), "import time; time.sleep(600)")
        heard.replay.start()
        await heard.replay.ended()
        assert heard.ends == [None]

    run(scenario)


def test_the_process_reads_what_was_asked(tmp_path):
    async def scenario():
        asked = request(33_300, 20.0, {1: np.arange(200_000) % 2 == 0})
        assert len(asked) > 500_000
        file = tmp_path / "asked"
        code = "import sys; open(sys.argv[1],'wb').write(sys.stdin.buffer.readline())"
        heard = Heard([sys.executable, "-c", code, str(file)], asked)
        heard.replay.start()
        await heard.replay.ended()
        assert file.read_bytes() == asked

    run(scenario)


def test_who_is_held_reads_nothing_and_the_process_waits(tmp_path):
    async def scenario():
        many = framed(*[news(number, 5_000) for number in range(1, 41)], end(), end())
        heard = told(tmp_path, many, f"open({str(tmp_path / 'done')!r},'w')")
        heard.on_frame = lambda frame: frame.frame_seq == 3 and heard.replay.hold()
        heard.replay.start()
        await heard.until(lambda: len(heard.frames) == 3)
        await asyncio.sleep(0.3)
        assert heard.numbers == [1, 2, 3]
        assert not (tmp_path / "done").exists()  # the pipe is full
        heard.replay.go_on()
        await heard.replay.ended()
        assert heard.numbers == [*range(1, 41), 0, 0]
        assert heard.ends == [None]

    run(scenario)


def test_others_have_their_turn_while_much_is_read(tmp_path):
    async def scenario():
        heard = told(tmp_path, framed(*[news(number) for number in range(1, 301)], end(), end()))
        turns = []

        async def other():
            while True:
                turns.append(len(heard.frames))
                await asyncio.sleep(0)

        other_task = asyncio.ensure_future(other())
        heard.replay.start()
        await heard.replay.ended()
        other_task.cancel()
        assert max(np.diff(turns)) <= 2

    run(scenario)


@pytest.mark.parametrize("held", [False, True])
def test_a_stopped_replay_ends_its_process_and_calls_nobody(tmp_path, held):
    async def scenario():
        heard = told(tmp_path, framed(news(1), news(2)), "import time; time.sleep(600)")
        heard.replay.start()
        await heard.until(lambda: len(heard.frames) == 2)
        pid = heard.replay._process.pid
        assert start_ticks(pid)
        if held:
            heard.replay.hold()
        heard.replay.stop()
        await heard.replay.ended()
        assert start_ticks(pid) == 0
        assert (len(heard.frames), heard.ends) == (2, [])

    run(scenario)


def test_one_that_is_stopped_before_it_began_is_gone_too():
    async def scenario():
        heard = Heard([sys.executable, "-c", "import time; time.sleep(600)"])
        heard.replay.start()
        heard.replay.stop()
        await heard.replay.ended()
        assert heard.ends == []
        assert not heard.replay._process or start_ticks(heard.replay._process.pid) == 0

    run(scenario)


def test_a_bug_in_a_callback_ends_the_process_and_is_raised(tmp_path):
    async def scenario():
        heard = told(tmp_path, framed(news(1), news(2)), "import time; time.sleep(600)")

        def bug(frame):
            raise ZeroDivisionError

        heard.on_frame = bug
        heard.replay.start()
        with pytest.raises(ZeroDivisionError):
            await heard.replay.ended()
        assert start_ticks(heard.replay._process.pid) == 0
        assert len(heard.frames) == 1

    run(scenario)


SAYS = "import sys; print({!r}, file=sys.stderr); sys.exit({})"


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (SAYS.format("shard-0 damaged: /a/file\nno journal here", 78), "no journal here"),
        (SAYS.format("x" * 100_000, 78), "x" * 500),
        (SAYS.format("", 78), BROKE),
        (SAYS.format("Traceback of /a/file", 1), BROKE),  # for the log only
        (SAYS.format("", 0), BROKE),  # it never came to the live edge
        ("import os; os.kill(os.getpid(), 9)", BROKE),
    ],
)
def test_a_process_that_fails_says_why_if_it_is_fit_for_clients(tmp_path, what, reason):
    async def scenario():
        heard = told(tmp_path, framed(news(1)), what)
        heard.replay.start()
        await heard.replay.ended()
        assert len(heard.frames) == 1
        assert heard.ends == [reason]
        assert len(heard.replay.said) <= 4_096

    run(scenario)


def test_what_the_operator_needs_is_kept(tmp_path):
    async def scenario():
        heard = told(tmp_path, b"", SAYS.format("Traceback of /a/file", 1))
        heard.replay.start()
        await heard.replay.ended()
        assert heard.replay.said == "Traceback of /a/file"

    run(scenario)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff\xff\xff",  # 4 GiB are coming
        (wire.MESSAGE_BYTES_MAX + 1).to_bytes(4, "little") + b"x",
        b"\x00\x00\x00\x00",
        framed(b"no message of the bus, but long enough for a header"),
        framed(end()[:-1]),
    ],
)
def test_bytes_that_are_no_bus_messages_end_it(tmp_path, data):
    async def scenario():
        heard = told(tmp_path, framed(news(1)) + data, "import time; time.sleep(600)")
        heard.replay.start()
        await heard.replay.ended()
        assert len(heard.frames) == 1
        assert heard.ends == [BROKE]

    run(scenario)


def test_a_message_that_breaks_off_is_not_handed_on(tmp_path):
    async def scenario():
        heard = told(tmp_path, framed(news(1), news(2))[:-5])
        heard.replay.start()
        await heard.replay.ended()
        assert (heard.numbers, heard.ends) == ([1], [BROKE])

    run(scenario)


def test_a_command_that_is_not_there_is_told():
    async def scenario():
        heard = Heard(["no-such-command-of-ours"])
        heard.replay.start()
        await heard.replay.ended()
        assert heard.ends == ["the replay process could not be started"]

    run(scenario)


def test_the_command_names_this_process_as_parent():
    argv = command(Path("some/run"))
    assert argv[1:] == ["-m", MODULE, "--run-dir", "some/run", "--parent", str(os.getpid())]
    root = Path(__file__).resolve().parents[2]
    assert (root / MODULE.replace(".", "/")).with_suffix(".py").is_file()


def test_the_request_names_the_keys_of_every_channel():
    masks = {1: np.zeros(8, np.bool_), 2: np.zeros(8, np.bool_)}
    masks[1][[2, 5]] = True
    line = request(33_300, 20.0, masks)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    wanted = {"1": [2, 5], "2": []}
    assert orjson.loads(line) == {"from_s": 33_300, "speed": 20.0, "wanted": wanted}


# --- the frames ----------------------------------------------------------------------------------


class Shown:
    """A view over a small market, and what a client would read."""

    def __init__(self, *channels, keys=(FPT, HPG)):
        self.market = Market("FPT", "HPG")
        self.directory = Directory(CAPACITY)
        self.directory.learn(self.market.latest[SYMBOL.name][1:3])
        mask = np.zeros(CAPACITY, np.bool_)
        mask[list(keys)] = True
        wanted = {channel.code: mask for channel in channels}
        self.view = ReplayView(json_codecs(self.directory), wanted, CAPACITY, self._epochs)
        self.market.pending = []
        self.asked_epochs = 0

    def _epochs(self, rows):
        self.asked_epochs += 1
        return ["42"] * len(rows)

    def read(self, frame):
        data, count = self.view.frames(frame)
        said = [orjson.loads(text) for text in split_frames(data)]
        assert len(said) == count
        return [(one["op"], one["ch"] & 0xFFFFF, one["seq"], one["n"]) for one in said]


def delta(*sections):
    frame = wire.decode(wire.encode(BusKind.DELTA, 0, 1, 1, 0, sections))
    assert isinstance(frame, wire.BusFrame)
    return frame


def test_a_snapshot_is_states_and_news_follow_one_by_one():
    shown = Shown(TRADE, QUOTE)
    market = shown.market
    for _ in range(3):
        market.trade("FPT")
    market.quote("HPG", 100, 200)
    assert shown.read(market.snapshot()) == [("snap", FPT, 3, 0), ("snap", HPG, 1, 0)]
    assert shown.view.rows == 0
    market.pending = []
    for code in ("FPT", "HPG", "FPT", "HPG"):
        market.trade(code)
    assert shown.read(market.frame()) == [
        ("d", FPT, 4, 1),
        ("snap", HPG, 1, 1),  # its first row ever
        ("d", FPT, 5, 1),
        ("d", HPG, 2, 1),
    ]
    assert shown.view.rows == 4
    positions = shown.view.positions
    assert positions[TRADE.code][[FPT, HPG, 3]].tolist() == [5, 2, -1]
    assert positions[QUOTE.code][[FPT, HPG]].tolist() == [-1, 1]


def test_epochs_are_asked_for_snaps_only():
    shown = Shown(TRADE)
    shown.market.trade("FPT")
    shown.read(shown.market.snapshot())
    assert shown.asked_epochs == 1
    shown.market.pending = []
    shown.market.trade("FPT")
    shown.read(shown.market.frame())
    assert shown.asked_epochs == 1


def test_only_wanted_keys_are_shown():
    shown = Shown(TRADE, keys=[HPG])
    for code in ("FPT", "HPG"):
        shown.market.trade(code)
        shown.market.quote(code, 100, 200)
    assert shown.read(shown.market.frame()) == [("snap", HPG, 1, 1)]
    assert shown.view.positions[TRADE.code][FPT] == -1
    assert QUOTE.code not in shown.view.positions


def test_what_was_shown_is_not_shown_again():
    shown = Shown(QUOTE)
    rows = quotes(5)
    assert len(shown.read(delta((QUOTE, rows)))) == 5
    assert shown.read(delta((QUOTE, rows[1:]))) == []
    assert shown.read(delta((QUOTE, np.concatenate([rows[3:], quotes(1, 6)])))) == [
        ("d", FPT, 6, 1)
    ]
    assert shown.view.rows == 6


def test_impossible_keys_are_left_out():
    shown = Shown(QUOTE)
    rows = quotes(4)
    rows["symbol_id"] = [CAPACITY, 4_000_000_000, 0, FPT]
    rows["seq"] = [1, 1, 1, 0]
    assert shown.read(delta((QUOTE, rows))) == []


def test_a_message_without_rows_is_no_frame():
    shown = Shown(QUOTE)
    frame = wire.decode(end())
    assert shown.view.frames(frame) == (b"", 0)


def test_live_must_have_come_as_far_before_a_view_joins_it():
    shown = Shown(QUOTE, TRADE)
    live = {code: np.zeros(CAPACITY, np.int64) for code in (QUOTE.code, TRADE.code)}
    assert shown.view.is_behind(live)
    shown.read(delta((QUOTE, quotes(5))))
    live[QUOTE.code][FPT] = 4
    assert not shown.view.is_behind(live)
    live[QUOTE.code][FPT] = 5
    assert shown.view.is_behind(live)
    live[QUOTE.code][FPT] = 9
    assert shown.view.is_behind(live)
