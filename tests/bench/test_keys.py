"""Every bench gives the figures its text promises. No test says how fast is fast enough."""

import pytest

from bench import (
    bench_decode,
    bench_live,
    bench_path,
    bench_reconnect,
    bench_ring,
    bench_stages,
)

PLAYERS = {
    "scanner",
    "scanner_from_memory",
    "oracle",
    "orjson_lean",
    "orjson_dicts",
    "scanner_ten_levels",
    "scanner_x",
    "scanner_ten_messages",
}
RATIOS = {"ratio_to_orjson_lean", "ratio_to_oracle", "ratio_to_orjson_dicts"}


@pytest.mark.jit
def test_decode() -> None:
    figures = bench_decode.run("small")
    assert set(figures) == PLAYERS | RATIOS | {
        "frame_bytes_mean",
        "scanner_bytes_per_s",
        "floor_frames_per_s",
        "reached",
        "slots_sha256",
        "v3",
    }
    assert set(figures["v3"]) == {
        "scanner",
        "oracle",
        "orjson_lean",
        "frame_bytes_mean",
        "ratio_to_orjson_lean",
        "ratio_to_oracle",
        "slots_sha256",
    }
    for name in PLAYERS:
        assert set(figures[name]) == {"frames_per_s", "best", "worst", "rounds"}
        assert figures[name]["best"] >= figures[name]["frames_per_s"] >= figures[name]["worst"] > 0
    assert figures["reached"] == (
        figures["scanner"]["frames_per_s"] >= figures["floor_frames_per_s"]
    )


@pytest.mark.race
def test_ring() -> None:
    figures = bench_ring.run("small")
    assert set(figures) == {
        "floor_slots_per_s",
        "slot_bytes",
        "in_place",
        "copy",
        "ping",
        "memory_copy_slots_per_s",
    }
    assert figures["slot_bytes"] == 192
    assert all(rate > 0 for rate in figures["memory_copy_slots_per_s"].values())


@pytest.mark.jit
def test_stages() -> None:
    figures = bench_stages.run("small")
    assert {"trades", "mixed", "floor_trade_ns"} <= set(figures)
    for kind in ("trades", "mixed"):
        for entry in figures[kind]:
            assert entry["slots_per_s"] > 0
            assert entry["batch_slots"] in bench_stages.BATCHES
    assert {int(batch) for batch in figures["floor_trade_ns"]} <= set(bench_stages.BATCHES)


@pytest.mark.e2e
def test_path() -> None:
    figures = bench_path.run("small")
    assert set(figures) == {"floor_messages_per_s", "1_per_frame", "10_per_frame"}
    trades = set()
    for shape in ("1_per_frame", "10_per_frame"):
        entry = figures[shape]
        assert set(entry) == {
            "messages_per_s_median",
            "messages_per_s_min",
            "messages_per_s_max",
            "runs",
        }
        (run,) = entry["runs"]
        assert set(run) == {
            "messages",
            "seconds",
            "messages_per_s",
            "frame_bytes_per_s",
            "journal_s",
            "journal_bytes",
            "decode_to_ring_s",
            "client_frames",
            "client_bytes",
            "trades",
            "bus_bytes",
            "shard_kernel_s",
            "shard_publish_s",
            "cpu_s",
        }
        processes = {"ingest", "shard-0", "board", "gateway-0", "recorder", "rest"}
        assert set(run["cpu_s"]) == processes
        assert run["journal_bytes"] > 0
        assert run["seconds"] >= run["decode_to_ring_s"] > 0
        trades.add((run["messages"], run["trades"]))
    assert len(trades) == 1, "both shapes carry the same day"


@pytest.mark.e2e
@pytest.mark.slow
def test_live() -> None:
    figures = bench_live.run("small")
    assert set(figures["stage_ns_per_frame"]) == set(bench_live.VARIANTS)
    assert set(figures["stage_share"]) == set(bench_live.VARIANTS) - {"recording"}
    assert sum(figures["stage_share"].values()) == pytest.approx(1, abs=0.01)
    assert figures["frames"] > 10_000
    assert figures["frames_per_s_per_core"] > 0


@pytest.mark.e2e
def test_reconnect() -> None:
    figures = bench_reconnect.run("small")
    assert set(figures) == {"drop_to_live_ms", "half_open_noticed_s"}
    assert 0 < figures["drop_to_live_ms"]["median"] <= figures["drop_to_live_ms"]["worst"]
    noticed = figures["half_open_noticed_s"]
    assert noticed["worst"] > noticed["negotiated_timeout_s"] / 2, "a keep-alive was due by then"
