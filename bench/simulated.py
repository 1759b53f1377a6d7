"""The simulator of SSI's server in a process of its own, for benches of the feed."""

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

START_LIMIT_S = 180.0
POLL_S = 0.05


@contextlib.contextmanager
def simulator(*arguments: str) -> Iterator[int]:
    """Run ``python -m tools.simulator`` with these arguments; yield its port."""
    with tempfile.TemporaryDirectory(prefix="vntape-bench-") as folder:
        port_file = Path(folder) / "port"
        argv = [sys.executable, "-m", "tools.simulator", "--port-file", str(port_file), *arguments]
        process = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + START_LIMIT_S
            while not port_file.exists():
                assert process.poll() is None, "the simulator has died"
                assert time.monotonic() < deadline, "the simulator did not start"
                time.sleep(POLL_S)
            yield int(port_file.read_text(encoding="ascii"))
        finally:
            process.terminate()
            process.wait()
