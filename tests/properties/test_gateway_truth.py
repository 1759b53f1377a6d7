"""Whatever the bus does to frames and however clients stumble, everybody ends up with the truth.

A random market publishes; a random bus drops, repeats and reorders its frames; random clients
join, change, stop reading and start again. In the end one snapshot is delivered and everybody
drains. Then, for every client and every key it follows: the state is the market's, sequence numbers
never broke their contract on the way (ClientModel asserts it), and when nothing was lost on
the bus the merged aggregates are exactly the trades they stand for.
"""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from engine.schema.channels import ALERTS, BY_NAME, MARKET
from engine.schema.codes import AlertType, Instrument, Severity, Side
from gateway.recent import Query
from gateway.texts import price_text
from gateway.topics import parse
from tests.gateway.market import Market
from tests.gateway.sinks import Desk

CODES = ("FPT", "FTS", "HPG")
BOARD = ("FPT", "HOSE")  # keys of the board, one of them named like a symbol
TOPICS = (
    *("trade.FPT", "trade.F*", "trade.*", "quote.HPG", "quote.*", "*"),
    *("alerts.*", "alerts.FPT", "market.FPT", "market.*"),
)
NAMES = ("a", "b", "c")
SHOWN = {  # the field that is checked, and what clients call it
    "trade": ("price_e2", "price"),
    "quote": ("bid_price_e2", "bid_price"),
    "alerts": ("alert_no", "alert_no"),
    "market": ("advances", "advances"),
}

market_steps = st.one_of(
    st.tuples(
        st.just("trade"),
        st.sampled_from(CODES),
        st.integers(1, 9),
        st.integers(1, 9),
        st.sampled_from(Side),
    ),
    st.tuples(st.just("quote"), st.sampled_from(CODES), st.integers(1, 9)),
    st.tuples(st.just("alert"), st.sampled_from(CODES), st.sampled_from(Severity)),
    st.tuples(st.just("summary"), st.sampled_from(BOARD), st.integers(0, 9)),
    st.tuples(st.just("cut")),  # a frame ends here
    st.tuples(st.just("pass"), st.sampled_from(CODES), st.integers(1, 9)),
)  # all the way
client_steps = st.one_of(
    st.tuples(
        st.just("join"),
        st.sampled_from(NAMES),
        st.sampled_from(TOPICS),
        st.sampled_from(["all", "conflate", None]),
        st.sampled_from([0, 50, 200]),
        st.booleans(),
    ),
    st.tuples(st.just("leave"), st.sampled_from(NAMES), st.sampled_from(TOPICS)),
    st.tuples(st.just("stall"), st.sampled_from(NAMES)),
    st.tuples(st.just("drain"), st.sampled_from(NAMES)),
    st.tuples(st.just("wait"), st.integers(1, 300)),
)
bus_steps = st.one_of(
    st.tuples(st.just("deliver"), st.integers(0, 3)),  # one of the frames in flight
    st.tuples(st.just("drop"), st.integers(0, 3)),
    st.tuples(st.just("repeat"), st.integers(0, 3)),
    st.tuples(st.just("snapshot")),
)
clean_bus_steps = st.tuples(st.just("deliver"), st.just(0))
epoch_step = st.tuples(st.just("restart"))


