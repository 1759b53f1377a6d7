"""Who may connect, with what, from where: tokens, TLS, proxies and origins on a real port."""

import asyncio
import contextlib
import datetime
import ssl

import pytest

from engine.schema.channels import ALERTS
from engine.tokens import digest_of, new_secret
from gateway import door
from tests.gateway.hostile import UPGRADE, Wire, text, web_socket, wire
from tests.gateway.live import run
from tests.peers.tls import certificate

pytestmark = pytest.mark.e2e

SECRET, OTHER, OLD = new_secret(), new_secret(), new_secret()
WRONG = new_secret()
ALL = [*UPGRADE, f"Authorization: Bearer {SECRET}"]


def entry(name, secret, *scopes, more=""):
    quoted = ", ".join(f'"{scope}"' for scope in scopes)
    return (
        f'[tokens.{name}]\nhash = "sha256:{digest_of(secret).hex()}"\nscopes = [{quoted}]\n{more}\n'
    )


LONG_AGO = datetime.date(2021, 7, 15)
FILE = (
    entry("desk-1", SECRET, "*")
    + entry("desk-2", OTHER, "trade.*", "quote.VN30F*", "alerts.FPT")
    + entry("gone", OLD, "*", more=f"expires = {LONG_AGO}")
)


@pytest.fixture
def tokens(tmp_path):
    """Give a tokens file; `rewrite` replaces it as an operator's editor does."""

    class File:
        path = tmp_path / "tokens.toml"

        def rewrite(self, content):
            new = tmp_path / "tokens.new"
            new.touch(mode=0o600)
            new.write_text(content)
            new.replace(self.path)

    file = File()
    file.rewrite(FILE)
    return file


def guarded(scenario, tmp_path, tokens, **settings):
    run(scenario, tmp_path, tokens_file=str(tokens.path), **settings)


async def hello(attacker: Wire):
    await attacker.read(lambda a: a.count("hello"))
    return attacker.last("hello")


def test_a_token_in_the_header(tmp_path, tokens):
    async def scenario(tape):
        async with web_socket(tape.port, headers=ALL) as desk:
            said = await hello(desk)
            assert (said["auth"], said["name"], said["scopes"]) == ("ok", "desk-1", ["*"])
            desk.send(text(op="sub", topics=["trade.*"]))
            await desk.read(lambda a: a.count("sub_ok"))
            desk.send(text(op="auth", token=OTHER))  # a connection stays whose it is
            await desk.read(lambda a: a.count("error"))
            assert desk.codes() == [4000]

    guarded(scenario, tmp_path, tokens)


@pytest.mark.parametrize(
    "header",
    [
        f"Bearer {WRONG}",
        f"Bearer {SECRET[:-1]}",
        f"Bearer {OLD}",
        f"Basic {SECRET}",
        SECRET,
        "Bearer",
        "",
    ],
)
def test_a_wrong_header_is_401_and_no_secret_is_repeated(tmp_path, tokens, header):
    async def scenario(tape):
        async with wire(tape.port) as stranger:
            assert (
                await stranger.ask(tape.port, headers=[*UPGRADE, f"Authorization: {header}"]) == 401
            )
            body = await stranger.reader.read()
            assert b"vnt_" not in stranger.head + body
            assert b"WWW-Authenticate" in stranger.head
        assert tape.cell("unauthorized") == 1
        assert tape.cell("refused_upgrades") == 1
        assert tape.cell("clients") == 0

    guarded(scenario, tmp_path, tokens)


def test_a_token_as_the_first_message(tmp_path, tokens):
    async def scenario(tape):
        async with web_socket(tape.port) as desk:
            said = await hello(desk)
            assert said["auth"] == "required"
            assert "name" not in said
            for op in ("sub", "unsub", "set", "list", "recent", "schema", "replay"):
                desk.send(text(op=op, id=op, topics=["trade.*"]))
            desk.send(text(op="ping"))
            await desk.read(lambda a: a.count("pong"))
            assert desk.codes() == [4001] * 7, "it lives, and is told what is missing"
            assert desk.count("sub_ok") == 0
            desk.send(text(op="auth", id=1, token=OTHER))
            await desk.read(lambda a: a.count("auth_ok"))
            assert desk.last("auth_ok") == {
                "op": "auth_ok",
                "id": 1,
                "name": "desk-2",
                "scopes": ["trade.*", "quote.VN30F*", "alerts.FPT"],
            }
            desk.send(text(op="sub", topics=["trade.*"]))
            await desk.read(lambda a: a.count("sub_ok"))

    guarded(scenario, tmp_path, tokens)


@pytest.mark.parametrize("secret", [WRONG, OLD, "", "x" * 512, "\ud7ff"])
def test_a_wrong_first_message_is_the_last(tmp_path, tokens, secret):
    async def scenario(tape):
        async with web_socket(tape.port) as stranger:
            stranger.send(text(op="auth", token=secret))
            assert await stranger.read() == 4001
            assert stranger.codes() == [4001]
            assert secret == "" or secret not in str(stranger.messages)
        assert tape.cell("unauthorized") == 1

    guarded(scenario, tmp_path, tokens)


