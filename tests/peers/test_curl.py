"""curl, which knows HTTP better than anybody: upgrades by hand, and every polite no."""

import asyncio
import json
import subprocess

import pytest
import uvloop

from tests.client.programs import program, tool
from tests.gateway.live import run
from tests.gateway.market import Market
from tests.gateway.rest.service import Service

pytestmark = [pytest.mark.e2e, pytest.mark.peer]

UPGRADE = (
    *("-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13"),
    *("-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
)
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # of the key above, RFC 6455 section 1.3


def curl(*arguments):
    return (tool("curl"), "--http1.1", "--silent", "--include", "--noproxy", "*", *arguments)


async def asked(*arguments):
    """Return the status and the text of an answer that ends."""
    done = await asyncio.to_thread(
        subprocess.run, curl("--max-time", "20", *arguments), capture_output=True, check=False
    )
    head, _, body = done.stdout.decode().partition("\r\n\r\n")
    return int(head.split()[1]), head, body


def test_curl_upgrades_by_hand_and_hears_hello(tmp_path):
    async def scenario(tape):
        where = f"http://127.0.0.1:{tape.port}/ws"
        protocol = ("-H", "Sec-WebSocket-Protocol: vntape.v1.json")
        async with program(*curl("--no-buffer", *UPGRADE, *protocol, where)) as peer:
            said = await peer.text('"op":"heartbeat"')
        assert said.startswith("HTTP/1.1 101")
        assert f"sec-websocket-accept: {ACCEPT}".lower() in said.lower()
        assert '"op":"hello"' in said

    run(scenario, tmp_path, heartbeat_ms=50)


def test_what_is_no_upgrade_gets_a_polite_no(tmp_path):
    async def scenario(tape):
        at = f"http://127.0.0.1:{tape.port}"
        status, head, body = await asked(f"{at}/")
        assert (status, "text/html" in head, "vntape" in body) == (200, True, True)
        assert (await asked(f"{at}/nothing"))[0] == 404
        assert (await asked(f"{at}/ws"))[0] == 426
        other = ("-H", "Origin: https://elsewhere.example")
        assert (await asked(*UPGRADE, *other, f"{at}/ws"))[0] == 403
        unknown = ("-H", "Sec-WebSocket-Protocol: soap")
        assert (await asked(*UPGRADE, *unknown, f"{at}/ws"))[0] == 400
        await tape.until(lambda: not tape.cell("clients"), "nobody is connected")

    run(scenario, tmp_path)


def test_curl_reads_rest_and_comes_back_with_the_etag(tmp_path):
    async def scenario():
        market = Market("FPT")
        market.stats("FPT", last_price_e2=2_530_000)
        async with Service(tmp_path, market) as service:
            path = f"{service.url}/api/market/volume-stats?symbol=FPT"
            status, head, body = await asked(path)
            assert status == 200, body
            fields = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:])
            assert fields["content-type"].startswith("application/json")
            assert json.loads(body)
            again = await asked("-H", f"If-None-Match: {fields['etag']}", path)
            assert (again[0], again[2]) == (304, "")
            wrong = await asked(f"{service.url}/api/market/basis-trend?contract=X&minutes=soon")
            assert (wrong[0], json.loads(wrong[2])["field"]) == (422, "minutes")

    uvloop.run(scenario())
