"""Nothing is lost: kill -9 of everybody in turn under load, and the tape ends as if nothing was.

A whole instance (journal, ring, shard, board, recorder, gateway, rest) plays a steady tape while
a client follows every topic. In every round, in random order and at random moments:

    kill -9     of ingest, shard, board, gateway, recorder, rest, and of the supervisor, which
                takes its children along and is started again
    stop        SIGSTOP of one of them for 5 s
    all         kill -9 of everybody at once, then a new start

After each the tape goes on; once everybody has caught up it is held, and

    the shard's digest (all state, all rows ever published) is that of an undisturbed run of the
    same frames in this process,
    the client's last row of every topic is the undisturbed run's,
    the client was told no wrong and no repeated number.

Figures are the seconds from the kill (or the end of the stop) until the tape is current for clients
again while it plays on, and until the recorder, which may take its time, has come to its end too;
for that the tape is held. A machine that is too slow to catch up while it plays gets 30 s, then the
tape is held for everybody; `held` counts that. `old_rows` counts rows that a client was shown after
it came back and that were older than what it knew: right ones, but it went back in time.

    python -m bench.bench_recovery [--small] [--json PATH]
"""

import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from bench.cli import main
from bench.incidents import (
    ROLES,
    STOP_S,
    SUPERVISOR,
    expected_dead,
    kill,
    victims,
    waiting_for,
)
from bench.row_checker import Known
from bench.steady_frames import SteadyFrames, render
from bench.steady_instance import CheckingClient, Instance, stay_in_one_day, wait_for
from bench.twin import Twin, differences
from engine.clock import SystemClock
from engine.wiring import warm

SEED: Final = 20210715
RATE: Final = 200_000  # messages a second
ROUNDS: Final = {"small": 2, "full": 20}
TRADES: Final = {"small": 20_000, "full": 100_000}
INCIDENTS: Final = (*ROLES, SUPERVISOR, "stop", "all")
QUIET_S: Final = (0.5, 2.0)  # how long the tape plays before the next incident
PLAY_LIMIT_S: Final = 30.0  # who is still late then catches up with the tape held
ROUND_LIMIT_S: Final = 600  # a round does not begin if the trading day ends so soon
ROWS_LIMIT_S: Final = 20.0  # a conflated row comes within one interval
BESIDE: Final = frozenset({"recorder", "rest"})  # no client waits for them


class Incident(NamedTuple):
    """What one incident cost, seconds."""

    name: str
    current_s: float
    everybody_s: float
    late_s: dict[str, float]  # role -> when it was last seen late
    old_rows: int  # what the client was shown anew
    held: bool  # nobody could catch up while the tape played: the machine is too slow for RATE


class Round:
    """One instance from its start to its end, and all that happens to it."""

    def __init__(self, seed: int, folder: Path, shared: Path, frames: Path) -> None:
        self.seed = seed
        self._random = random.Random(seed)
        self._clock = SystemClock()
        self.instance = Instance(folder, shared, frames)
        self.twin = Twin(SteadyFrames.open(frames), self.instance.config)
        self.incidents: list[Incident] = []
        self.compared = 0

    def run(self, number: int) -> dict[str, Any]:
        """Let everything happen once; return what the client was told."""
        instance = self.instance
        instance.start()
        instance.wait_ready()
        client = CheckingClient(instance.url)
        try:
            wait_for("the client", lambda: client.ask()["subscribed_ns"], instance.trouble)
            names = list(INCIDENTS)
            self._random.shuffle(names)
            for name in names:
                told = f"{ROLES[number % len(ROLES)]} stopped" if name == "stop" else name
                print(f"round {number}, seed {self.seed}: {told} ...", file=sys.stderr, flush=True)
                self._happen(name, number, client)
                self._compare(name, client)
            return client.ask()
        finally:
            client.close()
            instance.stop()

    def _happen(self, name: str, number: int, client: CheckingClient) -> None:
        """Play, let it happen, play on until everybody has caught up."""
        instance = self.instance
        instance.rate.set(RATE)
        time.sleep(self._random.uniform(*QUIET_S))
        before, processes = instance.look(), instance.processes()
        told = client.ask()
        assert before is not None and processes.keys() >= set(ROLES), processes
        if name == "stop":
            role = ROLES[number % len(ROLES)]
            dead = {role: 0}
            os.kill(processes[role], signal.SIGSTOP)
            time.sleep(STOP_S)
            os.kill(processes[role], signal.SIGCONT)
        else:
            dead = expected_dead(name, processes)
            kill(victims(name, processes))
        since_ns = self._clock.now_ns()
        if SUPERVISOR in dead:
            instance.start()
        late_s: dict[str, float] = {}

        def back(beside: frozenset[str]) -> float:
            now = instance.look()
            late = ROLES if now is None else waiting_for(now, before, since_ns, dead)
            elapsed_s = (self._clock.now_ns() - since_ns) / 1e9
            late_s.update(dict.fromkeys(late, round(elapsed_s, 3)))
            if elapsed_s > PLAY_LIMIT_S and "ingest" not in late:
                instance.rate.set(0)
            return 0.0 if set(late) - beside else elapsed_s

        def trouble() -> str:
            return f"last late: {late_s}\n{instance.look()}\n{instance.trouble()}"

        current_s = wait_for(f"the tape after {name}", lambda: back(BESIDE), trouble)
        if "gateway" in dead and name != "stop":
            now = wait_for("the client", lambda: self._returned(client, told), trouble)
            current_s = max(current_s, (now["subscribed_ns"] - since_ns) / 1e9)
        held = not instance.rate.get()
        instance.rate.set(0)
        everybody_s = wait_for(f"everybody after {name}", lambda: back(frozenset()), trouble)
        old_rows = client.ask()["old_rows"] - told["old_rows"]
        self.incidents.append(Incident(name, current_s, everybody_s, late_s, old_rows, held))

    def _returned(self, client: CheckingClient, told: dict[str, Any]) -> dict[str, Any] | None:
        """Return what the client says once it has subscribed anew."""
        now = client.ask()
        return (
            now if now["subscriptions"] > told["subscriptions"] and now["subscribed_ns"] else None
        )

    def _compare(self, name: str, client: CheckingClient) -> None:
        """Hold the tape and compare everything with the undisturbed run."""
        instance, where = self.instance, f"seed {self.seed}, after {name}"
        seq = instance.settle().write_seq
        self.twin.advance(seq)
        digest = instance.digest(seq)
        assert digest == self.twin.digest(), f"{where}: at slot {seq} the digest differs"
        shown, file = self.twin.shown(), instance.folder / "rows.json"
        deadline = time.monotonic() + ROWS_LIMIT_S
        while True:
            status = client.ask(f"rows {file}")
            assert not status["fault_count"], f"{where}: {status['faults']}"
            assert not status["refusals"], f"{where}: {status['refusals']}"
            told = {topic: Known(*row) for topic, row in orjson.loads(file.read_bytes()).items()}
            wrong = differences(shown, told)
            if not wrong:
                break
            assert time.monotonic() < deadline, f"{where}: the client ends on other rows: {wrong}"
            time.sleep(0.1)
        self.compared += len(shown)


