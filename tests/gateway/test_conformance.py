"""The gateway against the tape: whatever happens, each client ends with the truth and knows how.

Rows, new symbols, lost frames, shards and gateways that start over; clients of both formats in
every mode that jam, ask, leave and come back. What is checked of each frame is in
tests/gateway/conformance_judge.py.
"""

import hypothesis.strategies as st
from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from engine.schema.codes import Side
from tests.gateway.conformance_house import CODES, House

TOPICS = ("trade.*", "trade.FPT", "trade.F*", "trade.V*", "quote.*", "quote.HPG", "stats.*", "*")
MODES = (None, "all", "conflate", "skip")
INTERVALS_MS = (None, 0, 50, 1_000)
SEATS_MAX = 4

shards = st.sampled_from([0, 0, 1])
picks = st.integers(0, 11)
ways = st.tuples(st.sampled_from(MODES), st.sampled_from(INTERVALS_MS))
some_topics = st.lists(st.sampled_from(TOPICS), min_size=1, max_size=3, unique=True)
says = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(["trade", "trade", "quote", "stats"])),
    min_size=1,
    max_size=6,
)


class Conformance(RuleBasedStateMachine):
    """One gateway's day."""

    @initialize(
        budget_bytes=st.sampled_from([700, 4_000, 1 << 20]),
        backlog_bytes=st.sampled_from([0, 20_000, 1 << 24, 1 << 24]),
    )
    def open(self, budget_bytes, backlog_bytes):
        self.house = House(budget_bytes, backlog_bytes)
        self.lost = [0, 0]  # frames of each shard that the bus has lost just now

    def _seat(self, pick, *, here=True):
        seats = [seat for seat in self.house.seats if (seat.client is not None) is here]
        return seats[pick % len(seats)] if seats else None

    # --- market ---------------------------------------------------------------------------------

    def _speak(self, shard, rows):
        source = self.house.sources[shard]
        codes = list(source.ids)
        for pick, kind in rows:
            code, step = codes[pick % len(codes)], source.clock_s % 97
            if kind == "trade":
                side = (Side.BUY, Side.SELL, Side.NEUTRAL)[step % 3]
                source.trade(code, 2_000_000 + 10_000 * step, 100 + step, side)
            elif kind == "quote":
                source.quote(code, 2_000_000 + step, 2_010_000 + step)
            else:
                source.stats(code, trade_count=step)
        return source, source.frame()

    @rule(shard=shards, rows=says, again=st.booleans())
    def the_market_moves(self, shard, rows, again):
        frames = []
        for _ in range(1 + again):
            source, frame = self._speak(shard, rows)
            frames.append((source, frame, self.lost[shard]))
            self.lost[shard] = 0
        self.house.feed(frames)

    @rule(shard=shards, rows=says)
    def the_bus_loses_a_frame(self, shard, rows):
        self._speak(shard, rows)
        self.lost[shard] += 1

    @rule(shard=shards)
    def a_shard_tells_all(self, shard):
        source = self.house.sources[shard]
        self.house.feed([(source, source.snapshot(), 0)])

    @rule(shard=shards, rows=says)
    def a_symbol_is_listed(self, shard, rows):
        source = self.house.sources[shard]
        left = [code for code in CODES[shard] if code not in source.ids]
        if left:
            source.list(left[0])
        self.the_market_moves(shard, rows, again=False)

    @rule(shard=shards, rows=says)
    def a_shard_starts_over(self, shard, rows):
        self.house.sources[shard].start_over()
        self.lost[shard] = 0
        self.the_market_moves(shard, rows, again=False)

    @rule(old_log=st.booleans())
    def the_gateway_starts_anew(self, old_log):
        self.lost = [0, 0]
        self.house.restart(old_log=old_log)

    @rule(ms=st.sampled_from([1, 50, 1_000]))
    def time_passes(self, ms):
        self.house.wait(ms)

    # --- clients --------------------------------------------------------------------------------

    @rule(form=st.sampled_from(["json", "bin"]), sealed=st.booleans(), topics=some_topics, way=ways)
    def a_client_comes(self, form, sealed, topics, way):
        if len(self.house.seats) < SEATS_MAX:
            self._ask(self.house.sit_down(form, sealed=sealed), topics, way, snapshot=True)

    @precondition(lambda self: 0 < len(self.house.seats) < SEATS_MAX)
    @rule(pick=picks)
    def a_client_comes_that_wants_the_same(self, pick):
        """Two of a group, and one of them may be slow."""
        if other := self._seat(pick):
            seat = self.house.sit_down(other.form)
            for topic, way in other.ways.items():
                self._ask(seat, [topic], way, snapshot=True)

    def _ask(self, seat, topics, way, *, snapshot):
        mode, interval_ms = way
        self.house.say(
            seat, op="sub", topics=topics, mode=mode, interval_ms=interval_ms, snapshot=snapshot
        )
        for topic in seat.conversation.subscriptions:
            if topic in topics:
                seat.ways[topic] = way

    @precondition(lambda self: self.house.seats)
    @rule(pick=picks, topics=some_topics, way=ways, snapshot=st.booleans())
    def a_client_asks_for_more(self, pick, topics, way, snapshot):
        if seat := self._seat(pick):
            self._ask(seat, topics, way, snapshot=snapshot)

    @precondition(lambda self: self.house.seats)
    @rule(pick=picks, way=st.tuples(st.sampled_from(MODES[1:]), st.sampled_from(INTERVALS_MS)))
    def a_client_wants_it_another_way(self, pick, way):
        seat = self._seat(pick)
        if seat and seat.ways:
            topic = list(seat.ways)[pick % len(seat.ways)]
            self.house.say(seat, op="set", topics=[topic], mode=way[0], interval_ms=way[1])
            seat.ways[topic] = way

    @precondition(lambda self: self.house.seats)
    @rule(pick=picks)
    def a_client_leaves_a_topic(self, pick):
        seat = self._seat(pick)
        if seat and seat.ways:
            topic = list(seat.ways)[pick % len(seat.ways)]
            self.house.say(seat, op="unsub", topics=[topic])
            del seat.ways[topic]

    @precondition(lambda self: self.house.seats)
    @rule(pick=picks, takes=st.sampled_from([0, 0, 1, 100, 1_000]))
    def a_line_jams(self, pick, takes):
        if seat := self._seat(pick):
            seat.line.full, seat.line.takes = not takes, takes or 1

    @precondition(lambda self: self.house.seats)
    @rule(pick=picks, size=st.sampled_from([None, None, 50, 500]), clears=st.booleans())
    def a_line_takes_again(self, pick, size, clears):
        if seat := self._seat(pick):
            if clears:
                seat.line.full, seat.line.takes = False, 1 << 40
            self.house.drain(seat, size)

    @precondition(lambda self: self.house.seats)
    @rule(pick=picks)
    def a_line_is_cut(self, pick):
        if seat := self._seat(pick):
            self.house.hang_up(seat)

    @precondition(lambda self: any(seat.client is None for seat in self.house.seats))
    @rule(pick=picks, wildcards=st.booleans())
    def a_client_comes_back(self, pick, wildcards):
        self.house.come_back(self._seat(pick, here=False), wildcards=wildcards)

    @rule()
    def everybody_reads(self):
        self.house.settle()

    def teardown(self):
        if hasattr(self, "house"):
            self.house.settle()


TestConformance = Conformance.TestCase
TestConformance.settings = settings(
    settings(),
    stateful_step_count=40,
    report_multiple_bugs=False,
    # A failure is shown as it was found: making it small takes minutes.
    phases=[phase for phase in Phase if phase is not Phase.shrink],
)