def test_no_token_in_time(tmp_path, tokens):
    async def scenario(tape):
        async with web_socket(tape.port) as stranger, web_socket(tape.port, headers=ALL) as desk:
            stranger.send(text(op="ping"))  # to say something is not to say who you are
            assert await stranger.read() == 4001
            assert tape.cell("unauthorized") == 1
            desk.send(text(op="ping"))
            await desk.read(lambda a: a.count("pong"))

    guarded(scenario, tmp_path, tokens, auth_ms=300)


def test_a_token_in_the_url_is_refused_even_if_it_is_right(tmp_path, tokens):
    async def scenario(tape):
        for path in (f"/ws?token={SECRET}", f"/ws?a={SECRET}", f"/{SECRET}"):
            async with wire(tape.port) as stranger:
                assert await stranger.ask(tape.port, path, ALL) == 400
                assert SECRET.encode() not in await stranger.reader.read()

    guarded(scenario, tmp_path, tokens)


@pytest.mark.parametrize("change", ["revoked", "expired", "other scopes"])
def test_a_connected_client_is_parted_with_when_its_token_changes(tmp_path, tokens, change):
    async def scenario(tape):
        async with (
            web_socket(tape.port, headers=ALL) as first,
            web_socket(tape.port, headers=[*UPGRADE, f"Authorization: Bearer {OTHER}"]) as second,
        ):
            await hello(first)
            tokens.rewrite(
                {
                    "revoked": "",
                    "expired": entry("desk-1", SECRET, "*", more=f"expires = {LONG_AGO}"),
                    "other scopes": entry("desk-1", SECRET, "trade.*"),
                }[change]
                + entry("desk-2", OTHER, "trade.*", "quote.VN30F*", "alerts.FPT")
            )
            assert await first.read() == 4001
            assert first.codes() == [4001]
            second.send(text(op="ping"))
            await second.read(lambda a: a.count("pong"))
        assert tape.cell("unauthorized") == 1
        async with wire(tape.port) as again:
            status = await again.ask(tape.port, headers=ALL)
            assert status == (101 if change == "other scopes" else 401)

    guarded(scenario, tmp_path, tokens)


def test_a_tokens_file_that_cannot_be_read_changes_nothing(tmp_path, tokens):
    async def scenario(tape):
        async with web_socket(tape.port, headers=ALL) as desk:
            tokens.rewrite("[tokens.desk-1]\nhash = 3\n")
            await asyncio.sleep(1.2)  # the file is looked at once a second
            desk.send(text(op="ping"))
            await desk.read(lambda a: a.count("pong"))
            async with web_socket(tape.port, headers=ALL) as another:
                await hello(another)

    guarded(scenario, tmp_path, tokens)


def test_scopes_per_topic_and_of_recent(tmp_path, tokens):
    async def scenario(tape):
        tape.market.trade("FPT")
        tape.market.quote("FPT", 1, 2)
        tape.market.put(ALERTS, "HPG", alert_no=1, trade_day=18_823)
        await tape.publish()
        headers = [*UPGRADE, f"Authorization: Bearer {OTHER}"]
        async with web_socket(tape.port, headers=headers) as desk:
            allowed = ["trade.FPT", "trade.*", "trade.V*", "quote.VN30F2*", "alerts.FPT"]
            refused = ["*", "quote.*", "quote.VN30*", "quote.FPT", "alerts.*", "stats.FPT"]
            desk.send(text(op="sub", topics=[*allowed, *refused]))
            await desk.read(lambda a: a.count("sub_ok"))
            answer = desk.last("sub_ok")
            assert list(answer["topics"]) == allowed
            assert answer["err"] == dict.fromkeys(refused, 4003)
            assert tape.cell("forbidden") == len(refused)
            desk.send(text(op="recent", channel="alerts"))
            await desk.read(lambda a: a.count("error"))
            assert desk.codes() == [4003]
            assert tape.cell("forbidden") == len(refused) + 1
            desk.send(text(op="replay", topics=["quote.FPT"], **{"from": "09:15"}))
            await desk.read(lambda a: a.count("replay_ok"))
            assert desk.last("replay_ok")["err"] == {"quote.FPT": 4003}
            for code in ("FPT", "HPG"):
                tape.market.trade(code)
                tape.market.quote(code, 3, 4)
            await tape.publish()
            await desk.read(lambda a: a.count("d") + a.count("snap") >= 3)
            named = {m["topic"].split(".")[0] for m in desk.messages if m["op"] == "snap"}
            assert named == {"trade"}

    guarded(scenario, tmp_path, tokens)


def test_a_theme_begins_when_the_token_is_said(tmp_path, tokens):
    async def scenario(tape):
        async with web_socket(tape.port, "/ws/alerts") as desk:
            await hello(desk)
            desk.send(text(op="ping"))
            await desk.read(lambda a: a.count("pong"))
            assert desk.count("sub_ok") == 0
            desk.send(text(op="auth", token=SECRET))
            await desk.read(lambda a: a.count("sub_ok"))
            assert [m["op"] for m in desk.messages][-2:] == ["auth_ok", "sub_ok"]
        async with web_socket(tape.port, "/ws/alerts") as desk:  # one whose scopes do not reach
            desk.send(text(op="auth", token=OTHER))
            await desk.read(lambda a: a.count("sub_ok"))
            assert desk.last("sub_ok")["err"] == {"alerts.*": 4003}

    guarded(scenario, tmp_path, tokens)


