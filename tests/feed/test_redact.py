"""What is shown of a text from outside."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.feed.redact import PASSING_SECRETS_MAX, TEXT_CHARACTERS_MAX, Redactor

KEY = "00112233445566778899aabbccddeeff"
SECRET = "ffeeddccbbaa99887766554433221100"
TOKEN = "AQ+b/c=="
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjF9.c2ln-bmF0_dXJl"


def redactor():
    redactor = Redactor(KEY, SECRET, "short")
    redactor.hide(TOKEN)
    return redactor


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"no key\n{KEY} with {SECRET} here", "no key *** with *** here"),
        (f"{KEY.upper()} is unknown", "*** is unknown"),
        (f"connectionToken={quote(TOKEN, '')}&x=1", "connectionToken=***&x=1"),
        (f"bad token {TOKEN}", "bad token ***"),
        (f"bad token {JWT}!", "bad token ***!"),  # one that nobody told us about
        ("eyJ is how they begin", "eyJ is how they begin"),
        (f"{SECRET}{SECRET} İ {SECRET}", "****** İ ***"),
        ("a short word stays", "a short word stays"),
        ("  many\r\n\tblanks \x0b here ", "many blanks here"),
        ("x" * 1_000, "x" * TEXT_CHARACTERS_MAX),
        ("x" * (TEXT_CHARACTERS_MAX - 10) + KEY, "x" * (TEXT_CHARACTERS_MAX - 10) + "***"),
    ],
)
def test_shown(said, shown):
    assert redactor().clean(said) == shown


def test_a_secret_inside_a_longer_one_hides_nothing_of_it():
    both = Redactor("abcdef", "abcdefghij")
    assert both.clean("abcdefghij") == "***"


def test_the_last_tokens_are_remembered_and_one_in_use_is_not_forgotten():
    redactor = Redactor(KEY)
    for name in ("old", "new"):
        redactor.hide("token-in-use")
        for number in range(PASSING_SECRETS_MAX - 1):
            redactor.hide(f"{name}-token-{number}")
    assert redactor.clean("token-in-use new-token-0 old-token-6") == "*** *** old-token-6"


def test_repr_shows_nothing():
    assert repr(redactor()) == "Redactor(3 secrets)"


@given(st.text(), st.text())
def test_no_surrounding_lets_a_secret_through(before, after):
    shown = redactor().clean(f"{before}{SECRET}{after}")
    assert SECRET not in shown.lower()
    assert len(shown) <= TEXT_CHARACTERS_MAX
    assert "\n" not in shown
