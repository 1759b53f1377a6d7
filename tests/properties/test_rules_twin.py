"""The operator's own rules against their naive twin, and what no text may do."""

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.alerts.expressions import compile_condition
from engine.alerts.rulebook import RuleBook, compile_rules
from engine.config import AlertsConfig, RuleConfig
from engine.errors import ConfigError
from engine.schema.channels import BY_NAME
from engine.schema.codes import AlertType
from tests.alerts.standin import fold_with
from tests.oracle import rules_naive as naive
from tests.shard import streams
from tests.shard.folding import fold_groups, plain

# --- conditions -------------------------------------------------------------------------------

NUMBERS = {
    "trade": ("price", "bid_price", "volume_shares", "value_vnd", "missed_volume_shares"),
    "quote": (
        *("bid_price", "ask_price", "bid_volume_shares", "ask_volume_shares"),
        *("spread", "mid", "microprice", "imbalance"),
    ),
    "stats": (
        *("last_price", "reference_price", "volume_shares", "value_vnd", "trade_count"),
        *("vwap", "change", "change_pct", "active_buy_ratio"),
    ),
}
CHANNELS = st.sampled_from(sorted(NUMBERS))
COMPARES = st.sampled_from(sorted(naive.COMPARES))


def asks_a_field(tree: naive.Tree) -> bool:
    """Return whether a leaf is more than numbers: a condition without field is refused."""
    return tree[0] != "chain" or "field" in str(tree)


def trees(channel: str) -> st.SearchStrategy[naive.Tree]:
    """Draw a condition over a channel."""
    leaf = st.one_of(
        st.sampled_from((0, 1, 2, 0.5, 100, 25_000, 1e9)).map(lambda x: ("number", x)),
        st.sampled_from(NUMBERS[channel]).map(lambda name: ("field", name)),
        st.sampled_from(NUMBERS[channel]).map(lambda name: ("field", name)),
    )
    value = st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.tuples(st.sampled_from("+-*/"), inner, inner), st.tuples(st.just("minus"), inner)
        ),
        max_leaves=4,
    )
    chain = st.one_of(
        st.tuples(st.just("chain"), value, COMPARES, value),
        st.tuples(st.just("chain"), value, COMPARES, value, COMPARES, value),
    )
    word = st.tuples(
        st.just("word"), st.just("phase"), st.sampled_from(("==", "!=")),
        st.sampled_from(("PRE", "CONTINUOUS", "ATO")),
    )  # fmt: skip
    flag = st.tuples(
        st.just("has"), st.sampled_from(("CROSSED", "BASELINE")), st.just("flags"), st.booleans()
    )
    return st.recursive(
        st.one_of(chain, chain, word, flag).filter(
            lambda tree: "field" in str(tree) or tree[0] != "chain"
        ),
        lambda inner: st.one_of(
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: ("and", *parts)),
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: ("or", *parts)),
            inner.map(lambda part: ("not", part)),
        ),
        max_leaves=5,
    )


ODD_NUMBERS = st.sampled_from((0, 0, 1, 2, 100, 2_500_000, 2_510_000))


@st.composite
def rows(draw: Any, channel: str) -> np.ndarray:
    """Draw a few rows with few numbers, so that zeros and equal sides are common."""
    drawn = np.zeros(draw(st.integers(1, 4)), BY_NAME[channel].dtype)
    for row in drawn:
        for name in drawn.dtype.names:
            if name.endswith(("_e2", "_shares", "_vnd", "_count")) and row[name].shape == ():
                row[name] = draw(ODD_NUMBERS)
        row["phase"] = draw(st.sampled_from((0, 1, 2)))
        row["flags"] = draw(st.sampled_from((0, 0, 2, 8, 16)))
        if channel == "stats":
            row["phase_side_volume_shares"][2, 1:3] = draw(st.tuples(ODD_NUMBERS, ODD_NUMBERS))
    return drawn


CASES = CHANNELS.flatmap(lambda channel: st.tuples(st.just(channel), trees(channel), rows(channel)))


@given(CASES, st.sampled_from((0, 1, 100_000)))
def test_a_condition_means_what_the_naive_twin_says(case, multiplier):
    channel, tree, drawn = case
    condition = compile_condition("any", naive.text_of(channel, tree))
    assert condition.channel.name == channel
    got = condition.holds(drawn, np.full(len(drawn), multiplier, np.int64))
    assert got.shape == drawn.shape
    assert got.tolist() == [naive.holds(channel, plain(row), multiplier, tree) for row in drawn]


@given(CASES)
def test_a_condition_and_its_negation_never_both_hold(case):
    channel, tree, drawn = case
    text = naive.text_of(channel, tree)
    units = np.ones(len(drawn), np.int64)
    yes, no = (compile_condition("any", each).holds(drawn, units) for each in (text, f"not {text}"))
    assert not (yes & no).any()


TOKENS = st.sampled_from(
    [
        *("stats", "quote", ".", "_", "last_price", "volume_shares", "bar.1m", "phase", "flags"),
        *("'ATO'", '"x"', "1", "0", "5e9", "1e999", "1j", "True", "None", "é", "\0", "\t", "\n"),
        *("and", "or", "not", "in", "is", "if", "else", "lambda", "import", "__class__"),
        *(":", ",", "(", ")", "[", "]", "{", "}", "<", "<=", ">", ">=", "==", "!=", "=", ":="),
        *("+", "-", "*", "/", "**", "//", "%", "@", "~", "#", ";", "\\", "'", '"', " "),
        *("f'{1}'", "b'x'", "stats.vwap", "stats.vwap > 1", "(stats.phase == 'ATO')"),
    ]
)
TEXTS = st.one_of(
    st.text(max_size=40), st.lists(TOKENS, max_size=12).map("".join),
    st.lists(TOKENS, max_size=12).map(" ".join),
)  # fmt: skip