# --- where from -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://desk.example", 101),
        ("https://desk.example:444", 403),
        ("http://desk.example", 403),
        ("https://evil.example", 403),
        ("null", 403),
    ],
)
def test_pages_of_listed_origins_may_connect(tmp_path, origin, status):
    async def scenario(tape):
        async with wire(tape.port) as page:
            headers = [*UPGRADE, f"Origin: {origin}"]
            assert await page.ask(tape.port, headers=headers) == status
        assert tape.cell("refused_upgrades") == (status == 403)

    run(scenario, tmp_path, origins=("https://desk.example",))


def test_behind_a_trusted_proxy_each_client_has_its_own_limits(tmp_path):
    def said_to_be(address):
        return [*UPGRADE, f"X-Forwarded-For: {address}"]

    async def scenario(tape):
        async with contextlib.AsyncExitStack() as stack:

            async def come(address, proxy):
                desk = await stack.enter_async_context(
                    web_socket(tape.port, headers=said_to_be(address), from_address=proxy)
                )
                await desk.read(lambda a: a.messages)
                return desk.messages[0]["op"]

            proxy, other = "127.0.0.7", "127.0.0.8"
            assert await come("203.0.113.5", proxy) == "hello"
            assert await come("203.0.113.6", proxy) == "hello"
            assert await come("203.0.113.5", proxy) == "error", "its second one"
            assert await come("198.51.100.1, 203.0.113.6", proxy) == "error", "the last hop counts"
            assert await come("203.0.113.9", other) == "hello", "nobody believes this one"
            assert await come("203.0.113.10", other) == "error"
        assert tape.cell("connection_limited") == 3

    run(scenario, tmp_path, trusted_proxies=("127.0.0.7",), address_clients_max=1)


# --- TLS ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    return certificate(folder), folder / "key.pem"


def sealed(scenario, tmp_path, files, **settings):
    run(scenario, tmp_path, tls_cert_file=str(files[0]), tls_key_file=str(files[1]), **settings)


def test_tls_carries_a_large_snapshot_and_what_comes_after(tmp_path, files, tokens):
    codes = tuple(f"S{n:02}" for n in range(50))

    async def scenario(tape):
        for code in codes:
            tape.market.trade(code)
            tape.market.stats(code, volume_shares=1)
            tape.market.book(code, [(100, 1)], [(200, 1)])
        await tape.publish()
        context = ssl.create_default_context(cafile=files[0])
        async with web_socket(tape.port, headers=ALL, ssl=context, receive_bytes=4_096) as desk:
            # Ten times the same: more than the kernel and TLS take at once.
            for _ in range(10):
                desk.send(text(op="sub", topics=["*"], mode="all"))
                desk.send(text(op="unsub", topics=["*"]))
            desk.send(text(op="sub", topics=["*"], mode="all"))
            await asyncio.sleep(0.05)
            await desk.read(lambda a: a.count("snap") == 11 * 3 * len(codes))
            for price in range(1, 301):
                tape.market.trade("S00", price)
                await tape.publish()
            await desk.read(lambda a: a.messages[-1].get("seq") == 301)
            assert [m["seq"] for m in desk.messages if m["op"] == "d"] == list(range(2, 302))
        assert tape.cell("slow_closed") == 0

    sealed(scenario, tmp_path, files, codes=codes, tokens_file=str(tokens.path))


def test_a_slow_reader_behind_tls_is_parted_with_as_without(tmp_path, files):
    async def scenario(tape):
        context = ssl.create_default_context(cafile=files[0])
        async with web_socket(tape.port, ssl=context, receive_bytes=4_096) as desk:
            desk.send(text(op="sub", topics=["*"], mode="all"))
            await desk.read(lambda a: a.count("sub_ok"))
            while not tape.cell("slow_closed"):
                for _ in range(20):
                    tape.market.trade("FPT")
                await tape.publish()
                await asyncio.sleep(0.001)
            assert await desk.read() == 4008
            assert desk.last("bye")["resume"]["seq"]["trade.FPT"] == desk.last("d")["seq"]

    sealed(scenario, tmp_path, files, client_budget_bytes=20_000, kernel_buffer_bytes=8_192)


def test_no_tls_handshake_is_no_connection_for_long(tmp_path, files, monkeypatch):
    monkeypatch.setattr(door, "HANDSHAKE_S", 0.3)

    async def scenario(tape):
        async with wire(tape.port) as silent, wire(tape.port) as plain:
            assert await plain.ask(tape.port) == 0, "plain HTTP is no TLS"
            assert await silent.answer() == 0
        context = ssl.create_default_context(cafile=files[0])
        async with web_socket(tape.port, ssl=context) as desk:
            await hello(desk)

    sealed(scenario, tmp_path, files)
