"""A gateway without sockets: fan-out and conversation, and clients at lines that jam."""

import orjson

from engine.schema.channels import CHANNELS
from gateway.conversation import Conversation, Limits
from gateway.fanout import Fanout
from gateway.protocol import step
from gateway.reception import reply_frame
from gateway.resume import positions_of
from gateway.settings import INTERVAL_STEPS_MS
from gateway.sinks import Client
from tests.gateway.client import whole_frames
from tests.gateway.conformance import Source, Tape
from tests.gateway.conformance_judge import deciding, names
from tests.gateway.conformance_seat import Asked, Line, Seat
from tests.gateway.market import CAPACITY
from tests.gateway.sinks import MS, NOW_NS

LIMITS = Limits(
    topics_max=20, message_bytes_max=100_000, conflate_ms=50, intervals_ms=INTERVAL_STEPS_MS
)
CODES = (("FPT", "HPG", "FTS", "HSG"), ("VNM", "VIC", "VHM"))  # by shard, as they are listed
NOTICE_BYTES = 1_500  # more than a gap, a warning or a goodbye takes here
NAMES = [channel.name for channel in CHANNELS]
SETTLED_MS = 5_000  # longer than any interval that is asked for


class House:
    """A fan-out, two shards, and seats."""

    def __init__(self, budget_bytes, backlog_bytes):
        self.budget_bytes, self.backlog_bytes = budget_bytes, backlog_bytes
        self.tape = Tape()
        self.now_ns = NOW_NS
        self.fanout = self._fanout()
        self.sources = [
            Source(self.tape, shard, 1 + 20 * shard, *codes[:2])
            for shard, codes in enumerate(CODES)
        ]
        self.seats = []
        for source in self.sources:
            self.feed([(source, source.frame(), 0)])

    def _fanout(self):
        return Fanout(CAPACITY, self.budget_bytes, self.backlog_bytes)

    @property
    def remembers_all(self):
        return self.backlog_bytes >= 1 << 20

    # --- gateway.conversation.World -------------------------------------------------------------

    def key_id(self, channel, code):
        return self.fanout.key_id(channel, code)

    def seq_of(self, channel, code):
        return self.fanout.seq_of(channel, code)

    def codes(self, *, board):
        return self.fanout.directory.codes(board=board)

    def token_of(self, secret):
        raise AssertionError("nobody says a token")

    # --- bus ------------------------------------------------------------------------------------

    def feed(self, frames):
        """One pass over frames: (source, frame, lost frames before it)."""
        before = {seat: len(seat.line.queued) for seat in self.seats if seat.client}
        for source, frame, lost in frames:
            object.__setattr__(frame, "lost_frames", lost)
            self.fanout.on_frame(source.hear(frame), self.now_ns)
        self.fanout.end_pass(self.now_ns)
        self._check_budgets(before)

    def _check_budgets(self, before):
        for seat, queued in before.items():
            if len(seat.line.queued) - queued > NOTICE_BYTES:
                assert queued <= self.budget_bytes + seat.asked_bytes, "beyond its budget"
        self.part_with_closed()

    def wait(self, ms):
        before = {seat: len(seat.line.queued) for seat in self.seats if seat.client}
        self.now_ns += ms * MS
        self.fanout.flush_due(self.now_ns)
        self._check_budgets(before)

    def restart(self, *, old_log):
        """Another gateway process: what it knows is in the logs and on the bus."""
        for seat in self.seats:
            if seat.client:
                self.hang_up(seat)
        self.fanout = self._fanout()
        self.fanout.remembers = False  # as gateway.server does it: first the bus, then the logs
        for source in self.sources:
            self.feed([(source, source.snapshot(), 0)])
        for source in self.sources:
            source.hear_log()
            for frame in (*(source.old_frames if old_log else ()), *source.frames):
                self.fanout.preload(frame)
        self.fanout.remembers = True

    # --- clients --------------------------------------------------------------------------------

    def sit_down(self, form, *, sealed=False):
        seat = Seat(form, self.tape, sealed=sealed)
        self.seats.append(seat)
        self._connect(seat)
        return seat

    def _connect(self, seat):
        seat.client = Client(Line(sealed=seat.sealed), seat.form)
        seat.conversation = Conversation()
        seat.tail, seat.asked_bytes = b"", 0
        self.fanout.add(seat.client)

    def say(self, seat, **request):
        """As gateway.server does it."""
        seat.requests += 1
        message = orjson.dumps({"id": seat.requests, **request})
        queued = len(seat.line.queued)
        before = seat.conversation
        done = step(before, message, self, LIMITS, self.now_ns)
        assert not done.bad, done.reply
        after = seat.conversation = done.conversation
        if request["op"] == "sub":
            seat.judge.asked[seat.requests] = self._truth(seat, before, done)
        if after.subscriptions == before.subscriptions:
            self.fanout.answer(seat.client, reply_frame(done, {}), self.now_ns)
        else:
            since = done.since
            self.fanout.change(
                seat.client,
                after.subscriptions,
                done.shown,
                lambda recoveries: reply_frame(done, recoveries),
                self.now_ns,
                snapshot=done.snapshot,
                positions=None
                if since is None
                else positions_of(since, self.fanout.mirror, self.fanout.directory),
            )
        seat.asked_bytes += max(len(seat.line.queued) - queued, 0)

    def _truth(self, seat, before, done):
        """Look on the tape what the answer must say; note what is not shown."""
        tape, since = self.tape, done.since
        asked = Asked(since is not None, done.snapshot, done.shown, self.remembers_all)
        asked.truth = dict.fromkeys(done.shown, (True, 0))
        for topic in tape.topics():
            text = deciding(done.conversation.subscriptions, topic)
            if text not in done.shown:
                continue
            epoch, newest = tape.epochs[tape.shard_of(topic)], tape.newest(topic)
            at = None if since is None else position(since.seq, topic)
            name = topic.rpartition(".")[0]
            specs = done.conversation.subscriptions[text]
            mode = next(spec.mode for code, spec in specs.items() if NAMES[code] == name)
            possible = at is not None and epoch in since.epochs and at <= newest
            if possible and (name == "trade" or mode != "conflate"):
                rows = tape.of(topic)
                possible = all(rows[seq].heard for seq in range(at + 1, newest + 1))
            goes_on, missed = asked.truth[text]
            asked.truth[text] = (goes_on and possible, missed + (newest - at if possible else 0))
            if not done.snapshot and deciding(before.subscriptions, topic) is None:
                seat.blind[topic] = (epoch, newest)
        for topic in since.seq if since else ():
            text = deciding(done.conversation.subscriptions, topic)
            if text in done.shown and self._is_void(topic, since):
                asked.truth[text] = (False, asked.truth[text][1])
        return asked

    def _is_void(self, topic, since):
        """A position of a named key that is of another epoch; the key may be silent since."""
        code = topic.rpartition(".")[2]
        if topic.endswith("*") or not since.seq[topic]:
            return False
        shard = self.tape.shard_of(topic)
        if code not in self.tape.named[shard].values():
            return False  # nobody can say anything of it
        return self.tape.epochs[shard] not in since.epochs or since.seq[topic] > self.tape.newest(
            topic
        )

    def read(self, seat):
        """The client reads what has arrived."""
        payloads, seat.tail = whole_frames(seat.tail + bytes(seat.line.sent))
        seat.line.sent.clear()
        seat.judge.read(payloads)

    def drain(self, seat, size=None):
        """The line takes what waits, or so many bytes of it."""
        line = seat.line
        size = len(line.queued) if size is None else size
        line.sent += line.queued[:size]
        del line.queued[:size]
        if not line.queued and line.closed_with is None:
            seat.asked_bytes = 0
            self.fanout.resumed(seat.client, self.now_ns)
            seat.asked_bytes = len(line.queued)  # what it was owed
        self.read(seat)

    def part_with_closed(self):
        """Those who were closed read what was left for them; nobody is closed without a reason."""
        for seat in self.seats:
            if seat.client is None or seat.line.closed_with is None:
                continue
            assert seat.line.closed_with == 4008
            modes = {spec.mode for s in seat.client.subscriptions.values() for spec in s.values()}
            assert "all" in modes, "closed without a mode that closes"
            assert len(seat.line.queued) > self.budget_bytes
            self.drain(seat)
            judge = seat.judge
            assert judge.bye is not None
            self.hang_up(seat)
            seat.resume = judge.bye["resume"]
            told = seat.resume["seq"]
            for topic in self.tape.topics():
                if judge.way(topic) == "all":
                    assert topic in told, f"{topic}: nowhere to resume"

    def hang_up(self, seat):
        """The line is cut; what waits is lost."""
        self.read(seat)
        self.fanout.remove(seat.client, self.now_ns)
        seat.client, seat.resume = None, None

    def come_back(self, seat, *, wildcards):
        """Connect again and go on."""
        judge = seat.judge
        since = seat.resume or judge.since()
        ways = dict(seat.ways)
        if seat.resume:  # conflated keys are not in it
            mine = judge.since()
            since = {
                "epoch": f"{since['epoch']}-{mine['epoch']}",
                "seq": {**self._conflated_of(judge, mine["seq"]), **since["seq"]},
            }
        if wildcards:
            since["seq"] |= {text: 0 for text in ways if text.endswith("*")}
        judge.reconnected(since["seq"])
        seat.blind = {}
        self._connect(seat)
        # The most exact first: a vaguer topic then has only the rest.
        for text in sorted(ways, key=exactness, reverse=True):
            mode, interval_ms = ways[text]
            self.say(seat, op="sub", topics=[text], mode=mode, interval_ms=interval_ms, since=since)

    def _conflated_of(self, judge, seq):
        return {t: s for t, s in seq.items() if judge.way(t) not in (None, "all")}

    def settle(self):
        """Everybody reads, and time passes: then all know everything."""
        for _ in range(3):
            for seat in self.seats:
                if seat.client:
                    seat.line.full, seat.line.takes = False, 1 << 40
                    if seat.line.closed_with is None:
                        self.drain(seat)
            self.part_with_closed()
            self.wait(SETTLED_MS)
        for seat in self.seats:
            if seat.client:
                self.read(seat)
                assert not seat.judge.skipped
                assert not seat.client.lags
                assert seat.client.skipped is None
                assert seat.client.group is None or seat.client in seat.client.group.active
                seat.judge.check_state(seat.blind)


def exactness(text):
    if text == "*":
        return (False, 0, 1)
    pattern = text.rpartition(".")[2]
    return (not pattern.endswith("*"), len(pattern.removesuffix("*")), len(text))


def position(seq, topic):
    """What a `since` says of a key."""
    found = [(how, at) for text, at in seq.items() if (how := names(text, topic)) is not None]
    return max(found)[1] if found else None
