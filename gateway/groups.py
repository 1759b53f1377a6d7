"""Who wants what: clients with the same subscriptions form a group, and share every frame.

A group resolves its topics to masks over symbol ids, again whenever the directory changes, which is
how a wildcard finds symbols that appear later.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from engine.schema.channels import CHANNELS
from gateway.directory import Directory
from gateway.topics import Topic, parse

if TYPE_CHECKING:
    from gateway.sinks import Client, Send

Mode = Literal["all", "conflate", "skip"]
Format = Literal["json", "bin"]
Masks = dict[int, NDArray[np.bool_]]  # channel code -> bool (capacity,)

MODES: tuple[Mode, ...] = ("all", "conflate", "skip")


@dataclass(frozen=True, slots=True)
class Spec:
    """How a topic is delivered. `interval_ms` is 0 but in mode conflate."""

    mode: Mode
    interval_ms: int


# Topic text -> one Spec per channel it names: `*` spans channels with different defaults.
Subscriptions = Mapping[str, Mapping[int, Spec]]
Signature = frozenset[tuple[str, int, Spec]]


def signature(subscriptions: Subscriptions) -> Signature:
    """Return what makes two clients of one format equal."""
    return frozenset(
        (topic, code, spec)
        for topic, specs in subscriptions.items()
        for code, spec in specs.items()
    )


class Group:
    """Clients that asked for the same, in the same format.

    Attributes
    ----------
    every
        Masks of the keys wanted in mode all.
    skip
        Masks of the keys wanted in mode skip.
    conflated
        Interval in ms -> masks of the keys wanted at that interval.
    active
        Clients that have taken everything so far -> how to send to them.
    behind
        Clients that have not: their transport holds bytes, or something is owed to them.
    heard_ns
        When the active ones were sent something last.
    """

    def __init__(self, subscriptions: Subscriptions, form: Format) -> None:
        self.signature = signature(subscriptions)
        self.format = form
        self.every: Masks = {}
        self.skip: Masks = {}
        self.conflated: dict[int, Masks] = {}
        self.active: dict[Client, Send] = {}
        self.behind: dict[Client, None] = {}
        self.heard_ns = 0
        self._version = -1
        self._topics: dict[int, list[tuple[Topic, Spec]]] = {}
        for text, specs in subscriptions.items():
            topic = parse(text)
            assert topic is not None, f"unchecked topic {text!r}"
            for code, spec in specs.items():
                self._topics.setdefault(code, []).append((topic, spec))
        self._specs = {
            code: list(dict.fromkeys(spec for _, spec in topics))
            for code, topics in self._topics.items()
        }
        self._finders: dict[int, tuple[dict[str, Spec], list[tuple[str, Spec]]]] = {}
        for code, topics in self._topics.items():
            topics.sort(key=lambda pair: pair[0].specificity)
            self._finders[code] = (
                {topic.pattern: spec for topic, spec in topics if not topic.wildcard},
                [(topic.pattern, spec) for topic, spec in reversed(topics) if topic.wildcard],
            )

    @property
    def empty(self) -> bool:
        """Has nobody stayed."""
        return not self.active and not self.behind

    def resolve(self, directory: Directory) -> bool:
        """Bring the masks up to date; say whether they changed."""
        if self._version == directory.version:
            return False
        self._version = directory.version
        self.every, self.skip, self.conflated = {}, {}, {}
        for code, topics in self._topics.items():
            owner = owners(topics, directory, board=CHANNELS[code].board)
            for spec in self._specs[code]:
                mine = np.array([*(each == spec for _, each in topics), False])  # -1: nobody's
                self._masks(spec)[code] = mine[owner]
        return True

    def introduce(self, ids: NDArray[np.int64], directory: Directory) -> bool:
        """Bring the masks up to date where ids got names; say whether they changed.

        The same as `resolve`, for a few ids among many groups: at the open symbols introduce
        themselves one by one, and nobody waits while every watch list is read again.
        """
        self._version = directory.version
        changes: list[tuple[int, int, Spec, bool]] = []
        for code in self._topics:
            board = CHANNELS[code].board
            for key_id in ids.tolist():
                name = directory.name(key_id, board=board)
                decides = None if name is None else self._decides(code, name)
                changes += [
                    (code, key_id, spec, spec == decides)
                    for spec in self._specs[code]
                    if bool(self._masks(spec)[code][key_id]) != (spec == decides)
                ]
        if not changes:
            return False
        # Tables and masks of before stay as they are: an audience forgets by them what it was told.
        self.every, self.skip = dict(self.every), dict(self.skip)
        self.conflated = {ms: dict(masks) for ms, masks in self.conflated.items()}
        for code, spec in dict.fromkeys((code, spec) for code, _, spec, _ in changes):
            self._masks(spec)[code] = self._masks(spec)[code].copy()
        for code, key_id, spec, wanted in changes:
            self._masks(spec)[code][key_id] = wanted
        return True

    def _decides(self, code: int, name: str) -> Spec | None:
        """Return how a key is wanted, by the most exact topic that names it."""
        exact, prefixes = self._finders[code]
        if name in exact:
            return exact[name]
        return next((spec for prefix, spec in prefixes if name.startswith(prefix)), None)

    def _masks(self, spec: Spec) -> Masks:
        if spec.mode == "all":
            return self.every
        if spec.mode == "skip":
            return self.skip
        return self.conflated.setdefault(spec.interval_ms, {})

    def deciding(self, code: int, directory: Directory) -> tuple[list[str], NDArray[np.int32]]:
        """Return the topics that name keys of a channel, and for each id which of them decides.

        Returns
        -------
        (texts, owner)
            `owner` is int32 (capacity,): an index into `texts`, -1 for none.
        """
        topics = self._topics.get(code, [])
        owner = owners(topics, directory, board=CHANNELS[code].board)
        return [topic.text for topic, _ in topics], owner

    def keys_of(self, texts: frozenset[str], directory: Directory) -> Masks:
        """Return the keys whose deciding topic is one of `texts`."""
        found: Masks = {}
        for code, topics in self._topics.items():
            chosen = [i for i, (topic, _) in enumerate(topics) if topic.text in texts]
            if chosen:
                found[code] = np.isin(self.deciding(code, directory)[1], chosen)
        return found


def owners(
    topics: list[tuple[Topic, Spec]], directory: Directory, *, board: bool
) -> NDArray[np.int32]:
    """Return for each id the index of the topic that decides, -1 for none.

    `topics` are of one channel, whose keys are the board's or symbols, and go from the vaguest to
    the most specific; a later one overrules.
    """
    owner: NDArray[np.int32] = np.full(len(directory.known), -1, np.int32)
    for index, (topic, _) in enumerate(topics):
        if topic.wildcard:
            owner[directory.match(topic.pattern, prefix=True, board=board)] = index
        else:  # most topics are such: no mask for each of them
            owner[directory.find(topic.pattern, board=board)] = index
    owner[0] = -1  # what nobody has introduced
    return owner
