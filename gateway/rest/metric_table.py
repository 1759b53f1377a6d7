"""What every counter is called in Prometheus: one table for all cells of all counter records.

Base units: seconds and bytes. A name that ends on ``_total`` only ever grows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Type = Literal["counter", "gauge"]
NANOSECOND: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Metric:
    """One series of a role.

    Attributes
    ----------
    name
        Whole, with its unit.
    type
        Of Prometheus.
    help
        One line.
    scale
        The cell times this is the value.
    """

    name: str
    type: Type
    help: str
    scale: float = 1.0


def _count(name: str, text: str) -> Metric:
    return Metric(f"vntape_{name}_total", "counter", text)


def _bytes(name: str, text: str) -> Metric:
    return Metric(f"vntape_{name}_bytes_total", "counter", text)


def _time(name: str, text: str) -> Metric:
    return Metric(f"vntape_{name}_seconds_total", "counter", text, NANOSECOND)


def _now(name: str, text: str) -> Metric:
    return Metric(f"vntape_{name}", "gauge", text)


def _stamp(name: str, text: str, scale: float = NANOSECOND) -> Metric:
    return Metric(f"vntape_{name}_timestamp_seconds", "gauge", text, scale)


# Cells that every record has, or that are told in another way (gateway.rest.metrics), or that are
# means of a restart and no news for an operator.
ELSEWHERE: Final = frozenset(
    {
        "pid",
        "started_ns",
        "heartbeat_ns",
        "port",
        "epoch",
        "feed_state",
        "link_state",
        "rejected",
        "lag_slots",
        "folded_seq",
        "settled_seq",
        "fold_first_seq",
        "fold_end_seq",
        "suspect_first_seq",
        "suspect_end_seq",
        "suspect_deaths",
        "last_exit",
        "state_seq",
        "committed_seq",
        "done_bus_frame",
    }
)

INGEST: Final = {
    "frames": _count("feed_frames", "Frames of the feed's socket"),
    "frame_bytes": _bytes("feed_frame", "Bytes of the feed's frames"),
    "keepalives": _count("feed_keepalives", "Frames without a message"),
    "messages": _count("feed_messages", "Messages: each became slots or one rejection"),
    "slots": _count("slots", "Slots published to the rings"),
    "oracle_frames": _count("oracle_frames", "Frames the fast scanner declined"),
    "hub_errors": _count("feed_errors", "Errors the feed told"),
    "connects": _count("feed_connects", "Connections to the feed"),
    "disconnects": _count("feed_disconnects", "Connections to the feed that ended"),
    "symbols": _now("symbols", "Symbols that have an id"),
    "last_frame_ns": _stamp("feed_last_frame", "When the feed last said anything"),
    "last_exch_s": _stamp("feed_last_exchange", "Newest stamp of the exchange", 1.0),
    "decode_ns": _time("decode", "Time spent decoding and publishing"),
    "backlog_frames": _now("backlog_frames", "Frames received and not decoded yet"),
    "backlog_bytes": _now("backlog_bytes", "Bytes received and not decoded yet"),
    "backlog_bytes_max": _now("backlog_peak_bytes", "The most that ever waited"),
    "lost_frames": _count("lost_frames", "Frames dropped because the backlog was full"),
    "recorded_frames": _count("recorded_frames", "Frames in the recording"),
    "recorded_bytes": _bytes("recorded", "Bytes of the recording, compressed"),
    "record_lost_frames": _count("record_lost_frames", "Frames the recording's disk refused"),
    "reference_symbols": _now("reference_symbols", "Symbols the exchange's REST has told"),
    "rest_requests": _count("ssi_rest_requests", "Requests to the exchange's REST"),
    "rest_failures": _count("ssi_rest_failures", "Requests to the exchange's REST that failed"),
    "backfill_gaps": _count("backfill_gaps", "Gaps answered, with or without bars"),
    "backfill_pending": _now("backfill_pending_gaps", "Gaps that wait for an answer"),
    "journal_slots": _count("journal_slots", "Slots written to the journal"),
    "journal_bytes": _bytes("journal", "Bytes written to the journal"),
    "journal_lost_slots": _count("journal_lost_slots", "Slots published but not written"),
    "journal_failing": _now("journal_failing", "1 while the journal's disk refuses"),
    "journal_ns": _time("journal", "Time spent writing the journal"),
    "journal_worst_ns": Metric(
        "vntape_journal_worst_seconds", "gauge", "The longest single write", NANOSECOND
    ),
    "journal_synced_ns": _stamp("journal_synced", "When fsync last came back"),
}
SHARD: Final = {
    "slots": _count("folded_slots", "Slots folded"),
    "matches": _count("matches", "Matches"),
    "repeats": _count("repeats", "Trade messages that told nothing new"),
    "corrections": _count("corrections", "Times the exchange took volume back"),
    "baselines": _count("baselines", "Symbols whose day began before us"),
    "late": _count("late_matches", "Matches that arrived after their successors"),
    "missed_volume_shares": _now("missed_volume_shares", "Volume the feed did not show"),
    "gaps": _count("gaps", "Gaps opened"),
    "gaps_open": _now("gaps_open", "Gaps open now"),
    "lapped_slots": _count("lapped_slots", "Slots the ring overwrote before they were read"),
    "bus_frames": _count("published_frames", "Bus frames published"),
    "bus_rows": _count("published_rows", "Rows published"),
    "bus_bytes": _bytes("published", "Bytes published"),
    "snapshots": _count("snapshots", "Snapshot requests served"),
    "kernel_ns": _time("fold", "Time spent folding"),
    "publish_ns": _time("publish", "Time spent building and sending bus frames"),
    "last_exch_s": _stamp("shard_last_exchange", "Newest stamp of the exchange folded", 1.0),
    "alerts": _count("alerts", "Alerts raised"),
    "quarantined_slots": _count("quarantined_slots", "Slots left out because they kill"),
    "replayed_slots": _now("replayed_slots", "Slots folded from the journal at the last start"),
    "caught_up_slots": _count("caught_up_slots", "Slots read from the journal after an overtaking"),
    "damaged_slots": _count("damaged_slots", "Journal slots whose checksum was wrong"),
    "live_ns": _stamp("shard_live", "When the last start had caught up with the ring"),
    "state_ns": _time("state_save", "Time spent saving states"),
}
BOARD: Final = {
    "bus_frames_read": _count("board_bus_frames", "Bus frames read by the board"),
    "bus_rows_read": _count("board_bus_rows", "Rows read by the board"),
    "bus_gaps": _count("bus_gaps", "Bus frames lost on the way here, each repaired"),
    "passes": _count("board_passes", "Times everything was summed up"),
    "pass_ns": _time("board_pass", "Time spent summing up"),
    "bus_frames": SHARD["bus_frames"],
    "bus_rows": SHARD["bus_rows"],
    "snapshots": SHARD["snapshots"],
}
GATEWAY: Final = {
    "clients": _now("clients", "Clients connected"),
    "subscriptions": _now("subscriptions", "Topics subscribed"),
    "bus_frames": _count("bus_frames", "Bus frames read"),
    "bus_rows": _count("bus_rows", "Rows read from the bus"),
    "bus_gaps": BOARD["bus_gaps"],
    "bus_rejected": _count("bus_rejected_frames", "Bus frames of another schema, or of no shape"),
    "client_frames": _count("client_frames", "Frames sent to clients"),
    "client_bytes": _bytes("client", "Bytes sent to clients"),
    "conflated": _count("conflated_rows", "Rows a slow client was spared"),
    "slow_closed": _count("slow_clients_closed", "Clients closed because they were too slow"),
    "skipped": _count("skipped_rows", "Rows that clients in mode skip were not sent"),
    "bad_requests": _count("bad_requests", "Messages of clients that could not be"),
    "resumed": _count("resumed_keys", "Keys that went on where their client had been"),
    "resume_refused": _count("resume_refused_keys", "Keys whose past was not there any more"),
    "resumed_rows": _count("resumed_rows", "Rows sent again to clients that came back"),
    "replays": _count("replays", "Time travels begun"),
    "replaying": _now("replays_running", "Time travels going on"),
    "refused_upgrades": _count("refused_upgrades", "HTTP requests that got no WebSocket"),
    "broken_frames": _count("broken_clients", "Connections that broke the protocol"),
    "unauthorized": _count("unauthorized", "No token in time, or a wrong one"),
    "forbidden": _count("forbidden_topics", "Topics outside the token's scopes"),
    "connection_limited": _count("connection_limited", "Connections refused for their number"),
    "too_large": _count("too_large", "Messages larger than allowed"),
    "rate_limited": _count("rate_limited", "Messages refused for their rate"),
    "idle_closed": _count("idle_clients_closed", "Clients that neither said nor took anything"),
    "backlog_bytes": _now("resume_backlog_bytes", "Memory of past updates in use"),
}
RECORDER: Final = {
    "slots": _count("recorder_slots", "Slots folded for the history"),
    "rows": _count("recorder_rows", "Rows of the history"),
    "tail_rows": _now("recorder_tail_rows", "Rows in memory, in no segment yet"),
    "segments": _count("recorder_segments", "Segment files written"),
    "segment_bytes": _bytes("recorder_segment", "Bytes of segment files"),
    "segment_ns": _time("recorder_segment", "Time spent writing segments"),
    "committed_ns": _stamp("recorder_committed", "When the last segments were committed"),
    "failing": _now("recorder_failing", "1 while segments cannot be written"),
    "missing_slots": _now("recorder_missing_slots", "Slots the history will never have"),
    "tail_requests": _count("recorder_tail_requests", "Questions about the last seconds"),
}
REST: Final = {
    "requests": _count("rest_requests", "HTTP requests"),
    "refused": _count("rest_refused", "Requests that named something impossible"),
    "unauthorized": GATEWAY["unauthorized"],
    "not_modified": _count("rest_not_modified", "Answers a client had already"),
    "failed": _count("rest_failed", "Requests that failed"),
    "rows": _count("rest_history_rows", "Rows of history answered"),
    "query_ns": _time("rest_query", "Time spent asking the history"),
    "tail_missing": _count("rest_tail_missing", "Answers without the last seconds"),
    "bus_frames": GATEWAY["bus_frames"],
    "bus_rows": GATEWAY["bus_rows"],
    "bus_gaps": GATEWAY["bus_gaps"],
    "bus_rejected": GATEWAY["bus_rejected"],
}
METRICS: Final[Mapping[str, Mapping[str, Metric]]] = {
    "ingest": INGEST,
    "shard": SHARD,
    "board": BOARD,
    "gateway": GATEWAY,
    "recorder": RECORDER,
    "rest": REST,
}
