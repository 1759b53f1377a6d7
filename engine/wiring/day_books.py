"""What one shard knows of a day: books, gaps, outages. The facts a certificate is made of.

In: sections as the fold gives them. Out: one part per day, a plain dict (see ``certificate``).
Owner of the memory: the books are the fold's and are read live; gaps and outages are copied.
May lose: nothing that counts; of a symbol with more than GAPS_LISTED_MAX gaps a day the later
ones are counted, not listed. Counts: nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import engine
from engine.clock import iso_ict, trade_day
from engine.market.days import date_of
from engine.schema import SCHEMA_ID
from engine.schema.channels import FEED, GAPS, Channel
from engine.schema.codes import GapCause, GapOutcome, GapState, Venue
from engine.shard.fold import Fold
from engine.shard.ledger import ACCOUNT, GapCounts, gap_counts, open_gaps

DAYS_KEPT = 2  # as many as the books hold: a symbol's day and the one before
GAPS_LISTED_MAX = 200  # of one symbol and day
LOSS_JOIN_NS = 60 * 1_000_000_000  # losses this close together are listed as one

Document = dict[str, Any]


@dataclass(slots=True)
class Blind:
    """A time in which the feed told us nothing, or we dropped what it told."""

    from_ns: int
    from_exch_s: int  # market time
    to_ns: int = 0  # 0: it lasts
    to_exch_s: int = 0
    frames: int = 0  # lost ones

    def touches(self, day: int) -> bool:
        """Return whether any of it was on a day."""
        last = trade_day(self.to_exch_s) if self.to_ns else day
        return trade_day(self.from_exch_s) <= day <= last

    def facts(self) -> Document:
        """Return it as JSON knows it."""
        return {
            "from": iso_ict(self.from_exch_s),
            "to": iso_ict(self.to_exch_s) if self.to_ns else None,
            "s": round((self.to_ns - self.from_ns) / 1e9, 3) if self.to_ns else None,
            "from_recv_ns": self.from_ns,
            "to_recv_ns": self.to_ns or None,
            "from_exch_s": self.from_exch_s,
            "to_exch_s": self.to_exch_s or None,
        } | ({"frames": self.frames} if self.frames else {})


class Gap(NamedTuple):
    """What is kept of a row of channel ``gaps``: fields of GAPS_DELTA."""

    trade_day: int
    symbol_id: int
    gap_no: int
    gap_state: int
    gap_cause: int
    gap_outcome: int
    from_exch_s: int
    to_exch_s: int
    missed_volume_shares: int
    open_volume_shares: int
    bar_count: int
    bar_volume_shares: int
    bar_high_price_e2: int
    bar_low_price_e2: int

    def facts(self) -> Document:
        """Return it as JSON knows it."""
        closed = self.gap_state == GapState.CLOSED
        facts: Document = {
            "no": self.gap_no,
            "cause": GapCause(self.gap_cause).name,
            "outcome": GapOutcome(self.gap_outcome).name if closed else "OPEN",
            "from": iso_ict(self.from_exch_s) if self.from_exch_s else None,
            "to": iso_ict(self.to_exch_s),
            "missed_shares": self.missed_volume_shares,
            "left_shares": self.open_volume_shares,
        }
        if self.bar_count:
            facts["bars"] = {
                "count": self.bar_count,
                "volume_shares": self.bar_volume_shares,
                "high_price_e2": self.bar_high_price_e2,
                "low_price_e2": self.bar_low_price_e2,
            }
        return facts


GAP_FIELDS = list(Gap._fields)


@dataclass(slots=True)
class DayGaps:
    """The gaps of one day: symbol id -> gap number -> how it is now."""

    rows: dict[int, dict[int, Gap]] = field(default_factory=lambda: defaultdict(dict))
    newest: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    causes: Counter[str] = field(default_factory=Counter)  # of all gaps
    outcomes: Counter[str] = field(default_factory=Counter)  # of the closed ones


class Ledger:
    """Collects what a shard knows of its days. Feed it every section the fold gives.

    Parameters
    ----------
    fold
        Whose books are certified: its state of stage ``ledger`` and its symbols are read, live.
    """

    def __init__(self, fold: Fold) -> None:
        self._state = fold.state("ledger")
        self._books = (self._state["today"], self._state["before"])
        self._codes = fold.latest["symbol"]["code"]
        self._gaps: dict[int, DayGaps] = {}
        self._outages: dict[int, Blind] = {}  # by number
        self._losses: list[Blind] = []
        self._lost_frames = 0

    def feed(self, sections: Iterable[tuple[Channel, NDArray[np.void]]]) -> None:
        """Take what one batch gave. Only rows of ``gaps`` and ``feed`` are looked at."""
        for channel, rows in sections:
            if channel is GAPS:
                for values in rows[GAP_FIELDS].tolist():
                    self._gap(Gap._make(values))
            elif channel is FEED:
                for row in rows:
                    self._feed(row)

    def _gap(self, gap: Gap) -> None:
        if gap.trade_day not in self._gaps:
            self._gaps[gap.trade_day] = DayGaps()
            for old in sorted(self._gaps)[:-DAYS_KEPT]:
                del self._gaps[old]
        gaps = self._gaps.get(gap.trade_day)
        if gaps is None or gap.gap_no == 0:
            return  # of a day too old to be told; the sum of gap 0 is in the books
        if gap.gap_no > gaps.newest[gap.symbol_id]:
            gaps.newest[gap.symbol_id] = gap.gap_no
            gaps.causes[GapCause(gap.gap_cause).name] += 1
        if gap.gap_state == GapState.CLOSED:
            gaps.outcomes[GapOutcome(gap.gap_outcome).name] += 1
        if gap.gap_no <= GAPS_LISTED_MAX:
            gaps.rows[gap.symbol_id][gap.gap_no] = gap

    def _feed(self, row: np.void) -> None:
        number, exch_s, recv_ns = (int(row[name]) for name in ("outage_count", "exch_s", "recv_ns"))
        if number and number not in self._outages:
            self._outages[number] = Blind(int(row["outage_from_ns"]), exch_s)
        if number and row["outage_to_ns"] and not self._outages[number].to_ns:
            self._outages[number].to_ns = int(row["outage_to_ns"])
            self._outages[number].to_exch_s = exch_s
        frames = int(row["lost_frames"]) - self._lost_frames
        self._lost_frames += frames
        if frames:
            last = self._losses[-1] if self._losses else None
            if last is None or recv_ns - last.to_ns > LOSS_JOIN_NS:
                last = Blind(recv_ns, exch_s)
                self._losses.append(last)
            last.to_ns, last.to_exch_s = recv_ns, exch_s
            last.frames += frames

    def save(self) -> Document:
        """Return all that was collected, as JSON knows it; the books are the fold's to save."""
        return {
            "gaps": [
                {
                    "day": day,
                    "rows": [list(gap) for listed in gaps.rows.values() for gap in listed.values()],
                    "newest": list(gaps.newest.items()),
                    "causes": gaps.causes,
                    "outcomes": gaps.outcomes,
                }
                for day, gaps in self._gaps.items()
            ],
            "outages": [[number, *astuple(blind)] for number, blind in self._outages.items()],
            "losses": [astuple(blind) for blind in self._losses],
            "lost_frames": self._lost_frames,
        }

    def restore(self, saved: Document) -> None:
        """Take back what `save` returned, in place of all that was collected."""
        self._gaps = {}
        for told in saved["gaps"]:
            gaps = self._gaps[told["day"]] = DayGaps()
            for gap in map(Gap._make, told["rows"]):
                gaps.rows[gap.symbol_id][gap.gap_no] = gap
            gaps.newest.update(told["newest"])
            gaps.causes.update(told["causes"])
            gaps.outcomes.update(told["outcomes"])
        self._outages = {number: Blind(*facts) for number, *facts in saved["outages"]}
        self._losses = [Blind(*facts) for facts in saved["losses"]]
        self._lost_frames = saved["lost_frames"]

    @property
    def gap_counts(self) -> GapCounts:
        """How many gaps were opened since the start, and how many are open now."""
        return gap_counts(self._state)

    def open_gaps(self) -> NDArray[np.void]:
        """Return the gaps that are open now; see ``shard.ledger.open_gaps``."""
        return open_gaps(self._state)

    def days(self) -> list[int]:
        """Return the trading dates whose books are held whole, ascending: the newest two.

        Days since 1970 (ICT). A symbol's books hold its present day and the one before, so
        every symbol that was heard of on one of these days still has it.
        """
        every = np.unique(np.concatenate([book["day"] for book in self._books]))
        return [int(day) for day in every if day > 0][-DAYS_KEPT:]

    def part(self, day: int, shard: int) -> Document:
        """Return the facts this shard has of a day: what `certificate` merges.

        Parameters
        ----------
        day
            Days since 1970-01-01 (ICT), one of `days` or a later one: of an older day the books
            are gone, and a part written now would tell less than the one written then.
        shard
            Number of the shard.
        """
        assert day >= min(self.days(), default=day), f"the books of day {day} are gone"
        gaps = self._gaps.get(day) or DayGaps()
        symbols = {}
        for book in self._books:
            ids = np.flatnonzero((book["day"] == day) & (book["message_count"] > 0))
            codes, accounts = self._codes[ids].tolist(), book[ids].tolist()
            for symbol_id, code, values in zip(ids.tolist(), codes, accounts, strict=True):
                account = dict(zip(ACCOUNT.names or (), values, strict=True))
                listed = gaps.rows.get(symbol_id, {})
                symbols[code.decode() or f"#{symbol_id}"] = _symbol_facts(account, listed)
        outcomes = dict(sorted(gaps.outcomes.items()))
        still_open = gaps.causes.total() - gaps.outcomes.total()
        return {
            "date": date_of(day).isoformat(),
            "version": engine.__version__,
            "schema": SCHEMA_ID,
            "shard": shard,
            "gaps_by_cause": dict(sorted(gaps.causes.items())),
            "gaps_by_outcome": outcomes | ({"OPEN": still_open} if still_open else {}),
            "outages": [blind.facts() for blind in self._outages.values() if blind.touches(day)],
            "losses": [blind.facts() for blind in self._losses if blind.touches(day)],
            "symbols": dict(sorted(symbols.items())),
        }


def _symbol_facts(account: Mapping[str, int], gaps: Mapping[int, Gap]) -> Document:
    """Return a symbol's books (fields of ACCOUNT) and gaps as JSON knows them."""
    return {
        "venue": Venue(account["venue"]).name,
        "total_shares": account["total_volume_shares"],
        "seen_shares": account["seen_volume_shares"],
        "missed_shares": account["missed_volume_shares"],
        "unplaced_shares": account["gap_zero_volume_shares"],
        "repeats": account["repeat_count"],
        "corrections": account["correction_count"],
        "late": account["late_count"],
        "last_time": iso_ict(account["last_exch_s"]),
        "last_recv_ns": account["last_recv_ns"],
        "gap_count": account["gap_count"],
        "gaps": [gaps[gap_no].facts() for gap_no in sorted(gaps)],
    }
