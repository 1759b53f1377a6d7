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
        ("journal_slots", "i8"),  # written
        ("journal_bytes", "i8"),
        ("journal_lost_slots", "i8"),  # published but not written: the disk refused
        ("journal_failing", "i8"),  # 1 while the disk refuses
        ("journal_ns", "i8"),  # time spent in writing, the waiting for `fsync = always` included
        ("journal_worst_ns", "i8"),  # the longest single write
        ("journal_synced_ns", "i8"),  # when fsync last came back
    ],
    size_bytes=8 * (37 + REJECT_COUNT),
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
        ("folded_seq", "i8"),  # slots below this are folded and their rows handed to the bus
        ("settled_seq", "i8"),  # ... and were so a while ago: a restart publishes again from here
        ("fold_first_seq", "i8"),  # the batch being folded now is [first, end); 0, 0 between them
        ("fold_end_seq", "i8"),
        ("suspect_first_seq", "i8"),  # a worker died folding [first, end); see wiring.suspects
        ("suspect_end_seq", "i8"),
        ("suspect_deaths", "i8"),
        ("last_exit", "i8"),  # supervisor: how the last worker ended, as Popen.returncode says it
        ("quarantined_slots", "i8"),
        ("replayed_slots", "i8"),  # folded from the journal at the last start
        ("caught_up_slots", "i8"),  # read from the journal because the ring had moved on
        ("damaged_slots", "i8"),  # of the journal: their checksum was wrong
        ("live_ns", "i8"),  # when the last start had caught up with the ring
        ("state_seq", "i8"),  # slots that the newest saved state includes
        ("state_ns", "i8"),  # time spent saving states
    ],
    size_bytes=8 * 38,
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
        ("skipped", "i8"),  # rows that clients in mode skip were not sent
        ("bad_requests", "i8"),
        ("resumed", "i8"),  # keys that went on where their client had been
        ("resume_refused", "i8"),  # keys whose past was not there any more
        ("resumed_rows", "i8"),
        ("replays", "i8"),  # time travels begun
        ("replaying", "i8"),  # and going on
        ("refused_upgrades", "i8"),  # HTTP requests that got no WebSocket
        ("broken_frames", "i8"),  # connections that broke the WebSocket protocol
        ("unauthorized", "i8"),  # no token in time, or a wrong one
        ("forbidden", "i8"),  # topics outside the token's scopes
        ("connection_limited", "i8"),
        ("too_large", "i8"),
        ("rate_limited", "i8"),  # messages refused, and connections closed for them
        ("idle_closed", "i8"),  # neither said nor took anything
        ("backlog_bytes", "i8"),  # memory of past updates in use
        ("done_bus_frame", "i8", (SOURCE_MAX,)),  # last bus frame of each source, fanned out
    ],
    size_bytes=8 * (30 + SOURCE_MAX),
)

RECORDER_COUNTERS = record(
    "recorder_counters",
    [
        ("pid", "i8"),
        ("started_ns", "i8"),
        ("heartbeat_ns", "i8"),
        ("slots", "i8"),  # folded from the journal
        ("lag_slots", "i8"),  # published and not folded yet, all shards
        ("rows", "i8"),  # of all tables
        ("tail_rows", "i8"),  # rows in memory, not in a segment yet
        ("segments", "i8"),  # files written
        ("segment_bytes", "i8"),
        ("segment_ns", "i8"),  # time spent writing them
        ("committed_ns", "i8"),  # when the last segments were committed
        ("failing", "i8"),  # 1 while segments cannot be written
        ("missing_slots", "i8"),  # holes and damage of the journal: not in the history
        ("tail_requests", "i8"),
        ("committed_seq", "i8", (SHARD_MAX,)),  # slots below this are in segments, by shard
    ],
    size_bytes=8 * (14 + SHARD_MAX),
)

REST_COUNTERS = record(
    "rest_counters",
    [
        ("pid", "i8"),
        ("started_ns", "i8"),
        ("heartbeat_ns", "i8"),
        ("port", "i8"),
        ("requests", "i8"),
        ("refused", "i8"),  # requests that named something impossible
        ("unauthorized", "i8"),  # no token, a wrong one, or one whose scopes do not reach
        ("not_modified", "i8"),  # answered with 304: the client has it already
        ("failed", "i8"),
        ("rows", "i8"),  # of the history
        ("query_ns", "i8"),  # time spent asking the history
        ("tail_missing", "i8"),  # queries answered without the recorder's last seconds
        ("bus_frames", "i8"),
        ("bus_rows", "i8"),
        ("bus_gaps", "i8"),  # bus frames lost on the way here, each answered by a snapshot
        ("bus_rejected", "i8"),  # frames of another schema or of no known shape
    ],
    size_bytes=8 * 16,
)

COUNTER_LAYOUTS = {
    "ingest": INGEST_COUNTERS,
    "shard": SHARD_COUNTERS,
    "board": BOARD_COUNTERS,
    "gateway": GATEWAY_COUNTERS,
    "recorder": RECORDER_COUNTERS,
    "rest": REST_COUNTERS,
}
