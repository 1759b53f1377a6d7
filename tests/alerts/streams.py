"""Random days on which a lot is worth an alert: a hypothesis strategy.

Drawn as small tuples and interpreted, so that a shrunk example is a day again. Thresholds are so
low that every rule fires, is a repeat, is armed again and meets an outage now and then.
"""

from random import Random
from typing import Any

from hypothesis import strategies as st

from engine.config import AlertsConfig
from engine.schema.codes import (
    ControlOp,
    FeedState,
    Instrument,
    SlotKind,
    TradingStatus,
    Underlying,
    Venue,
)
from tests.shard.messages import Message, exch_s, levels

SETTINGS = AlertsConfig(
    repeat_s=20,
    rearm_percent=50,
    volume_spike_percent=150,
    volume_spike_window_s=700,
    volume_spike_trades_min=2,
    foreign_acceleration_percent=40,
    foreign_value_min_vnd=2_000,
    basis_flip_band_e2=20,
    block_trade_min_vnd=20_000_000,
    block_put_through_min_vnd=15_000_000,
    room_exhausted_within_s=900,
)

STOCKS, FUTURES, SPOT, FEED_ID = (1, 2), (3, 4), 5, 11
VENUES = {1: Venue.HOSE, 2: Venue.HNX, 3: Venue.DERIVATIVES, 4: Venue.DERIVATIVES, 5: Venue.HOSE}
DAYS = ("2021-07-15", "2021-07-16", "2021-07-19")
CLOCKS = ("08:59:00", "09:14:50", "09:30:00", "11:28:00", "13:00:00", "14:29:50", "14:44:50")
FLOOR, MIDDLE, CEILING = 2_325_000, 2_500_000, 2_675_000
STATES = (FeedState.LIVE, FeedState.STALE, FeedState.DOWN, FeedState.CONNECTING, FeedState.CLOSED)
STATUSES = (TradingStatus.NORMAL, TradingStatus.HALTED, TradingStatus.NONE)

# T trade, G after missed volume, U untold, C correction, H held back, L late, R repeat, Q book,
# F foreign, f foreign reset, I index, S status, P put-through, E limits, K bar, X feed, O lost
CHOICES: tuple[tuple[Any, ...], ...] = (
    tuple("TTTTTTTTTGGUCHLRQQQFFFFFFfIIIISSPPEKXXO"),
    (1, 1, 1, 2, 3, 3, 4),  # who
    tuple(range(8)),  # how much
    tuple(range(8)),  # how much else
    (0, 0, 0, 1, 2, 5, 7, 12, 40, 100, 290, -3),  # seconds that pass
    (0,) * 40 + (1,),  # clock jumps to the next hour of CLOCKS
    (0,) * 60 + (1, -1),  # days
    (True, False),  # ends a group
)
EVENT = st.tuples(*(st.sampled_from(choices) for choices in CHOICES))


def long_stream(seed: int, length: int = 90) -> list[tuple[Any, ...]]:
    """Return many events: most alerts take more of them than hypothesis draws."""
    draw = Random(seed)
    return [tuple(draw.choice(choices) for choices in CHOICES) for _ in range(length)]


STREAMS = st.lists(EVENT, max_size=40) | st.integers(0, 10**6).map(long_stream)


def introduce(who: int) -> Message:
    """Return a symbol's introduction."""
    instrument = {3: Instrument.FUTURE, 4: Instrument.FUTURE, 5: Instrument.INDEX}.get(
        who, Instrument.FEED if who == FEED_ID else Instrument.STOCK
    )
    return {
        "kind": SlotKind.SYMBOL,
        "symbol_id": who,
        "venue": VENUES.get(who, Venue.UNKNOWN),
        "code": b"VN30" if who == SPOT else b"SYM%d" % who,
        "value_multiplier": 100_000 if who in FUTURES else 1,
        "instrument": instrument,
        "underlying": Underlying.VN30 if who in FUTURES else Underlying.NONE,
    }


