"""The naive twin of channel ``alerts``: every slot kept, every question asked of the whole history.

Written from market-behaviour section 10 and the rules in the docstrings of ``engine.alerts``. What
is at a limit, what flows and which contracts there are is asked of the twins of those channels.
Nothing is counted along: an alert's number, what it repeats and whether its BEGIN was told are
found by reading what was told before.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from engine.clock import trade_day
from engine.config import AlertsConfig
from engine.schema.codes import (
    AlertState,
    AlertType,
    BasisState,
    ControlOp,
    DeltaFlag,
    FeedState,
    GapCause,
    Instrument,
    LimitEvent,
    NoteFlag,
    Phase,
    Severity,
    SlotKind,
    TradeEvent,
)
from engine.schema.deltas import ALERT_DELTA
from tests.oracle import basis_naive, foreign_naive, limits_naive

Message = dict[str, Any]
Row = dict[str, Any]

NS = 10**9
SPIKE_STEP_S = 15
FIVE_MINUTES_S = 300
GAPS_REMEMBERED = 4
AWAY = {FeedState.DOWN, FeedState.CONNECTING}
LIVE_KINDS = {
    SlotKind.TRADE,
    SlotKind.QUOTE,
    SlotKind.INDEX,
    SlotKind.FOREIGN,
    SlotKind.STATUS,
}
SYMBOL_KINDS = LIVE_KINDS | {SlotKind.PUT_THROUGH, SlotKind.REFERENCE, SlotKind.BACKFILL}
BLANK = {
    name: b"" if name == "rule" else 0
    for name in ALERT_DELTA.names or ()
    if not name.startswith("reserved")
}


def get(message: Message, name: str) -> int:
    """Return a number of a message; absent is 0."""
    return int(message.get(name, 0))


class Slot(NamedTuple):
    """One slot of the history, and where in it."""

    at: int
    message: Message
    note: Any

    @property
    def who(self) -> int:
        """Symbol id."""
        return get(self.message, "symbol_id")

    @property
    def kind(self) -> int:
        """SlotKind."""
        return get(self.message, "kind")

    @property
    def stamp(self) -> int:
        """Exchange stamp."""
        return get(self.message, "exch_s")

    @property
    def day(self) -> int:
        """Trading date."""
        return trade_day(self.stamp)


class Contracts(basis_naive.NaiveBasis):
    """What the twin of channel ``basis`` knows of contracts, asked in other words."""

    def told_now(self) -> dict[int, int | None]:
        """Return the contracts whose price or spot the newest slot told, with their basis."""
        now, today = len(self.history) - 1, self.today()
        if not today or today[-1].at != now:
            return {}
        found: dict[int, int | None] = {}
        for who, underlying in self._readings(today, now):
            price, spot = (
                basis_naive.price_of(who, today)[0],
                basis_naive.spot_of(underlying, today)[0],
            )
            found[who] = price - spot if spot else None
        return found

    def head(self, who: int) -> Row:
        """Return the head of a row about a contract."""
        row = self._head(who, self.today(), [], [])
        return {name: row[name] for name in ("phase", "venue")}

    def prices(self, who: int) -> tuple[int, int]:
        """Return a contract's price and spot."""
        today = self.today()
        underlying = self.introductions(len(self.history))[0][who]["underlying"]
        return basis_naive.price_of(who, today)[0], basis_naive.spot_of(underlying, today)[0]


