"""The v3 client against the simulator's v3 half: two readings of one protocol that must agree."""

from contextlib import asynccontextmanager

from engine.config import FeedConfig
from tests.feed.fake_v3 import feeding, settings
from tests.feed.simulated import run
from tests.tools.played import CONSUMER_ID, SECRET, almanac, played, simulator
from tools.simulator.v3_auth import AuthOptions, Keys
from tools.simulator.v3_service import FastConnectV3, V3Options

OTP = "314159"
KINDS = ("trade.", "quote.", "room.", "put.", "market.", "trade.index.")


@asynccontextmanager
async def serving(some=(), **options):
    v3 = FastConnectV3(almanac(), V3Options(keys=Keys(CONSUMER_ID, SECRET, OTP), **options))
    server = simulator(list(some), v3=v3)
    await server.start()
    try:
        yield server, v3
    finally:
        await server.stop()


def ours(server, **changes):
    return settings(
        server.port,
        **{
            "consumer_id": CONSUMER_ID,
            "consumer_secret": SECRET,
            "otp": OTP,
            "topics": tuple(FeedConfig().v3_topics),
            **changes,
        },
    )


def test_the_default_topics_are_accepted_and_bring_every_kind():
    async def body():
        async with serving(played()) as (server, _), feeding(ours(server)) as (_, sink):
            for kind in KINDS:
                prefix = b'{"channel":"DATA","topic":"%b' % kind.encode()
                await sink.until(
                    lambda prefix=prefix: any(f.startswith(prefix) for f in sink.frames)
                )
            assert sink.details("LIVE") == [f"live on 127.0.0.1:{server.port}"]

    run(body(), 60.0)


def test_a_refused_stream_is_opened_again_with_a_new_token():
    async def body():
        async with serving() as (server, v3):
            v3.refusals += [503, 401]
            async with feeding(ours(server)) as (_, sink):
                await sink.until(lambda: sink.count("LIVE") == 1)
                assert sink.details("DOWN") == [
                    "the stream was refused: 503 Service unavailable",
                    "the stream was refused: 401 Unauthorized",
                ]

    run(body())


def test_a_login_without_an_otp_may_not_stream_and_says_so():
    async def body():
        async with serving() as (server, _), feeding(ours(server, otp="")) as (_, sink):
            await sink.until(lambda: sink.count("DOWN") == 1)
            assert sink.details("DOWN")[0].startswith("the stream was refused: 403")
            assert "VNTAPE_OTP" in sink.details("DOWN")[0]

    run(body())


def test_an_approval_on_the_device_is_waited_for():
    async def body():
        options = {"auth": AuthOptions(approval_polls=0)}
        async with (
            serving(**options) as (server, _),
            feeding(ours(server, otp="request")) as (
                _,
                sink,
            ),
        ):
            await sink.until(lambda: sink.count("LIVE") == 1)
            assert "waiting for the login to be approved on the device" in sink.details(
                "CONNECTING"
            )

    run(body())


def test_a_restart_lives_on_the_refresh_token(tmp_path):
    async def body():
        kept = tmp_path / "refresh.json"
        async with serving() as (server, _):
            for otp in (OTP, "", ""):
                async with feeding(ours(server, otp=otp, token_file=kept)) as (_, sink):
                    await sink.until(lambda sink=sink: sink.count("LIVE") == 1)
                    assert sink.count("DOWN") == 0

    run(body())
