"""Themes: who connects to one of these paths is subscribed at once."""

import pytest

from engine.schema.channels import BY_NAME
from gateway.presets import PRESETS
from tests.gateway.hostile import text, web_socket, wire
from tests.gateway.live import run

pytestmark = pytest.mark.e2e

THEMES = {  # as docs/client-protocol.md has them
    "market": ["market.*", "movers.*", "attribution.*", "limits.*"],
    "foreign": ["foreign.*", "foreign.summary.*"],
    "index": ["index.*", "index.series.*", "basis.*", "basis.trend.*"],
    "alerts": ["alerts.*"],
}


def test_these_are_all_themes():
    assert {name: list(topics) for name, topics in PRESETS.items()} == THEMES


@pytest.mark.parametrize("theme", THEMES)
def test_a_theme_is_subscribed_after_hello(tmp_path, theme):
    channel = BY_NAME[THEMES[theme][-1].removesuffix(".*")]

    async def scenario(tape):
        async with web_socket(tape.port, f"/ws/{theme}") as desk:
            await desk.read(lambda a: a.count("sub_ok"))
            assert [m["op"] for m in desk.messages] == ["hello", "sub_ok"]
            answer = desk.last("sub_ok")
            assert "id" not in answer
            assert "err" not in answer
            assert list(answer["topics"]) == THEMES[theme]
            for topic, granted in answer["topics"].items():
                assert granted["mode"] == BY_NAME[topic.removesuffix(".*")].default_mode
            if not channel.board:
                tape.market.put(channel, "FPT")
                await tape.publish()
                await desk.read(lambda a: a.count("snap"))
                assert desk.last("snap")["topic"] == f"{channel.name}.FPT"
            desk.send(text(op="unsub", topics=THEMES[theme]))  # they are subscriptions as any
            desk.send(text(op="sub", topics=["trade.FPT"]))
            await desk.read(lambda a: a.count("sub_ok") == 2)
            assert desk.last("unsub_ok")["topics"] == THEMES[theme]

    run(scenario, tmp_path)


@pytest.mark.parametrize(
    "path", ["/ws/none", "/ws/Market", "/ws/market/", "/ws/", "/market", "/wsx"]
)
def test_no_such_theme(tmp_path, path):
    async def scenario(tape):
        async with wire(tape.port) as stranger:
            assert await stranger.ask(tape.port, path) == 404
            body = await stranger.reader.read()
            for theme in THEMES:
                assert f"/ws/{theme}".encode() in body
        assert tape.cell("refused_upgrades") == 1

    run(scenario, tmp_path)
