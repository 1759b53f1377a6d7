"""Clients that stop reading: what each mode makes of them, and what the others notice.

Good clients follow everything in mode all while a few others, subscribed alike in one mode each,
stop reading for a minute and then go on. For every mode the bench tells

    got        what the stalled clients were sent, before and after they read again: updates, how
               many of those that were published these stand for, `warn`, `bye`, `skip`, close codes
    memory     growth of the gateway's own (anonymous) memory while they stalled, beside that of the
               minute before, when nobody did (it keeps past updates for who comes back, so it
               grows at first anyway), and beside what is allowed: budgets of all who stalled
    others     age of news at the good clients, in the same minute; and as a ratio of the p99 of
               the same minute without anybody stalling, just before

A good client that misses one update fails the bench.

    python -m bench.bench_stall [--small] [--json PATH]
"""

import sys
import time
from dataclasses import dataclass
from typing import Any, Final

from bench.cli import Size, main
from bench.fanout_figures import ages_ms
from bench.fanout_rows import TOPICS
from bench.fanout_stage import BUDGET_BYTES, Load, Server, Stage, stage
from bench.memory import MB, measure

SYMBOLS: Final = 1_000
CHECKED: Final = 2
MODES: Final = ("all", "conflate", "skip")
CONFLATE_MS: Final = 50
MEMORY_SAMPLES: Final = 20  # while they stall
AFTER_S: Final = 2.0  # played on after they read again
RECEIVE_BYTES: Final = 65_536  # SO_RCVBUF of a stalled client: what it holds unread is not ours


@dataclass(frozen=True, slots=True)
class Plan:
    """A size of the bench."""

    good: int
    stalled: int
    writes_per_s: int
    per_write: int
    stall_s: float


PLANS: Final[dict[Size, Plan]] = {
    "full": Plan(100, 20, 200, 15, 60.0),
    "small": Plan(10, 3, 100, 20, 3.0),
}


def wish(mode: str) -> dict[str, Any]:
    """Return what a client subscribes to."""
    interval_ms = CONFLATE_MS if mode == "conflate" else 0
    return {
        "op": "sub",
        "topics": TOPICS,
        "mode": mode,
        "interval_ms": interval_ms,
        "snapshot": False,
    }


def anonymous_bytes(pid: int) -> int:
    """Return a process's memory that is its own."""
    return measure({"it": pid})["it"]["Anonymous"]


def order(plan: Plan, seconds: float) -> str:
    """Return what the publisher is told."""
    return f"play {plan.writes_per_s} {plan.per_write} {seconds}"


def quiet_time(server: Server, good: Load, plan: Plan) -> dict[str, Any]:
    """Play without anybody stalling; return the ages of news, and how memory grew."""
    before_bytes = anonymous_bytes(server.pid)
    good.ask("mark")
    played = server.player.ask(order(plan, plan.stall_s))
    return {
        "ages_ms": ages_ms(settled(good, plan, played)["age_us"]),
        "growth_mb": round((anonymous_bytes(server.pid) - before_bytes) / MB, 2),
    }


def settled(good: Load, plan: Plan, played: dict[str, Any]) -> dict[str, Any]:
    """Return the counts of the good clients, who must have got everything."""
    told = good.idle()
    wanted = played["frames"] * plan.good
    if told["updates"] != wanted or told["breaks"] or told["open"] != plan.good:
        raise RuntimeError(
            f"good clients got {told['updates']} updates of {wanted}, {told['breaks']} out of "
            f"order, {told['open']} of {plan.good} left, closed {told['closes']}"
        )
    return told


def stall(server: Server, good: Load, bad: Load, plan: Plan) -> dict[str, Any]:
    """Let `bad` stop reading for a while in the middle of a play."""
    before_bytes = anonymous_bytes(server.pid)
    for each in (good, bad):
        each.ask("mark")
    bad.ask("pause")
    server.player.say(order(plan, plan.stall_s))
    most_bytes = before_bytes
    for _ in range(MEMORY_SAMPLES):
        time.sleep(plan.stall_s / MEMORY_SAMPLES)
        most_bytes = max(most_bytes, anonymous_bytes(server.pid))
    played = server.player.answer()
    during = settled(good, plan, played)
    bad.ask("resume")
    unread = bad.idle()
    good.ask("mark")
    later = server.player.ask(order(plan, AFTER_S))
    settled(good, plan, later)
    end = bad.idle()
    all_frames = played["frames"] * plan.stalled
    allowed = plan.stalled * BUDGET_BYTES
    return {
        "got": {
            "stalled": plan.stalled,
            "left": end["open"],
            "closes": end["closes"],
            "told": {name: end["ops"].get(name, 0) for name in ("warn", "bye", "skip")},
            "updates_share": round(unread["updates"] / all_frames, 4),
            "frames_share": round(unread["frames"] / all_frames, 4),
            "snaps": unread["snaps"],
            "frames_after": end["frames"] - unread["frames"],
            "out_of_order": end["breaks"],
        },
        "memory": {
            "before_mb": round(before_bytes / MB, 1),
            "growth_mb": round((most_bytes - before_bytes) / MB, 2),
            "allowed_mb": round(allowed / MB, 2),
            "growth_after_mb": round((anonymous_bytes(server.pid) - before_bytes) / MB, 2),
        },
        "others_ms": ages_ms(during["age_us"]),
    }


def one_mode(on: Stage, mode: str, plan: Plan) -> dict[str, Any]:
    """Measure one mode on a gateway of its own."""
    server = on.gateway()
    with on.load(server, plan.good, [wish("all")], checked=CHECKED) as good:
        alone = quiet_time(server, good, plan)
        with on.load(
            server, plan.stalled, [wish(mode)], checked=CHECKED, receive_bytes=RECEIVE_BYTES
        ) as bad:
            found = stall(server, good, bad, plan)
    found["memory"]["growth_alone_mb"] = alone["growth_mb"]
    p99 = found["others_ms"]["p99"] / max(alone["ages_ms"]["p99"], 0.001)
    return {**found, "alone_ms": alone["ages_ms"], "others_p99_ratio": round(p99, 3)}


def run(size: Size, modes: tuple[str, ...] = MODES) -> dict[str, Any]:
    """Run the bench.

    Returns
    -------
    dict
        By mode: `got`, `memory`, `others_ms`, `alone_ms` and the ratio of the two p99.
    """
    plan = PLANS[size]
    found: dict[str, Any] = {
        "stall_s": plan.stall_s,
        "updates_per_s": plan.writes_per_s * plan.per_write,
        "good_clients": plan.good,
    }
    for mode in modes:
        with stage(SYMBOLS, plan.good + plan.stalled) as on:
            found[mode] = one_mode(on, mode, plan)
    return found


if __name__ == "__main__":
    sys.exit(main(__doc__, run))
