"""What decode owes the rules of the market, however the feed spells it (sections 1, 3, 6)."""

import pytest

from engine.schema.codes import Side, SlotKind
from tests.oracle.decode_frames import CANONICAL, compare, envelope, frame, hub
from tests.oracle.decode_v3 import compare_v3, v3

FIGURES = ("BuyVol", "SellVol", "BuyVal", "SellVal")


@pytest.mark.parametrize(
    ("word", "side"), [("BU", Side.BUY), ("SD", Side.SELL), ("Unknown", Side.UNKNOWN)]
)
def test_the_sides_of_v2_are_bu_and_sd(word, side):
    slot = compare(frame("X-TRADE", Side=word)).slots[-1]
    assert (slot["kind"], slot["side"]) == (SlotKind.TRADE, side)


@pytest.mark.parametrize(("word", "side"), [("B", Side.BUY), ("S", Side.SELL)])
def test_the_sides_of_v3_are_b_and_s(word, side):
    slot = compare_v3(v3("trade", si=word)).slots[-1]
    assert (slot["kind"], slot["side"]) == (SlotKind.TRADE, side)


def test_an_x_message_becomes_its_match_first_and_then_its_book():
    kinds = [SlotKind(int(kind)) for kind in compare(frame("X")).slots["kind"]]
    assert kinds[-2:] == [SlotKind.TRADE, SlotKind.QUOTE]


def test_foreign_figures_are_read_with_and_without_an_f_before_their_keys():
    with_f = {f"F{key}" if key in FIGURES else key: each for key, each in CANONICAL["R"].items()}
    plain = compare(frame("R")).slots[-1]
    assert plain["kind"] == SlotKind.FOREIGN
    assert compare(hub(envelope("R", with_f))).slots[-1] == plain
