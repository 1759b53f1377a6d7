"""TLS in front of the simulator: the SDK's stream accepts ``wss://`` only."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

CHUNK_BYTES = 65_536


def certificate(folder: Path) -> Path:
    """Make a key and a certificate of 127.0.0.1 that nobody else trusts; one PEM file."""
    pem, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            "openssl",
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(pem)),
        ],
        check=True,
        capture_output=True,
    )
    return pem


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # the other side has gone; so does this one
    finally:
        writer.close()


@asynccontextmanager
async def front(pem: Path, port: int) -> AsyncIterator[int]:
    """Listen with TLS, pass everything on to `port`; yield the port to connect to."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, pem.with_name("key.pem"))
    pumps: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", port)
        pair = [_pump(reader, behind_writer), _pump(behind_reader, writer)]
        pumps.update(tasks := [asyncio.create_task(each) for each in pair])
        await asyncio.wait(tasks)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
