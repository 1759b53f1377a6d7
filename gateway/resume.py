"""Where a client that comes back had been, and whether all it missed is still there.

A position is the seq a client has of a key. It counts only under the epoch it was given in: another
epoch numbers anew.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.schema.channels import CHANNELS
from gateway.delivery import Delivery
from gateway.directory import Directory
from gateway.encode import Encoded, ch_of
from gateway.frames import payload_of
from gateway.mirror import Mirror
from gateway.sinks import Client
from gateway.topics import parse

UNASKED: Final = -1
VOID: Final = -2  # a position was told, and is of another epoch or was never given
Positions = dict[int, NDArray[np.int64]]  # channel code -> (capacity,) seq, UNASKED for no word


@dataclass(frozen=True, slots=True)
class Since:
    """What a client says it has.

    Attributes
    ----------
    epochs
        Those its numbers are of.
    seq
        Topic -> seq of the last row it has. A wildcard says it of every key that is not named.
    """

    epochs: frozenset[str]
    seq: Mapping[str, int]


@dataclass(slots=True)
class Recovery:
    """How a topic goes on. `rows` is what its frames are news of."""

    recovered: bool
    rows: int


def positions_of(since: Since, mirror: Mirror, directory: Directory) -> Positions:
    """Return positions by id, as far as they can be believed.

    Left out are keys nobody knows. VOID are numbers of another epoch, or never given.
    """
    found: Positions = {}
    # Wildcards first: the exact ones overrule them.
    topics = [(topic, seq) for text, seq in since.seq.items() if (topic := parse(text)) is not None]
    for topic, seq in sorted(topics, key=lambda pair: pair[0].specificity):
        for channel in topic.channels:
            at = found.setdefault(channel.code, np.full(mirror.capacity, UNASKED, np.int64))
            at[directory.match(topic.pattern, prefix=topic.wildcard, board=channel.board)] = seq
    ours = np.array([epoch in since.epochs for epoch in mirror.epochs])
    good = ours[mirror.shard] | (mirror.shard < 0)  # a key without any row has no epoch yet
    for code, at in found.items():
        at[(at > 0) & (~good | (at > mirror.seq[code]))] = VOID
        at[(at == 0) & ~good] = UNASKED
    return found


def is_ahead(since: Since, mirror: Mirror, directory: Directory) -> bool:
    """Return whether a client has seen rows of a present epoch that we have not."""
    for text, seq in since.seq.items():
        topic = parse(text)
        if topic is None or topic.wildcard:
            continue
        channel = topic.channels[0]
        symbol_id = directory.find(topic.pattern, board=channel.board)
        shard = int(mirror.shard[symbol_id])
        ours = shard >= 0 and mirror.epochs[shard] in since.epochs
        if ours and seq > mirror.seq[channel.code][symbol_id]:
            return True
    return False


def recoveries(
    texts: list[str],
    owner: NDArray[np.int32],
    has_rows: NDArray[np.bool_],
    complete: NDArray[np.bool_],
    rows: NDArray[np.int64],
) -> dict[str, Recovery]:
    """Sum up per topic of one channel.

    Parameters
    ----------
    texts, owner
        Of `Group.deciding`.
    has_rows
        bool (capacity,): keys that have a row to show.
    complete
        bool (capacity,): keys that go on where the client was.
    rows
        int64 (capacity,): rows it is told now.
    """
    found = {text: Recovery(recovered=True, rows=0) for text in texts}
    for index, text in enumerate(texts):
        mine = owner == index
        found[text].recovered = bool(complete[mine & has_rows].all())
        found[text].rows = int(rows[mine].sum())
    return found


def replay(
    delivery: Delivery,
    client: Client,
    encoded: Encoded,
    code: int,
    rows: NDArray[np.void],
    now_ns: int,
) -> None:
    """Send rows of a channel that a client missed, then say of each key how many they were."""
    delivery.write(client, encoded.select(None), now_ns, len(rows))
    sums: dict[int, tuple[int, int, int, int]] = {}  # id -> first, last, count, crc
    for frame, symbol_id, seq in zip(
        encoded.frames(), rows["symbol_id"].tolist(), rows["seq"].tolist(), strict=True
    ):
        first, _, count, crc = sums.get(symbol_id, (seq, seq, 0, 0))
        sums[symbol_id] = (first, seq, count + 1, zlib.crc32(payload_of(frame), crc))
    for symbol_id, (first, last, count, crc) in sums.items():
        delivery.tell(
            client,
            {
                "op": "replay_end",
                "ch": ch_of(CHANNELS[code], symbol_id),
                "from": first,
                "to": last,
                "n": count,
                "crc": crc,
            },
            now_ns,
        )
