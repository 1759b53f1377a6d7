"""A real browser without a window, driven over its own debugging protocol."""

import asyncio
import itertools
import json
import urllib.parse
from contextlib import asynccontextmanager

import websockets

from tests.client.programs import program, tool

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)


class Page:
    """One page of the browser."""

    def __init__(self, socket, session):
        self._socket, self._session = socket, session
        self._ids = itertools.count(100)

    async def evaluate(self, expression):
        """Return the JSON value of an expression."""
        given = {"expression": expression, "returnByValue": True}
        answer = await _ask(self._socket, next(self._ids), "Runtime.evaluate", given, self._session)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, expression):
        """Evaluate until it is true."""
        while not (found := await self.evaluate(expression)):
            await asyncio.sleep(0.02)
        return found


async def _ask(socket, number, method, given, session=None):
    message = {"id": number, "method": method, "params": given}
    await socket.send(json.dumps(message | ({"sessionId": session} if session else {})))
    while True:
        answer = json.loads(await socket.recv())
        if answer.get("id") == number:
            assert "error" not in answer, answer
            return answer["result"]


@asynccontextmanager
async def page(folder, url):
    """Open a URL in a browser of its own."""
    browser = tool("chromium", "chromium-browser", "google-chrome")
    async with program(browser, *FLAGS, f"--user-data-dir={folder}", "about:blank") as process:
        line = await process.line("DevTools listening on ws://")
        where = line.partition("listening on ")[2]
        assert urllib.parse.urlsplit(where).hostname == "127.0.0.1"
        async with websockets.connect(where, max_size=None) as socket:
            target = await _ask(socket, 1, "Target.createTarget", {"url": url})
            given = {"targetId": target["targetId"], "flatten": True}
            session = (await _ask(socket, 2, "Target.attachToTarget", given))["sessionId"]
            yield Page(socket, session)
            await socket.send(json.dumps({"id": 3, "method": "Browser.close"}))
