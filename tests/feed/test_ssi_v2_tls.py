"""Certificates are verified, on REST and on the stream."""

import asyncio
import ssl
import subprocess
from contextlib import asynccontextmanager

import pytest

from engine.clock import SystemClock
from engine.feed.http import ask, open_session, tls_context
from engine.feed.hub_socket import HubSocket
from engine.feed.link import open_link
from engine.feed.signalr import HubLink, Negotiated
from engine.feed.source import FeedError
from tests.feed.simulated import Recorder, answering, day, feeding, run, settings, simulating

pytestmark = pytest.mark.usefixtures("no_secret_is_logged")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Make self-signed certificates: one for our address, one for another name."""
    folder = tmp_path_factory.mktemp("certificates")
    for name, subject in (("ours", "IP:127.0.0.1"), ("other", "DNS:example.org")):
        subprocess.run(
            [
                *(
                    "openssl",
                    "req",
                    "-x509",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:P-256",
                ),
                *("-nodes", "-days", "2", "-subj", "/CN=vntape test"),
                *("-addext", f"subjectAltName={subject}"),
                *("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"),
            ],
            check=True,
            capture_output=True,
        )
    return folder


@asynccontextmanager
async def behind_tls(port, certificates, name="ours"):
    """Serve TLS in front of a plain server; yields the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
    running = set()

    async def copy(reader, writer):
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def serve(reader, writer):
        running.add(asyncio.current_task())
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*running, return_exceptions=True)


def secure(port, **changes):
    url = f"https://127.0.0.1:{port}/"
    return settings(port, **{"url": url, "stream_url": url, **changes})


def test_a_self_signed_server_is_refused_in_one_line(certificates):
    async def body():
        async with (
            simulating() as simulator,
            behind_tls(simulator.port, certificates) as port,
        ):
            requests = answering(simulator)
            async with feeding(secure(port)) as (_, sink):
                await sink.until(lambda: sink.count("DOWN") >= 2)
            assert requests == []  # the key has not left this machine
        assert sink.details("DOWN")[0] == (
            f"AccessToken: the certificate of 127.0.0.1:{port} is not trusted: self-signed "
            "certificate (SSL_CERT_FILE may name a file of authorities)"
        )

    run(body())


def test_a_self_signed_stream_gets_no_token(certificates):
    async def body():
        async with (
            simulating() as rest,
            simulating() as simulator,
            behind_tls(simulator.port, certificates) as port,
        ):
            requests = answering(simulator)
            plain = f"http://127.0.0.1:{rest.port}/"
            async with feeding(secure(port, url=plain)) as (_, sink):
                await sink.until(lambda: sink.count("DOWN") >= 1)
            assert requests == []
        assert sink.details("DOWN")[0].startswith(
            f"negotiate: the certificate of 127.0.0.1:{port} is not trusted: self-signed"
        )

    run(body())


def test_an_authority_of_ones_own_is_trusted(certificates, monkeypatch):
    async def body():
        async with (
            simulating() as simulator,
            behind_tls(simulator.port, certificates) as port,
            feeding(secure(port)) as (_, sink),
        ):
            await sink.until(lambda: sink.messages == len(day()))
            assert sink.count("DOWN") == 0

    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ours.pem"))
    run(body())


def test_the_name_must_fit_too(certificates, monkeypatch):
    async def body():
        async with (
            simulating() as simulator,
            behind_tls(simulator.port, certificates, "other") as port,
            feeding(secure(port)) as (_, sink),
        ):
            await sink.until(lambda: sink.count("DOWN") >= 1)
        assert "is not trusted: IP address mismatch" in sink.details("DOWN")[0]

    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "other.pem"))
    run(body())


def test_the_socket_verifies_by_itself_too(certificates):
    """The requests before it would have refused; so open the WebSocket alone."""

    async def body():
        async with (
            simulating() as simulator,
            behind_tls(simulator.port, certificates) as port,
        ):
            requests = answering(simulator)
            link = HubLink(Negotiated("token", 20.0), "hub", 0.0)
            socket = HubSocket(link, Recorder(), SystemClock(), "host", str)
            url = f"wss://127.0.0.1:{port}/"
            says = f"connect: the certificate of 127.0.0.1:{port} is not trusted: self-signed"
            with pytest.raises(FeedError, match=says):
                async with open_link(socket, url, headers={}, timeout_s=5, tls=tls_context(url)):
                    pass
            assert requests == []

    run(body())


def test_a_server_without_tls_is_told():
    async def body():
        async def answer(reader, writer):
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with server, open_session(tls_context(url)) as http:
            with pytest.raises(FeedError, match="does not speak TLS as we do"):
                await ask(http, "negotiate", "POST", url, timeout_s=5.0)

    run(body())


def test_no_certificates_are_read_for_plain_urls():
    assert tls_context("http://127.0.0.1/", "ws://127.0.0.1/") is None
    assert tls_context("http://127.0.0.1/", "WSS://127.0.0.1/") is not None