class NaiveAlerts:
    """The twin: ``feed`` takes a group with its notes and returns its alerts."""

    def __init__(self, settings: AlertsConfig) -> None:
        self.settings = settings
        self.history: list[Slot] = []
        self.told: list[tuple[int, Row]] = []  # and at which slot
        self.limits = limits_naive.NaiveLimits()
        self.entries: list[tuple[int, int, int]] = []  # slot, symbol, LimitState
        self.news: set[int] = set()  # slots of entries that were seen happening
        self.contracts = Contracts()
        self.bases: list[tuple[Slot, int, int | None]] = []  # slot, contract, basis
        self.sides: list[tuple[int, int, BasisState]] = []  # slot, contract: told or adopted

    def feed(self, messages: list[Message], notes: list[Any]) -> list[Row]:
        """Take one group."""
        before = len(self.told)
        for message, note in zip(messages, notes, strict=True):
            self.history.append(Slot(len(self.history), message, note))
            self._ask(self.history[-1])
        return [row for _, row in self.told[before:]]

    def _ask(self, slot: Slot) -> None:
        self.contracts.history.append((slot.message, slot.note))
        if slot.kind == SlotKind.CONTROL:
            self._feed(slot)
        if not self.accepted(slot):
            return
        self._gaps(slot)
        if slot.kind == SlotKind.BACKFILL:
            return
        if slot.kind == SlotKind.PUT_THROUGH:
            self._deal(slot)
            return
        self._halt(slot)
        self._price_limit(slot)
        if slot.kind == SlotKind.TRADE:
            self._volume_spike(slot)
            self._block(slot)
        if slot.kind == SlotKind.FOREIGN:
            self._foreign(slot)
        self._basis_flip(slot)

    # History ----------------------------------------------------------------------------------

    @staticmethod
    def accepted(slot: Slot) -> bool:
        """Whether the symbol rules look at a slot."""
        return slot.kind in SYMBOL_KINDS and not slot.note.flags & NoteFlag.STALE_DAY

    def today(self, who: int) -> list[Slot]:
        """Return the accepted slots of a symbol on its newest trading date."""
        own = [each for each in self.history if each.who == who and self.accepted(each)]
        newest = max((each.day for each in own), default=0)
        return [each for each in own if each.day == newest]

    def outages(self) -> list[int]:
        """Return where the feed went away, or frames were lost."""
        here, found = False, []
        for each in self.history:
            if each.kind == SlotKind.CONTROL:
                state = get(each.message, "arg0")
                if each.message["op"] == ControlOp.LOST:
                    found.append(each.at)
                elif each.message["op"] == ControlOp.FEED_STATE:
                    if here and state in AWAY:
                        found.append(each.at)
                    if state in AWAY | {FeedState.LIVE, FeedState.STALE}:
                        here = state not in AWAY
            elif each.kind in (SlotKind.TRADE, SlotKind.QUOTE) and self.accepted(each):
                here = True
        return found

    def outage_since(self, at: int) -> bool:
        """Whether there was an outage after slot `at`; -1 is before all."""
        return any(when > at for when in self.outages())

    def told_of(self, kind: AlertType, who: int, day: int) -> list[tuple[int, Row]]:
        """Return what was told of a type, a symbol and a day."""
        return [
            (at, row)
            for at, row in self.told
            if (row["alert_type"], row["symbol_id"], row["trade_day"]) == (kind, who, day)
        ]

    def begun_at(self, kind: AlertType, slot: Slot, at: int) -> bool:
        """Whether a BEGIN was told at slot `at`."""
        return any(
            when == at and row["alert_state"] == AlertState.BEGIN
            for when, row in self.told_of(kind, slot.who, slot.day)
        )

    def begun_since(self, kind: AlertType, slot: Slot, at: int) -> bool:
        """Whether a BEGIN was told at slot `at` or, late, at a later one."""
        return any(self.begun_at(kind, slot, each.at) for each in self.history[at:])

    def tell(
        self,
        kind: AlertType,
        slot: Slot,
        severity: Severity,
        state: AlertState = AlertState.NONE,
        **numbers: Any,
    ) -> None:
        """Tell an alert unless it is a repeat; `numbers` may say more about the head."""
        head = {
            "symbol_id": slot.who,
            "exch_s": slot.stamp,
            "phase": int(slot.note.phase),
            "venue": get(slot.message, "venue"),
            "trade_day": slot.day,
        } | {name: numbers.pop(name) for name in tuple(numbers) if name in HEAD}
        told = self.told_of(kind, head["symbol_id"], head["trade_day"])
        same = [row for _, row in told if row["alert_state"] == state]
        if state != AlertState.END and same:
            near = head["exch_s"] - same[-1]["exch_s"] < self.settings.repeat_s
            if near and severity <= same[-1]["severity"]:
                return
        row = BLANK | head | {"recv_ns": get(slot.message, "recv_ns"), "updates": 1} | numbers
        row |= {"alert_type": kind, "alert_state": state, "severity": severity}
        row["alert_no"] = len(told) + 1
        row["seq"] = sum(each["symbol_id"] == row["symbol_id"] for _, each in self.told) + 1
        self.told.append((slot.at, {name: _plain(value) for name, value in row.items()}))

    # The rules ----------------------------------------------------------------------------------

    def _gaps(self, slot: Slot) -> None:
        note, kind = slot.note, AlertType.FEED
        if note.flags & NoteFlag.GAP_OPENED:
            if note.cause in (GapCause.SKIPPED, GapCause.UNTOLD):
                numbers = {"gap_no": note.gap_no, "gap_cause": note.cause}
                volume = note.missed_volume_shares
                state = AlertState.BEGIN
                self.tell(kind, slot, Severity.WARNING, state, volume_shares=volume, **numbers)
        elif note.flags & NoteFlag.GAP_CLOSED:
            rows = [row for _, row in self.told_of(kind, slot.who, slot.day)]
            opened = [row for row in rows if row["alert_state"] == AlertState.BEGIN]
            ended = {row["gap_no"] for row in rows if row["alert_state"] == AlertState.END}
            for row in opened[-GAPS_REMEMBERED:]:
                if row["gap_no"] == note.gap_no and note.gap_no not in ended:
                    same = {name: row[name] for name in ("gap_no", "gap_cause", "volume_shares")}
                    lasted = max(0, slot.stamp - row["exch_s"])
                    state = AlertState.END
                    self.tell(kind, slot, Severity.INFO, state, duration_s=lasted, **same)

    def _halt(self, slot: Slot) -> None:
        def witness(each: Slot) -> bool:
            told = each.note.event in (TradeEvent.MATCH, TradeEvent.LATE)
            return each.kind in LIVE_KINDS and not told

        if not witness(slot):
            return
        *earlier, now = [each for each in self.today(slot.who) if witness(each)]
        halted = [each.note.phase == Phase.HALT for each in earlier]
        first = len(halted)
        while first and halted[first - 1]:
            first -= 1
        begin = [*earlier, now][first]
        begun = self.begun_since(AlertType.HALT, slot, begin.at)
        if now.note.phase == Phase.HALT:
            if not begun:
                self.tell(AlertType.HALT, slot, Severity.CRITICAL, AlertState.BEGIN)
        elif begun and now.note.phase != Phase.CLOSED:
            lasted = max(0, slot.stamp - begin.stamp)
            state = AlertState.END
            self.tell(AlertType.HALT, slot, Severity.INFO, state, duration_s=lasted)

    def _price_limit(self, slot: Slot) -> None:
        kind, note = AlertType.PRICE_LIMIT, slot.note
        for row in self.limits.feed([slot.message], [note]):
            numbers = {
                "price_e2": row["price_e2"],
                "level_e2": row["limit_price_e2"],
                "count": row["enter_count"],
            }
            if row["limit_event"] == LimitEvent.LEAVE:
                at, _, limit = [each for each in self.entries if each[1] == slot.who][-1]
                if not self.begun_since(kind, slot, at):
                    continue
                numbers |= {"limit_state": limit, "volume_shares": row["left_queue_shares"]}
                numbers["duration_s"] = max(0, slot.stamp - row["since_exch_s"])
                self.tell(kind, slot, Severity.WARNING, AlertState.END, **numbers)
            elif row["limit_event"] == LimitEvent.ENTER:
                self.entries.append((slot.at, slot.who, row["limit_state"]))
                seen = note.event == TradeEvent.MATCH and not row["flags"] & DeltaFlag.BASELINE
                away = note.cause in (GapCause.OUTAGE, GapCause.LOST)
                if seen or (note.event == TradeEvent.BASELINE and away):
                    self.news.add(slot.at)
                    numbers |= {"limit_state": row["limit_state"]}
                    numbers["volume_shares"] = note.volume_shares
                    self.tell(kind, slot, Severity.CRITICAL, AlertState.BEGIN, **numbers)
        if slot.kind in (SlotKind.TRADE, SlotKind.QUOTE):
            self._price_limit_late(slot)

    def _price_limit_late(self, slot: Slot) -> None:
        day, kind = self.limits.days[slot.who], AlertType.PRICE_LIMIT
        visits, here = day.visits(), len(day.slots)
        if not visits or visits[-1][1] < here:
            return
        entry = [at for at, who, _ in self.entries if who == slot.who][-1]
        if entry == slot.at or entry not in self.news or self.begun_since(kind, slot, entry):
            return
        state, limit = visits[-1][2]
        self.tell(
            kind,
            slot,
            Severity.CRITICAL,
            AlertState.BEGIN,
            price_e2=day.price(here),
            level_e2=limit,
            limit_state=state,
            volume_shares=day.hit(visits[-1], here),
            count=len(visits),
        )

    def _volume_spike(self, slot: Slot) -> None:
        def counts(each: Slot) -> bool:
            return bool(each.note.event == TradeEvent.MATCH and each.note.phase == Phase.CONTINUOUS)

        if not counts(slot):
            return
        steps = -(-self.settings.volume_spike_window_s // SPIKE_STEP_S)
        placed, newest = [], 0
        for each in filter(counts, self.today(slot.who)):
            newest = max(newest, each.stamp // SPIKE_STEP_S)
            placed.append((newest, each.note.volume_shares))
        before = [volume for step, volume in placed[:-1] if step > newest - steps]
        percent, note = self.settings.volume_spike_percent, slot.note
        if len(before) < max(1, self.settings.volume_spike_trades_min):
            return
        if note.flags & NoteFlag.AFTER_OUTAGE:
            return
        if note.volume_shares * len(before) * 100 > percent * sum(before):
            self.tell(
                AlertType.VOLUME_SPIKE,
                slot,
                Severity.INFO,
                price_e2=get(slot.message, "last_price_e2"),
                volume_shares=note.volume_shares,
                value_vnd=note.value_vnd,
                measured=note.volume_shares * len(before) * 100 // sum(before),
                threshold=percent,
                count=len(before),
                duration_s=self.settings.volume_spike_window_s,
            )

    def _block(self, slot: Slot) -> None:
        note, least = slot.note, self.settings.block_trade_min_vnd
        if note.event != TradeEvent.MATCH or note.flags & NoteFlag.AFTER_OUTAGE:
            return
        if note.value_vnd >= least:
            self.tell(
                AlertType.BLOCK_TRADE,
                slot,
                Severity.INFO,
                price_e2=get(slot.message, "last_price_e2"),
                volume_shares=note.volume_shares,
                value_vnd=note.value_vnd,
                measured=note.value_vnd,
                threshold=least,
            )

    def _deal(self, slot: Slot) -> None:
        deals = [each for each in self.today(slot.who) if each.kind == SlotKind.PUT_THROUGH]
        known = 0
        for number, each in enumerate(deals):
            total, volume = (
                get(each.message, "total_volume_shares"),
                get(each.message, "volume_shares"),
            )
            value = get(each.message, "price_e2") * volume * self._multiplier(each) // 100
            if total and total <= known:
                known, told = total, False
                continue
            told = value > 0
            late = number == 0 and total > (volume if told else 0)
            known = total or known + volume * told
        least = self.settings.block_put_through_min_vnd
        if told and not late and value >= least:
            self.tell(
                AlertType.BLOCK_TRADE,
                slot,
                Severity.INFO,
                phase=int(Phase.PUT_THROUGH),
                price_e2=get(slot.message, "price_e2"),
                volume_shares=volume,
                value_vnd=value,
                measured=value,
                threshold=least,
            )

    def _multiplier(self, slot: Slot) -> int:
        own = [e for e in self.history[: slot.at] if e.who == slot.who]
        told = [get(e.message, "value_multiplier") for e in own if e.kind == SlotKind.SYMBOL]
        return told[-1]

    # Foreign ------------------------------------------------------------------------------------

    def _foreign(self, slot: Slot) -> None:
        story = Flow(self, self.today(slot.who))
        for fires in story.play():
            last = fires
        for kind, severity, state, numbers in last:
            self.tell(kind, slot, severity, state, **numbers)

    def _basis_flip(self, slot: Slot) -> None:
        for who, basis in sorted(
            self.contracts.told_now().items(),
            key=lambda item: list(self.contracts.introductions(slot.at)[0]).index(item[0]),
        ):
            today = {each.at for each in self.today(who)}
            earlier = [each for each in self.bases if each[1] == who and each[0].at < slot.at]
            self.bases.append((slot, who, basis))
            side = self._side(basis)
            if side == BasisState.NONE:
                continue
            # Whatever was told or adopted since the first slot of the contract's day.
            sides = [each for at, whose, each in self.sides if whose == who and at >= min(today)]
            if not sides or self._was_found(slot, earlier):
                self.sides.append((slot.at, who, side))
                continue
            if sides[-1] == side:
                continue
            before = len(self.told)
            price, spot = self.contracts.prices(who)
            self.tell(
                AlertType.BASIS_FLIP,
                slot,
                Severity.WARNING,
                symbol_id=who,
                trade_day=self.today(who)[-1].day,
                **self.contracts.head(who),
                price_e2=price,
                level_e2=spot,
                measured=basis,
                threshold=self.settings.basis_flip_band_e2,
            )
            if len(self.told) > before:
                self.sides.append((slot.at, who, side))

    def _side(self, basis: int | None) -> BasisState:
        if not basis or abs(basis) < self.settings.basis_flip_band_e2:
            return BasisState.NONE
        return BasisState.PREMIUM if basis > 0 else BasisState.DISCOUNT

    def _was_found(self, slot: Slot, earlier: list[tuple[Slot, int, int | None]]) -> bool:
        for of_spot in (False, True):
            told = [e.at for e, _, _ in earlier if (e.kind == SlotKind.INDEX) == of_spot]
            if self.outage_since(max(told, default=-1)):
                return True
        unseen = slot.note.event in (TradeEvent.BASELINE, TradeEvent.CORRECTION)
        own = slot.kind == SlotKind.TRADE
        return own and bool(unseen or slot.note.flags & NoteFlag.AFTER_OUTAGE)

    # The feed -------------------------------------------------------------------------------------

    def market_time(self, now_ns: int) -> int:
        """Return the newest stamp and what has passed since; without one our own clock."""
        kinds = LIVE_KINDS | {SlotKind.PUT_THROUGH}
        heard = [each for each in self.history if each.kind in kinds and self.accepted(each)]
        if not heard:
            return now_ns // NS
        newest = max(each.stamp for each in heard)
        since = [get(each.message, "recv_ns") for each in heard if each.stamp == newest][-1]
        return newest + max(0, now_ns - since) // NS

    def _feed(self, slot: Slot) -> None:
        introduced = [
            each.at
            for each in self.history
            if each.who == slot.who
            and each.kind == SlotKind.SYMBOL
            and each.message["instrument"] == Instrument.FEED
        ]
        if not introduced:
            return
        now = self.market_time(get(slot.message, "recv_ns"))
        head: Row = {"exch_s": now, "trade_day": trade_day(now), "phase": 0}
        states = self._feed_states(slot.who, introduced[0])
        present = states[-1][1] if states else FeedState.DOWN
        kind, op, arg0 = AlertType.FEED, slot.message["op"], get(slot.message, "arg0")
        if op == ControlOp.LOST and arg0 > 0:
            lost: Row = {"gap_cause": GapCause.LOST, "measured": arg0, "count": arg0}
            self.tell(kind, slot, Severity.WARNING, feed_state=present, **lost, **head)
        if op != ControlOp.FEED_STATE or not states or states[-1][0] != slot.at:
            return
        before = states[-2][1] if len(states) > 1 else None
        head["feed_state"] = present
        if present == FeedState.STALE:
            self.tell(kind, slot, Severity.WARNING, AlertState.BEGIN, **head)
        elif present in AWAY and before in (FeedState.LIVE, FeedState.STALE):
            self.tell(kind, slot, Severity.CRITICAL, AlertState.BEGIN, **head)
        elif present == FeedState.LIVE:
            self._feed_is_back(slot, states, head)

    def _feed_is_back(self, slot: Slot, states: list[tuple[int, int]], head: Row) -> None:
        first = len(states) - 1
        while first and states[first - 1][1] not in (FeedState.LIVE, FeedState.CLOSED):
            first -= 1
        # Not well is from the first STALE on, or from the going away of a feed that was here.
        ailing = [
            at
            for number, (at, state) in enumerate(states[first:-1], first)
            if state == FeedState.STALE
            or (number and state in AWAY and states[number - 1][1] in HERE)
        ]
        kind: AlertType = AlertType.FEED
        told = [at for at, row in self.told if row["alert_type"] == kind and at in ailing]
        if told:
            began = self._stamps[ailing[0]]
            lasted = max(0, head["exch_s"] - began)
            self.tell(kind, slot, Severity.INFO, AlertState.END, duration_s=lasted, **head)

    @property
    def _stamps(self) -> dict[int, int]:
        """Market time of every CONTROL slot, as it was then."""
        whole, stamps = self.history, {}
        for each in whole:
            if each.kind == SlotKind.CONTROL:
                self.history = whole[: each.at + 1]
                stamps[each.at] = self.market_time(get(each.message, "recv_ns"))
        self.history = whole
        return stamps

    def _feed_states(self, who: int, since: int) -> list[tuple[int, int]]:
        """Return (slot, state) of every change of state."""
        states: list[tuple[int, int]] = []
        for each in self.history[since:]:
            if each.kind != SlotKind.CONTROL or each.who != who:
                continue
            state = get(each.message, "arg0")
            if each.message["op"] != ControlOp.FEED_STATE or state > FeedState.CLOSED:
                continue
            if not states or states[-1][1] != state:
                states.append((each.at, state))
        return states


HERE = (FeedState.LIVE, FeedState.STALE)
HEAD = ("symbol_id", "exch_s", "phase", "venue", "trade_day")

Fires = list[tuple[AlertType, Severity, AlertState, Row]]


class Flow:
    """One symbol's foreign day, told from its start: what fires at every FOREIGN message."""

    def __init__(self, alerts: NaiveAlerts, slots: list[Slot]) -> None:
        self.alerts = alerts
        self.settings = alerts.settings
        self.slots = [each for each in slots if each.kind in foreign_naive.WATCHED]
        self.day: foreign_naive.Day | None = None
        self.picture: Row = {}
        self.accelerated = self.soon = False
        self.base = 0  # when the base of the figures was told
        self.rooms: list[tuple[Slot, bool]] = []  # messages that told a room; whether it was gone

    def play(self) -> Iterator[Fires]:
        """Yield what each FOREIGN message would fire if nothing were a repeat."""
        for slot in self.slots:
            if self.day and self.day.is_zero_snapshot(slot.message):
                yield []
                continue
            self._pass_time(slot)
            if slot.kind == SlotKind.FOREIGN:
                yield self._message(slot)

    def _pass_time(self, slot: Slot) -> None:
        if self.day:
            self.day.watch({"kind": SlotKind.TRADE, "exch_s": slot.stamp})
            self.picture = self.day.picture()
            self._calm_down()

    def _message(self, slot: Slot) -> Fires:
        first = self.day is None
        self.day = self.day or foreign_naive.Day(slot.day)
        before, count = self.picture, len(self.day.told)
        self.day.watch(slot.message, sum(when < slot.at for when in self.alerts.outages()))
        if len(self.day.told) == count:
            return []
        self.picture = self.day.picture()
        reset = not first and self.picture["reset_count"] > before["reset_count"]
        is_base = first or reset or self.day.found
        if is_base:
            self.base = slot.stamp
        elif self.picture == before:
            return []
        self._calm_down()
        old = slot.stamp - self.base >= FIVE_MINUTES_S
        return self._acceleration(old) + self._room(slot, is_base, old)

    # Net value ------------------------------------------------------------------------------------

    def _change(self) -> tuple[int, int, int]:
        """Return net value, its change of five minutes, and the change that fires."""
        net = self.picture["buy_value_vnd"] - self.picture["sell_value_vnd"]
        change = self.picture["net_value_5m_vnd"]
        return net, change, abs(net - change) * self.settings.foreign_acceleration_percent // 100

    def _calm_down(self) -> None:
        _, change, fires = self._change()
        if abs(change) <= fires * self.settings.rearm_percent // 100:
            self.accelerated = False
        left, within = self._left_s(), self.settings.room_exhausted_within_s
        if left is None or (left > within and left * self.settings.rearm_percent >= within * 100):
            self.soon = False

    def _acceleration(self, may_fire: bool) -> Fires:
        net, change, fires = self._change()
        big = abs(net - change) >= self.settings.foreign_value_min_vnd
        if self.accelerated or not may_fire or not big or abs(change) <= fires:
            return []
        self.accelerated = True
        numbers = {
            "value_vnd": net,
            "measured": change,
            "threshold": fires,
            "volume_shares": self.picture["net_volume_5m_shares"],
        }
        return [(AlertType.FOREIGN_ACCELERATION, Severity.WARNING, AlertState.NONE, numbers)]

    # Room -----------------------------------------------------------------------------------------

    def _left_s(self) -> int | None:
        used = self.picture["room_used_5m_shares"]
        room = self.picture["current_room_shares"]
        return -(-room * FIVE_MINUTES_S // used) if used > 0 else None

    def _room(self, slot: Slot, found: bool, old: bool) -> Fires:
        if self.picture["total_room_shares"] == 0:
            return []
        room = self.picture["current_room_shares"]
        earlier = list(self.rooms)
        self.rooms.append((slot, room == 0))
        kind = AlertType.ROOM_EXHAUSTED
        if room == 0:
            self.soon = False
            if earlier and not earlier[-1][1] and not found:
                return [(kind, Severity.CRITICAL, AlertState.BEGIN, {})]
            return []
        fires: Fires = []
        if earlier and earlier[-1][1]:
            gone = len(earlier)
            while gone and earlier[gone - 1][1]:
                gone -= 1
            begin = earlier[gone][0]
            if self.alerts.begun_at(kind, slot, begin.at):
                lasted = max(0, slot.stamp - begin.stamp)
                numbers: Row = {"volume_shares": room, "duration_s": lasted}
                fires.append((kind, Severity.INFO, AlertState.END, numbers))
        left, within = self._left_s(), self.settings.room_exhausted_within_s
        if left is not None and left <= within and not self.soon and old and not found:
            self.soon = True
            numbers = {"volume_shares": room, "measured": left, "threshold": within}
            fires.append((kind, Severity.WARNING, AlertState.SOON, numbers))
        return fires


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, int) else value