def run(size: str) -> dict[str, Any]:
    """Run the bench; raises at the first thing that is lost, wrong or told twice.

    Returns
    -------
    dict
        Per incident: seconds until the tape was current again, median and worst; and what was
        compared.
    """
    warm.main("v2")  # kernels are compiled, or loaded, before anything is measured
    found: list[Incident] = []
    totals = {"slots": 0, "messages": 0, "rows_compared": 0}
    client = {"rows": 0, "connects": 0, "old_rows": 0, "lost_rows": 0}
    with tempfile.TemporaryDirectory(prefix="vntape-bench-") as place:
        frames = Path(place) / "frames"
        frames.mkdir()
        print("rendering frames ...", file=sys.stderr, flush=True)
        render(frames, TRADES[size])
        for number in range(ROUNDS[size]):
            stay_in_one_day(ROUND_LIMIT_S)
            folder = Path(tempfile.mkdtemp(prefix="vntape-recovery-"))
            shared = Path(tempfile.mkdtemp(prefix="vr-", dir="/dev/shm"))
            this = Round(SEED + number, folder, shared, frames)
            try:
                told = this.run(number)
            except BaseException:
                log = Path(tempfile.gettempdir()) / "vntape-recovery-failed.log"
                shutil.copyfile(this.instance.log_file, log)
                print(f"seed {this.seed} failed; its log is {log}", file=sys.stderr, flush=True)
                raise
            finally:
                this.instance.remove()
            found += this.incidents
            totals["slots"] += this.twin.seq
            totals["messages"] += this.twin.messages
            totals["rows_compared"] += this.compared
            for key in client:
                client[key] += told[key]
    return {
        "rounds": ROUNDS[size],
        "first_seed": SEED,
        "messages_per_s": RATE,
        "digests_compared": len(found),
        **totals,
        "client": client,
        "incidents": {name: _figures(name, found) for name in INCIDENTS},
    }


def _figures(name: str, found: list[Incident]) -> dict[str, Any]:
    """Return median and worst of one kind of incident, and of whom was waited for."""
    current = [each.current_s for each in found if each.name == name]
    everybody = [each.everybody_s for each in found if each.name == name]
    late = [each.late_s for each in found if each.name == name]
    return {
        "median_s": round(statistics.median(current), 3),
        "worst_s": round(max(current), 3),
        "everybody_median_s": round(statistics.median(everybody), 3),
        "everybody_worst_s": round(max(everybody), 3),
        "old_rows": sum(each.old_rows for each in found if each.name == name),
        "held": sum(each.held for each in found if each.name == name),
        "late_median_s": {
            role: statistics.median(each.get(role, 0.0) for each in late) for role in ROLES
        },
    }


if __name__ == "__main__":
    sys.exit(main(__doc__, run))
