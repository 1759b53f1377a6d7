"""A Python client that does not wait long, beside a fake gateway."""

import asyncio
import contextlib
import random
import time

import uvloop

from gateway.client import connect
from gateway.client.retry import Backoff
from tests.client.fake import Fake
from tests.client.told import Told

FORMATS = ("json", "bin")
WATCHDOG_S = 30.0


class Soon(random.Random):
    """No waiting in tests."""

    def uniform(self, low, high):
        return 0.0


@contextlib.asynccontextmanager
async def live(fake, **options):
    async with (
        asyncio.timeout(WATCHDOG_S),
        fake.running(),
        connect(fake.url, backoff=Backoff(Soon()), **options) as client,
    ):
        yield client


def run(scenario, fake=None, **options):
    """Run ``scenario(fake, client, told)`` with a connected client."""
    fake = fake or Fake("trade.FPT", "trade.HPG")

    async def main():
        told = Told()
        async with live(fake, **options) as client:
            client.on("*", told)
            client.on_gap(told)
            await scenario(fake, client, told)

    uvloop.run(main())


async def until(condition):
    end = time.monotonic() + WATCHDOG_S / 2
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.002)
