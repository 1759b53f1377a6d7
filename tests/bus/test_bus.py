"""Publisher and subscriber over real ipc sockets: order, splits, losses, restarts, strangers."""

import numpy as np
import pytest
import zmq

from engine.bus import subscriber as subscriber_module
from engine.bus.publisher import Publisher
from engine.bus.wire import FRAME_BYTES_MAX, Refusal, decode, encode
from engine.errors import ConfigError
from engine.schema.bus import SNAPSHOT_REQUEST, BusKind
from engine.schema.channels import QUOTE, STATS, TRADE
from tests.bus.bus import Bus


@pytest.fixture
def bus(tmp_path):
    bus = Bus(tmp_path)
    yield bus
    bus.close()


def rows_of(frames, channel, kind=BusKind.DELTA):
    return [
        row
        for frame in frames
        if frame.kind is kind
        for got, rows in frame.sections
        if got is channel
        for row in rows.tolist()
    ]


def seqs(frames, channel, kind=BusKind.DELTA):
    return [row[0] for row in rows_of(frames, channel, kind)]


def test_deltas_arrive_in_order_and_numbered(bus):
    bus.connect()
    for _ in range(50):
        bus.put(TRADE, 1)
        bus.put(QUOTE, 2)
        bus.turn()
    bus.until(lambda: len(seqs(bus.frames, TRADE)) == 50, "50 trades came")
    deltas = [frame for frame in bus.frames if frame.kind is BusKind.DELTA]
    assert [frame.frame_seq for frame in deltas] == list(range(1, 51))
    assert seqs(bus.frames, TRADE) == seqs(bus.frames, QUOTE) == list(range(1, 51))
    assert bus.subscriber.lost_frames == 0
    assert bus.publisher.frames == bus.subscriber.frames == 50
    assert bus.publisher.rows == 100


def test_add_copies_and_joins_sections_and_flush_stamps(bus):
    bus.connect()
    rows = np.zeros(2, QUOTE.dtype)
    rows["seq"], rows["symbol_id"] = [1, 2], 1
    bus.publisher.add(QUOTE, rows[:1])
    bus.publisher.add(QUOTE, rows[1:])
    bus.publisher.add(TRADE, np.ones(1, TRADE.dtype))
    rows["seq"] = 99  # the publisher has its copy
    assert bus.publisher.pending_bytes == 2 * 56 + 88 + 2 * 8
    assert bus.publisher.flush(123) == 1
    assert bus.publisher.pending_bytes == 0
    bus.until(lambda: seqs(bus.frames, QUOTE), "the frame came")
    (frame,) = [frame for frame in bus.frames if frame.kind is BusKind.DELTA]
    assert [(c.name, len(r)) for c, r in frame.sections] == [("quote", 2), ("trade", 1)]
    assert frame.sections[0][1]["seq"].tolist() == [1, 2]
    assert frame.publish_ns == 123


def test_large_adds_are_split_without_losing_order(bus):
    bus.connect()
    count = 1_000  # 896 kB of stats
    rows = np.zeros(count, STATS.dtype)
    rows["seq"], rows["symbol_id"] = np.arange(1, count + 1), 1
    bus.publisher.add(STATS, rows)
    bus.publisher.flush(bus.now_ns)
    bus.until(lambda: len(seqs(bus.frames, STATS)) == count, "all rows came")
    assert seqs(bus.frames, STATS) == list(range(1, count + 1))
    sizes = [frame.size_bytes for frame in bus.frames if frame.kind is BusKind.DELTA]
    assert len(sizes) == 4
    assert max(sizes) <= FRAME_BYTES_MAX
    assert bus.publisher.sent_bytes == sum(sizes)


def test_a_late_joiner_gets_every_row_that_exists(bus):
    bus.put(TRADE, 1)
    bus.put(TRADE, 1)
    bus.put(STATS, 3)
    bus.publisher.flush(bus.now_ns)  # before anybody could hear it
    late = subscriber_module.Subscriber(bus.context, [bus.endpoints])
    frames = []

    def whole():
        frames.extend(late.drain(100, bus.now_ns))
        return late.whole()

    bus.until(whole, "the snapshot came")
    late.close()
    assert seqs(frames, TRADE, BusKind.SNAPSHOT) == [2]
    assert seqs(frames, STATS, BusKind.SNAPSHOT) == [1]
    assert frames[-1].kind is BusKind.SNAPSHOT_END
    assert frames[-1].frame_seq == 1


