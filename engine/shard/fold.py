"""What a shard worker holds: the state of its symbols, and the one call that moves it on.

State is a pure function of the slots folded so far (design law 2): the same slots give the same
rows and the same digest, wherever the batches were cut between groups, and wherever the state was
saved by one fold and restored by another.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.schema.channels import Channel
from engine.schema.codes import SlotFlag
from engine.schema.slots import SLOT, Rows
from engine.shard import image
from engine.shard.digest import WORD_BYTES, Digest, absorb, digest_of
from engine.shard.image import Image
from engine.shard.stage import Stage, StageSettings
from engine.shard.stages import STAGES
from engine.shard.step import TALLY, fuse, plan

LAST = int(SlotFlag.LAST)
Sections = list[tuple[Channel, NDArray[np.void]]]  # channels that have news, with the rows


class RuleBook(Protocol):
    """Alert rules that look at published rows; ``engine.alerts`` has the one there is."""

    def attach(self, fold: "Fold") -> None:
        """Get to know the fold: its symbols, and where alert rows are kept."""
        ...

    def judge(self, sections: Sections) -> Sections:
        """Take the rows of one group; return them with alerts added.

        Rows that are returned must stay valid until the next call.
        """
        ...

    def save(self) -> Image:
        """Return what it remembers: ``rules``, int64 (n, w), column 0 a symbol's id, and more."""
        ...

    def restore(self, saved: Image) -> None:
        """Take back what `save` returned, all of it or, with SchemaMismatch, nothing."""
        ...


class FoldCounts(NamedTuple):
    """What happened since the start, over all symbols; fields of ``step.TALLY``."""

    slots: int
    matches: int
    repeats: int
    corrections: int
    baselines: int
    late: int
    missed_volume_shares: int
    ignored_slots: int
    day_rolls: int


assert FoldCounts._fields == TALLY.names


