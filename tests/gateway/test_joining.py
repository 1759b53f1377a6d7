"""Bus frames that came together are one, and nobody can tell."""

from dataclasses import replace

import numpy as np

from engine.schema.bus import BusKind
from gateway.joining import joined_frames
from tests.gateway.market import Market
from tests.gateway.sinks import Desk


def frames_of(market, count):
    found = []
    for i in range(count):
        market.trade("FPT", price_e2=2_500_000 + i, volume=100 + i)
        if i % 2:
            market.quote("HPG", 100 + i, 200 + i)
        found.append(market.frame())
    return found


def test_a_run_of_deltas_is_one_frame_with_all_rows_in_order():
    market = Market("FPT", "HPG")
    frames = frames_of(market, 5)
    (joined,) = joined_frames(frames)
    assert (joined.frame_seq, joined.epoch) == (frames[-1].frame_seq, frames[0].epoch)
    for channel, rows in joined.sections:
        parts = [some for frame in frames for named, some in frame.sections if named is channel]
        assert rows.tobytes() == np.concatenate(parts).tobytes()
    assert sum(len(rows) for _, rows in joined.sections) == sum(
        len(rows) for frame in frames for _, rows in frame.sections
    )


def test_a_loss_an_epoch_a_snapshot_and_another_shard_begin_anew():
    first, lost, epoch, snapshot, shard, last = frames_of(Market("FPT", "HPG"), 6)
    lost = replace(lost, lost_frames=2)
    epoch = replace(epoch, epoch=7)
    snapshot = replace(snapshot, epoch=7, kind=BusKind.SNAPSHOT)
    shard, last = replace(shard, shard=1), replace(last, shard=1)
    found = joined_frames([first, lost, epoch, snapshot, shard, last])
    assert [frame.lost_frames for frame in found] == [0, 2, 0, 0, 0]
    assert [(frame.shard, frame.epoch, frame.kind) for frame in found[1:4]] == [
        (0, 1, BusKind.DELTA),
        (0, 7, BusKind.DELTA),
        (0, 7, BusKind.SNAPSHOT),
    ]


def test_clients_are_told_the_same_bytes():
    told = []
    for join in (joined_frames, list):
        market, desk = Market("FPT", "HPG"), Desk()
        desk.feed(market.frame())
        sink = desk.join("all", "trade.*", mode="all")
        for frame in join(frames_of(market, 8)):
            desk.fanout.on_frame(frame, desk.now_ns)
        desk.fanout.end_pass(desk.now_ns)
        told.append(bytes(sink.sent))
    assert told[0] == told[1]
