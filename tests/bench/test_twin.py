"""The undisturbed run of steady frames, what a client must end on, and where a source goes on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.row_checker import Known
from bench.steady_frames import SteadyFrames, recv_ns_of, render
from bench.steady_source import last_recv_ns
from bench.twin import Twin, differences
from engine.config import Config
from engine.journal.writer import JournalWriter
from engine.schema.codes import SlotFlag
from engine.schema.slots import SLOT

SHOWN = {"trade.FPT": (7, {"price": 1}), "quote.FPT": (3, {"bid": 2, "ask": 3})}


def told() -> dict[str, Known]:
    return {topic: Known("9", seq, dict(data)) for topic, (seq, data) in SHOWN.items()}


def test_a_client_that_knows_all_differs_in_nothing() -> None:
    assert differences(SHOWN, told()) == []
    more = told() | {"market.HOSE": Known("9", 1, {})}  # the board is no part of it
    assert differences(SHOWN, more) == []


def test_every_difference_is_named() -> None:
    wrong = told()
    del wrong["trade.FPT"]
    assert differences(SHOWN, wrong) == ["trade.FPT: never told"]
    wrong = told()
    wrong["trade.FPT"].seq = 6
    assert differences(SHOWN, wrong) == ["trade.FPT: ends on row 6, not 7"]
    wrong = told()
    wrong["quote.FPT"].data["ask"] = 4
    assert differences(SHOWN, wrong) == ["quote.FPT: row 3 differs in ask"]
    wrong["trade.FPT"].seq = 8
    assert len(differences(SHOWN, wrong)) == 2
    assert len(differences(SHOWN, wrong, limit=1)) == 1


@pytest.mark.parametrize("bites", [[1], [3, 5], [2_000, 1_024, 1]])
def test_a_source_goes_on_after_the_journals_last_frame(tmp_path: Path, bites: list[int]) -> None:
    assert last_recv_ns(tmp_path, 0) is None
    writer = JournalWriter(tmp_path, 0, day=20_000, epoch=1, next_seq=0, now_ns=1)
    seq = 0
    for frame, count in enumerate(bites):
        slots = np.zeros(count, SLOT)
        slots["seq"] = np.arange(seq, seq + count)
        slots["recv_ns"] = recv_ns_of(frame)
        slots["flags"][1_023::1_024] = SlotFlag.LAST
        slots["flags"][-1] = SlotFlag.LAST | SlotFlag.BITE
        assert writer.append(slots, count, 1)
        seq += count
        assert last_recv_ns(tmp_path, seq) == recv_ns_of(frame)
    writer.close()


@pytest.mark.slow
def test_a_twin_is_the_same_however_it_is_brought_there(tmp_path: Path) -> None:
    render(tmp_path, 2_000)
    config = Config()
    config = replace(config, engine=replace(config.engine, symbols_max=2_048))
    steps, once = (Twin(SteadyFrames.open(tmp_path), config) for _ in range(2))
    for _ in range(5):
        steps.step()
    once.advance(steps.seq)
    assert once.digest() == steps.digest()
    assert once.messages == steps.messages
    shown = once.shown()
    assert shown == steps.shown()
    assert {topic.rpartition(".")[0] for topic in shown} >= {"status", "quote", "book"}
    with pytest.raises(AssertionError, match="no chunk ends at slot"):
        once.advance(once.seq + 1)
