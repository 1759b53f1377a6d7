"""Trading states: market-behaviour section 2, ssi-wire 3.1 and 3.10, and their stories."""

import pytest

from engine.schema.codes import FeedSession, Phase, SlotKind, TradingStatus
from engine.trackers import status
from tests.shard.folding import fold_groups
from tests.shard.messages import exch_s
from tests.trackers.story import Story, tables
from tests.trackers.symbol_day import SymbolDay, Watched

PRICE = 2_450_000
LO, ATO, HALT = FeedSession.LO, FeedSession.ATO, FeedSession.HALT
NORMAL, HALTED = TradingStatus.NORMAL, TradingStatus.HALTED
BOTH_OTHER = {"session": FeedSession.OTHER, "status": TradingStatus.OTHER}
MAIN_BOARD = [SlotKind.TRADE, SlotKind.QUOTE, SlotKind.INDEX]
ELSEWHERE = [SlotKind.FOREIGN, SlotKind.ODD_LOT, SlotKind.BAR, SlotKind.PUT_THROUGH]


@pytest.fixture
def day():
    return SymbolDay()


@pytest.fixture
def watched():
    return Watched(status.STAGE)


def notice(day, time, session=LO, word=NORMAL, odd_lot=FeedSession.NONE):
    return day.at(time, SlotKind.STATUS, session=session, status=word, odd_lot_session=odd_lot)


@pytest.mark.parametrize("path", tables("status"), ids=lambda path: path.stem)
def test_story(path):
    assert Story(path).play() > 0


def test_a_story_that_lies_is_noticed(tmp_path):
    path = tmp_path / "status_lie.txt"
    path.write_text("symbol FPT HOSE\nday 2021-07-15\n10:00:00 says F LO N | -")
    with pytest.raises(AssertionError, match="shown: LO NORMAL, not halted since 10:00:00"):
        Story(path).play()


def test_a_notice_is_the_state_as_told(day, watched):
    (row,) = watched.tell(notice(day, "09:15:00", LO, TradingStatus.SPECIAL, ATO))
    assert (row["session"], row["trading_status"]) == (LO, TradingStatus.SPECIAL)
    assert (row["odd_lot_session"], row["halted"], row["halt_count"]) == (ATO, 0, 0)
    assert row["since_exch_s"] == row["exch_s"]
    assert (row["seq"], row["updates"], row["flags"]) == (1, 1, 0)


@pytest.mark.parametrize("kind", MAIN_BOARD, ids=lambda kind: kind.name)
def test_prices_and_indices_tell_it_too(day, watched, kind):
    (row,) = watched.tell(day.at("09:15:00", kind, session=LO, status=NORMAL))
    assert (row["session"], row["trading_status"]) == (LO, NORMAL)


@pytest.mark.parametrize("kind", ELSEWHERE, ids=lambda kind: kind.name)
def test_nothing_else_is_asked(day, watched, kind):
    """In a batch with a quote: without a slot of its kinds the stage is not called at all."""
    quote = day.at("09:15:00", SlotKind.QUOTE)
    watched.tell(quote)
    other = day.at("09:15:00", kind, session=HALT, status=HALTED)
    _, emitted = fold_groups(watched.fold, [[other, quote]])
    assert "status" not in emitted


@pytest.mark.parametrize("kind", [*MAIN_BOARD, SlotKind.STATUS], ids=lambda kind: kind.name)
def test_an_absent_word_takes_nothing_back(day, watched, kind):
    watched.tell(notice(day, "09:15:00", odd_lot=LO))
    assert watched.tell(day.at("09:15:01", kind)) == []


@pytest.mark.parametrize("kind", MAIN_BOARD, ids=lambda kind: kind.name)
def test_an_undocumented_word_beside_a_price_says_nothing(day, watched, kind):
    watched.tell(notice(day, "09:15:00"))
    assert watched.tell(day.at("09:15:01", kind, **BOTH_OTHER)) == []


def test_an_undocumented_word_of_a_notice_is_told(day, watched):
    words = {**BOTH_OTHER, "odd_lot_session": FeedSession.OTHER}
    watched.tell(notice(day, "09:15:00", odd_lot=LO))
    (row,) = watched.tell(day.at("09:15:01", SlotKind.STATUS, **words))
    assert (row["session"], row["trading_status"]) == (FeedSession.OTHER, TradingStatus.OTHER)
    assert row["odd_lot_session"] == FeedSession.OTHER


def test_a_repeated_word_is_no_news(day, watched):
    same = [notice(day, "10:00:00"), day.at("11:00:00", SlotKind.QUOTE, session=LO)]
    assert watched.tell(notice(day, "09:15:00"), *same) != []
    (row,) = watched.tell(*same, notice(day, "14:30:00", FeedSession.ATC))
    assert (row["seq"], row["since_exch_s"]) == (2, exch_s(day.day, "09:15:00"))


@pytest.mark.parametrize(
    "other",
    [{"session": ATO}, {"word": TradingStatus.SPECIAL}, {"odd_lot": LO}, {"word": HALTED}],
    ids=["session", "status", "odd_lot", "halt"],
)
def test_any_of_the_four_is_news(day, watched, other):
    assert len(watched.tell(notice(day, "09:15:00"), notice(day, "09:15:01", **other))) == 2


def test_a_match_says_nothing_about_halts(day, watched):
    """Its phase is the match's own, and never HALT."""
    watched.tell(notice(day, "10:00:00", word=HALTED))
    assert watched.tell(day.match("10:01:00", PRICE)) == []
    (row,) = watched.tell(day.match("10:02:00", PRICE) | {"session": ATO})
    assert (row["session"], row["halted"], row["phase"]) == (ATO, 1, Phase.CONTINUOUS)


def test_a_late_match_says_nothing_about_halts(day, watched):
    first, late, last = (day.match(f"10:00:0{second}", PRICE) for second in range(3))
    watched.tell(first, last, notice(day, "10:01:00", word=HALTED))
    assert watched.tell(late) == []
    assert watched.fold.counts.late == 1


def test_halts_are_counted_when_they_begin(day, watched):
    words = (HALTED, TradingStatus.SUSPENDED, NORMAL, HALTED, NORMAL)
    rows = watched.tell(*(notice(day, f"10:0{n}:00", word=word) for n, word in enumerate(words)))
    assert [row["halted"] for row in rows] == [1, 1, 0, 1, 0]
    assert [row["halt_count"] for row in rows] == [1, 1, 1, 2, 2]
    assert [row["since_exch_s"] - rows[0]["exch_s"] for row in rows] == [0, 0, 120, 180, 240]


def test_one_row_per_symbol_and_group(day, watched):
    group = [notice(day, "10:00:00", word=HALTED), notice(day, "10:00:01")]
    _, emitted = fold_groups(watched.fold, [group])
    (row,) = emitted["status"]
    assert (row["updates"], row["halted"], row["halt_count"]) == (2, 0, 1)


def test_a_new_day_begins_blank_and_is_news(day, watched):
    watched.tell(notice(day, "10:00:00", word=HALTED, odd_lot=LO))
    tomorrow = SymbolDay(day="2021-07-16")
    (row,) = watched.tell(tomorrow.at("08:50:00", SlotKind.QUOTE))
    assert (row["session"], row["trading_status"], row["odd_lot_session"]) == (0, 0, 0)
    assert (row["halted"], row["halt_count"], row["seq"]) == (0, 0, 2)
    assert watched.tell(notice(day, "10:00:00")) == []  # a straggler