class Teller:
    """Turns drawn events into messages whose cumulative figures fit together."""

    def __init__(self) -> None:
        self.totals = dict.fromkeys(VENUES, 0)
        self.deals = dict.fromkeys(VENUES, 0)
        self.held: dict[int, list[Message]] = {who: [] for who in VENUES}
        self.flows: dict[int, list[int]] = {who: [0, 0, 10_000] for who in VENUES}

    def begin_day(self) -> None:
        """Begin cumulative figures at 0."""
        self.totals, self.deals = dict.fromkeys(VENUES, 0), dict.fromkeys(VENUES, 0)
        self.flows = {who: [0, 0, 10_000] for who in VENUES}

    def tell(self, what: str, who: int, much: int, more: int) -> Message | None:
        """Return the payload of one event, or None when there is nothing to tell."""
        if what in "TGUCHR":
            return self._trade(what, who, much, more)
        if what == "L":
            return self.held[who].pop(0) if self.held[who] else None
        if what == "Q":
            sides = (
                (((CEILING, 100 + 100 * much),), ()),
                ((), ((FLOOR, 100 + 100 * much),)),
                (((MIDDLE - 5_000, 100),), ((MIDDLE, 100),)),
            )[more % 3]
            fields: Message = {"kind": SlotKind.QUOTE}
            for side, pairs in zip(("bid", "ask"), sides, strict=True):
                prices, volumes = levels(*pairs)
                fields |= {f"{side}_price_e2": prices, f"{side}_volume_shares": volumes}
            return fields
        if what in "Ff":
            return self._foreign(what, who, much, more)
        if what == "I":
            value = 0 if much == 7 else 148_000 + 15 * (much - 3)
            return {"kind": SlotKind.INDEX, "value_e2": value, "prior_value_e2": 148_000}
        if what == "S":
            return {"kind": SlotKind.STATUS, "status": STATUSES[much % 3]}
        if what == "P":
            volume = 200 * much
            self.deals[who] += volume + 100 * (more == 7) - 300 * (more == 6)
            total = max(0, self.deals[who]) if more > 3 else 0
            return {
                "kind": SlotKind.PUT_THROUGH,
                "price_e2": MIDDLE,
                "volume_shares": volume,
                "total_volume_shares": total,
            }
        if what == "E":
            return {"kind": SlotKind.REFERENCE} | limits(more)
        if what == "K":
            return {"kind": SlotKind.BACKFILL, "gap_no": 1 + more % 4, "volume_shares": 100 * much}
        return {
            "kind": SlotKind.CONTROL,
            "symbol_id": FEED_ID,
            "op": ControlOp.LOST if what == "O" else ControlOp.FEED_STATE,
            "arg0": much if what == "O" else STATES[much % 5],
        }

    def _trade(self, what: str, who: int, much: int, more: int) -> Message:
        size = 100 * (1 + much * (much > 4) * 3) if who in STOCKS else 1 + much
        growth = {"G": size + 300, "U": size, "C": -min(self.totals[who], size), "R": 0}
        self.totals[who] += growth.get(what, size)
        price = (FLOOR, CEILING, CEILING, MIDDLE, MIDDLE, MIDDLE, MIDDLE, 0)[more]
        if who in FUTURES:
            price = 148_000 + 15 * (more - 3)
        message = limits(much) | {
            "kind": SlotKind.TRADE,
            "last_price_e2": price,
            "last_volume_shares": 0 if what == "U" else size,
            "total_volume_shares": self.totals[who],
        }
        if what != "H":
            return message
        self.held[who].append(message)
        return {"kind": SlotKind.STATUS}

    def _foreign(self, what: str, who: int, much: int, more: int) -> Message:
        own = self.flows[who]
        own[0] += 1_000 * much * (more % 2)
        own[1] += 700 * much * (1 - more % 2)
        if what == "f":
            own[more % 2] //= 2
        own[2] = {5: 0, 6: own[2] // 2, 7: 4_000}.get(more, own[2])
        return {
            "kind": SlotKind.FOREIGN,
            "buy_value_vnd": own[0],
            "buy_volume_shares": own[0] // 10,
            "sell_value_vnd": own[1],
            "sell_volume_shares": own[1] // 10,
            "current_room_shares": own[2],
            "total_room_shares": 0 if own[2] == 0 and much == 7 else 20_000,
        }


def limits(which: int) -> Message:
    """Limits as a message tells them: mostly both, sometimes none."""
    told = which != 3
    return {"ceiling_price_e2": CEILING * told, "floor_price_e2": FLOOR * told}


def interpret(events: list[tuple[Any, ...]]) -> list[list[Message]]:
    """Turn drawn tuples into groups of messages."""
    groups: list[list[Message]] = [[introduce(who) for who in (*VENUES, FEED_ID)], []]
    teller, day, hour = Teller(), 0, 2
    now = exch_s(DAYS[0], CLOCKS[hour])
    for number, (what, drawn, much, more, passes, jump, roll, ends) in enumerate(events):
        if roll > 0 and day + 1 < len(DAYS):
            day, hour = day + 1, 0
            now = exch_s(DAYS[day], CLOCKS[0])
            teller.begin_day()
        if jump and hour + 1 < len(CLOCKS):
            hour += 1
            now = max(now, exch_s(DAYS[day], CLOCKS[hour]))
        now += passes
        who = SPOT if what == "I" else drawn
        told = teller.tell(what, who, much, more)
        if told is not None:
            stamp = now - 86_400 * (roll < 0)
            head = {"symbol_id": who, "venue": VENUES[who], "exch_s": stamp}
            head |= {"recv_ns": now * 10**9 + number}
            groups[-1].append(head | told)
        if ends and groups[-1]:
            groups.append([])
    return groups if groups[-1] else groups[:-1]
