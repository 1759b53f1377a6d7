"""What fan-out costs beside the least a server can do, and how much of it two cores carry.

Three servers send the same rows to the same clients, in turn:

    reference   a small epoll program in C: one `send` of prebuilt bytes per client and write
    delivery    the gateway's sockets and its way of sending, in a process that does nothing else
    gateway     a whole gateway process: bus, mirror, encoding, groups, delivery

Prebuilt bytes are frames that the gateway itself sent. Cost is the processor time of the server
process alone, by the scheduler's account, over the updates that clients counted; a ratio is
reference / ours of one round, 1 being as cheap as the reference. The client is compiled too, counts
every frame and checks the sequences of a few connections.

one update at a time    a row per write, to 10, 100 and 1,000 clients
joined                  a thousand clients that follow everything. The gateway may join publishes
                        into one write; what its clients found in a read on average is what the
                        reference joins as well. Writes are joined again on the way, so this is
                        at least what the gateway joined, and the reference is not made dearer
                        than it must be. What it costs to write at every publish is told as
                        `reference_each`
a hundred desks         100 clients, 3,000 updates/s

    python -m bench.bench_fanout [--small] [--json PATH]
"""

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench.cli import Size, main
from bench.fanout_figures import ages_ms, joined, ratio, spread
from bench.fanout_rows import TOPICS
from bench.fanout_stage import PREBUILT_FRAMES, Server, Stage, cpu_ns, stage
from gateway.connection import UNSENT_LOW_BYTES

SYMBOLS: Final = 1_000
EVERYTHING: Final = {
    "op": "sub",
    "topics": TOPICS,
    "mode": "all",
    "interval_ms": 0,
    "snapshot": False,
}
WARM_S: Final = 0.3
CHECKED: Final = 2  # connections whose sequences are followed


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is played to whom.

    Attributes
    ----------
    clients
        All of them subscribe to everything.
    writes_per_s, per_write
        Publishes a second, and rows in each.
    timed
        One frame in so many is timed.
    """

    clients: int
    writes_per_s: int
    per_write: int
    timed: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """A size of the bench."""

    rounds: int
    seconds: float
    forms: tuple[str, ...]
    single: dict[str, Scenario]
    flood: dict[str, Scenario]
    desks: Scenario


class NotCarriedError(RuntimeError):
    """A client missed an update, was sent one out of order, or was cut off."""


# One update at a time: about 40,000 deliveries a second whatever the number of clients.
PLANS: Final[dict[Size, Plan]] = {
    "full": Plan(
        rounds=8,
        seconds=4.0,
        forms=("json", "bin"),
        single={str(n): Scenario(n, 40_000 // n, 1) for n in (10, 100, 1_000)},
        flood={
            "10m_per_s": Scenario(1_000, 250, 40, timed=101),
            "20m_per_s": Scenario(1_000, 250, 80, timed=101),
        },
        desks=Scenario(100, 3_000, 1),
    ),
    "small": Plan(
        rounds=2,
        seconds=0.5,
        forms=("json",),
        single={"10": Scenario(10, 200, 1)},
        flood={"joined": Scenario(20, 50, 10)},
        desks=Scenario(10, 300, 1),
    ),
}


def one_run(
    on: Stage, server: Server, scenario: Scenario, seconds: float, publishes: int = 1
) -> dict[str, Any]:
    """Play a scenario once on one server.

    Parameters
    ----------
    publishes
        So many publishes become one write.

    Returns
    -------
    dict
        What the clients counted and what the server spent.

    Raises
    ------
    NotCarriedError
        Something is missing, or somebody.
    """
    rate = scenario.writes_per_s / publishes
    per_write = scenario.per_write * publishes
    checked = CHECKED if server.name == "gateway" else 0  # prebuilt frames come round again
    with on.load(
        server, scenario.clients, [EVERYTHING], checked=checked, every=scenario.timed
    ) as load:
        server.player.ask(f"play {rate} {per_write} {WARM_S}")
        load.idle()
        load.ask("mark")
        before_ns = cpu_ns(server.pid)
        played = server.player.ask(f"play {rate} {per_write} {seconds}")
        got = load.idle()
        spent_ns = cpu_ns(server.pid) - before_ns
    if got["updates"] != played["frames"] * scenario.clients or got["breaks"]:
        raise NotCarriedError(
            f"{server.name}: {got['updates']} updates of {played['frames']} x {scenario.clients}, "
            f"{got['breaks']} out of order, {got['open']} clients left, closed {got['closes']}"
        )
    # Until the last client had the last of it: longer than `seconds` when that is too much.
    took_s = (got["last_ns"] - played["began_ns"]) / 1e9
    return {
        "updates_per_s": played["frames"] / took_s,
        "deliveries_per_s": got["updates"] / took_s,
        "cpu_us_per_delivery": spent_ns / 1_000 / got["updates"],
        "core_share": spent_ns / 1e9 / took_s,
        "client_core_share": got["cpu_ns"] / 1e9 / took_s,
        "frames_per_read": got["frames"] / got["reads"],
        "bytes_per_frame": got["bytes"] / got["frames"],
        "player_late_ms": played["late_ns"] / 1e6,
        "publishes_per_write": publishes,
        "age_us": got["age_us"],
    }


def told(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what several runs of one server amount to."""
    plain = [name for name in runs[0] if name not in ("age_us", "cpu_us_per_delivery")]
    return {
        "cpu_us_per_delivery": spread([run["cpu_us_per_delivery"] for run in runs], 4),
        **{name: round(statistics.median(run[name] for run in runs), 4) for name in plain},
        "age_ms": ages_ms(joined([run["age_us"] for run in runs])),
        "age_p99_ms": spread([ages_ms(run["age_us"])["p99"] for run in runs]),
    }


