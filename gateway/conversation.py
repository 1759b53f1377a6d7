"""What a conversation with a client is made of: its state, its limits, what a message leads to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Protocol

from engine.schema.channels import Channel
from engine.tokens import Token
from gateway.errors import ErrorCode
from gateway.groups import Subscriptions
from gateway.recent import Query
from gateway.resume import Since

MESSAGES_PER_SECOND_MAX: Final = 100


class State(Enum):
    """Where a conversation is."""

    WAITING = "waiting"  # for a token
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client is told in `hello` and held to."""

    topics_max: int
    message_bytes_max: int
    conflate_ms: int
    intervals_ms: tuple[int, ...]

    def interval(self, wish_ms: int) -> int:
        """Return the offered interval for a wish: the next longer one, or the longest."""
        return next((step for step in self.intervals_ms if step >= wish_ms), self.intervals_ms[-1])


class World(Protocol):
    """What the conversation may look up."""

    def key_id(self, channel: Channel, code: str) -> int:
        """Return the id of a channel's key, 0 if unknown."""
        ...

    def seq_of(self, channel: Channel, code: str) -> int:
        """Return the seq of a key's latest row, 0 if none."""
        ...

    def codes(self, *, board: bool) -> list[str]:
        """Return all codes of symbols, or of the board, sorted."""
        ...

    def recent(self, query: Query) -> list[object]:
        """Return the last rows of a channel, newest last."""
        ...

    def token_of(self, secret: str) -> Token | None:
        """Return the token with this secret, None when there is none."""
        ...

    def replays_free(self) -> int:
        """Return how many more time travels there may be."""
        ...


@dataclass(frozen=True, slots=True)
class Travel:
    """A time travel: the day again, from a moment on, until it is now.

    Attributes
    ----------
    request_id
        The client's; `replay_end` repeats it.
    topics
        What it is about, and how it goes on live.
    from_s
        Second of the day, exchange time, UTC+7.
    speed
        Times as fast as it was; 0 as fast as it is read.
    """

    request_id: object
    topics: Subscriptions
    from_s: int
    speed: float


@dataclass(frozen=True, slots=True)
class Conversation:
    """All there is to know about a client between two messages.

    Attributes
    ----------
    token
        Who it is; None when nobody needs one, or before it was said.
    """

    state: State = State.OPEN
    token: Token | None = None
    subscriptions: Subscriptions = field(default_factory=dict)
    travel: Travel | None = None
    errors_in_a_row: int = 0
    window_start_ns: int = 0
    window_messages: int = 0

    @property
    def scopes(self) -> tuple[str, ...]:
        """What it may see."""
        return ("*",) if self.token is None else self.token.scopes


@dataclass(frozen=True, slots=True)
class Step:
    """What a message led to.

    Attributes
    ----------
    reply
        The answer. Entries of `sub_ok` still lack how far each topic went back (`since`).
    shown
        Topics whose keys are to be shown now.
    snapshot
        Whether their state is wanted where they do not go on from `since`.
    travel
        A time travel to begin.
    bad
        An error was answered.
    forbidden
        Topics refused because of the token.
    close
        To be closed after the reply.
    """

    conversation: Conversation
    reply: Mapping[str, object]
    shown: frozenset[str] = frozenset()
    snapshot: bool = True
    since: Since | None = None
    travel: Travel | None = None
    bad: bool = False
    forbidden: int = 0
    close: ErrorCode | None = None


class Refusal(Exception):
    """The message cannot be done; says why, and what would be right."""

    def __init__(self, code: ErrorCode, message: str, *, close: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.close = close


@dataclass(frozen=True, slots=True)
class Said:
    """One request and all it is judged by."""

    request: Mapping[str, Any]
    head: Mapping[str, object]  # `id` for the answer, if there was one
    world: World
    limits: Limits
    now_ns: int


Verb = Callable[[Conversation, Said], Step]
