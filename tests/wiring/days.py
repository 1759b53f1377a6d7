"""Journals of a few slots, for tests of those who open them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine import config as configuration
from engine.config import Config
from engine.journal.days import day_folder, journal_day, journal_root
from engine.journal.writer import JournalWriter
from engine.rundir import RunDir
from engine.schema.codes import Instrument, SlotFlag, SlotKind, Venue
from engine.schema.slots import SLOT, SYMBOL

NOON_NS = 1_795_150_800_000_000_000  # 2026-11-20 12:00 in Vietnam
DAY_NS = 86_400_000_000_000
SYMBOLS = (
    (1, b"FPT", Instrument.STOCK),
    (2, b"VN30", Instrument.INDEX),
    (4, b"HPG", Instrument.STOCK),
)


def settings(folder: Path, *overrides: str) -> Config:
    """Return a configuration whose every file is below `folder`."""
    return configuration.load(
        environ={},
        overrides=[
            f"run.dir={folder}",
            f"run.data_dir={folder}/data",
            "engine.ring_slots=4096",
            "engine.symbols_max=64",
            "gateway.port=0",
            "history.record=off",
            *overrides,
        ],
    )


def folder_of(config: Config, now_ns: int = NOON_NS) -> Path:
    """Return the folder of the day of a moment."""
    return day_folder(journal_root(RunDir.data_dir(config)), journal_day(now_ns))


def bite(first_seq: int, count: int, *, symbols: bool = False) -> NDArray[np.void]:
    """Return stamped slots that are one bite; with `symbols` the first ones introduce them."""
    slots = np.zeros(count, SLOT)
    slots["seq"] = first_seq + np.arange(count)
    slots["recv_ns"] = NOON_NS
    slots["kind"] = SlotKind.TRADE
    if symbols:
        for slot, (symbol_id, code, instrument) in zip(slots.view(SYMBOL), SYMBOLS, strict=False):
            slot["kind"], slot["symbol_id"], slot["code"] = SlotKind.SYMBOL, symbol_id, code
            slot["instrument"], slot["venue"] = instrument, Venue.HOSE
            slot["value_multiplier"] = symbol_id
    slots["flags"][-1] = SlotFlag.LAST | SlotFlag.BITE
    return slots


def write(folder: Path, shard: int, *bites: NDArray[np.void]) -> Path:
    """Append bites to a shard's journal; return its first file."""
    folder.mkdir(parents=True, exist_ok=True)
    first_seq = int(bites[0]["seq"][0])
    writer = JournalWriter(folder, shard, 0, 1, first_seq, fsync="none", now_ns=NOON_NS)
    for slots in bites:
        writer.next_seq = int(slots["seq"][0])
        assert writer.append(slots, len(slots), NOON_NS), writer.error
    writer.close()
    return min(folder.glob(f"shard-{shard}.*"))
