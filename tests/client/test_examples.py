"""The examples run, against a live gateway, and print what is true."""

import re
import sys

import pytest

from engine.schema.channels import FOREIGN
from tests.client.programs import ROOT, node_with_websocket, program
from tests.gateway.live import run

pytestmark = pytest.mark.e2e

MATCHES = ((2_530_000, 100), (2_510_000, 50), (2_590_000, 7), (2_540_000, 9))
EXAMPLES = ROOT / "gateway" / "client" / "examples"


def command(name, language):
    if language == "python":
        return [sys.executable, "-m", f"gateway.client.examples.{name}"]
    return [*node_with_websocket(), EXAMPLES / f"{name}.mjs"]


languages = pytest.mark.parametrize("language", ["python", "javascript"])


def url(tape):
    return f"ws://127.0.0.1:{tape.port}/ws"


async def listened_to(tape):
    """Wait until the example has subscribed."""
    await tape.until(lambda: tape.cell("subscriptions"), "a subscription")


@languages
def test_the_tape_is_printed_match_by_match_also_across_a_restart_of_the_shard(language, tmp_path):
    argv = command("tape", language)

    async def scenario(tape):
        tape.market.trade("FPT", price_e2=2_525_000)
        await tape.publish()
        async with program(*argv, url(tape), "FPT", "NONE") as example:
            await example.line("trade.NONE")
            await listened_to(tape)
            tape.market.trade("FPT", price_e2=2_530_000, volume=1_200)
            tape.market.trade("HPG", price_e2=4_500_000)
            tape.market.trade("FPT", price_e2=2_535_000)
            await tape.publish()
            first = await example.line("25300")
            assert "FPT" in first
            assert "mua" in first
            assert "25350" in await example.line("25350")
            await tape.restart_shard()
            tape.market.trade("FPT", price_e2=2_600_000)
            await tape.publish()
            await example.line("26000")
        said = "\n".join(example.lines)
        assert "25250" not in said  # a state that was asked for is no match
        assert "45000" not in said  # not ours
        assert "(epoch)" in said

    run(scenario, tmp_path)


@languages
def test_candles_of_conflated_trades_are_exact(language, tmp_path):
    argv = command("candles", language)

    async def scenario(tape):
        async with tape.client() as witness, program(*argv, url(tape), "FPT") as example:
            await witness.sub("trade.FPT", mode="conflate", interval_ms=200)
            await tape.until(lambda: tape.cell("subscriptions") == 2, "both listen")
            tape.market.clock_s += 60 - tape.market.clock_s % 60
            for price_e2, volume in MATCHES:
                tape.market.trade("FPT", price_e2=price_e2, volume=volume)
            await tape.publish()
            # Only what was sent before the minute ends is sure to count in it.
            await witness.read(lambda model: model.seq.get("trade.FPT") == 4, "the first minute")
            tape.market.clock_s += 60
            tape.market.trade("FPT")
            await tape.publish()
            line = await example.line("FPT")
        numbers = re.findall(r"[\d,.]+", line.partition("FPT")[2].replace(",", ""))
        assert numbers == ["25300", "25900", "25100", "25400", "166"]
        assert "not whole" not in line

    run(scenario, tmp_path, conflate_ms=0)


@languages
def test_foreign_flow_is_shown_with_its_sign(language, tmp_path):
    argv = command("foreign", language)

    async def scenario(tape):
        values = {"buy_value_vnd": 1_500_000_000, "sell_value_vnd": 4_000_000_000}
        tape.market.put(FOREIGN, "VNM", **values)
        await tape.publish()
        async with program(*argv, url(tape), "VNM") as example:
            line = await example.line("VNM")
        assert line.split() == ["VNM", "mua", "1.500", "bán", "4.000", "ròng", "-2.500"]

    run(scenario, tmp_path)
