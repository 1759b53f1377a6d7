"""The gap between two passes ends once, when it is over, and not when it was called off."""

import asyncio
import time

import pytest
import uvloop

from gateway.gap import GapTimer


def run(scenario):
    async def main():
        rung = []
        timer = GapTimer(asyncio.get_running_loop(), lambda: rung.append(time.monotonic()))
        try:
            async with asyncio.timeout(30):
                await scenario(timer, rung)
        finally:
            timer.close()

    uvloop.run(main())


@pytest.mark.parametrize("wait_s", [-1.0, 0.0, 0.0003, 0.02])
def test_it_rings_once_and_never_early(wait_s):
    async def scenario(timer, rung):
        began = time.monotonic()
        timer.start(wait_s)
        assert timer.armed
        while not rung:
            await asyncio.sleep(0.001)
        assert rung[0] - began >= wait_s
        assert not timer.armed
        await asyncio.sleep(0.01)
        assert len(rung) == 1

    run(scenario)


def test_a_cancelled_gap_does_not_ring_even_when_it_is_over():
    async def scenario(timer, rung):
        timer.start(0.0)
        time.sleep(0.005)  # noqa: ASYNC251 - it is over before the loop turns
        timer.cancel()
        await asyncio.sleep(0.02)
        assert rung == []
        assert not timer.armed

    run(scenario)


def test_it_can_be_started_again_where_it_rings():
    async def scenario(timer, rung):
        timer.start(0.001)
        for count in (1, 2, 3):
            while len(rung) < count:
                await asyncio.sleep(0.001)
            timer.start(0.001)

    run(scenario)
