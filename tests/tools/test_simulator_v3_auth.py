"""Signing in to v3: sessions, OTPs, and tokens that cannot be made up."""

import json

import orjson
import pytest

from tests.tools.played import CONSUMER_ID, SECRET
from tools.simulator.http import Request
from tools.simulator.v3_auth import AuthOptions, Doorkeeper, Keys, sign, verify

NOW_S = 1_800_000_000
OTP = "314159"
KEY = {"apiKey": CONSUMER_ID, "apiSecret": SECRET}


def post(door, name, now_s=NOW_S, **body):
    response = door.answer(
        Request("POST", f"/api/v3/auth/{name}", {}, {}, orjson.dumps(body)), now_s
    )
    return response.status, json.loads(response.body) if response.body else None


def bearing(token):
    return Request("GET", "/", {}, {"authorization": f"Bearer {token}"})


@pytest.fixture
def door():
    return Doorkeeper(Keys(CONSUMER_ID, SECRET, OTP), AuthOptions())


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 401, 401105),
        ({"apiKey": CONSUMER_ID}, 401, 401105),
        ({**KEY, "apiSecret": "x"}, 401, 401105),
        ({**KEY, "apiKey": ["x"]}, 401, 401105),
        ({**KEY, "otp": "0"}, 401, 401100),
        ({**KEY, "otp": ""}, 401, 401100),
        ({**KEY, "transactionId": "x"}, 401, 401113),
    ],
)
def test_who_is_not_let_in_is_told_why_in_the_servers_codes(door, body, status, code):
    got, error = post(door, "token", **body)
    assert (got, error["code"]) == (status, code)


def test_a_token_says_whether_an_otp_was_given(door):
    for otp in (None, OTP):
        body = KEY if otp is None else {**KEY, "otp": otp}
        status, tokens = post(door, "token", **body)
        assert status == 200
        holder = door.holder(bearing(tokens["accessToken"]), NOW_S)
        assert holder.with_otp == (otp is not None)
        assert tokens["expiresAt"] - NOW_S == 28_800
        assert door.holder(bearing(tokens["accessToken"]), tokens["expiresAt"]) is None


def test_a_refresh_token_works_once_and_using_it_twice_ends_the_session(door):
    _, first = post(door, "token", **KEY, otp=OTP)
    status, second = post(door, "refresh", refreshToken=first["refreshToken"])
    assert status == 200
    assert door.holder(bearing(first["accessToken"]), NOW_S) is None, "one session per key"
    assert door.holder(bearing(second["accessToken"]), NOW_S).with_otp
    status, error = post(door, "refresh", refreshToken=first["refreshToken"])
    assert (status, error["code"]) == (401, 401103)
    assert door.holder(bearing(second["accessToken"]), NOW_S) is None
    assert post(door, "refresh", refreshToken=second["refreshToken"])[1]["code"] == 401103
    assert post(door, "token", **KEY, otp=OTP)[0] == 200


def test_what_is_no_refresh_token_refreshes_nothing(door):
    _, tokens = post(door, "token", **KEY)
    for text in (tokens["accessToken"], "", "a.b.c", None, tokens["refreshToken"][:-2]):
        assert post(door, "refresh", refreshToken=text)[1]["code"] == 401101
    late_s = tokens["refreshExpiresAt"]
    assert post(door, "refresh", late_s, refreshToken=tokens["refreshToken"])[0] == 401


def test_a_restarted_server_knows_tokens_but_no_sessions(door):
    _, tokens = post(door, "token", **KEY, otp=OTP)
    other = Doorkeeper(Keys(CONSUMER_ID, SECRET, OTP), AuthOptions())
    assert other.holder(bearing(tokens["accessToken"]), NOW_S) is not None
    assert post(other, "refresh", refreshToken=tokens["refreshToken"])[0] == 200
    assert other.holder(bearing(tokens["accessToken"]), NOW_S) is None


def test_tokens_cannot_be_made_up():
    token = sign({"use": "access", "exp": NOW_S})
    assert verify(token, "access", NOW_S - 1)
    assert verify(token, "access", NOW_S) is None
    assert verify(token, "refresh", NOW_S - 1) is None
    for forged in (token[:-1], token.replace(".", ".A", 1), "Ünsinn", "", 7):
        assert verify(forged, "access", NOW_S - 1) is None


def test_an_approval_is_pending_until_it_is_given():
    door = Doorkeeper(Keys(CONSUMER_ID, SECRET), AuthOptions(approval_polls=2))
    assert post(door, "requestOtp")[0] == 401
    transaction = post(door, "requestOtp", **KEY)[1]["transactionId"]
    body = {**KEY, "transactionId": transaction}
    for _ in range(2):
        status, pending = post(door, "token", **body)
        assert (status, pending["code"]) == (202, 401114)
    status, tokens = post(door, "token", **body)
    assert status == 200
    assert door.holder(bearing(tokens["accessToken"]), NOW_S).with_otp
    assert post(door, "token", **body)[1]["code"] == 401113
