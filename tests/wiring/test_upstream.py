"""How far the recorder may follow a shard."""

import numpy as np

from engine.ring.layout import RING_SLOTS_MIN, format_ring, ring_bytes, view_ring
from engine.ring.writer import RingWriter
from engine.schema.counters import SHARD_COUNTERS
from engine.wiring.upstream import Upstream
from tests.wiring.standing import EPOCH, trades


def test_no_further_than_published_and_folded():
    memory, counters = np.zeros(ring_bytes(RING_SLOTS_MIN), np.uint8), np.zeros(1, SHARD_COUNTERS)
    format_ring(memory, RING_SLOTS_MIN, EPOCH, 0)
    ring, cell = RingWriter(memory, None), counters[0]
    upstream = Upstream.live(view_ring(memory), cell)
    seen = []
    for slots, folded, quarantined in [(0, 0, 0), (5, 0, 0), (0, 5, 1), (3, 5, 1), (0, 9, 4)]:
        ring.publish(trades(0, slots), slots)
        cell["folded_seq"], cell["quarantined_slots"] = folded, quarantined
        seen.append((upstream.limit_seq, upstream.published(), upstream.quarantined()))
    assert seen == [(0, 0, 0), (0, 5, 0), (5, 5, 1), (5, 8, 1), (8, 8, 4)]


def test_of_a_day_that_is_over_all_may_be_read():
    upstream = Upstream.ended(7)
    assert (upstream.limit_seq, upstream.published(), upstream.quarantined()) == (7, 7, 0)
