"""What one v3 connection has asked for, told from the v2 lines of the day."""

from collections.abc import Callable, Collection, Sequence
from itertools import chain

from tools.simulator.lines import GREETING_MS, Line
from tools.simulator.v3_almanac import BOARD_ALIASES, BOARDS, Almanac
from tools.simulator.v3_render import SOURCES, broken, render, strange, unpack
from tools.simulator.v3_topics import FAN_OUT, FLAG, Topic
from tools.simulator.websocket import encode

Plan = tuple[tuple[str, str], ...]  # (topic type, interval) pairs


class TopicSet:
    """Topics, and which of them a line belongs to. Answers are kept until the set changes."""

    def __init__(self, almanac: Almanac) -> None:
        self._almanac = almanac
        self._topics: dict[str, Topic] = {}
        self._of_one: dict[str, list[Topic]] = {}  # code: the topics that name it and no other
        self._of_many: list[Topic] = []
        self._plans: dict[tuple[str, str], Plan] = {}

    def add(self, topics: Collection[Topic]) -> list[Topic]:
        """Add topics and return those that are new."""
        new = [topic for topic in dict.fromkeys(topics) if str(topic) not in self._topics]
        self._topics.update({str(topic): topic for topic in new})
        self._sort()
        return new

    def remove(self, topics: Collection[Topic]) -> None:
        """Remove topics; unknown ones are none of our business."""
        for topic in topics:
            self._topics.pop(str(topic), None)
        self._sort()

    def clear(self) -> None:
        """Remove every topic."""
        self._topics.clear()
        self._sort()

    @property
    def names(self) -> list[str]:
        """The topics as the server lists them, in the order they were asked for."""
        return list(self._topics)

    def plan(self, kind: str, code: str) -> Plan:
        """Return the (topic type, interval) pairs a line of v2 type `kind` is told under.

        Each only once, however many topics ask for it.
        """
        code = code.upper()
        found = self._plans.get((kind, code))
        if found is None:
            asked = (
                (topic.kind, "" if topic.interval == FAN_OUT else topic.interval)
                for topic in chain(self._of_one.get(code, ()), self._of_many)
                if SOURCES[topic.kind][0] == kind and self._takes(topic, code)
            )
            found = self._plans[kind, code] = tuple(dict.fromkeys(asked))
        return found

    def _sort(self) -> None:
        """Tell topics of one code, of which there may be thousands, from the others."""
        self._plans.clear()
        self._of_one, self._of_many = {}, []
        for topic in self._topics.values():
            if topic.kind == FLAG or _is_group(topic) or not topic.filter_.isalnum():
                self._of_many.append(topic)
            else:
                self._of_one.setdefault(topic.filter_, []).append(topic)

    def _takes(self, topic: Topic, code: str) -> bool:
        if topic.kind == FLAG:
            return code in self._almanac.heralds
        if _is_group(topic):
            return code in self._almanac.group(topic.filter_)
        return topic.takes(code)


def _is_group(topic: Topic) -> bool:
    """Return whether a topic fans out; `market` does so without asking when it names a board."""
    board = BOARD_ALIASES.get(topic.filter_, topic.filter_)
    return topic.interval == FAN_OUT or (topic.kind == "market" and board in BOARDS)


class Subscription:
    """`lines.Subscription` in v3.

    Topics that have just been added are greeted with the last word on them where the player
    greets at all; topics that were there before are not told it twice. Whether the real server
    greets is not known.

    Parameters
    ----------
    almanac
        The day as reference data.
    heard
        Told the market's time of day in ms with every batch.
    """

    def __init__(
        self, almanac: Almanac, heard: Callable[[int], None] = lambda _time_ms: None
    ) -> None:
        self._almanac = almanac
        self._heard = heard
        self._wanted = TopicSet(almanac)
        self._ungreeted = TopicSet(almanac)

    def subscribe(self, topics: Collection[Topic]) -> bool:
        """Add topics. Return whether any was new."""
        new = self._wanted.add(topics)
        self._ungreeted.add(new)
        return bool(new)

    def unsubscribe(self, topics: Collection[Topic]) -> None:
        """Remove topics."""
        self._wanted.remove(topics)
        self._ungreeted.remove(topics)

    @property
    def names(self) -> list[str]:
        """The topics as the server lists them."""
        return self._wanted.names

    @property
    def key(self) -> object:
        """Equal for connections that get the same bytes."""
        return ("v3", *sorted(self._wanted.names))

    def __bool__(self) -> bool:
        """Return whether anything at all is wanted."""
        return bool(self._wanted.names)

    def wants(self, kind: str, code: str) -> bool:
        """Return whether lines of this v2 type and code reach the client."""
        return bool(self._wanted.plan(kind, code))

    def frames(
        self,
        lines: Sequence[Line],
        per_frame: int,  # noqa: ARG002  # v3 has no batches: a frame is a message
        next_cursor: Callable[[], int],  # noqa: ARG002  # and no cursors
    ) -> bytes:
        """Return what is wanted of `lines` as WebSocket frames in one piece."""
        if not lines:
            return b""
        greeting = lines[-1][0] == GREETING_MS
        topics = self._ungreeted if greeting else self._wanted
        pieces: list[bytes] = []
        for _, kind, code, message in lines:
            plan = topics.plan(kind, code)
            if not plan:
                continue
            pieces += map(encode, self._told(plan, kind, code.upper(), message))
        self._ungreeted.clear()  # a player greets before it goes on, or never
        if not greeting:
            self._heard(lines[-1][0])
        return b"".join(pieces)

    def _told(self, plan: Plan, kind: str, code: str, message: bytes) -> list[bytes]:
        """Return the texts of the frames that one line becomes."""
        unpacked = unpack(message)
        if unpacked is None:
            return [broken(plan[0][0], code)]
        data_type, record = unpacked
        if data_type != kind:
            return [strange(data_type, code, record)]
        told = (render(*topic, code, record, self._almanac) for topic in plan)
        return [text for text in told if text is not None]
