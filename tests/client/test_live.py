"""The Python client and the real gateway understand each other."""

import pytest

from gateway.client import connect
from tests.client.told import Told
from tests.gateway.live import run


@pytest.mark.parametrize("kind", ["json", "bin"])
def test_a_cut_line_costs_no_row_and_repeats_none(kind, tmp_path):
    async def scenario(tape):
        told = Told()
        async with connect(f"ws://127.0.0.1:{tape.port}/ws", format=kind) as client:
            client.on("*", told)
            client.on_gap(told)
            notices = []
            client.on_notice(notices.append)
            await client.subscribe("trade.*")
            for round_no in range(4):
                for code in ("FPT", "HPG"):
                    tape.market.trade(code, price_e2=2_500_000 + round_no)
                await tape.publish()
                await client.request(op="ping")  # whatever was on its way is here
                if round_no % 2:
                    client._link._socket.transport.abort()
            rows = {"trade.FPT": 4, "trade.HPG": 4}
            await tape.until(lambda: told.check() == rows, "every row is told of")
        assert [told.news(topic) for topic in rows] == [[1, 2, 3, 4]] * 2
        assert not told.gaps
        for update in told.updates:
            row = tape.market.history["trade", update.topic[6:]][update.seq - 1]
            assert int(update.row["recv_ns"]) == row["recv_ns"]
            if kind == "bin":
                assert update.row.tobytes() == row.tobytes()  # byte for byte

    run(scenario, tmp_path)


def test_a_shard_that_starts_over_is_a_new_numbering(tmp_path):
    async def scenario(tape):
        told = Told()
        async with connect(f"ws://127.0.0.1:{tape.port}/ws") as client:
            client.on("*", told)
            client.on_gap(told)
            await client.subscribe("trade.FPT")
            tape.market.trade("FPT")
            await tape.publish()
            await tape.until(lambda: told.updates, "a row")
            await tape.restart_shard()
            tape.market.trade("FPT")
            await tape.publish()
            await tape.until(lambda: len(told.updates) == 2, "a row of the new numbering")
        assert [gap.reason for gap in told.gaps] == ["epoch"]
        assert told.updates[1].epoch == str(tape.market.epoch)
        told.check()

    run(scenario, tmp_path)