class World:
    """Market, bus in flight, gateway and clients."""

    def __init__(self):
        self.market = Market(*CODES)
        for code in BOARD:
            self.market.list(code, instrument=Instrument.BOARD, name=f"board {code}")
        self.desk = Desk()
        self.flight = []
        self.alert_no = 0
        self.desk.feed(self.market.frame())
        self.do_join("a", "trade.*", "conflate", 0, True)
        self.do_join("b", "*", "conflate", 50, True)
        self.do_join("c", "trade.FPT", "all", 0, True)

    def play(self, steps):
        for name, *arguments in steps:
            getattr(self, "do_" + name)(*arguments)

    def do_trade(self, code, price, volume, side):
        self.market.trade(code, 100 * price, volume, side)

    def do_quote(self, code, bid):
        self.market.quote(code, 100 * bid, 100 * bid + 100)

    def do_alert(self, code, severity):
        self.alert_no += 1
        self.market.put(
            ALERTS,
            code,
            alert_type=AlertType.HALT,
            severity=severity,
            alert_no=self.alert_no,
            trade_day=18_823,
        )

    def do_summary(self, code, advances):
        self.market.put(MARKET, f"board {code}", advances=advances)

    def do_cut(self):
        if self.market.pending:
            self.flight.append(self.market.frame())

    def do_pass(self, code, price):
        self.do_trade(code, price, price, Side(price % 4))
        self.do_quote(code, price)
        self.do_cut()
        self.do_deliver(0)

    def do_deliver(self, at):
        if self.flight:
            self.desk.feed(self.flight.pop(min(at, len(self.flight) - 1)))

    def do_drop(self, at):
        if self.flight:
            self.flight.pop(min(at, len(self.flight) - 1))

    def do_repeat(self, at):
        if self.flight:
            self.desk.feed(self.flight[min(at, len(self.flight) - 1)])

    def do_snapshot(self):
        self.do_cut()
        self.desk.feed(self.market.snapshot())

    def do_restart(self):
        """The shard loses its past. The bus hands on one epoch after the other (Subscriber)."""
        self.do_cut()
        self.flight.clear()
        self.market.start_over(self.market.epoch + 1)
        self.do_snapshot()

    def do_join(self, name, topic, mode, interval_ms, snapshot):
        if snapshot or not topic.endswith("*"):
            self.desk.join(name, topic, mode=mode, interval_ms=interval_ms, snapshot=snapshot)
            self._name_exact(name, topic)

    def _name_exact(self, name, topic):
        """What `sub_ok` would have told (the fan-out alone does not write it)."""
        parsed = parse(topic)
        key_id = self.desk.fanout.key_id(parsed.channels[0], parsed.pattern)
        if not parsed.wildcard and key_id:
            self.desk.read(name).topic_of[parsed.channels[0].code << 20 | key_id] = topic

    def do_leave(self, name, topic):
        if name in self.desk.clients:
            self.desk.leave(name, topic)

    def do_stall(self, name):
        if name in self.desk.clients:
            self.desk.clients[name].sink.full = True

    def do_drain(self, name):
        if name in self.desk.clients:
            self.desk.drain(name)

    def do_wait(self, ms):
        self.desk.wait(ms)

    def settle(self):
        for name in self.desk.clients:
            self.desk.drain(name)
        for _ in range(3):  # flush, catch up, flush what that left
            self.desk.wait(1_000)
            for name in self.desk.clients:
                self.desk.drain(name)

    def topics_of(self, name):
        """Every key a client follows now."""
        return {
            f"{channel.name}.{code}"
            for text in self.desk.clients[name].subscriptions
            for channel in parse(text).channels
            for code in (BOARD if channel.board else CODES)
            if code.startswith(parse(text).pattern)
            and (parse(text).wildcard or code == parse(text).pattern)
        }

    def check_states(self, *, shown_at_join):
        for name in self.desk.clients:
            model = self.desk.read(name)
            for topic in self.topics_of(name):
                channel, _, code = topic.rpartition(".")
                key = f"board {code}" if BY_NAME[channel].board else code
                history = self.market.history.get((channel, key))
                if not history:
                    assert topic not in model.data
                    continue
                if topic not in model.data and not shown_at_join:
                    continue  # nothing happened since it joined without a snapshot
                assert model.seq[topic] == len(history), (name, topic)
                field, public = SHOWN[channel]
                want = int(history[-1][field])
                shown = model.data[topic][public]
                assert str(shown) == (price_text(want) if field.endswith("_e2") else str(want))

    def check_merged(self):
        """Every conflated frame speaks of exactly the trades between two sequence numbers."""
        for name in self.desk.clients:
            for topic, news in self.desk.read(name).news.items():
                history = self.market.history.get(tuple(topic.split(".")), [])  # trades only
                for before, seq, merged in news:
                    if merged is None:
                        continue
                    trades = history[before:seq]
                    prices = [int(row["price_e2"]) // 100 for row in trades]
                    assert merged["count"] == len(trades) == seq - before
                    assert (merged["open"], merged["high"], merged["low"]) == (
                        prices[0],
                        max(prices),
                        min(prices),
                    )
                    assert merged["volume_shares"] == sum(int(t["volume_shares"]) for t in trades)
                    for field, side in (("buy", Side.BUY), ("sell", Side.SELL)):
                        assert merged[f"{field}_volume_shares"] == sum(
                            int(t["volume_shares"]) for t in trades if t["side"] == side
                        )


@given(st.lists(st.one_of(market_steps, client_steps, bus_steps, epoch_step), max_size=80))
def test_state_equals_the_market_after_any_bus_and_any_clients(steps):
    world = World()
    world.play(steps)
    world.do_snapshot()  # the subscriber asks for it whenever it missed something
    world.settle()
    world.check_states(shown_at_join=False)


@given(st.lists(st.one_of(market_steps, clean_bus_steps, client_steps), max_size=80))
def test_aggregates_are_exact_when_the_bus_lost_nothing(steps):
    world = World()
    world.play(steps)
    world.do_cut()
    while world.flight:
        world.do_deliver(0)
    world.settle()
    world.check_states(shown_at_join=False)
    world.check_merged()


@given(st.lists(st.one_of(market_steps, clean_bus_steps, client_steps), max_size=80))
def test_recent_alerts_are_the_last_ones_in_the_order_they_were_told(steps):
    world = World()
    world.play(steps)
    world.do_cut()
    while world.flight:
        world.do_deliver(0)
    history = world.market.history
    told = [row for (name, _), rows in history.items() if name == "alerts" for row in rows]
    told.sort(key=lambda row: row["alert_no"])
    for severity in Severity:
        rows = map(orjson.loads, world.desk.fanout.recent(Query(ALERTS, 5, None, severity)))
        want = [row for row in told if row["severity"] >= severity][-5:]
        assert [(row["seq"], row["data"]["alert_no"]) for row in rows] == [
            (row["seq"], row["alert_no"]) for row in want
        ]


@given(st.lists(st.one_of(market_steps, clean_bus_steps), max_size=60))
def test_a_reader_of_everything_gets_every_trade_in_order(steps):
    world = World()
    world.desk.join("a", "trade.*")
    world.play(steps)
    world.do_cut()
    while world.flight:
        world.do_deliver(0)
    model = world.desk.read("a")
    assert all(frame["n"] == 1 for frame in model.frames)
    for code in CODES:
        prices = [
            frame["data"]["price"]
            for frame in model.frames
            if model.topic_of[frame["ch"]] == f"trade.{code}"
        ]
        assert prices == [
            int(row["price_e2"]) // 100 for row in world.market.history.get(("trade", code), [])
        ]
