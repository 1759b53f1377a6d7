"""The supervisor's status line: can an operator trust the tape, in one glance."""

from collections.abc import Sequence

from engine.clock import iso_ict
from engine.schema.codes import FeedState
from engine.status import HEALTHY, Sources, problems, session_text, total


class StatusLine:
    """Turns counters into one line; remembers the last counts to give rates."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._messages = 0
        self._now_ns = 0

    def render(self, now_ns: int, troubles: Sequence[str]) -> str:
        """Return the line. `troubles` are said first: they are what the operator must see."""
        ingest = self._sources.ingest[0]
        messages = int(ingest["messages"])
        elapsed_s = max(now_ns - self._now_ns, 1) / 1e9
        rate = (messages - self._messages) / elapsed_s if self._now_ns else 0.0
        self._messages, self._now_ns = messages, now_ns
        exch_s = int(ingest["last_exch_s"])
        feed = FeedState(int(ingest["feed_state"])).name
        shards, gateways = self._sources.shards, self._sources.gateways
        wrong = [*troubles, *problems(self._sources, now_ns)]
        gaps_open = total(shards, "gaps_open")
        if wrong and feed not in HEALTHY:
            wrong.append(f"feed {feed}")
        parts = [
            "PROBLEM: " + "; ".join(wrong) if wrong else HEALTHY.get(feed, f"feed {feed}"),
            iso_ict(exch_s)[:19].replace("T", " ") if exch_s else "-",
            session_text(exch_s),
            f"{rate:,.0f} msg/s",
            f"lag {total(shards, 'lag_slots')} slots",
            f"{int(ingest['symbols'])} symbols",
            f"{total(shards, 'matches'):,} trades",
            f"{total(shards, 'missed_volume_shares'):,} missed"
            + (f" ({gaps_open} gaps open)" if gaps_open else ""),
            f"{total(shards, 'alerts'):,} alerts",
            f"{total(gateways, 'clients')} clients",
        ]
        return " | ".join(parts)
