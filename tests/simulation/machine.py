"""The machine: shared memory, disk and trading day, as a supervisor makes them.

`power_on` is what a supervisor does before it starts its children; `power_loss` takes everything
away that is not on the disk, and some of what is.
"""

import random
import shutil
from pathlib import Path

from engine.clock import Clock
from engine.config import Config, EngineConfig, GatewayConfig, JournalConfig, RunConfig
from engine.journal.days import journal_day
from engine.rundir import RunDir
from engine.wiring.open_day import OpenDay, close_day, open_day, write_again
from engine.wiring.shared_memory import (
    adopt,
    make_counters,
    make_day,
    manifest_facts,
    published_seqs,
    why_not_adopt,
)
from tests.simulation.disk import SimDisk
from tests.simulation.script import Script

RING_SLOTS = 4_096  # the smallest there is: a reader is soon overtaken
SYMBOLS_MAX = 2_048


def configuration(script: Script, folder: Path) -> Config:
    """Return the configuration of a simulation."""
    return Config(
        run=RunConfig(name="sim", dir=str(folder / "shm"), data_dir=str(folder / "data")),
        engine=EngineConfig(shards=script.shards, ring_slots=RING_SLOTS, symbols_max=SYMBOLS_MAX),
        journal=JournalConfig(fsync=script.fsync),
        gateway=GatewayConfig(count=script.gateways),
    )


class Machine:
    """One machine over all its lives.

    Attributes
    ----------
    opened
        The trading day as the last `power_on` found it.
    boots
        How often it was powered on.
    """

    def __init__(self, script: Script, folder: Path, clock: Clock) -> None:
        self.config = configuration(script, folder)
        self.disk = SimDisk()
        self.run = RunDir.of(self.config)
        self.data_dir = RunDir.data_dir(self.config)
        self.boots = 0
        self._clock = clock
        self.opened: OpenDay
        self.power_on()

    def power_on(self) -> None:
        """Start the machine and, on it, a supervisor."""
        self.boots += 1
        self.start()

    def start(self) -> bool:
        """Do what a supervisor does before its children; return whether memory was adopted."""
        run, config, now_ns = self.run, self.config, self._clock.now_ns()
        run.path.mkdir(parents=True, exist_ok=True)
        left = any(run.path.iterdir())
        opened = self.opened = open_day(
            config,
            self.data_dir,
            now_ns,
            published=published_seqs(run, journal_day(now_ns)),
            boot=f"boot-{self.boots}",
            disk=self.disk,
        )
        facts = manifest_facts(config, opened, now_ns)
        adopts = left and not why_not_adopt(run, facts, opened)
        if adopts:
            adopt(run, config)
        else:
            run.sweep()
            make_counters(run, config)
            make_day(run, config, opened)
        run.write_config(config)
        run.write_manifest(facts)
        return adopts

    def write_again(self) -> None:
        """Do what the supervisor does every few seconds for a day that could not be written."""
        self.opened = write_again(self.opened, self.disk)

    def power_loss(self, dice: random.Random) -> None:
        """Lose the memory, and of the disk what was not synced."""
        shutil.rmtree(self.run.path)
        self.disk.power_loss(dice)

    def stop(self) -> None:
        """End the supervisor in order, its children have ended: as `Supervisor` does it."""
        if not self.run.open_counters("ingest", 0)[0]["journal_failing"]:
            close_day(self.opened, self.disk)
            shutil.rmtree(self.run.path)

    @property
    def journal(self) -> Path:
        """The day's folder."""
        assert self.opened.folder is not None
        return self.opened.folder