def drop_next_frames(bus, count):
    """Publish frames that this subscriber does not get, as a full high-water mark would."""
    send, bus.publisher._deltas = bus.publisher._deltas, _Nowhere()
    for _ in range(count):
        bus.put(TRADE, 1)
        bus.put(QUOTE, 5)
        bus.publisher.flush(bus.now_ns)
    bus.publisher._deltas = send


class _Nowhere:
    def send(self, *args, **kwargs):
        pass


def test_a_gap_is_seen_counted_and_repaired_by_a_snapshot(bus):
    bus.connect()
    bus.put(TRADE, 1)
    bus.until(lambda: seqs(bus.frames, TRADE) == [1], "the first trade came")
    requests = bus.subscriber.requests
    drop_next_frames(bus, 3)
    bus.put(TRADE, 2)
    bus.until(lambda: any(frame.lost_frames for frame in bus.frames), "the gap was seen")
    lost = next(frame for frame in bus.frames if frame.lost_frames)
    assert lost.lost_frames == bus.subscriber.lost_frames == 3
    bus.until(bus.subscriber.whole, "the snapshot came")
    assert bus.subscriber.requests == requests + 1
    assert (1, 4) in [(row[3], row[0]) for row in rows_of(bus.frames, TRADE, BusKind.SNAPSHOT)]
    assert seqs(bus.frames, QUOTE, BusKind.SNAPSHOT)[-1] == 3


def test_a_lost_last_frame_is_noticed_by_the_beacon(bus):
    bus.connect()
    bus.put(TRADE, 1)
    bus.until(lambda: seqs(bus.frames, TRADE) == [1], "the first trade came")
    drop_next_frames(bus, 2)  # then silence
    bus.until(lambda: bus.subscriber.lost_frames == 2, "the beacon told")
    bus.until(bus.subscriber.whole, "the snapshot came")
    assert seqs(bus.frames, QUOTE, BusKind.SNAPSHOT)[-1] == 2


def test_the_high_water_mark_drops_and_the_snapshot_repairs(tmp_path):
    bus = Bus(tmp_path, high_water_frames=1)
    try:
        bus.connect()
        big = np.zeros(250, STATS.dtype)
        big["symbol_id"] = 9
        for i in range(60):  # nobody reads: kernel buffers fill, then frames are dropped
            big["seq"] = np.arange(250 * i + 1, 250 * i + 251)
            bus.latest["stats"][9] = big[-1]
            bus.publisher.add(STATS, big)
            bus.publisher.flush(bus.now_ns)
        bus.until(lambda: bus.subscriber.lost_frames > 0 and bus.subscriber.whole(), "repaired")
        newest = max(seqs(bus.frames, STATS) + seqs(bus.frames, STATS, BusKind.SNAPSHOT))
        assert newest == 15_000
    finally:
        bus.close()


def test_a_new_epoch_asks_for_a_snapshot(bus):
    bus.connect()
    bus.put(TRADE, 1)
    bus.until(lambda: seqs(bus.frames, TRADE) == [1], "the first trade came")
    bus.restart(epoch=2)
    bus.put(QUOTE, 4)
    bus.until(
        lambda: bus.subscriber.whole() and bus.subscriber._links[0].epoch == 2,
        "the new epoch is whole",
    )
    later = [frame for frame in bus.frames if frame.epoch == 2]
    assert seqs(later, QUOTE, BusKind.SNAPSHOT) == [1]
    assert bus.subscriber.lost_frames == 0


def test_an_unanswered_request_is_repeated(bus):
    """Nobody serves until the deadline has passed twice."""
    start = bus.subscriber.requests
    waited = 3 * subscriber_module.ANSWER_WAIT_NS

    def asked_again():
        bus.now_ns += 20_000_000
        bus.publisher.flush(bus.now_ns)
        bus.subscriber.drain(10, bus.now_ns)
        return bus.subscriber.requests >= start + 2

    latest, bus.latest = bus.latest, None
    bus.turn = list
    bus.until(asked_again, "asked twice")
    assert bus.now_ns < 10**15 + 10**12, "never asked again"
    assert waited > 0
    bus.latest = latest
    del bus.turn
    bus.until(bus.subscriber.whole, "answered at last")


