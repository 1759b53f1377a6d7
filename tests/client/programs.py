"""Programs of any language, as a test meets them: the lines they print, and an end."""

import asyncio
import json
import os
import shutil
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WS_VERSION = "8.23.0"
WS_FOLDER = ROOT / ".venv" / "node"


def missing(what):
    """Skip, except where the build machine promises that everything is there."""
    if os.environ.get("TESTS_PEERS") == "required":
        pytest.fail(f"TESTS_PEERS=required, and {what}")
    pytest.skip(what)


def tool(*names):
    """Return the path of a program under one of its names."""
    for name in names:
        if found := shutil.which(name):
            return found
    return missing(f"{names[0]} is not installed")


def ws_folder():
    """Return a folder that has the npm package `ws`, fetched once."""
    package = WS_FOLDER / "node_modules" / "ws" / "package.json"
    if not package.exists() or json.loads(package.read_text())["version"] != WS_VERSION:
        npm = tool("npm")
        WS_FOLDER.mkdir(parents=True, exist_ok=True)
        quiet = ("--no-package-lock", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts")
        done = subprocess.run(
            [npm, "install", *quiet, "--prefix", str(WS_FOLDER), f"ws@{WS_VERSION}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if done.returncode:
            missing(f"npm cannot fetch ws: {done.stderr.strip()[-300:]}")
    return WS_FOLDER


def node_with_websocket():
    """Return the command of a Node that has a global WebSocket: its own, or that of `ws`."""
    command = [tool("node"), "--experimental-websocket"]
    if subprocess.run([*command, "-e", "WebSocket"], capture_output=True, check=False).returncode:
        preload = Path(__file__).parent / "global_websocket.cjs"
        ws_folder()
        command[1:] = ["--require", str(preload)]
    return command


class Program:
    """A running program."""

    def __init__(self, process):
        self._process = process
        self.lines = []

    def say(self, text):
        """Write to its standard input."""
        self._process.stdin.write(text.encode())

    async def line(self, part):
        """Return the next line that contains a text; fail when the program ends first."""
        while raw := await self._process.stdout.readline():
            self.lines.append(raw.decode().rstrip("\n"))
            if part in self.lines[-1]:
                return self.lines[-1]
        raise AssertionError(f"it ended before {part!r} and said {self.lines}")

    async def text(self, part):
        """Return all it says, up to some text that need not be in a line."""
        said = b""
        while part.encode() not in said:
            more = await self._process.stdout.read(4_096)
            assert more, f"it ended before {part!r} and said {said!r}"
            said += more
        return said.decode(errors="replace")


@asynccontextmanager
async def program(*argv, **environ):
    """Run a program for the length of the block."""
    process = await asyncio.create_subprocess_exec(
        *map(str, argv),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "NO_PROXY": "127.0.0.1", **environ},
    )
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
