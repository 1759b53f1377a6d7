"""Messages told to a whole shard one by one, for tests that say one rule each."""

from typing import Any

from engine.shard.fold import Fold
from engine.shard.stage import StageSettings
from tests.shard.folding import SLOTS, SYMBOLS, Groups, fold_groups
from tests.shard.messages import Message


class Shard:
    """The core stages; every message is a group of its own, unless a list says otherwise."""

    def __init__(self, precedence: tuple[str, ...] = ("EXCHANGE", "QUOTE", "TICK")) -> None:
        self.fold = Fold(SYMBOLS, SLOTS, StageSettings(precedence))
        self.notes: list[dict[str, Any]] = []  # of all slots so far
        self.rows: dict[str, list[dict[str, Any]]] = {}  # all rows so far, by channel

    def tell(self, *messages: Message | list[Message]) -> "Shard":
        """Fold messages; a list is one group."""
        groups: Groups = [each if isinstance(each, list) else [each] for each in messages]
        notes, emitted = fold_groups(self.fold, groups)
        self.notes += notes
        for channel, rows in emitted.items():
            self.rows.setdefault(channel, []).extend(rows)
        return self

    def all(self, channel: str) -> list[dict[str, Any]]:
        """Return all rows of a channel."""
        return self.rows.get(channel, [])

    def last(self, channel: str) -> dict[str, Any]:
        """Return the newest row of a channel."""
        return self.rows[channel][-1]
