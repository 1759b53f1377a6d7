"""Is it healthy: who is silent, and whether the hour explains a silent feed."""

import pytest

from engine.schema.codes import FeedState
from gateway.rest import serve
from gateway.rest.health import StatusPage, matching_phase, reasons
from tests.gateway.rest.service import Service, healthy, run

SECOND_NS = 1_000_000_000
DAY_S = 20_776 * 86_400  # 2026-11-19, a Thursday; midnight UTC
SATURDAY_S = DAY_S + 2 * 86_400
OLD_S = 18_823 * 86_400  # 2021-07-15


def ict(clock: str, day_s: int = DAY_S) -> int:
    hour, minute = clock.split(":")
    return day_s + (int(hour) - 7) * 3_600 + int(minute) * 60


@pytest.mark.parametrize(
    ("clock", "phase"),
    [
        ("08:30", ""),
        ("09:10", "ATO"),
        ("10:00", "CONTINUOUS"),
        ("12:00", ""),
        ("13:30", "CONTINUOUS"),
        ("14:35", "ATC"),
        ("20:00", ""),
    ],
)
@pytest.mark.parametrize(
    ("state", "always"),
    [
        (FeedState.LIVE, False),
        (FeedState.CLOSED, False),
        (FeedState.DOWN, None),
        (FeedState.CONNECTING, None),
        (FeedState.STALE, True),
    ],
)
def test_a_feed_that_is_away_is_a_reason_only_while_the_exchange_matches(
    clock, phase, state, always
):
    now_ns = ict(clock) * SECOND_NS
    sources = healthy(now_ns)
    sources.ingest["feed_state"] = state
    sources.ingest["last_exch_s"] = ict("08:15")
    why = reasons(sources, now_ns)
    assert bool(why) == (bool(phase) if always is None else always)
    if why:
        assert why == [f"feed {state.name}" + (f" in {phase}" if phase else "")]


@pytest.mark.parametrize(
    ("now", "last_frame", "last_exch", "phase"),
    [
        ((DAY_S, "22:00"), (DAY_S, "22:00"), (OLD_S, "10:00"), "CONTINUOUS"),  # a replayed day
        ((DAY_S, "22:00"), (DAY_S, "20:00"), (OLD_S, "10:00"), ""),  # ... whose lunch it is
        ((DAY_S, "10:00"), (DAY_S, "10:00"), (OLD_S, "22:00"), ""),
        ((DAY_S, "10:00"), (DAY_S, "10:00"), (DAY_S - 86_400, "14:45"), "CONTINUOUS"),
        (
            (DAY_S + 2 * 86_400, "10:00"),
            (DAY_S, "15:00"),
            (DAY_S + 86_400, "14:45"),
            "",
        ),  # Saturday
        ((DAY_S, "10:00"), None, None, "CONTINUOUS"),
    ],
)
def test_the_hour_is_the_markets_own(now, last_frame, last_exch, phase):
    stamps = [0 if at is None else ict(at[1], at[0]) for at in (now, last_frame, last_exch)]
    assert matching_phase(stamps[0] * SECOND_NS, stamps[1] * SECOND_NS, stamps[2]) == phase


NOON_NS = ict("12:00") * SECOND_NS


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda s: None, []),
        (
            lambda s: s.shards[1].__setitem__("heartbeat_ns", NOON_NS - 5 * SECOND_NS),
            ["shard-1 silent for 5 s"],
        ),
        (lambda s: s.board.__setitem__("heartbeat_ns", 0), ["board has not started"]),
        (lambda s: s.gateways[0].__setitem__("heartbeat_ns", 0), ["gateway-0 has not started"]),
        (lambda s: s.ingest.__setitem__("journal_failing", 1), ["the journal's disk refuses"]),
        (lambda s: s.recorder.__setitem__("heartbeat_ns", 0), []),  # the tape goes on without it
        (lambda s: s.rest.__setitem__("heartbeat_ns", 1), []),  # it answers, so it lives
    ],
)
def test_everybody_the_tape_needs_must_turn(change, why):
    sources = healthy(NOON_NS, shards=2)
    change(sources)
    assert reasons(sources, NOON_NS) == why


def test_the_status_page_says_what_the_status_line_says():
    sources = healthy(NOON_NS)
    page = StatusPage(sources)
    page.sample(NOON_NS - SECOND_NS)
    sources.ingest["messages"] = 5_000
    sources.shards[0]["gaps_open"] = 2
    sources.ingest["lost_frames"] = 3
    page.sample(NOON_NS)
    told = page.page(NOON_NS)
    assert told["ready"]
    assert told["problems"] == ["3 frames lost: decoding fell behind"]
    assert (told["messages_per_s"], told["gaps_open"]) == (5_000.0, 2)
    assert [process["name"] for process in told["processes"]] == [
        "ingest",
        "shard-0",
        "board",
        "gateway-0",
        "recorder",
        "rest",
    ]
    assert all(process["up"] for process in told["processes"])


def test_pages_of_a_running_service(tmp_path):
    async def scenario(service: Service):
        for _, cell in service.sources.named():
            cell["heartbeat_ns"] = service.clock.now_ns() + 60 * SECOND_NS
        service.sources.ingest["feed_state"] = FeedState.CLOSED
        assert await service.get("/readyz") == (200, {"ready": True, "reasons": []})
        service.sources.board["heartbeat_ns"] = 0
        status, told = await service.get("/readyz")
        assert (status, told["reasons"]) == (503, ["board has not started"])
        status, told = await service.get("/statusz")
        assert (status, told["ready"]) == (200, False)
        assert (await service.ask("/livez"))[:2] == (200, "ok\n")

    run(scenario, tmp_path)


def test_a_process_that_has_not_heard_the_tape_is_not_ready(tmp_path, monkeypatch):
    monkeypatch.setattr(serve, "LEARN_WAIT_S", 0.02)
    endpoints = ((f"ipc://{tmp_path}/nobody.ipc", f"ipc://{tmp_path}/none.ipc"),)

    async def scenario(service: Service):
        service.sources.ingest["feed_state"] = FeedState.CLOSED
        status, told = await service.get("/readyz")
        assert (status, told["reasons"][-1]) == (503, "rest has not heard the whole tape yet")

    run(scenario, tmp_path, endpoints=endpoints)
