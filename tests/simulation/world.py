"""The whole system in one process under one seed: an event after the other, then the truth.

`World.run` plays a script. After it, and at every ``heal``, everybody is brought back, everything
is drained, and `checks` compares what is with what was published.
"""

import random
import tempfile
from pathlib import Path

from tests.simulation import checks, feed
from tests.simulation.errors import Crash, Violation
from tests.simulation.script import Event, Point, Script
from tests.simulation.system import MS, System

SECOND_NS = 1_000_000_000
HEAL_ROUNDS = 60
TRADES = 400  # of the day that is fed, with quotes and the rest some 700 frames


class World(System):
    """One simulation: plays a script on a system, and compares in the end."""

    # Playing ---------------------------------------------------------------------------------

    def run(self) -> None:
        """Play the script, heal, and check everything.

        Raises
        ------
        Violation
            Something happened that must not; the text has the script.
        """
        for at, event in enumerate([*self.script.events, Event("heal")]):
            try:
                self.play(event)
            except (Exception, Crash) as error:
                raise Violation(
                    f"{type(error).__name__}: {error}\n  at event {at} {event} of\n{self.script}"
                ) from error

    def play(self, event: Event) -> None:
        """Let one event happen."""
        dice = random.Random(event.dice)
        getattr(self, f"do_{event.name}")(dice, *event.arguments)

    # Events: the day -------------------------------------------------------------------------

    def do_frames(self, _dice: random.Random, count: int) -> None:
        """Let frames arrive, each in its time; nobody takes them while ingest is away."""
        self._arrive(count, in_time=True)

    def _arrive(self, count: int, *, in_time: bool) -> None:
        for due_ns, frame in self.frames[self.next_frame : self.next_frame + count]:
            self.pass_ns(max(0, due_ns - self.clock.passed_ns()) if in_time else MS)
            if self.ingest is not None:
                with self.alive("ingest"):
                    self.ingest.intake.on_frame(frame, self.clock.now_ns())
        self.next_frame += count

    def do_step(self, _dice: random.Random, count: int) -> None:
        """Let ingest decode and publish."""
        for _ in range(count):
            if self.ingest is not None:
                with self.alive("ingest"):
                    self.ingest.intake.step()
                    self.ingest.journals.report()

    def do_work(self, _dice: random.Random, shard: int, count: int) -> None:
        """Let a shard do its turns."""
        for _ in range(count):
            process = self.shards[shard]
            if process is not None:
                with self.alive(f"shard-{shard}"):
                    process.agent.do_work()

    def do_deliver(self, _dice: random.Random, shard: int, count: int) -> None:
        """Let bus frames arrive."""
        self.network.deliver(self.machine.run.delta_endpoint(shard), count)

    def do_drain(self, _dice: random.Random, gateway: int) -> None:
        """Let a gateway take what has arrived."""
        process = self.gateways[gateway]
        if process is not None:
            process.drain(self.clock.passed_ns())

    def do_tick(self, _dice: random.Random, ms: int) -> None:
        """Let time pass."""
        self.pass_ns(ms * MS)

    def do_sync(self, _dice: random.Random) -> None:
        """Let the disk have what was written."""
        self.machine.disk.sync_all()

    def do_save(self, _dice: random.Random, shard: int) -> None:
        """Let a shard save its state."""
        process = self.shards[shard]
        if process is not None:
            with self.alive(f"shard-{shard}"):
                process.save(self.clock.now_ns())

    def do_crowd(self, _dice: random.Random, count: int) -> None:
        """Let REST tell of many symbols at once: thousands of slots in one bite."""
        if self.ingest is not None:
            with self.alive("ingest"):
                self.ingest.intake.reference(feed.crowd(count), self.clock.now_ns())

    def do_restart(self, _dice: random.Random) -> None:
        """Let the supervisor bring back who is dead."""
        self.restart()

    # Events: trouble -------------------------------------------------------------------------

    def do_arm(self, _dice: random.Random, role: str, point: str, nth: int) -> None:
        """Let a process die when it passes a place for the nth time."""
        self.fuse.arm(role, Point[point], nth)

    def do_kill(self, _dice: random.Random, role: str) -> None:
        """Let a process die between two turns."""
        self.bury(role)

    def do_cut_short(self, dice: random.Random, shard: int, count: int) -> None:
        """Let a shard die just after it has sent much: what is under way is lost."""
        for _ in range(count):
            self._arrive(2, in_time=False)
            self.do_step(dice, 1)
            self.do_work(dice, shard, 2)
        self.bury(f"shard-{shard}")

    def do_poison(self, _dice: random.Random, shard: int) -> None:
        """Let the next slot of a shard kill whoever folds it."""
        if self.poisoned[shard] is None and self.published[shard]:
            self.poisoned[shard] = max(self.published[shard]) + 1

    def do_drop(self, _dice: random.Random, shard: int, count: int) -> None:
        """Let the bus lose frames."""
        self.network.deliver(self.machine.run.delta_endpoint(shard), count, drop=True)

    def do_fill_disk(self, _dice: random.Random, room_bytes: int) -> None:
        """Let the disk be full soon."""
        self.machine.disk.room_bytes = room_bytes

    def do_read_only(self, _dice: random.Random) -> None:
        """Let the disk refuse every change."""
        self.machine.disk.read_only = True

    def do_mend_disk(self, _dice: random.Random) -> None:
        """Let the disk be well again; ingest tries once a second."""
        self.machine.disk.room_bytes, self.machine.disk.read_only = None, False
        self.pass_ns(SECOND_NS)

    def do_flip(self, dice: random.Random, shard: int) -> None:
        """Flip one bit of a record in a journal."""
        checks.flip(self, shard, dice)

    def do_jump(self, _dice: random.Random, seconds: int) -> None:
        """Let somebody set the clock."""
        self.clock.jump_ns(seconds * SECOND_NS)

    def do_power(self, dice: random.Random) -> None:
        """Let the machine lose its power, and come back."""
        self.all_die()
        self.fuse.clear()
        self.machine.power_loss(dice)
        self.machine.disk.on_append = self._tear
        self.clock.pass_ns(10 * SECOND_NS)
        self.machine.power_on()
        self.begin_anew()
        self.restart()
        self.spoilt = True

    def do_orphan(self, _dice: random.Random) -> None:
        """Let the supervisor be killed, and its children with it; another one takes over."""
        self.all_die()
        self.fuse.clear()
        self.pass_ns(SECOND_NS)
        if not self.machine.start():
            self.begin_anew()
        self.restart()

    def do_stop(self, dice: random.Random) -> None:
        """Let an operator stop everything in order, and start it again."""
        self.fuse.clear()
        self.restart()
        self.do_step(dice, 1_000)
        assert self.ingest is not None
        self.ingest.journals.close()
        for shard in self.shards:
            assert shard is not None
            with self.alive(shard.role):
                shard.agent.close()
        self.pass_ns(SECOND_NS)
        for gateway in range(self.script.gateways):
            self.do_drain(dice, gateway)
        self.all_die()
        self.machine.stop()
        if not self.machine.start():
            self.begin_anew()
        self.restart()

    def do_heal(self, dice: random.Random) -> None:
        """Bring everybody back, let everything arrive, and compare."""
        self.fuse.clear()
        self.do_mend_disk(dice)
        for _ in range(HEAL_ROUNDS):
            self.restart()
            assert self.ingest is not None
            self.do_step(dice, 1_000)
            for shard in range(self.script.shards):
                self.do_work(dice, shard, 20)
                self.do_deliver(dice, shard, 10_000)
            for gateway in range(self.script.gateways):
                self.do_drain(dice, gateway)
            self.pass_ns(100 * MS)
            if self._is_quiet():
                break
        else:
            raise Violation(f"no rest after {HEAL_ROUNDS} rounds: {self.notes[-5:]}")
        checks.everything(self)

    def _is_quiet(self) -> bool:
        """Has everything that is under way arrived?"""
        return (
            self.ingest is not None
            and not self.ingest.intake._has_work()
            and all(
                shard is not None
                and shard.worker.follower.lag_slots == 0
                and shard.worker.live
                and not shard.agent._publisher.pending_bytes
                for shard in self.shards
            )
            and all(
                gateway is not None
                and gateway.subscriber.whole()
                and not gateway.subscriber.pending()
                for gateway in self.gateways
            )
        )


def play(script: Script, trades_max: int = TRADES) -> Violation | None:
    """Run a script in a folder of its own; return what it violated."""
    with tempfile.TemporaryDirectory(prefix="vntape-sim-") as folder:
        try:
            World(script, Path(folder), trades_max=trades_max).run()
        except Violation as violation:
            return violation
    return None
