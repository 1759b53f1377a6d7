"""/metrics: every counter has a name, and the dashboard and the alert rules use no other."""

import json
import re

import numpy as np
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from engine.schema.codes import FeedState, Reject
from engine.schema.counters import COUNTER_LAYOUTS
from gateway.rest.metric_table import ELSEWHERE, METRICS
from gateway.rest.metrics import exposition
from tests.gateway.rest.service import Service, healthy, run
from tests.house.sources import ROOT

NOW_NS = 1_700_000_000_000_000_000
FOLDER = ROOT / "docs" / "monitoring"
FUNCTIONS = {"sum", "max", "min", "by", "rate", "increase", "clamp_min", "time", "on", "and", "or"}


def scraped(sources) -> dict[tuple[str, ...], float]:
    """Return name and labels -> value, as Prometheus reads the page."""
    text = exposition(sources, lambda: NOW_NS)().decode()
    return {
        (sample.name, *(f"{k}={v}" for k, v in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize("role", COUNTER_LAYOUTS)
def test_every_counter_of_every_process_is_told(role):
    cells = set(COUNTER_LAYOUTS[role].names)
    assert set(METRICS[role]) == cells - ELSEWHERE
    assert all(COUNTER_LAYOUTS[role][cell].shape == () for cell in METRICS[role])


def test_a_name_says_its_unit_and_means_one_thing():
    told = {}
    for table in METRICS.values():
        for cell, metric in table.items():
            assert told.setdefault(metric.name, metric) == metric
            assert re.fullmatch(r"vntape_[a-z0-9_]+", metric.name)
            assert metric.name.endswith("_total") == (metric.type == "counter")
            if "bytes" in cell:
                assert "_bytes" in metric.name
            if cell.endswith(("_ns", "_s")):
                assert "_seconds" in metric.name
            assert metric.help[0].isupper() or metric.help[0].isdigit()
            assert not metric.help.endswith(".")


def test_values_are_those_of_the_counters():
    sources = healthy(NOW_NS - 500_000_000, shards=2)
    sources.ingest["frames"], sources.ingest["last_exch_s"] = 17, 1_626_316_200
    sources.ingest["rejected"][0, Reject.BAD_NUMBER] = 3
    sources.ingest["decode_ns"] = 2_500_000_000
    sources.shards[1]["lag_slots"], sources.shards[1]["matches"] = 9, 4
    sources.board["heartbeat_ns"] = NOW_NS - 3_000_000_000
    sources.ingest["feed_state"] = FeedState.STALE
    found = scraped(sources)
    ingest, second = ("index=0", "role=ingest"), ("index=1", "role=shard")
    assert found["vntape_feed_frames_total", *ingest] == 17
    assert found["vntape_decode_seconds_total", *ingest] == 2.5
    assert found["vntape_feed_last_exchange_timestamp_seconds", *ingest] == 1_626_316_200
    assert found["vntape_rejected_messages_total", "reason=bad_number"] == 3
    assert found["vntape_rejected_messages_total", "reason=frame_too_large"] == 0
    assert found["vntape_lag_slots", *second] == 9
    assert found["vntape_matches_total", *second] == 4
    assert found["vntape_matches_total", "index=0", "role=shard"] == 0
    assert found["vntape_heartbeat_age_seconds", *ingest] == pytest.approx(0.5)
    assert found["vntape_up", *ingest] == 1
    assert found["vntape_up", "index=0", "role=board"] == 0
    states = {
        state: found["vntape_feed_state", f"state={state.name.lower()}"] for state in FeedState
    }
    assert states == {state: float(state is FeedState.STALE) for state in FeedState}


def test_labels_are_never_symbols():
    labels = {key.partition("=")[0] for name in scraped(healthy(NOW_NS)) for key in name[1:]}
    assert labels == {"role", "index", "state", "reason"}


def test_an_instance_without_a_recorder_tells_nothing_of_one():
    sources = healthy(NOW_NS)
    sources.recorder = None
    assert not any("role=recorder" in name for name in scraped(sources))
    assert np.isfinite(list(scraped(sources).values())).all()


def test_the_page_is_what_prometheus_reads(tmp_path):
    async def scenario(service: Service):
        status, text, headers = await service.ask("/metrics")
        assert status == 200
        assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        names = {sample.name for f in text_string_to_metric_families(text) for sample in f.samples}
        for source, expressions in told_expressions():
            for expression in expressions:
                used = set(re.findall(r"vntape_\w+", expression))
                assert used, f"{source}: {expression} uses no metric of ours"
                assert used <= names, f"{source}: {used - names} is in no scrape"

    run(scenario, tmp_path)


def told_expressions() -> list[tuple[str, list[str]]]:
    """Return every PromQL expression of the dashboard and of the rules."""
    board = json.loads((FOLDER / "grafana-dashboard.json").read_text(encoding="utf-8"))
    rules = yaml.safe_load((FOLDER / "prometheus-alerts.yml").read_text(encoding="utf-8"))
    return [
        ("dashboard", [t["expr"] for panel in board["panels"] for t in panel.get("targets", ())]),
        ("alerts", [rule["expr"] for group in rules["groups"] for rule in group["rules"]]),
    ]


def test_rules_and_panels_are_whole():
    board = json.loads((FOLDER / "grafana-dashboard.json").read_text(encoding="utf-8"))
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert all(panel["title"] and panel["targets"] for panel in panels)
    rules = yaml.safe_load((FOLDER / "prometheus-alerts.yml").read_text(encoding="utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert {"alert", "expr", "labels", "annotations"} <= set(rule)
            assert rule["labels"]["severity"] in ("page", "warning")
            assert {"summary", "description"} <= set(rule["annotations"])


def test_expressions_close_what_they_open():
    for _, expressions in told_expressions():
        for expression in expressions:
            for opened, closed in ("()", "{}", "[]"):
                assert expression.count(opened) == expression.count(closed), expression
            words = set(re.findall(r"\b([a-z_]+)\s*\(", expression))
            assert words <= FUNCTIONS, words - FUNCTIONS
