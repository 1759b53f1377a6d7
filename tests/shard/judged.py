"""Messages with hand-made notes, run through single stages: the books without classify.

A judged message is (message, note): what arrived, and what classify would say of it. `STORIES`
draws days of a few symbols in which everything goes wrong, and `interpret` tells them so that the
notes are consistent: volume seen + missed == total, whatever happens.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from engine.schema.codes import (
    ControlOp,
    FeedState,
    GapCause,
    Instrument,
    NoteFlag,
    Phase,
    SlotKind,
    TradeEvent,
    Venue,
)
from engine.schema.notes import NOTE
from engine.shard.stage import Stage
from tests.shard.folding import plain
from tests.shard.messages import Message, exch_s, rows_of

Note = SimpleNamespace
Judged = tuple[Message, Note]

SYMBOLS = 8
FEED_ID = 7
DAYS = ("2021-07-15", "2021-07-16", "2021-07-19")


def note_of(**said: int) -> Note:
    """Return a note that says only this."""
    blank = {name: 0 for name in NOTE.names or () if name != "reserved"}
    return SimpleNamespace(**blank | said)


class Single:
    """One stage over its own memory, with notes given by hand."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.state = np.zeros(SYMBOLS, stage.state_dtype)
        self.params = np.zeros(1, stage.params_dtype)
        self.notes = np.zeros(0, NOTE)  # of the last batch, as the stage left them

    def run(
        self, groups: Sequence[Sequence[Judged]], cuts: Sequence[int] = ()
    ) -> list[dict[str, Any]]:
        """Run groups, one batch between any two cuts; return the rows as dicts."""
        emitted: list[dict[str, Any]] = []
        edges = [0, *sorted({cut for cut in cuts if 0 < cut < len(groups)}), len(groups)]
        for first, end in pairwise(edges):
            judged = [each for group in groups[first:end] for each in group]
            rows = rows_of([[message for message, _ in group] for group in groups[first:end]])
            notes = np.zeros(max(1, len(judged)), NOTE)
            for i, (_, note) in enumerate(judged):
                for name, value in vars(note).items():
                    notes[i][name] = value
            out = np.zeros(len(judged) * self.stage.rows_per_slot, self.stage.channel.dtype)
            count = self.stage.kernel(rows, notes, self.state, self.params, out)
            self.notes = notes
            emitted += [plain(row) for row in out[:count]]
        return emitted


class Teller:
    """Makes judged messages of one symbol and day, keeping the arithmetic right."""

    def __init__(self, symbol_id: int = 1, day: str = DAYS[0], venue: Venue = Venue.HOSE) -> None:
        self.symbol_id, self.day, self.venue = symbol_id, day, venue
        self.total = self.seen = self.missed = 0
        self.begun = False
        self.gap_ends: list[int] = []  # by gap number, less 1

    def at(self, time: str, kind: SlotKind = SlotKind.TRADE, **fields: Any) -> Message:
        """Return a message of this symbol; received when it was stamped."""
        stamp = exch_s(self.day, time)
        return {
            "kind": kind,
            "symbol_id": self.symbol_id,
            "venue": self.venue,
            "exch_s": stamp,
            "recv_ns": stamp * 10**9 + 1,
        } | fields

    def _judge(self, message: Message, **said: int) -> Judged:
        flags = 0 if self.begun else NoteFlag.NEW_DAY
        self.begun = True
        self.seen += said.get("volume_shares", 0)
        self.missed += said.get("missed_volume_shares", 0)
        if said.get("missed_volume_shares", 0) > 0:
            self.gap_ends.append(message["exch_s"])
        assert message["kind"] != SlotKind.TRADE or self.seen + self.missed == self.total
        return message, note_of(flags=flags, phase=Phase.CONTINUOUS, **said)

    def match(
        self, time: str, volume: int, missed: int = 0, cause: int = GapCause.SKIPPED
    ) -> Judged:
        """Return a match after some volume nobody saw."""
        self.total += volume + missed
        return self._judge(
            self.at(time, total_volume_shares=self.total, last_volume_shares=volume),
            event=TradeEvent.MATCH,
            volume_shares=volume,
            missed_volume_shares=missed,
            cause=cause if missed else 0,
        )

    def baseline(self, time: str, missed: int, cause: int = GapCause.BASELINE) -> Judged:
        """Return a message that counts volume and tells no match."""
        self.total += missed
        return self._judge(
            self.at(time, total_volume_shares=self.total),
            event=TradeEvent.BASELINE,
            missed_volume_shares=missed,
            cause=cause,
        )

    def repeat(self, time: str, total: int | None = None) -> Judged:
        """Return a repeat of the present total, or of an older one."""
        told = self.total if total is None else total
        event = TradeEvent.REPEAT if told else TradeEvent.NONE
        return self._judge(self.at(time, total_volume_shares=told), event=event)

    def late(self, time: str, total: int, volume: int) -> Judged:
        """Return a match that ends at `total` and had been missed."""
        return self._judge(
            self.at(time, total_volume_shares=total, last_volume_shares=volume),
            event=TradeEvent.LATE,
            volume_shares=volume,
            missed_volume_shares=-volume,
        )

    def correction(self, time: str, total: int) -> Judged:
        """Return the exchange's correction down to `total`."""
        before, self.total = self.total, total
        return self._judge(
            self.at(time, total_volume_shares=total),
            event=TradeEvent.CORRECTION,
            missed_volume_shares=total - before,
        )

    def bar(self, time: str, gap_no: int, volume: int, left: int = 0, **prices: int) -> Judged:
        """Return a bar of REST: stamped with the end of its gap, if there is such a gap."""
        message = self.at(
            time, SlotKind.BACKFILL, gap_no=gap_no, volume_shares=volume, bars_left=left
        )
        if 0 < gap_no <= len(self.gap_ends):
            message["exch_s"] = self.gap_ends[gap_no - 1]
        return self._judge(message | prices)

    def next_day(self, day: str) -> "Teller":
        """Return the teller of the same symbol on another day."""
        return Teller(self.symbol_id, day, self.venue)


