"""What happens in a simulation, drawn from one seed before it begins.

A script is data: the same seed gives the same one, it prints itself, and events can be taken out
of it without changing what the others do, because each carries its own dice.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

CRASH_NTH = (1, 1, 2, 4)
EVENTS = 140


class Point(StrEnum):
    """Where a process can be made to die."""

    MID_APPEND = "in the middle of a journal append"
    BEFORE_PUBLISH = "between journal and ring"
    MID_PUBLISH = "with a group half written to the ring"
    BEFORE_FOLD = "before a fold"
    AFTER_FOLD = "between fold and bus"
    MID_FLUSH = "between two bus frames"
    AFTER_FLUSH = "after the bus, before the counters"
    MID_SAVE = "with a state half saved"
    AFTER_SAVE = "after a state was saved"


INGEST_POINTS = (Point.MID_APPEND, Point.BEFORE_PUBLISH, Point.MID_PUBLISH)
SHARD_POINTS = tuple(point for point in Point if point not in INGEST_POINTS)


@dataclass(frozen=True)
class Event:
    """One thing that happens; `World` has a method ``do_<name>`` that takes the arguments."""

    name: str
    arguments: tuple[int | str, ...] = ()
    dice: int = 0  # what the event itself draws from

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.arguments))})"


@dataclass(frozen=True)
class Script:
    """One simulation.

    Attributes
    ----------
    seed
        What it was drawn from; also decides how frames are delivered.
    shards, gateways
        How many processes of each.
    rough
        Frames are dropped, repeated, overtaken, late and cut.
    backlog_bytes
        Frames that may wait in the intake.
    fsync
        ``none`` (an event syncs now and then) or ``always``.
    events
        In order; a heal and a check of everything follows the last one.
    """

    seed: int
    shards: int
    gateways: int
    rough: bool
    backlog_bytes: int
    fsync: str
    events: tuple[Event, ...]

    def __str__(self) -> str:
        head = (
            f"seed {self.seed}: {self.shards} shards, {self.gateways} gateways, "
            f"{'rough' if self.rough else 'calm'} feed, backlog {self.backlog_bytes} bytes, "
            f"fsync {self.fsync}"
        )
        return "\n".join([head, *(f"{at:4} {event}" for at, event in enumerate(self.events))])

    def without(self, first: int, end: int) -> "Script":
        """Return the script without events [first, end)."""
        return replace(self, events=self.events[:first] + self.events[end:])


# name -> how often, compared with the others
USUAL = {
    "frames": 30.0,
    "step": 26.0,
    "work": 26.0,
    "deliver": 22.0,
    "drain": 16.0,
    "tick": 14.0,
    "sync": 6.0,
    "save": 5.0,
    "restart": 12.0,
    "heal": 3.0,
}
TROUBLE = {
    "arm": 9.0,
    "kill": 6.0,
    "cut_short": 3.0,
    "drop": 2.0,
    "fill_disk": 1.5,
    "read_only": 1.0,
    "mend_disk": 3.0,
    "flip": 0.7,
    "power": 1.0,
    "jump": 1.5,
    "crowd": 0.6,
    "poison": 0.6,
    "orphan": 1.0,
    "stop": 0.6,
}

CHOSEN = 6.0  # of trouble that was asked for
REFUSALS = frozenset({"fill_disk", "read_only"})  # after these the journal has holes


def draw(seed: int, events: int = EVENTS, trouble: Iterable[str] | None = None) -> Script:
    """Draw a simulation.

    Parameters
    ----------
    seed
        Any integer.
    events
        How many.
    trouble
        Names of TROUBLE that happen, often; None: a choice of them, drawn too, because a run in
        which everything happens at once seldom gets far enough to be interesting.
    """
    dice = random.Random(f"script {seed}")
    shards = dice.choice((1, 1, 2))
    names = dice.sample(sorted(TROUBLE), dice.randint(2, len(TROUBLE)))
    weights = USUAL | {name: TROUBLE[name] for name in names}
    if trouble is not None:
        weights = USUAL | dict.fromkeys(sorted(trouble), CHOSEN)
    script = Script(
        seed,
        shards,
        gateways=2,
        rough=dice.random() < 0.6,
        backlog_bytes=dice.choice((1 << 26, 1 << 26, 20_000)),
        fsync=dice.choice(("none", "none", "always")),
        events=(),
    )
    drawn = dice.choices(list(weights), list(weights.values()), k=events)
    return replace(script, events=tuple(_event(name, script, dice) for name in drawn))


def _event(name: str, script: Script, dice: random.Random) -> Event:
    shard = dice.randrange(script.shards)
    gateway = dice.randrange(script.gateways)
    arguments: dict[str, Callable[[], tuple[int | str, ...]]] = {
        "frames": lambda: (dice.randint(1, 12),),
        "step": lambda: (dice.randint(1, 4),),
        "work": lambda: (shard, dice.randint(1, 4)),
        "deliver": lambda: (shard, dice.randint(1, 5)),
        "drain": lambda: (gateway,),
        "tick": lambda: (dice.choice((1, 20, 300, 700, 5_000)),),
        "save": lambda: (shard,),
        "arm": lambda: _armed(shard, dice),
        "kill": lambda: (_role(shard, gateway, dice),),
        "cut_short": lambda: (shard, dice.randint(2, 6)),
        "drop": lambda: (shard, dice.randint(1, 3)),
        "fill_disk": lambda: (dice.randint(0, 6_000),),
        "flip": lambda: (shard,),
        "poison": lambda: (shard,),
        "jump": lambda: (dice.choice((-7_200, -30, -1, 30, 600)),),
        "crowd": lambda: (dice.choice((300, 1_200)),),
    }
    drawn = arguments.get(name, lambda: ())()
    return Event(name, drawn, dice.randrange(1 << 30))


def _role(shard: int, gateway: int, dice: random.Random) -> str:
    return dice.choice(("ingest", f"shard-{shard}", f"shard-{shard}", f"gateway-{gateway}"))


def _armed(shard: int, dice: random.Random) -> tuple[int | str, ...]:
    point = dice.choice(tuple(Point))
    role = "ingest" if point in INGEST_POINTS else f"shard-{shard}"
    return (role, point.name, dice.choice(CRASH_NTH))


def shrink(script: Script, fails: Callable[[Script], bool]) -> Script:
    """Return a shorter script that still fails, by taking out whatever is not needed."""
    size = max(1, len(script.events) // 2)
    while True:
        first = 0
        while first < len(script.events):
            shorter = script.without(first, first + size)
            if fails(shorter):
                script = shorter
            else:
                first += size
        if size == 1:
            return script
        size //= 2
