"""What a token opens, as a table of scopes and wishes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.schema.channels import CHANNELS
from gateway.presets import PRESETS
from gateway.scopes import allows, unknown
from gateway.topics import parse

EVERYTHING = "*"


@pytest.mark.parametrize(
    ("scope", "yes", "no"),
    [
        ("*", ["*", "trade.*", "bar.1m.VN30*", "movers.HOSE-VALUE"], []),
        ("trade.*", ["trade.*", "trade.F*", "trade.FPT"], ["*", "quote.FPT", "quote.*"]),
        (
            "trade.VN30*",
            ["trade.VN30*", "trade.VN30F*", "trade.VN30F2108", "trade.VN30"],
            ["trade.VN3*", "trade.*", "trade.VN3", "trade.FPT", "quote.VN30F2108", "*"],
        ),
        ("trade.FPT", ["trade.FPT"], ["trade.FPT*", "trade.FPTS", "trade.FP", "quote.FPT"]),
        ("index.*", ["index.VN30"], ["index.series.VN30", "index.series.*"]),
        ("bar.1m.*", ["bar.1m.FPT"], ["bar.1h.FPT", "bar.15m.FPT"]),
        ("bar.*", [], ["bar.1m.FPT"]),
        ("symbol.*", [], ["trade.FPT"]),
        ("", [], ["trade.FPT"]),
    ],
)
def test_what_a_scope_opens(scope, yes, no):
    assert [wish for wish in [*yes, *no] if allows([scope], parse(wish))] == yes


def test_one_scope_must_cover_the_whole_wish():
    halves = [f"{channel.name}.*" for channel in CHANNELS if channel.public]
    assert not allows(halves, parse(EVERYTHING)), "a channel that is added later is not theirs"
    assert not allows(["trade.A*", "trade.FPT"], parse("trade.*"))
    assert allows(["quote.*", "trade.FPT"], parse("trade.FPT"))
    assert not allows([], parse("trade.FPT"))


CODES = st.text("AB1-", min_size=1, max_size=4)


@given(
    st.lists(st.tuples(st.sampled_from(["trade", "quote"]), CODES, st.booleans()), max_size=3),
    st.sampled_from(["trade", "quote"]),
    CODES,
    st.booleans(),
    CODES,
)
def test_whoever_may_have_a_wildcard_may_have_every_key_of_it(scopes, name, code, wildcard, tail):
    texts = [f"{channel}.{start}{'*' if wide else ''}" for channel, start, wide in scopes]
    wish = parse(f"{name}.{code}{'*' if wildcard else ''}")
    key = parse(f"{name}.{code}{tail}" if wildcard else f"{name}.{code}")
    if allows(texts, wish):
        assert allows(texts, key)
    assert allows(texts, key) == any(
        channel == name and (key.pattern.startswith(start) if wide else key.pattern == start)
        for channel, start, wide in scopes
    )


def test_slips_of_the_pen_are_found():
    assert unknown(["*", "trade.*", "tarde.*", "bar.*", "quote"]) == ["tarde.*", "bar.*", "quote"]


@pytest.mark.parametrize("name", PRESETS)
def test_presets_name_whole_channels(name):
    topics = [parse(text) for text in PRESETS[name]]
    assert all(topic.wildcard and topic.pattern == "" for topic in topics)
    assert len({topic.channels for topic in topics}) == len(topics)
