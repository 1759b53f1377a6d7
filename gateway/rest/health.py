"""Is the instance healthy? /readyz and /statusz, from everybody's counters. Pure.

Silence at lunch and at night is healthy, and so is a link that is down then: what counts is whether
the exchange is matching now. In a replay the hour is the replayed day's.
"""

from typing import Any, Final

from engine.clock import iso_ict, trade_day
from engine.market.days import date_of, day_number, is_trading_day, previous_trading_day
from engine.market.sessions import ict_second, matching_at, phase_at
from engine.schema.codes import FeedState
from engine.status import SILENT_NS, VENUES_SHOWN, Sources, phases, problems, total

SECOND_NS: Final = 1_000_000_000
BESIDE: Final = frozenset({"recorder", "rest"})  # the tape goes on without them


def reasons(sources: Sources, now_ns: int) -> list[str]:
    """Return why the tape is not to be trusted; empty when it is.

    Parameters
    ----------
    sources
        Everybody's counters.
    now_ns
        The wall clock.
    """
    found = []
    for process in sources.processes():
        if process.role in BESIDE:
            continue
        beat_ns = int(process.counters[0]["heartbeat_ns"])
        if not beat_ns:
            found.append(f"{process.name} has not started")
        elif now_ns - beat_ns > SILENT_NS:
            found.append(f"{process.name} silent for {(now_ns - beat_ns) / SECOND_NS:.0f} s")
    ingest = sources.ingest[0]
    state = feed_state(sources)
    phase = matching_phase(now_ns, int(ingest["last_frame_ns"]), int(ingest["last_exch_s"]))
    if state is FeedState.STALE:
        found.append(f"feed STALE{f' in {phase}' if phase else ''}")
    elif state <= FeedState.CONNECTING and phase:
        found.append(f"feed {state.name} in {phase}")
    if ingest["journal_failing"]:
        found.append("the journal's disk refuses")
    return found


def feed_state(sources: Sources) -> FeedState:
    """Return the ingest's verdict on the feed."""
    return FeedState(int(sources.ingest[0]["feed_state"]))


def matching_phase(now_ns: int, last_frame_ns: int, last_exch_s: int) -> str:
    """Return the phase of the first venue that is matching now; empty when none is.

    Parameters
    ----------
    now_ns, last_frame_ns
        The wall clock, and when the feed last said anything.
    last_exch_s
        The newest stamp of the exchange; 0: none yet.
    """
    now_s = now_ns // SECOND_NS
    today = trade_day(now_s)
    last_session = day_number(previous_trading_day(date_of(today)))
    if last_exch_s > 0 and trade_day(last_exch_s) < last_session:  # a replayed day has its own hour
        now_s = last_exch_s + max(0, now_ns - last_frame_ns) // SECOND_NS
        today = trade_day(now_s)
    stamped = last_exch_s > 0 and trade_day(last_exch_s) == today  # it trades, whatever we planned
    if not stamped and not is_trading_day(date_of(today)):
        return ""
    second = ict_second(now_s)
    for venue in VENUES_SHOWN:
        if matching_at(venue, today, second):
            return phase_at(venue, today, second).name
    return ""


class StatusPage:
    """What /statusz says; remembers counts to give a rate."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._messages, self._now_ns, self._rate = 0, 0, 0.0

    def sample(self, now_ns: int) -> None:
        """Look at the counters; call it now and then."""
        messages = int(self._sources.ingest[0]["messages"])
        elapsed_ns = now_ns - self._now_ns
        if self._now_ns and elapsed_ns > 0:
            self._rate = max(0, messages - self._messages) * SECOND_NS / elapsed_ns
        self._messages, self._now_ns = messages, now_ns

    def page(self, now_ns: int) -> dict[str, Any]:
        """Return the page, ready for JSON."""
        sources = self._sources
        ingest, shards = sources.ingest[0], sources.shards
        exch_s = int(ingest["last_exch_s"])
        why = reasons(sources, now_ns)
        return {
            "now_ns": now_ns,
            "ready": not why,
            "reasons": why,
            "problems": problems(sources, now_ns),
            "feed": {"state": feed_state(sources).name.lower()},
            "exch_time": iso_ict(exch_s) if exch_s else None,
            "session": phases(exch_s),
            "messages_per_s": round(self._rate, 1),
            "lag_slots": total(shards, "lag_slots"),
            "symbols": int(ingest["symbols"]),
            "trades": total(shards, "matches"),
            "missed_volume_shares": total(shards, "missed_volume_shares"),
            "gaps_open": total(shards, "gaps_open"),
            "alerts": total(shards, "alerts"),
            "clients": total(sources.gateways, "clients"),
            "processes": [
                {
                    "name": process.name,
                    "pid": int(process.counters[0]["pid"]),
                    "up": is_up(int(process.counters[0]["heartbeat_ns"]), now_ns),
                    "started_ns": int(process.counters[0]["started_ns"]),
                    "heartbeat_ns": int(process.counters[0]["heartbeat_ns"]),
                }
                for process in sources.processes()
            ],
        }


def is_up(heartbeat_ns: int, now_ns: int) -> bool:
    """Return whether a process's loop has turned lately."""
    return heartbeat_ns > 0 and now_ns - heartbeat_ns <= SILENT_NS
