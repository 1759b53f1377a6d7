"""A real browser opens the example page and shows what the gateway sends."""

import asyncio
import json
import mimetypes

import pytest
import websockets
from websockets.asyncio.server import serve
from websockets.datastructures import Headers
from websockets.http11 import Response

from tests.client.programs import ROOT
from tests.gateway.live import run
from tests.peers.chromium import page

pytestmark = [pytest.mark.e2e, pytest.mark.peer]

CLIENT = ROOT / "gateway" / "client"
FILES = {"/vntape.js": "vntape.js", "/examples/page.html": "examples/page.html"}
mimetypes.add_type("text/javascript", ".js")


def files(_connection, request):
    """Serve the client's folder as a desk's own web server would."""
    path = FILES.get(request.path.partition("?")[0])
    if path is None:
        return Response(404, "Not Found", Headers({"Content-Length": "0"}), b"")
    body = (CLIENT / path).read_bytes()
    kind = mimetypes.guess_type(path)[0]
    return Response(
        200,
        "OK",
        Headers({"Content-Type": f"{kind}; charset=utf-8", "Content-Length": str(len(body))}),
        body,
    )


async def nothing(_socket):
    """Nobody upgrades here: files only."""


CELLS = "[...document.querySelectorAll('tbody tr')].map(r => [...r.cells].map(c => c.textContent))"


@pytest.mark.parametrize("kind", ["json", "bin"])
def test_the_page_shows_the_tape_and_says_when_it_is_old(kind, tmp_path):
    async def scenario(tape):
        tape.market.trade("HPG", price_e2=4_500_000)
        await tape.publish()
        async with serve(nothing, "127.0.0.1", 0, process_request=files) as server:
            port = server.sockets[0].getsockname()[1]
            gateway = f"ws://127.0.0.1:{tape.port}/ws"
            where = f"http://127.0.0.1:{port}/examples/page.html?url={gateway}&format={kind}"
            async with page(tmp_path / "profile", where) as browser:
                await browser.until("document.querySelectorAll('tbody tr').length")
                assert await browser.evaluate(CELLS) == [["HPG", "45000", "100", "1"]]
                for seq in range(1, 31):
                    tape.market.trade("FPT", price_e2=2_530_000 + 5_000 * seq)
                    await tape.publish()
                row = "document.querySelectorAll('tbody tr')[1]"
                await browser.until(f"{row} && {row}.cells[3].textContent === '30'")
                assert (await browser.evaluate(CELLS))[1] == ["FPT", "26800", "100", "30"]
                text = "document.getElementById('state').textContent"
                assert await browser.evaluate(text) == "up, feed live"
                assert (
                    await browser.evaluate("document.getElementById('missed').textContent") == "0"
                )
                tape.stop.set()
                await browser.until(f"!{text}.startsWith('up')")
                assert await browser.evaluate("document.getElementById('state').className") == "old"

    run(scenario, tmp_path)


def test_a_page_of_another_host_is_turned_away_and_an_allowed_one_is_not(tmp_path):
    async def scenario(tape):
        url = f"ws://127.0.0.1:{tape.port}/ws"
        probe = (
            f"const socket = new WebSocket({json.dumps(url)}, 'vntape.v1.json');"
            "socket.onclose = ({ code }) => { globalThis.said = `closed ${code}`; }; 1"
        )
        # A data: page has an opaque origin, which is nobody's.
        async with page(tmp_path / "profile", "data:text/html,<p>elsewhere</p>") as browser:
            await browser.until("document.body && document.body.textContent === 'elsewhere'")
            await browser.evaluate(probe)
            assert await browser.until("globalThis.said") == "closed 1006"
        assert not tape.cell("clients")
        async with websockets.connect(
            url, origin="https://desk.example", subprotocols=["vntape.v1.json"]
        ) as socket:
            assert json.loads(await asyncio.wait_for(socket.recv(), 10))["op"] == "hello"

    run(scenario, tmp_path, origins=("https://desk.example",))