def told_by(message: Message) -> Judged:
    """Return a message with the blank note of SYMBOL and CONTROL slots."""
    return message, note_of()


def introduce(symbol_id: int = FEED_ID, instrument: Instrument = Instrument.FEED) -> Judged:
    """Return the introduction of the feed's pseudo symbol, or of another."""
    return told_by(
        {
            "kind": SlotKind.SYMBOL,
            "symbol_id": symbol_id,
            "code": b"FEED",
            "instrument": instrument,
            "value_multiplier": 1,
        }
    )


def feed_is(state: int, recv_ns: int, detail: bytes = b"", symbol_id: int = FEED_ID) -> Judged:
    """Return a change of the feed's state."""
    return told_by(
        {
            "kind": SlotKind.CONTROL,
            "symbol_id": symbol_id,
            "recv_ns": recv_ns,
            "op": ControlOp.FEED_STATE,
            "arg0": state,
            "detail": detail,
        }
    )


def frames_lost(frames: int, recv_ns: int, symbol_id: int = FEED_ID) -> Judged:
    """Return the news that our backlog dropped frames."""
    return told_by(
        {
            "kind": SlotKind.CONTROL,
            "symbol_id": symbol_id,
            "recv_ns": recv_ns,
            "op": ControlOp.LOST,
            "arg0": frames,
            "arg1": 1_000 * frames,
        }
    )


# Random days ---------------------------------------------------------------------------------

# M match, G match after missed volume, B baseline, U untold, L late, R repeat, C correction,
# F bar, f not the last one, O quote, N index, D next day, Z straggler, S introduction, K lost
# frames, V X P Q Y states of the feed.
WHATS = "MMMMGGGGBUULLLLRRCCFFFfONDZSKVXPQYPP"
STEP = st.tuples(
    st.integers(1, 3),  # symbol
    st.sampled_from(WHATS),
    st.integers(0, 12),  # how much, in lots
    st.integers(0, 12),  # how much else
    st.booleans(),  # ends a group
)
STORIES = st.lists(STEP, max_size=70)


def interpret(steps: list[tuple[Any, ...]]) -> list[list[Judged]]:
    """Tell drawn steps as groups of judged messages."""
    groups: list[list[Judged]] = [[introduce()]]
    tellers = {symbol_id: Teller(symbol_id) for symbol_id in (1, 2, 3)}
    spans: dict[int, list[tuple[int, int]]] = defaultdict(list)
    clock = 9 * 3600
    for number, (symbol_id, what, much, more, ends) in enumerate(steps):
        clock += more % 3 - (number % 7 == 0)  # stamps stand still and step back
        time = f"{clock // 3600:02}:{clock // 60 % 60:02}:{clock % 60:02}"
        own = tellers[symbol_id]
        judged = tell_step(own, spans[symbol_id], time, what, 100 * much, 100 * more)
        if what == "D" and own.begun and DAYS.index(own.day) + 1 < len(DAYS):
            tellers[symbol_id] = own.next_day(DAYS[DAYS.index(own.day) + 1])
            spans[symbol_id].clear()
        for message, note in judged:
            if message["kind"] == SlotKind.CONTROL:
                message["recv_ns"] = clock * 10**9 + number
            groups[-1].append((message, note))
        if ends and groups[-1]:
            groups.append([])
    return groups if groups[-1] else groups[:-1]


def tell_step(
    own: Teller, spans: list[tuple[int, int]], time: str, what: str, much: int, more: int
) -> list[Judged]:
    """Tell one step; `spans` are pieces of volume that were missed at some time."""
    before = own.total
    if what == "M" and much:
        return [own.match(time, much)]
    if what == "G" and much and more:
        spans.append((before, before + more))
        return [own.match(time, much, more, GapCause.OUTAGE if much > more else GapCause.SKIPPED)]
    if what in "BU" and much:
        spans.append((before, before + much))
        return [own.baseline(time, much, GapCause.BASELINE if what == "B" else GapCause.UNTOLD)]
    if what == "L" and spans:
        start, end = spans[more // 100 % len(spans)]
        volume = min(max(much, 100), end - start)
        return [own.late(time, end - more // 3 // 100 * 100 % (end - start - volume + 100), volume)]
    if what == "R":
        return [own.repeat(time, own.total - more if much > 600 and own.total > more else None)]
    if what == "C" and own.total:
        return [own.correction(time, max(0, own.total - 100 - much))]
    if what in "Ff":
        bar, note = own.bar(
            time, more // 100, much, what == "f", high_price_e2=much, low_price_e2=more
        )
        if much == 1_200:  # of another gap that had this number
            bar["exch_s"] += 1
        return [(bar, note)]
    head = own.at(time, {"O": SlotKind.QUOTE, "N": SlotKind.INDEX}.get(what, SlotKind.FOREIGN))
    if what in "ON":
        return [own._judge(head)]
    if what == "Z":  # a straggler of an older day
        return [(head | {"kind": SlotKind.TRADE}, note_of(flags=NoteFlag.STALE_DAY, event=5))]
    if what == "S":
        return [introduce(own.symbol_id, Instrument.STOCK)]
    if what == "K":
        return [frames_lost(much, 0)]
    if what in "VXPQY":
        state = FeedState("VXPQY".index(what))
        detail = b"" if much < 400 else b"because of %d" % (more // 400)
        return [feed_is(state, 0, detail)]
    return []
