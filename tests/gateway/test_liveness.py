"""Signs of life: who neither says nor takes anything is cut off, everybody else stays."""

import asyncio
import time

import pytest

from tests.gateway.hostile import PING, PONG, frame, text, web_socket
from tests.gateway.live import WATCHDOG_S, Tape, run

pytestmark = pytest.mark.e2e

SILENCE_MS = 1_500
LONG_S = 2 * SILENCE_MS / 1_000  # clients are looked after once a second


async def keep_reading(desk, seconds, answer=None):
    """Read for a while, answering pings; fail when the line ends."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        seen = desk.pings
        try:
            async with asyncio.timeout(0.1):
                assert await desk.read(lambda a, seen=seen: a.pings > seen) == 0, "it was closed"
        except TimeoutError:
            continue
        if answer:
            desk.send(answer)


def together(tmp_path, *lives, **settings):
    """Run each of these with a connection of its own, at the same time."""

    async def scenario(tape):
        async def one(life):
            async with web_socket(tape.port, receive_bytes=4_096) as desk:
                await life(tape, desk)

        await asyncio.gather(*(one(life) for life in lives))

    run(scenario, tmp_path, silence_ms=SILENCE_MS, **settings)


async def silent(_tape, desk):
    """Reads, but gives no sign of life: a tunnel into nowhere looks so from here."""
    assert await desk.read() == 4010
    assert desk.codes() == [4010]
    assert desk.last("error")["retry"] == "reconnect"


async def answers_pings(tape, desk):
    await keep_reading(desk, LONG_S, frame(opcode=PONG))
    assert desk.pings >= 2
    desk.send(text(op="ping"))
    await desk.read(lambda a: a.count("pong"))


async def says_something(_tape, desk):
    end = time.monotonic() + LONG_S
    while time.monotonic() < end:
        desk.send(text(op="ping"))
        pongs = desk.count("pong")
        await desk.read(lambda a, pongs=pongs: a.count("pong") > pongs)
        await asyncio.sleep(0.2)


async def pings_by_itself(_tape, desk):
    await asyncio.gather(keep_reading(desk, LONG_S), pinging(desk))


async def pinging(desk):
    for _ in range(round(LONG_S / 0.2)):
        desk.send(frame(b"here", PING))
        await asyncio.sleep(0.2)


def test_who_gives_no_sign_of_life_is_cut_off_and_others_stay(tmp_path):
    together(tmp_path, silent, answers_pings, says_something, pings_by_itself)


def test_the_count_of_idle_ones(tmp_path):
    async def scenario(tape):
        async with web_socket(tape.port) as desk:
            await silent(tape, desk)
            assert desk.pings >= 1, "it was asked"
        assert tape.cell("idle_closed") == 1
        await tape.until(lambda: tape.cell("clients") == 0, "it is gone")

    run(scenario, tmp_path, silence_ms=SILENCE_MS)


def test_who_reads_slowly_stays_and_who_stops_is_cut_off(tmp_path):
    """Both have bytes waiting all the time; only one of them takes any."""

    async def scenario(tape):
        async def trading():
            while True:
                for _ in range(20):
                    tape.market.trade("FPT")
                await tape.publish()
                await asyncio.sleep(0.005)

        busy = asyncio.ensure_future(trading())
        try:
            async with (
                web_socket(tape.port, receive_bytes=4_096) as slow,
                web_socket(tape.port, receive_bytes=4_096) as stopped,
            ):
                for desk in (slow, stopped):
                    desk.send(text(op="sub", topics=["trade.*"], mode="skip"))
                end = time.monotonic() + LONG_S
                taken = 0
                while time.monotonic() < end:
                    taken += len(await slow.reader.read(2_000))
                    await asyncio.sleep(0.05)
                assert taken
                await tape.until(lambda: tape.cell("idle_closed") == 1, "the one that stopped")
                assert await stopped.read() in (4010, None)  # it may be cut before it reads it
                await tape.until(lambda: tape.cell("clients") == 1, "the other one is there")
        finally:
            busy.cancel()

    run(
        scenario,
        tmp_path,
        silence_ms=SILENCE_MS,
        client_budget_bytes=200_000,
        kernel_buffer_bytes=8_192,
    )


def test_a_ping_is_answered_with_its_own_bytes(tmp_path):
    async def scenario(tape):
        async with web_socket(tape.port) as desk:
            await desk.read(lambda a: a.count("hello"))
            desk.send(frame(b"are you there", PING))
            got = await desk.frame()
            while got is not None and got[0] != PONG:
                got = await desk.frame()
            assert got == (PONG, b"are you there")

    run(scenario, tmp_path)


def test_who_is_flooded_and_reads_sees_that_we_live(tmp_path):
    """A client library hangs up without a pong, also when news never let the line run dry."""

    async def scenario(tape: Tape):
        async with tape.slow_client() as desk:
            await desk.sub("trade.*")
            for _ in range(60):
                for _ in range(50):
                    tape.market.trade("FPT", volume=1)
                await tape.publish()
            await tape.until(lambda: tape.cell("bus_rows") > 3_000, "all is on its way")
            pong = await desk.socket.ping()
            await tape.publish()
            await desk.read(lambda m: m.seq.get("trade.FPT") == 3_000, "every row")
            await asyncio.wait_for(pong, WATCHDOG_S)

    run(scenario, tmp_path, kernel_buffer_bytes=8_192, client_budget_bytes=1 << 24)