@given(TEXTS)
def test_any_text_is_a_condition_or_a_refusal_that_points_into_it(text):
    try:
        compile_condition("mine", text)
    except ConfigError as refusal:
        head, shown, caret = str(refusal).split("\n")
        column = int(re.match(r"rules\.mine, column (\d+): .", head)[1])
        assert shown == "    " + re.sub(r"\s", " ", text)
        assert caret == " " * (3 + column) + "^"
        assert len(caret) <= len(shown) + 1


@pytest.mark.parametrize(
    "text",
    [
        "(" * 900 + "1",
        "-" * 900 + "1 < stats.vwap",
        "not " * 200 + "stats.vwap > 1",
        "+".join(["1"] * 400) + " < stats.vwap",
        "stats.vwap > " + "9" * 900,
        "stats.vwap > 1" + " " * 1_000,
    ],
)
def test_absurd_texts_are_refused_like_any_other(text):
    with pytest.raises(ConfigError, match=r"^rules\.mine, column \d+: "):
        compile_condition("mine", text)


# --- rules ------------------------------------------------------------------------------------

RULES = [
    ("big", "trade", ("chain", ("field", "volume_shares"), ">=", ("number", 200)), "warning"),
    ("busy", "stats", ("chain", ("field", "trade_count"), ">", ("number", 0)), "info"),
    (
        "mixed",
        "stats",
        (
            "or",
            ("chain", ("field", "change_pct"), ">", ("number", 0)),
            ("not", ("chain", ("field", "active_buy_ratio"), "<=", ("number", 0.5))),
        ),
        "critical",
    ),
    ("thin", "quote", ("chain", ("field", "spread"), ">", ("number", 0)), "info"),
    ("auction", "quote", ("not", ("word", "phase", "==", "CONTINUOUS")), "info"),
]


def rule_book(repeat_s: int) -> RuleBook:
    book = compile_rules(
        [
            RuleConfig(name, naive.text_of(channel, tree), severity)
            for name, channel, tree, severity in RULES
        ],
        AlertsConfig(repeat_s=repeat_s),
    )
    assert book is not None
    return book


@given(streams.STREAMS, st.sampled_from((0, 60, 3_600)))
def test_the_rule_book_tells_what_the_naive_twin_tells(events, repeat_s):
    fold, twin = fold_with(rule_book(repeat_s)), naive.NaiveRules(RULES, repeat_s)
    seqs: dict[int, int] = {}
    for group in streams.interpret(events):
        _, emitted = fold_groups(fold, [group])
        alerts = emitted.pop("alerts", [])
        for row in alerts:
            seqs[row["symbol_id"]] = seqs.get(row["symbol_id"], 0) + 1
            assert row.pop("seq") == seqs[row["symbol_id"]]
        ours = [row["alert_type"] == AlertType.RULE for row in alerts]
        assert ours == sorted(ours), "built-in alerts come first"
        wanted = twin.feed(emitted, int(fold.state("classify")[0]["outage_no"]))
        found = [row for row, mine in zip(alerts, ours, strict=True) if mine]
        assert len(found) == len(wanted)
        for row, expected in zip(found, wanted, strict=True):
            blank = dict.fromkeys(row.keys() - expected.keys(), 0)
            assert row == blank | expected


@given(streams.STREAMS, st.lists(st.integers(1, 40), max_size=5))
def test_batching_is_invisible_to_rules(events, cuts):
    groups = streams.interpret(events)
    whole, cut = fold_with(rule_book(60)), fold_with(rule_book(60))
    assert fold_groups(whole, groups) == fold_groups(cut, groups, cuts)
    assert whole.digest() == cut.digest()


@given(streams.STREAMS)
def test_rules_change_nothing_but_the_channel_alerts(events):
    groups = streams.interpret(events)
    without, with_rules = fold_with(None), fold_with(rule_book(60))
    notes, rows_without = fold_groups(without, groups)
    noted, rows_with = fold_groups(with_rules, groups)
    assert noted == notes
    alerts = [row for row in rows_with.pop("alerts", []) if row["alert_type"] != AlertType.RULE]
    blocks = rows_without.pop("alerts", [])
    assert rows_with == rows_without
    assert [row | {"seq": 0} for row in alerts] == [row | {"seq": 0} for row in blocks]


def test_the_twin_is_no_fool():
    """A few lines by hand, so that the twin cannot be wrong in the same way unnoticed."""
    row = {"last_price_e2": 2_510_000, "reference_price_e2": 2_500_000, "phase": 2, "flags": 0}
    row |= {"phase_side_volume_shares": [[0] * 4] * 9}
    up = ("chain", ("field", "change_pct"), ">", ("number", 0.3))
    unknown = ("chain", ("field", "active_buy_ratio"), ">", ("number", 0.3))
    assert naive.holds("stats", row, 1, up)
    assert naive.known("stats", row, 1, unknown) is None
    assert naive.known("stats", row, 1, ("not", unknown)) is None
    assert naive.holds("stats", row, 1, ("or", unknown, up))
    assert naive.text_of("stats", ("not", up)) == "not (stats.change_pct > 0.3)"
    assert math.isclose(naive.number_of("stats", row, "change_pct", 1), 0.4)
