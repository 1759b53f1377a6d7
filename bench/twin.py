"""The undisturbed run: the same frames through the same parts in this process, nobody killed.

It knows frames only, never the journal it is compared with.
"""

from typing import Any

import numpy as np
import orjson

from bench.row_checker import Known
from bench.steady_frames import SteadyFrames
from engine.config import Config
from engine.schema.channels import CHANNELS
from engine.shard.stage import StageSettings
from engine.wiring.local import LocalTape
from gateway.directory import Directory
from gateway.encode import REQUESTED, JsonCodec


class Twin:
    """A local tape that is brought to any chunk's end, in order.

    Parameters
    ----------
    frames
        Its own reading of the steady frames.
    config
        What the instance it is compared with was started with.
    """

    def __init__(self, frames: SteadyFrames, config: Config) -> None:
        self._frames = frames
        self._chunk = 0
        self.messages = 0
        self.tape = LocalTape(
            symbols_max=config.engine.symbols_max,
            settings=StageSettings.of(config),
            rules=config.rules,
        )
        self._reader = self.tape.shards[0].reader

    @property
    def seq(self) -> int:
        """Slots folded so far."""
        return self._reader.read_seq

    def step(self) -> None:
        """Play the next chunk."""
        batch, messages = self._frames.chunk(self._chunk)
        self.tape.intake.flush_batch(batch)
        self.tape.drain()
        self._chunk += 1
        self.messages += messages

    def advance(self, seq: int) -> None:
        """Play whole chunks until `seq` slots are folded.

        Raises
        ------
        AssertionError
            No chunk ends there: the other run published something else, or half a bite.
        """
        while self.seq < seq:
            self.step()
        assert self.seq == seq, f"no chunk ends at slot {seq}: chunk {self._chunk} at {self.seq}"
        rejected = int(self.tape.counters[0]["rejected"].sum())
        assert rejected == 0, f"{rejected} messages of the frames are refused"

    def digest(self) -> str:
        """Return the digest of its one shard."""
        return str(self.tape.shards[0].fold.digest())

    def shown(self) -> dict[str, tuple[int, dict[str, Any]]]:
        """Return what a client must end on: topic -> (seq, data), of every channel of a shard."""
        fold = self.tape.shards[0].fold
        directory = Directory(len(fold.latest["symbol"]))
        names = fold.latest["symbol"]
        directory.learn(names[names["seq"] > 0])
        found: dict[str, tuple[int, dict[str, Any]]] = {}
        for channel in CHANNELS:
            if not channel.public or channel.board:
                continue
            latest = fold.latest[channel.name]
            rows = np.ascontiguousarray(latest[latest["seq"] > 0])
            asked = np.full(len(rows), REQUESTED)
            for frame in JsonCodec(channel, directory).texts(rows, asked, [""] * len(rows)):
                message = orjson.loads(frame[frame.index('{"op"') :])
                found[message["topic"]] = message["seq"], message["data"]
        return found


def differences(
    shown: dict[str, tuple[int, dict[str, Any]]], told: dict[str, Known], limit: int = 10
) -> list[str]:
    """Say where the last rows that a client was told are not those of the undisturbed run."""
    found = [f"{topic}: never told" for topic in shown.keys() - told.keys()]
    for topic, (seq, data) in shown.items():
        row = told.get(topic)
        if row is None:
            continue
        if row.seq != seq:
            found.append(f"{topic}: ends on row {row.seq}, not {seq}")
        elif row.data != data:
            wrong = sorted(
                name for name in data.keys() | row.data if data.get(name) != row.data.get(name)
            )
            found.append(f"{topic}: row {seq} differs in {', '.join(wrong)}")
    return sorted(found)[:limit]
