"""Naive twin of the bars: a day's slots are kept, and told anew from the start after each of them.

Written from market-behaviour sections 1, 2, 7 and 9 and the rules of ``engine.trackers.bars`` in
words. A bar is a list of what went into it; its figures are worked out from the list. Hours come
from the timetable's spans. A row is due when the picture is another one than the last one shown.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from engine.clock import DAY_S, ICT_OFFSET_S, trade_day
from engine.market.sessions import MATCHING_PHASES, ict_second, phase_at, timetable
from engine.schema.codes import (
    BarFlag,
    DeltaFlag,
    NoteFlag,
    Phase,
    Side,
    SlotKind,
    TradeEvent,
    Venue,
)

Message = dict[str, Any]
Row = dict[str, Any]
Key = tuple[int, int]  # start, phase

DAY = 86_400
FIGURES = (
    "start_exch_s",
    "bar_phase",
    "bar_flags",
    "bar_reserved",
    "open_price_e2",
    "high_price_e2",
    "low_price_e2",
    "close_price_e2",
    "trade_count",
    "missed_count",
    "volume_shares",
    "value_vnd",
    "buy_volume_shares",
    "sell_volume_shares",
    "missed_volume_shares",
)


class Print(NamedTuple):
    """One price in a bar."""

    exch_s: int
    price_e2: int
    volume: int
    value: int
    side: int
    late: bool  # it came after later ones
    after: bool  # it came after the next bar had opened


@dataclass
class Bar:
    """Everything that ever went into one bar."""

    key: Key
    prints: list[Print] = field(default_factory=list)
    gaps: list[int] = field(default_factory=list)  # missed volume that its own messages showed
    corrected: bool = False

    def figures(self) -> dict[str, int]:
        """Work out what a row shows of it."""
        prints = self.prints
        first = last = prints[0]
        for place, each in enumerate(prints[1:], 1):
            stamps = [earlier.exch_s for earlier in prints[:place]]
            if each.late and each.exch_s < min(stamps):
                first = each
            if not each.late or each.exch_s > max(stamps):
                last = each
        flags = BarFlag.NONE
        flags |= BarFlag.SUSPECT if self.gaps else BarFlag.NONE
        flags |= BarFlag.LATE if any(each.late or each.after for each in prints) else BarFlag.NONE
        flags |= BarFlag.CORRECTED if self.corrected else BarFlag.NONE
        return {
            "start_exch_s": self.key[0],
            "bar_phase": self.key[1],
            "bar_flags": int(flags),
            "bar_reserved": 0,
            "open_price_e2": first.price_e2,
            "high_price_e2": max(each.price_e2 for each in prints),
            "low_price_e2": min(each.price_e2 for each in prints),
            "close_price_e2": last.price_e2,
            "trade_count": len(prints),
            "missed_count": len(self.gaps),
            "volume_shares": sum(each.volume for each in prints),
            "value_vnd": sum(each.value for each in prints),
            "buy_volume_shares": sum(e.volume for e in prints if e.side == Side.BUY),
            "sell_volume_shares": sum(e.volume for e in prints if e.side == Side.SELL),
            "missed_volume_shares": sum(self.gaps),
        }


class Telling:
    """One telling of a day, from its first slot on."""

    def __init__(self, interval_s: int) -> None:
        self.interval_s = interval_s
        self.bars: list[Bar] = []  # all of the day, the open one last
        self.unplaced = 0
        self.flags = 0
        self.waiting: list[int] = []  # missed volume for the next bar
        self.total = 0
        self.told: Key | None = None  # bar of the last message that told the total
        self.values: list[Message] = []

    # Which bar -------------------------------------------------------------------------------

    def key(self, exch_s: int, venue: int, phase: int) -> Key:
        """Return the bar of an event of a matching phase."""
        day, second = trade_day(exch_s), ict_second(exch_s)
        midnight_s = day * DAY_S - ICT_OFFSET_S
        if self.interval_s == DAY:
            return midnight_s, int(Phase.CONTINUOUS)
        apart = phase in {Phase.CONTINUOUS, Phase.PLO}
        if apart and phase_at(Venue(venue), day, second) != phase:
            spans = [span for span in timetable(Venue(venue), day) if span.phase == phase]
            ended = [span.end_s for span in spans if span.end_s <= second]
            coming = [span.start_s for span in spans if span.start_s > second]
            second = ended[-1] - 1 if ended else coming[0] if coming else second
        return midnight_s + second - second % self.interval_s, int(phase)

    def key_by_clock(self, exch_s: int, venue: int) -> Key:
        """Return the bar of a match at that time, of which nothing else is known."""
        second = ict_second(exch_s)
        spans = [
            s for s in timetable(Venue(venue), trade_day(exch_s)) if s.phase in MATCHING_PHASES
        ]
        begun = [span.phase for span in spans if span.start_s <= second]
        return self.key(exch_s, venue, begun[-1] if begun else spans[0].phase)

    def in_sight(self, key: Key, *, trade: bool) -> Bar | None:
        """Return the open or the previous bar when it is the one meant."""
        joins = trade and key[1] in {Phase.ATO, Phase.ATC}
        for bar in reversed(self.bars[-2:]):
            if bar.key == key or (joins and bar.key[1] == key[1]):
                return bar
        return None

    def is_next(self, key: Key) -> bool:
        """Return whether such a bar would follow the open one."""
        return not self.bars or key > self.bars[-1].key

    def put(self, key: Key, each: Print, *, trade: bool) -> Bar | None:
        """Put a price where it belongs; None when nowhere."""
        bar = self.in_sight(key, trade=trade)
        if bar is None and self.is_next(key):
            bar = Bar(key, gaps=self.waiting)
            self.waiting = []
            self.bars.append(bar)
        if bar is None:
            self.unplaced += each.volume
        else:
            bar.prints.append(each._replace(after=bar is not self.bars[-1]))
        return bar

    # What is told ----------------------------------------------------------------------------

    def trade(self, message: Message, note: Any) -> None:
        """Tell a TRADE slot."""
        event, total = note.event, message.get("total_volume_shares", 0)
        exch_s, venue = message["exch_s"], message["venue"]
        is_match = event in {TradeEvent.MATCH, TradeEvent.LATE}
        bar = None
        if is_match:
            one = Print(
                exch_s,
                message["last_price_e2"],
                note.volume_shares,
                note.value_vnd,
                note.side,
                event == TradeEvent.LATE,
                after=False,
            )
            bar = self.put(self.key(exch_s, venue, note.phase), one, trade=True)
        if event == TradeEvent.LATE or (event == TradeEvent.REPEAT and total != self.total):
            return
        here = bar.key if bar else self.key_by_clock(exch_s, venue)
        if note.missed_volume_shares > 0:
            self.gap(note.missed_volume_shares, bar, here, is_match=is_match)
        if event == TradeEvent.BASELINE:
            self.flags |= DeltaFlag.BASELINE
        if event == TradeEvent.CORRECTION:
            self.flags |= DeltaFlag.CORRECTED
            for newest in self.bars[-1:]:
                newest.corrected = True
        self.total, self.told = total, here

    def gap(self, missed: int, bar: Bar | None, here: Key, *, is_match: bool) -> None:
        """Mark the bars a gap touches."""
        if bar is None and not is_match:
            bar = self.in_sight(here, trade=True)
            if bar is None and self.is_next(here):
                self.waiting.append(missed)
                missed = 0
        if bar is None and missed:
            bar = self.bars[-1]
        for each in self.bars[-2:]:
            if each is bar:
                each.gaps.append(missed)
            elif self.told is None or each.key >= self.told:
                each.gaps.append(0)

    def index(self, message: Message, note: Any) -> None:
        """Tell an INDEX slot."""
        if message.get("value_e2", 0) <= 0:
            return
        earlier, exch_s = self.values, message["exch_s"]
        grown = {}
        for name in ("matched_volume_shares", "matched_value_vnd"):
            most = max((each.get(name, 0) for each in earlier), default=message.get(name, 0))
            grown[name] = max(0, message.get(name, 0) - most)
        if not earlier and message.get("matched_volume_shares", 0) > 0:
            self.flags |= DeltaFlag.BASELINE
        volume = grown["matched_volume_shares"]
        late = any(each["exch_s"] > exch_s for each in earlier)
        self.values = [*earlier, message]
        opened = message.get("matched_volume_shares", 0) > 0
        if note.phase in {Phase.PRE, Phase.ATO} and not opened:
            return  # the prior close once more
        if self.interval_s == DAY:
            phase: Phase | None = Phase.CONTINUOUS
        else:
            phase = Phase(note.phase) if note.phase in MATCHING_PHASES else None
        if phase is not None:
            key = self.key(exch_s, message["venue"], phase)
        elif volume:
            key = self.key_by_clock(exch_s, message["venue"])
        else:
            return
        value = grown["matched_value_vnd"]
        one = Print(exch_s, message["value_e2"], volume, value, 0, late, after=False)
        self.put(key, one, trade=False)

    def picture(self) -> dict[str, int] | None:
        """Return all fields of a row but its head; None while there is no bar."""
        if not self.bars:
            return None
        shown = [bar.figures() for bar in reversed(self.bars[-2:])] + [dict.fromkeys(FIGURES, 0)]
        return (
            {"interval_s": self.interval_s, "unplaced_volume_shares": self.unplaced}
            | {"flags": int(self.flags)}
            | shown[0]
            | {f"prev_{name}": number for name, number in shown[1].items()}
        )


class NaiveBars:
    """One channel of bars.

    Attributes
    ----------
    told
        (symbol_id, trading date) -> the day's last telling, with every bar it ever had.
    """

    def __init__(self, interval_s: int) -> None:
        self.interval_s = interval_s
        self.told: dict[tuple[int, int], Telling] = {}
        self.slots: dict[tuple[int, int], list[tuple[Message, Any]]] = defaultdict(list)
        self.shown: dict[int, dict[str, int]] = {}
        self.seq: dict[int, int] = defaultdict(int)

    def feed(self, messages: list[Message], notes: list[Any]) -> list[Row]:
        """Fold one group; a note is anything with the fields of NOTE as attributes."""
        rows: dict[int, Row] = {}
        for message, note in zip(messages, notes, strict=True):
            if message["kind"] not in {SlotKind.TRADE, SlotKind.INDEX}:
                continue
            if note.flags & NoteFlag.STALE_DAY:
                continue
            self._slot(message, note, rows)
        return list(rows.values())

    def _slot(self, message: Message, note: Any, rows: dict[int, Row]) -> None:
        symbol_id, day = message["symbol_id"], trade_day(message["exch_s"])
        self.slots[symbol_id, day].append((message, note))
        telling = Telling(self.interval_s)
        for each, judged in self.slots[symbol_id, day]:
            if each["kind"] == SlotKind.TRADE:
                telling.trade(each, judged)
            else:
                telling.index(each, judged)
        self.told[symbol_id, day] = telling
        picture = telling.picture()
        if picture is None or self.shown.get(symbol_id) == picture | {"trade_day": day}:
            return
        self.shown[symbol_id] = picture | {"trade_day": day}
        if symbol_id not in rows:
            self.seq[symbol_id] += 1
        rows[symbol_id] = {
            "seq": self.seq[symbol_id],
            "updates": rows.get(symbol_id, {"updates": 0})["updates"] + 1,
            "recv_ns": message.get("recv_ns", 0),
            "exch_s": message["exch_s"],
            "symbol_id": symbol_id,
            "phase": int(note.phase),
            "venue": int(message.get("venue", 0)),
        } | self.shown[symbol_id]
