"""A gateway that believes nothing, and the book of everything any gateway was ever told.

The gateway is the production one up to its mirror: `Subscriber` finds losses and asks for
snapshots, `Mirror` keeps the newest rows. Around it stands what a desk would check if it kept
everything: a sequence number means one row for ever, none is skipped unless a loss was told.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.bus.subscriber import Subscriber
from engine.bus.wire import BusFrame
from engine.schema.bus import BusKind
from engine.schema.channels import CHANNELS, Channel
from gateway.mirror import Mirror
from tests.simulation.errors import Violation

FRAMES_MAX = 64
Key = tuple[int, int, int, int, int]  # shard, epoch, channel, symbol_id, seq


class Told:
    """What every gateway was told: desks on other machines remember it over any restart."""

    def __init__(self) -> None:
        self._rows: dict[Key, bytes] = {}

    def check(
        self, shard: int, epoch: int, channel: Channel, rows: NDArray[np.void], who: str
    ) -> None:
        """Note rows; a number that was told before must be the same row."""
        raw = rows.tobytes()
        size = rows.dtype.itemsize
        ids, seqs = rows["symbol_id"].tolist(), rows["seq"].tolist()
        for at, (symbol_id, seq) in enumerate(zip(ids, seqs, strict=True)):
            row = raw[at * size : (at + 1) * size]
            key = (shard, epoch, channel.code, symbol_id, seq)
            before = self._rows.setdefault(key, row)
            if before != row:
                raise Violation(
                    f"{who}: shard {shard} epoch {epoch} says {channel.name} {symbol_id} "
                    f"seq {seq} anew: {differences(channel, before, row)}"
                )

    def of(self, shard: int, epoch: int) -> dict[tuple[int, int, int], bytes]:
        """Return every row told in an epoch of a shard, by channel, symbol and seq."""
        return {key[2:]: row for key, row in self._rows.items() if key[:2] == (shard, epoch)}

    def __len__(self) -> int:
        return len(self._rows)


def differences(channel: Channel, one: bytes, other: bytes) -> str:
    """Name the fields in which two rows differ."""
    rows = [np.frombuffer(row, channel.dtype)[0] for row in (one, other)]
    return ", ".join(
        f"{name} {rows[0][name]} != {rows[1][name]}"
        for name in channel.dtype.names or ()
        if rows[0][name].tobytes() != rows[1][name].tobytes()
    )


class Gateway:
    """One gateway process.

    Attributes
    ----------
    skipped
        Rows it never saw, by what the sequence numbers say; each after a loss that was told.
    """

    def __init__(
        self,
        name: str,
        network: Any,
        endpoints: list[tuple[str, str]],
        symbols_max: int,
        told: Told,
    ) -> None:
        self.name = name
        self.skipped = 0
        self.subscriber = Subscriber(network, endpoints)
        self.mirror = Mirror(symbols_max)
        self._told = told
        self._loss_told = [True] * len(endpoints)  # a newcomer has seen nothing
        self._left: set[tuple[int, int]] = set()  # epochs it has moved on from
        self._epochs: list[int | None] = [None] * len(endpoints)

    def drain(self, now_ns: int) -> int:
        """Take what has arrived. Return the number of bus frames."""
        frames = self.subscriber.drain(FRAMES_MAX, now_ns)
        for frame in frames:
            self._take(frame)
        return len(frames)

    def _take(self, frame: BusFrame) -> None:
        shard, epoch = frame.shard, frame.epoch
        before = self._epochs[shard]
        if before != epoch:
            if before is not None:
                self._left.add((shard, before))
            if (shard, epoch) in self._left:
                raise Violation(f"{self.name}: shard {shard} goes back to epoch {epoch}")
            self._epochs[shard] = epoch
            self._loss_told[shard] = True
        self.mirror.meet(shard, epoch)
        if frame.lost_frames:
            self._loss_told[shard] = True
        for channel, rows in frame.sections:
            self._told.check(shard, epoch, channel, rows, self.name)
            fresh, prev = self.mirror.apply(channel, rows, shard)
            jumps = fresh["seq"] - prev - 1
            skipped = int(jumps[prev > 0].sum())
            self.skipped += skipped
            if skipped and frame.kind is BusKind.DELTA and not self._loss_told[shard]:
                at = int(np.flatnonzero(jumps)[0])
                raise Violation(
                    f"{self.name}: shard {shard} {channel.name} {fresh['symbol_id'][at]} goes "
                    f"from seq {prev[at]} to {fresh['seq'][at]} and no loss was told"
                )
        if frame.kind is BusKind.SNAPSHOT_END and not self.subscriber._links[shard].wanted:
            self._loss_told[shard] = False

    def close(self) -> None:
        """End the process."""
        self.subscriber.close()

    def check_rows(self, shard: int, epoch: int, latest: dict[str, NDArray[np.void]]) -> None:
        """Compare everything it knows of a shard with the shard's own newest rows."""
        if self.mirror.epochs[shard] != str(epoch):
            raise Violation(
                f"{self.name}: shard {shard} is at epoch {epoch}, the mirror at "
                f"{self.mirror.epochs[shard] or 'none'}"
            )
        for channel in CHANNELS:
            rows = latest.get(channel.name)
            if rows is None:
                continue
            ids = np.flatnonzero(rows["seq"] > 0)
            for symbol_id in ids.tolist():
                want, have = rows[symbol_id].tobytes(), self.mirror.rows[channel.code][symbol_id]
                if have.tobytes() != want:
                    raise Violation(
                        f"{self.name}: shard {shard} {channel.name} {symbol_id} differs: "
                        f"{differences(channel, have.tobytes(), want)}"
                    )
            mine = (self.mirror.shard == shard) & (self.mirror.seq[channel.code] > 0)
            extra = sorted(set(np.flatnonzero(mine).tolist()) - set(ids.tolist()))
            if extra:
                raise Violation(
                    f"{self.name}: shard {shard} has no {channel.name} of {extra[:5]}, "
                    f"the mirror has"
                )