def test_a_snapshot_waits_for_the_deltas_it_includes(bus):
    """Rows still in the pipe come as deltas, so a healthy key never jumps."""
    link = bus.subscriber._links[0]
    first = decode(encode(BusKind.DELTA, 0, 1, 1, 0, [(TRADE, np.ones(1, TRADE.dtype))]))
    second = decode(encode(BusKind.DELTA, 0, 1, 2, 0, [(TRADE, np.ones(1, TRADE.dtype))]))
    link.on_delta(first)
    link.on_answer(decode(encode(BusKind.SNAPSHOT_END, 0, 1, 2, 0)), 100)
    assert link.release(101) == []
    link.on_delta(second)
    assert [frame.kind for frame in link.release(102)] == [BusKind.SNAPSHOT_END]
    assert not link.wanted
    # ... but not for ever: the delta may be the one that was lost.
    link.wanted = True
    link.on_answer(decode(encode(BusKind.SNAPSHOT_END, 0, 1, 5, 0)), 200)
    assert link.release(201) == []
    late = link.release(200 + subscriber_module.CATCH_UP_WAIT_NS)
    assert [frame.lost_frames for frame in late] == [3]
    assert link.frame_seq == 5


def test_an_answer_older_than_the_gap_does_not_end_the_wait(bus):
    link = bus.subscriber._links[0]
    link.on_delta(decode(encode(BusKind.DELTA, 0, 1, 1, 0, [(TRADE, np.ones(1, TRADE.dtype))])))
    gap = link.on_delta(
        decode(encode(BusKind.DELTA, 0, 1, 4, 0, [(TRADE, np.ones(1, TRADE.dtype))]))
    )
    assert gap.lost_frames == 2
    link.on_answer(decode(encode(BusKind.SNAPSHOT_END, 0, 1, 1, 0)), 100)
    link.release(101)
    assert link.wanted
    link.on_answer(decode(encode(BusKind.SNAPSHOT_END, 0, 1, 4, 0)), 102)
    link.release(103)
    assert not link.wanted


def test_rows_not_flushed_are_never_in_a_snapshot(bus):
    bus.until(lambda: bus.subscriber.requests > 0, "a request is on its way")
    bus.put(TRADE, 1)
    assert bus.publisher.pending_bytes > 0
    assert bus.publisher.serve(bus.latest) == 0


def test_strangers_are_refused_once_in_words_and_the_tape_goes_on(bus):
    bus.connect()
    good = encode(BusKind.DELTA, 0, 1, 1, 5, [(TRADE, np.ones(1, TRADE.dtype))])
    for message in (bytes(40), bytes(40), b"hello", encode(BusKind.DELTA, 3, 1, 1, 5)):
        bus.publisher._deltas.send(message)
    bus.publisher._deltas.send_multipart([b"two", b"parts"])
    bus.publisher._deltas.send(good)
    bus.until(lambda: seqs(bus.frames, TRADE), "the good frame came")
    refused = bus.subscriber.refused
    assert refused[Refusal.SCHEMA] == 2
    assert refused[Refusal.SHORT] == 1
    assert refused[Refusal.SHARD] == 1
    assert refused[Refusal.LENGTH] == 1
    assert len(bus.reports) == 4  # one sentence a reason
    assert "schema" in bus.reports[0]


def test_unknown_requests_are_ignored(bus):
    stranger = bus.context.socket(zmq.DEALER)
    stranger.connect(bus.endpoints[1])
    stranger.send(b"give me everything")
    stranger.send_multipart([b"", SNAPSHOT_REQUEST])
    bus.connect()
    assert stranger.poll(0) == 0
    stranger.close(linger=0)


def test_pending_says_what_an_edge_would_have_swallowed(bus):
    bus.connect()
    for _ in range(3):
        bus.put(TRADE, 1)
        bus.publisher.flush(bus.now_ns)
    seen = [bus.next_frame().frame_seq for _ in range(3)]  # one at a time, whatever has come
    assert seen == [seen[0], seen[0] + 1, seen[0] + 2]
    assert not bus.subscriber.pending()
    assert len(bus.subscriber.fds()) == 2
    assert bus.publisher.snapshot_fd > 0


def test_a_bad_endpoint_is_a_config_error(tmp_path):
    context = zmq.Context()
    with pytest.raises(ConfigError, match="shard 0 cannot bind"):
        Publisher(context, f"ipc://{tmp_path}/missing/d.ipc", f"ipc://{tmp_path}/s.ipc", 0, 1)
    context.destroy(linger=0)
