"""The system of a simulation: who lives, who is dead, what time it is, and where one dies.

    feed -> Intake -> journal -> ring -> ShardAgent -> (network) -> Subscriber -> Mirror
                        SimDisk                        SimNetwork     x gateways

Every part is production's; disk, network and clocks are simulated.
"""

import contextlib
import io
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from engine import segment
from engine.log import Log
from engine.ring.layout import view_ring
from engine.schema.codes import SlotKind
from engine.schema.slots import SYMBOL
from engine.wiring import shard as shard_module
from tests.simulation import feed
from tests.simulation.client import Gateway, Told
from tests.simulation.clock import SimClock
from tests.simulation.errors import Crash, Violation
from tests.simulation.fuse import Fuse
from tests.simulation.machine import SYMBOLS_MAX, Machine
from tests.simulation.network import SimNetwork
from tests.simulation.processes import Ingest, Lives, Shard
from tests.simulation.script import Point, Script

MS = 1_000_000
SIGKILL, SIGSEGV = -9, -11
DAY_RETRY_NS = 1_000 * MS
BUS_NS = 50 * MS  # on one machine no message of the bus takes longer


class System:
    """Every process of one machine, and what was published.

    Attributes
    ----------
    published
        Per shard: every slot that was on the ring, by seq, as long as the machine remembers it.
    attempted
        Per shard: every slot that was about to be written, by seq; of two lives the later one.
    code_of
        Per shard and seq: the code of the symbol that an attempted slot is of.
    poisoned
        Per shard: a slot that kills whoever folds it, or None.
    spoilt
        A bit was flipped or pages were lost, so readers of the journal are told of damage.
    notes
        What the processes logged, and how they died.
    """

    def __init__(self, script: Script, folder: Path, *, trades_max: int) -> None:
        self.script = script
        self.clock = SimClock(feed.MORNING_NS)
        self.fuse = Fuse()
        self.told = Told()
        self.network = SimNetwork(self._before_send)
        self.machine = Machine(script, folder, self.clock)
        self.frames = feed.deliveries(
            script.seed, feed.ROUGH if script.rough else feed.CALM, trades_max
        )
        self.next_frame = 0
        shards = range(script.shards)
        self.published: list[dict[int, bytes]] = [{} for _ in shards]
        self.attempted: list[dict[int, bytes]] = [{} for _ in shards]
        self.code_of: list[dict[int, bytes]] = [{} for _ in shards]
        self._codes: dict[int, bytes] = {}
        self.lives = [Lives() for _ in shards]
        self.poisoned: list[int | None] = [None for _ in shards]
        self.spoilt = False
        self.last_exit = [SIGKILL for _ in shards]
        self.ingest: Ingest | None = None
        self.shards: list[Shard | None] = [None for _ in shards]
        self.gateways: list[Gateway | None] = [None] * script.gateways
        self.rings: list[Any] = []
        self.notes: list[str] = []
        self._look_at_rings()
        self.machine.disk.torn = self._torn  # type: ignore[method-assign]
        self.machine.disk.on_append = self._tear
        self.restart()

    # Life and death --------------------------------------------------------------------------

    def restart(self) -> None:
        """Bring back who is dead, as the supervisor does."""
        if self.ingest is None:
            with self.alive("ingest"):
                self.ingest = Ingest(
                    self.machine.run,
                    self.clock,
                    self.machine.disk,
                    self.fuse,
                    self._publish,
                    self._attempt,
                    backlog_bytes=self.script.backlog_bytes,
                    log=Log("ingest", self.clock),
                )
        for index, shard in enumerate(self.shards):
            if shard is None:
                self._restart_shard(index)
        for index, gateway in enumerate(self.gateways):
            if gateway is None:
                run = self.machine.run
                endpoints = [
                    (run.delta_endpoint(shard), run.snapshot_endpoint(shard))
                    for shard in range(self.script.shards)
                ]
                self.gateways[index] = Gateway(
                    f"gateway-{index}", self.network, endpoints, SYMBOLS_MAX, self.told
                )

    def _restart_shard(self, index: int) -> None:
        self.pass_ns(MS)  # no two lives begin at one instant
        cell = self.machine.run.open_counters("shard", index, writable=True)[0]
        if cell["pid"]:
            cell["last_exit"] = self.last_exit[index]
        self.last_exit[index] = SIGKILL
        settled_seq = int(cell["settled_seq"])
        with self.alive(f"shard-{index}"):
            self.shards[index] = shard = Shard(
                self.machine.run,
                self.network,
                index,
                self.fuse,
                self.lives[index],
                lambda head: self._poison(index, head),
            )
            if shard.began_seq > settled_seq:
                raise Violation(
                    f"shard {index} begins at {shard.began_seq}, and only what is below "
                    f"{settled_seq} has certainly arrived"
                )

    @contextlib.contextmanager
    def alive(self, role: str) -> Iterator[None]:
        """Run a part of a process's life; it may end in here."""
        logged = io.StringIO()
        try:
            with (
                mock.patch.object(shard_module, "SystemClock", return_value=self.clock),
                contextlib.redirect_stderr(logged),
            ):
                yield
        except Crash as crash:
            self.notes.append(f"crash: {crash}")
            self.bury(role)
        finally:
            self.notes += logged.getvalue().splitlines()

    def bury(self, role: str) -> None:
        """Take a process away as SIGKILL does: nothing is flushed, nothing said."""
        name, _, number = role.partition("-")
        if role == "ingest":
            self.ingest = None
        elif name == "shard":
            index = int(number)
            self.shards[index] = None
            run = self.machine.run
            for endpoint in (run.delta_endpoint(index), run.snapshot_endpoint(index)):
                if endpoint in self.network.bound:
                    self.network.bound[endpoint].close()
        else:
            gateway = self.gateways[int(number)]
            if gateway is not None:
                gateway.close()
            self.gateways[int(number)] = None

    def all_die(self) -> None:
        for role in self._roles():
            self.bury(role)

    def begin_anew(self) -> None:
        """Forget what was only in memory: rings and saved states are new."""
        self._look_at_rings()
        self.lives = [Lives() for _ in self.lives]
        for shard, end_seq in enumerate(self.machine.opened.next_seqs):
            published = self.published[shard]
            for seq in [seq for seq in published if seq >= end_seq]:
                del published[seq]  # the journal has them not, so they are not published any more
            for seq in range(end_seq):  # written by one who died before he could publish them
                published.setdefault(seq, self.attempted[shard][seq])

    def _roles(self) -> list[str]:
        return [
            "ingest",
            *(f"shard-{index}" for index in range(self.script.shards)),
            *(f"gateway-{index}" for index in range(self.script.gateways)),
        ]

    def pass_ns(self, delta_ns: int) -> None:
        """Let time pass; messages do not stand still meanwhile."""
        if delta_ns >= BUS_NS:
            for shard in range(self.script.shards):
                self.network.deliver(self.machine.run.delta_endpoint(shard), 1_000_000)
        self.clock.pass_ns(delta_ns)
        if delta_ns >= DAY_RETRY_NS:
            self.machine.write_again()

    # Places to die at ------------------------------------------------------------------------

    def _tear(self, _path: Path, count: int) -> int | None:
        if self.fuse.is_due("ingest", Point.MID_APPEND):
            return random.Random(f"{count} {self.next_frame}").randint(0, count)
        return None

    def _torn(self, path: Path) -> None:
        raise Crash(f"ingest {Point.MID_APPEND} to {path.name}")

    def _before_send(self, address: str) -> None:
        for shard in range(self.script.shards):
            if address == self.machine.run.delta_endpoint(shard):
                self.fuse.pass_by(f"shard-{shard}", Point.MID_FLUSH)

    def _poison(self, shard: int, head: NDArray[np.void]) -> None:
        """Die of the poisoned slot, as of a bug in a kernel."""
        seq = self.poisoned[shard]
        if seq is not None and len(head):
            at = np.flatnonzero(head["seq"] == seq)
            if len(at) and head["kind"][at[0]] != feed.CONTROL_KIND:
                self.last_exit[shard] = SIGSEGV
                raise Crash(f"shard-{shard} of poisoned slot {seq}")

    def _attempt(self, shard: int, slots: NDArray[np.void]) -> None:
        """Note what is about to be written, and which symbol each slot is of."""
        for slot in slots:
            seq, symbol_id = int(slot["seq"]), int(slot["symbol_id"])
            raw = self.attempted[shard][seq] = slot.tobytes()
            if slot["kind"] == SlotKind.SYMBOL:
                self._codes[symbol_id] = np.frombuffer(raw, SYMBOL)["code"][0]
            self.code_of[shard][seq] = self._codes.get(symbol_id, b"")

    def _publish(self, shard: int, end_seq: int) -> None:
        """Note what has become visible on a ring."""
        known = self.published[shard]
        ring = self.rings[shard]
        first = max(known, default=-1) + 1
        first = max(first, end_seq - ring.capacity)
        for seq in range(first, end_seq):
            known[seq] = ring.slots[seq & (ring.capacity - 1)].tobytes()

    def _look_at_rings(self) -> None:
        run = self.machine.run
        self.rings = [
            view_ring(segment.open_readonly(run.ring_file(shard)).memory)
            for shard in range(self.script.shards)
        ]