class Fold:
    """All stages of a shard over their preallocated memory.

    Parameters
    ----------
    symbol_capacity
        Rows of every state; symbol ids 1 .. symbol_capacity - 1 can be folded. Slots of other
        ids are ignored and counted.
    batch_capacity
        Slots of the largest batch `fold` will be given.
    settings
        What of the configuration the stages obey.
    hash_deltas
        Keep a running hash of every emitted row for `digest`.
    stages
        The stages in order; each with a channel keeps its last row in ``state["row"]``.
    rules
        Alert rules of the operator's own. With any, a batch is folded group by group, so that
        they see the rows of a group before those of the next, wherever batches were cut.

    Attributes
    ----------
    latest
        Channel name -> latest emitted row per symbol, dtype of the channel, shape
        (symbol_capacity,), index symbol_id; seq 0 where nothing was emitted yet. Live views into
        the stages' state, not contiguous: read them, or copy with ``latest[name][ids]``.

    Raises
    ------
    ConfigError
        A capacity that cannot work, or settings that a stage cannot obey.
    """

    def __init__(
        self,
        symbol_capacity: int,
        batch_capacity: int,
        settings: StageSettings | None = None,
        *,
        hash_deltas: bool = False,
        stages: Sequence[Stage] = STAGES,
        rules: RuleBook | None = None,
    ) -> None:
        if symbol_capacity < 2 or batch_capacity < 1:
            raise ConfigError(
                f"a shard needs room for 2 symbols and 1 slot; got symbol_capacity "
                f"{symbol_capacity}, batch_capacity {batch_capacity}"
            )
        self.batch_capacity = batch_capacity
        self.stages = tuple(stages)
        self._plan = plan(self.stages, symbol_capacity, batch_capacity)
        self._memory = _aligned_zeros(self._plan.size_bytes)
        self._bounds = self._plan.bounds()
        self._out_counts = np.zeros(len(self.stages) + 1, np.int64)
        self._step = fuse(self.stages)
        self.notes: NDArray[np.void] = self._plan.notes.view(self._memory)
        self._tally = self._plan.tally.view(self._memory)
        self._states = [place.state.view(self._memory) for place in self._plan.stages]
        self._outs: list[tuple[int, Channel, NDArray[np.void]]] = []
        self.latest: dict[str, NDArray[np.void]] = {}
        for index, (stage, place) in enumerate(zip(self.stages, self._plan.stages, strict=True)):
            if stage.fill is not None:
                stage.fill(place.params.view(self._memory), settings or StageSettings())
            if stage.channel is not None:
                self._outs.append((index, stage.channel, place.out.view(self._memory)))
                self.latest[stage.channel.name] = self._states[index]["row"]
        self._rules = rules
        if rules is not None:
            rules.attach(self)
        self._chains: dict[str, NDArray[np.uint64]] | None = None
        if hash_deltas:
            self._chains = {name: np.zeros(symbol_capacity, np.uint64) for name in self.latest}
        self._layout = image.layout_of(self.stages)

    def fold(self, rows: Rows) -> Sections:
        """Fold one batch.

        Parameters
        ----------
        rows
            A whole number of groups, at most `batch_capacity` slots. ``rows.head`` must be
            the contiguous SLOT array itself, as ``slots.rows_over`` gives it.

        Returns
        -------
        list of (Channel, rows)
            Channels that have news, in the order of the stages. Views into the fold's memory:
            valid until the next call.
        """
        count = rows.count
        assert count <= self.batch_capacity, (
            f"batch of {count} slots, the fold was built for {self.batch_capacity}"
        )
        if self._rules is None:
            news = self._run(rows.head, count)
        else:
            news = self._run_by_group(self._rules, rows.head, count)
        if self._chains is not None:
            for channel, emitted in news:
                words = emitted.view(np.uint64)
                row_words = emitted.dtype.itemsize // WORD_BYTES
                absorb(words, row_words, emitted["symbol_id"], self._chains[channel.name])
        return news

    def _run(self, head: NDArray[np.void], count: int) -> Sections:
        self._step(head, count, self._memory, self._bounds, self._out_counts)
        out_counts = self._out_counts.tolist()
        return [
            (channel, out[: out_counts[index]])
            for index, channel, out in self._outs
            if out_counts[index]
        ]

    def _run_by_group(self, rules: RuleBook, head: NDArray[np.void], count: int) -> Sections:
        """Fold one group after the other and let the rules judge each; join what comes out."""
        parts: dict[int, tuple[Channel, list[NDArray[np.void]]]] = {}
        notes = np.empty(count, self.notes.dtype)
        first = 0
        for end in (np.flatnonzero(head["flags"][:count] & LAST) + 1).tolist():
            sections = self._run(head[first:end], end - first)
            notes[first:end] = self.notes[: end - first]
            for channel, rows in rules.judge(sections):
                parts.setdefault(channel.code, (channel, []))[1].append(rows.copy())
            first = end
        self.notes[:count] = notes
        order = [channel.code for _, channel, _ in self._outs]
        return [(parts[code][0], np.concatenate(parts[code][1])) for code in order if code in parts]

    def warm(self) -> None:
        """Compile everything by folding an empty batch; state does not change."""
        self._step(np.zeros(1, SLOT), 0, self._memory, self._bounds, self._out_counts)
        absorb(np.zeros(0, np.uint64), 1, np.zeros(0, SLOT)["symbol_id"], np.zeros(1, np.uint64))

    @property
    def counts(self) -> FoldCounts:
        """What happened since the start."""
        return FoldCounts(*self._tally[0].tolist())

    def state(self, stage_name: str) -> NDArray[np.void]:
        """Return a stage's live state, shape (symbol_capacity,): for tools and tests."""
        return self._states[[stage.name for stage in self.stages].index(stage_name)]

    @property
    def _used(self) -> int:
        """Rows in use: ids from here on were never met, and their state is zero."""
        return int(self._out_counts[-1]) + 1

    def digest(self) -> Digest:
        """Return what tells two folds apart: the meaning of all states and, if kept, all rows.

        Equal for equal slots, whatever the batches and the capacities. A fold with and one without
        `hash_deltas` are not comparable.
        """
        return digest_of(
            {stage.name: rows for stage, rows in zip(self.stages, self._states, strict=True)},
            self._used,
            self._tally,
            self._chains,
            self.latest,
            self._rules.save()["rules"] if self._rules else np.zeros((0, 1), np.int64),
        )

    def save(self) -> Image:
        """Return all that `restore` needs to go on from here: copies, see ``image``.

        Its size grows with the highest symbol id met, about 21 kB a symbol.
        """
        used = self._used
        saved: Image = {"layout": self._layout, "tally": self._tally.view(np.int64).copy()}
        for stage, rows in zip(self.stages, self._states, strict=True):
            saved[f"state.{stage.name}"] = _bytes_of(rows)[:used].copy()
        for name, chain in (self._chains or {}).items():
            saved[f"chain.{name}"] = chain[:used].copy()
        return saved | (self._rules.save() if self._rules else {})

    def restore(self, saved: Image) -> None:
        """Become the fold that `save` was called on; the next slots continue from there.

        Settings and rules are this fold's own: whoever restores sees to it that they are the same.

        Parameters
        ----------
        saved
            From a fold of the same stages, with no more symbols than this one has room for.
            Copied, so it may be used again.

        Raises
        ------
        SchemaMismatch
            It is not such a fold's. Nothing has changed then.
        """
        image.check_layout(saved, self._layout)
        arrays: list[tuple[NDArray[Any], str]] = [(self._tally.view(np.int64), "tally")]
        for stage, rows in zip(self.stages, self._states, strict=True):
            arrays.append((_bytes_of(rows), f"state.{stage.name}"))
        for name, chain in (self._chains or {}).items():
            arrays.append((chain, f"chain.{name}"))
        parts = [(own, image.part(saved, name, own)) for own, name in arrays]
        if self._rules:
            self._rules.restore(saved)
        used_before = self._used
        for own, part in parts:
            own[: len(part)] = part
            own[len(part) : used_before] = 0
        self._out_counts[-1] = len(saved[f"state.{self.stages[0].name}"]) - 1


def _bytes_of(rows: NDArray[np.void]) -> NDArray[np.uint8]:
    """See records as bytes, uint8 (n, bytes of one); no copy."""
    return rows.view(np.uint8).reshape(len(rows), -1)


def _aligned_zeros(size_bytes: int) -> NDArray[np.uint8]:
    """Return zeroed bytes that start on a cache line; pages are touched when first used."""
    line = 64
    raw = np.zeros(size_bytes + line, np.uint8)
    start = -raw.ctypes.data % line
    return raw[start : start + size_bytes]