def compared(runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return all servers of a scenario, and the ratios of their costs."""
    cost = {name: [run["cpu_us_per_delivery"] for run in some] for name, some in runs.items()}
    return {
        **{name: told(some) for name, some in runs.items()},
        "ratios": {
            f"{reference}/{ours}": ratio(cost[reference], cost[ours])
            for reference in runs
            if reference.startswith("reference")
            for ours in ("delivery", "gateway")
        },
    }


def rounds_of(
    on: Stage, servers: dict[str, Server], scenario: Scenario, plan: Plan, *, joins: bool
) -> dict[str, Any]:
    """Run a scenario on all servers in turn, again and again, in alternating order.

    Parameters
    ----------
    joins
        The gateway joins publishes, so the others join as many.
    """
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ("gateway", *servers)}
    if joins:
        runs["reference_each"] = []
    publishes = 1
    for number in range(plan.rounds):
        for name in list(runs)[:: -1 if number % 2 else 1]:
            server = servers[name.removesuffix("_each")]
            own = name in ("gateway", "reference_each")  # by what is published, not by what joined
            run = one_run(on, server, scenario, plan.seconds, 1 if own else publishes)
            runs[name].append(run)
            if name == "gateway" and joins:
                most = PREBUILT_FRAMES // scenario.per_write
                publishes = round(run["frames_per_read"] / scenario.per_write)
                publishes = min(max(publishes, 1), most)
    return compared(runs)


def measure(plan: Plan, form: str) -> dict[str, Any]:
    """Run everything in one format."""
    scenarios = (*plan.single.values(), *plan.flood.values(), plan.desks)
    found: dict[str, Any] = {}
    with stage(SYMBOLS, max(scenario.clients for scenario in scenarios), form) as on:
        gateway = on.gateway()
        prebuilt = on.prebuilt(gateway)
        servers = {
            "gateway": gateway,
            "delivery": on.delivery(prebuilt),
            "reference": on.reference(prebuilt, UNSENT_LOW_BYTES),
        }
        found["programs"] = on.programs.kind
        if form == "json":
            found["one_at_a_time"] = {
                name: rounds_of(on, servers, scenario, plan, joins=False)
                for name, scenario in plan.single.items()
            }
            desks = [one_run(on, gateway, plan.desks, plan.seconds) for _ in range(plan.rounds)]
            found["desks"] = told(desks)
        found["joined"] = {}
        for name, scenario in plan.flood.items():
            try:
                found["joined"][name] = rounds_of(on, servers, scenario, plan, joins=True)
            except NotCarriedError as why:
                found["joined"][name] = {"not_carried": str(why)}
    return found


def run(size: Size) -> dict[str, Any]:
    """Run the bench.

    Returns
    -------
    dict
        Per format: `one_at_a_time` by number of clients, `desks`, and `joined` by aim; each with
        median, least and most of the rounds. Ages are milliseconds from the publisher's stamp to
        the client's read; of prebuilt frames from the write.
    """
    plan = PLANS[size]
    return {form: measure(plan, form) for form in plan.forms}


if __name__ == "__main__":
    sys.exit(main(__doc__, run))
