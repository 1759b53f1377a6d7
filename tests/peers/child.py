"""Official clients in processes of their own.

They are not ours: they print tokens, start threads that cannot be stopped and warn about things,
so each runs in a child that prints JSON lines and ends when its standard input does.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


class Child:
    """A client in a process of its own: the JSON lines it prints, and the rest of what it says."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.said: list[str] = []

    async def line(self) -> dict[str, Any]:
        """Return the next JSON object it prints; fail when it ends first."""
        assert self._process.stdout is not None
        while text := (await self._process.stdout.readline()).decode():
            try:
                found = json.loads(text)
            except json.JSONDecodeError:
                self.said.append(text)
                continue
            if isinstance(found, dict):
                return found
        raise AssertionError(f"the client ended early and said {''.join(self.said)[-3000:]}")

    async def until(self, *keys: str) -> dict[str, Any]:
        """Return the next JSON object that has one of the keys."""
        while not set(keys) & set(found := await self.line()):
            pass
        return found


@asynccontextmanager
async def child(script: str, *arguments: str, **environ: str) -> AsyncIterator[Child]:
    """Run a script of this folder for the length of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(HERE / script),
        *arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        limit=1 << 20,
        env={**os.environ, "NO_PROXY": "127.0.0.1", **environ},
    )
    try:
        yield Child(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
