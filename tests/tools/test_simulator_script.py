"""A synthetic day, over the real socket, message for message."""

import pytest

from engine.errors import ConfigError
from tests.feed.simulated import feeding, run, settings, simulating
from tools.simulator.script import Script, ScriptSettings

TABLE = """\
symbol,exchange,prior_close_vnd,open_vnd,high_vnd,low_vnd,close_vnd,volume_shares,name
SSI,HOSE,25000,25100,25500,24900,25300,40000,SSI Securities
SHS,HNX,15000,15000,15200,14900,15100,20000,SHS
"""


@pytest.fixture
def script(tmp_path):
    table = tmp_path / "market-day-2021-07-15.csv"
    table.write_text(TABLE)
    return lambda **changes: Script(ScriptSettings(table, trades_max=200, **changes))


@pytest.mark.parametrize("mode", ["pair", "x", "all"])
def test_every_message_of_the_day_arrives_once_and_in_order(script, mode):
    async def body():
        day = script(mode=mode)
        expected = [message for _, _, _, message in day.lines()]
        async with (
            simulating(lines=day.lines(), messages_per_frame=7) as simulator,
            feeding(settings(simulator.port)) as (_, sink),
        ):
            await sink.until(lambda: sink.messages >= len(expected))
            bodies = [
                frame.partition(b'"M":[')[2][:-2] for frame in sink.frames if b"Broadcast" in frame
            ]
            assert b",".join(bodies) == b",".join(expected)
            assert max(frame.count(b"Broadcast") for frame in sink.frames) == 7

    run(body())


def test_the_same_seed_is_the_same_day_and_another_is_not(script):
    once, again, other = (list(script(seed=seed).lines()) for seed in (1, 1, 2))
    assert once == again != other


def test_who_is_in_the_day(script):
    day = script()
    assert [(each.symbol, each.market, each.name) for each in day.instruments] == [
        ("SHS", "HNX", "SHS"),
        ("SSI", "HOSE", "SSI Securities"),
    ]
    assert day.vn30 == ["SSI"]
    assert 0 < day.first_ms <= 9 * 3_600_000


def test_a_day_that_cannot_be_is_refused(script, tmp_path):
    with pytest.raises(ConfigError, match="trades_max"):
        Script(ScriptSettings(tmp_path / "market-day-2021-07-15.csv", trades_max=1))
