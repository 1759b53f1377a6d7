"""A small market, and its rows as the frames a client would read."""

import numpy as np
import orjson
import pytest

from gateway.directory import Directory
from gateway.encode import json_codecs
from tests.gateway.gallery import payloads
from tests.gateway.market import Market


@pytest.fixture
def market():
    market = Market("FPT", "VN30F2108")
    market.latest["symbol"][2]["value_multiplier"] = 100_000
    return market


@pytest.fixture
def encode(market):
    directory = Directory(64)
    rows = market.latest["symbol"]
    directory.learn(rows[rows["seq"] > 0])
    table = json_codecs(directory)

    def one(channel, row, prev=None, merged=None):
        rows = np.array([row], channel.dtype)
        before = rows["seq"] - 1 if prev is None else np.array([prev])
        (payload,) = payloads(table[channel.code].texts(rows, before, ["42"], merged))
        return orjson.loads(payload)

    return one
