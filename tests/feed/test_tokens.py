"""When a token expires, and when a stream changes to a fresh one."""

import base64
import datetime as dt
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.feed.tokens import expiry_s, renew_at_s
from tools.simulator.rest import TOKEN_LIFE_S, issue_token

ICT = dt.timezone(dt.timedelta(hours=7))
TABLE = Path(__file__).parent.parent / "tables" / "feed_token_renewal.txt"
RENEWALS = [row for row in TABLE.read_text(encoding="utf-8").splitlines() if row[:1] != "#"]


def jwt(claims, encode=base64.b64encode, pad=True):
    body = encode(claims if isinstance(claims, bytes) else orjson.dumps(claims)).decode()
    return f"h.{body if pad else body.rstrip('=')}.s"


# Bytes that need both special characters, whatever stands before them.
ODD = {"aud": "??>>~~ÿÿ¿¿", "exp": 1_786_672_800}


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("pad", [True, False])
def test_either_alphabet_padded_or_not(encode, pad):
    assert expiry_s(jwt(ODD, encode, pad)) == 1_786_672_800


def test_the_odd_claims_do_need_the_special_characters():
    assert set(jwt(ODD)) & set("+/")


@pytest.mark.parametrize(
    ("token", "expires_s"),
    [
        (issue_token("someone", 1_000), 1_000 + TOKEN_LIFE_S),
        (jwt({"exp": 1_786_672_800.75}), 1_786_672_800),
        (jwt({"iat": 5}), 0),
        (jwt({"exp": "1786672800"}), 0),
        (jwt({"exp": True}), 0),
        (jwt({"exp": None}), 0),
        (jwt({"exp": -1}), 0),
        (jwt({"exp": 1_786_672_800_000}), 0),  # milliseconds: no time in seconds
        (jwt({"exp": 1e300}), 0),
        (jwt([1]), 0),
        (jwt(b"{"), 0),
        (jwt(b"\xff\xff"), 0),
        ("", 0),
        ("not a token", 0),
        ("one.two", 0),
        ("one.two.three.four", 0),
        ("a.!!!!.c", 0),
        ("a.é.c", 0),
        ("a." + "A" * 100_000 + ".c", 0),
    ],
)
def test_expiry(token, expires_s):
    assert expiry_s(token) == expires_s


@given(st.text() | st.binary().map(lambda raw: jwt(raw)))
def test_no_text_makes_expiry_raise(token):
    assert expiry_s(token) >= 0


def seconds(text):
    return dt.datetime.fromisoformat(text.strip()).replace(tzinfo=ICT).timestamp()


@pytest.mark.parametrize("row", RENEWALS)
def test_renewals(row):
    issued, now, at = (part.strip() for part in row.split("|"))
    expires_s = seconds(issued) + TOKEN_LIFE_S
    found = renew_at_s(seconds(now), expires_s, 900)
    assert dt.datetime.fromtimestamp(found, ICT).isoformat(" ")[:19] == at[:19]
