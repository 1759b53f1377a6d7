"""One child process under supervision: start, notice its end, restart it with backoff."""

import asyncio
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from engine.clock import Clock
from engine.config import SupervisorConfig
from engine.errors import ConfigError
from engine.log import Log
from engine.process import EX_CONFIG

CRASH_WINDOW_NS = 60_000_000_000
STOP_POLL_S = 0.01
QUIET_AFTER_NS = 3_000_000_000  # a child that lived this long starts its backoff anew
LESSER_PAUSE_MS = 60_000  # before a child that the tape can do without is tried yet again


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run.

    Attributes
    ----------
    name
        What operators call it.
    argv
        The command.
    pass_fds
        Stay open in the child under the same numbers.
    environ
        On top of our own.
    vital
        Whether there is no tape without it. One that is not is tried again for ever, however
        often it dies.
    daily
        Whether it begins anew with each trading day.
    """

    name: str
    argv: Sequence[str]
    pass_fds: Sequence[int] = ()
    environ: dict[str, str] = field(default_factory=dict)
    vital: bool = True
    daily: bool = False


def describe_exit(code: int) -> str:
    """Say in words how a process ended: ``signal SIGKILL`` or ``exit code 1``."""
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


class Child:
    """Keeps one process running until `stop`.

    Parameters
    ----------
    spec
        What to run.
    settings
        Section [supervisor].
    on_death
        Told how it ended, as Popen.returncode says it, before it is started again.
    may_refuse
        Whether one that is not vital may still refuse its configuration (EX_CONFIG) for all: while
        the instance is starting. Later a tape that runs is worth more, and it is tried again.
    """

    def __init__(
        self,
        spec: ChildSpec,
        settings: SupervisorConfig,
        clock: Clock,
        log: Log,
        on_death: Callable[[int], None] | None = None,
        may_refuse: Callable[[], bool] = lambda: True,
    ) -> None:
        self.spec = spec
        self.restarts = 0
        self.trouble = ""  # why it is not running, in words; empty while it runs
        self._settings = settings
        self._clock = clock
        self._log = log
        self._on_death = on_death
        self._may_refuse = may_refuse
        self._process: subprocess.Popen[bytes] | None = None
        self._deaths: deque[int] = deque()
        self._stopping = False

    @property
    def pid(self) -> int:
        """Return the process id, 0 while there is none."""
        return self._process.pid if self._process and self._process.returncode is None else 0

    async def keep_alive(self) -> None:
        """Run the child, again and again, until `stop`.

        Raises
        ------
        ConfigError
            It refused its configuration, or it dies faster than it can be restarted. Of one that is
            not vital only the former, and only as long as `may_refuse` says so.
        """
        delay_ms = self._settings.restart_base_ms
        while not self._stopping:
            started_ns = self._clock.now_ns()
            code = await self._run_once()
            if self._stopping:
                return
            self.trouble = describe_exit(code)
            refused = code == EX_CONFIG
            if refused and (self.spec.vital or self._may_refuse()):
                raise ConfigError(f"{self.spec.name} refused to start; its reason is above")
            if self._on_death is not None:
                self._on_death(code)
            if self._clock.now_ns() - started_ns > QUIET_AFTER_NS:
                delay_ms = self._settings.restart_base_ms
            too_often = self._dies_too_often()
            if too_often and self.spec.vital:
                raise ConfigError(self._giving_up())
            if too_often or refused:
                delay_ms = LESSER_PAUSE_MS
            self._log.write(
                "error",
                f"{self.spec.name} refused its configuration"
                if refused
                else f"{self.spec.name} died",
                how=self.trouble,
                restart_in_ms=delay_ms,
                restarts=self.restarts,
            )
            await asyncio.sleep(delay_ms / 1000)
            delay_ms = min(2 * delay_ms, self._settings.restart_cap_ms)
            self.restarts += 1

    async def _run_once(self) -> int:
        # A session of its own: Ctrl-C in the terminal reaches the supervisor alone, which then
        # stops the children in order.
        self._process = process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
            self.spec.argv,
            pass_fds=self.spec.pass_fds,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **self.spec.environ},
        )
        self.trouble = ""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        pidfd = os.pidfd_open(process.pid)
        try:
            loop.add_reader(pidfd, ended.set)
            await ended.wait()
        finally:
            loop.remove_reader(pidfd)
            os.close(pidfd)
        return process.wait()

    def _dies_too_often(self) -> bool:
        now_ns = self._clock.now_ns()
        self._deaths.append(now_ns)
        while now_ns - self._deaths[0] > CRASH_WINDOW_NS:
            self._deaths.popleft()
        return len(self._deaths) > self._settings.crash_loop_max

    def _giving_up(self) -> str:
        return (
            f"{self.spec.name} died {len(self._deaths)} times within a minute (last: "
            f"{self.trouble}), supervisor.crash_loop_max is {self._settings.crash_loop_max}: "
            "giving up"
        )

    def stop(self) -> None:
        """Ask it to end, and do not start it again."""
        self._stopping = True
        if self.pid:
            self._process_signal(signal.SIGTERM)

    async def wait_gone(self, deadline_ns: int) -> None:
        """Wait until it has ended; kill it when the deadline has passed."""
        while self._process is not None and self._process.poll() is None:
            if self._clock.now_ns() > deadline_ns:
                self._log.write("warning", f"{self.spec.name} did not stop in time: killed")
                self._process_signal(signal.SIGKILL)
                self._process.wait()
                return
            await asyncio.sleep(STOP_POLL_S)

    def _process_signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
