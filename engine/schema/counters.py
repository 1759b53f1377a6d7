"""Counters every process keeps in shared memory: one 8-byte cell each, one writer per record.

Any process may read them at any time without a lock; an aligned 8-byte store is atomic, and a
reader that sees two cells a moment apart only sees two true values of two moments.
`_ns` cells are UTC clock stamps, the rest count up from the process's first start.
"""

from engine.schema.codes import REJECT_COUNT
from engine.schema.record import record

SHARD_MAX = 16
SOURCE_MAX = SHARD_MAX + 1  # what one gateway can follow: every shard, then the board

INGEST_COUNTERS = record(
    "ingest_counters",
    [
        ("pid", "i8"),
        ("started_ns", "i8"),
        ("heartbeat_ns", "i8"),  # last turn of the process's loop
        ("feed_state", "i8"),  # FeedState, as judged with the session phase
        ("link_state", "i8"),  # FeedState of the connection alone
        ("frames", "i8"),
        ("frame_bytes", "i8"),
        ("keepalives", "i8"),  # frames that carried no hub message
        ("messages", "i8"),  # hub messages: each became slots or one rejection
        ("slots", "i8"),
        ("oracle_frames", "i8"),  # frames the scanner declined and the oracle decoded
        ("rejected", "i8", (REJECT_COUNT,)),  # by Reject
        ("hub_errors", "i8"),  # Error messages and failed invocations
        ("connects", "i8"),
        ("disconnects", "i8"),
        ("symbols", "i8"),
        ("last_frame_ns", "i8"),
        ("last_exch_s", "i8"),
        ("decode_ns", "i8"),  # time spent decoding and publishing
        ("backlog_frames", "i8"),  # received, not decoded yet
        ("backlog_bytes", "i8"),
        ("backlog_bytes_max", "i8"),  # the most there ever was
        ("lost_frames", "i8"),  # dropped because the backlog was full
        ("recorded_frames", "i8"),
        ("recorded_bytes", "i8"),  # on disk, compressed
        ("record_lost_frames", "i8"),  # the disk was too slow, or full
        ("reference_symbols", "i8"),  # told by REST
        ("rest_requests", "i8"),
        ("rest_failures", "i8"),
        ("backfill_gaps", "i8"),  # answered, with or without bars
        ("backfill_pending", "i8"),
    ],
    size_bytes=8 * (30 + REJECT_COUNT),
)

SHARD_COUNTERS = record(
    "shard_counters",
    [
        ("pid", "i8"),
        ("started_ns", "i8"),
        ("heartbeat_ns", "i8"),
        ("epoch", "i8"),
        ("slots", "i8"),
        ("matches", "i8"),
        ("repeats", "i8"),
        ("corrections", "i8"),
        ("baselines", "i8"),
        ("late", "i8"),
        ("missed_volume_shares", "i8"),
        ("gaps", "i8"),  # opened
        ("gaps_open", "i8"),  # now
        ("lapped_slots", "i8"),  # slots the ring overwrote before this shard read them
        ("lag_slots", "i8"),  # write_seq - read_seq at the last look
        ("bus_frames", "i8"),
        ("bus_rows", "i8"),
        ("bus_bytes", "i8"),
        ("snapshots", "i8"),  # snapshot requests served
        ("kernel_ns", "i8"),  # time spent in stages
        ("publish_ns", "i8"),  # time spent building and sending bus frames
        ("last_exch_s", "i8"),
        ("alerts", "i8"),
    ],
    size_bytes=8 * 23,
)

BOARD_COUNTERS = record(
    "board_counters",
    [
        ("pid", "i8"),
        ("started_ns", "i8"),
        ("heartbeat_ns", "i8"),
        ("epoch", "i8"),
        ("bus_frames_read", "i8"),
        ("bus_rows_read", "i8"),
        ("bus_gaps", "i8"),  # bus frames lost on the way here, each answered by a snapshot
        ("passes", "i8"),  # times everything was summed up
        ("pass_ns", "i8"),  # time spent doing so
        ("bus_frames", "i8"),
        ("bus_rows", "i8"),
        ("snapshots", "i8"),
    ],
    size_bytes=8 * 12,
)

GATEWAY_COUNTERS = record(
    "gateway_counters",
    [
        ("pid", "i8"),
        ("started_ns", "i8"),
        ("heartbeat_ns", "i8"),
        ("port", "i8"),
        ("clients", "i8"),
        ("subscriptions", "i8"),
        ("bus_frames", "i8"),
        ("bus_rows", "i8"),
        ("bus_gaps", "i8"),  # bus frames lost on the way here, each answered by a snapshot
        ("bus_rejected", "i8"),  # frames of another schema or of no known shape
        ("client_frames", "i8"),
        ("client_bytes", "i8"),
        ("conflated", "i8"),  # deltas a slow client was spared
        ("slow_closed", "i8"),
        ("bad_requests", "i8"),
        ("done_bus_frame", "i8", (SOURCE_MAX,)),  # last bus frame of each source, fanned out
    ],
    size_bytes=8 * (15 + SOURCE_MAX),
)

COUNTER_LAYOUTS = {
    "ingest": INGEST_COUNTERS,
    "shard": SHARD_COUNTERS,
    "board": BOARD_COUNTERS,
    "gateway": GATEWAY_COUNTERS,
}
