"""History over HTTP: a real port, a real client, a small history on disk."""

import asyncio
import csv
import io
import socket
import threading

import pyarrow.parquet as pq
import pytest
import zmq

from engine.clock import SystemClock
from engine.config import load
from engine.errors import ConfigError
from engine.history.errors import QueryError
from engine.history.query import History
from engine.history.tables import TABLES, TRADES, to_arrow
from engine.history.tail import Tail, TailServer
from engine.rundir import RunDir
from engine.schema.channels import TRADE
from gateway.rest import history as history_service
from gateway.rest.serve import serve
from gateway.rest.settings import RestSettings, settings_of
from tests.gateway.rest.history_tape import (
    CODES,
    DAY,
    NINE_S,
    TRADES_COUNT,
    run,
    trades,
    write_history,
)
from tests.gateway.rest.service import Service, healthy

pytestmark = pytest.mark.e2e  # each question waits a second for a recorder
TRADES_PATH = "/api/history/trades"


@pytest.fixture
def folder(tmp_path):
    write_history(tmp_path)
    return tmp_path


def test_it_lives_and_lists_what_there_is(folder):
    async def scenario(service: Service):
        async with service.client.get(service.url + "/livez") as answer:
            assert (answer.status, await answer.text()) == (200, "ok\n")
        status, told = await service.get("/api/history")
        assert status == 200
        listed = {entry["table"]: entry for entry in told["tables"]}
        assert set(listed) == {table.name for table in TABLES}
        assert listed["trades"]["rows"] == TRADES_COUNT
        assert listed["trades"]["first_day"] == listed["trades"]["last_day"] == "2026-11-20"
        assert {"symbol", "time", "price_e2", "day"} <= set(listed["trades"]["columns"])
        assert listed["quotes"]["first_day"] is None
        assert service.cell["requests"] == 2
        assert service.cell["heartbeat_ns"] > 0

    run(scenario, folder)


def test_pages_lead_through_all_rows_once(folder):
    async def scenario(service: Service):
        found, cursor, pages = [], None, 0
        while pages == 0 or cursor is not None:
            more = {"cursor": cursor} if cursor else {}
            status, told = await service.get(TRADES_PATH, limit=7, **more)
            assert status == 200
            assert told["table"] == "trades"
            found += told["rows"]
            cursor, pages = told["next_cursor"], pages + 1
        assert pages == 8
        assert len(found) == TRADES_COUNT
        keys = [(row["symbol"], row["time"], row["seq"]) for row in found]
        assert keys == sorted(set(keys))
        first = found[0]
        assert first["symbol"] == "FPT"
        assert first["time"] == "2026-11-20T09:00:00+07:00"
        assert first["day"] == "2026-11-20"
        assert (first["price_e2"], first["volume_shares"]) == (10_000_000, 100)
        assert (first["side"], first["venue"], first["phase"]) == ("BUY", "HOSE", "CONTINUOUS")
        assert service.cell["rows"] == TRADES_COUNT

    run(scenario, folder)


def test_ranges_symbols_columns_and_intervals(folder):
    async def scenario(service: Service):
        _, told = await service.get(
            TRADES_PATH,
            symbol="HPG",
            from_="2026-11-20T09:10",
            to="2026-11-20T09:20:00+07:00",
            columns="time,symbol",
        )
        times = [row["time"][11:16] for row in told["rows"]]
        assert times == ["09:11", "09:13", "09:15", "09:17", "09:19"]
        assert all(list(row) == ["time", "symbol"] for row in told["rows"])
        _, told = await service.get("/api/history/bars", interval="5m", symbol="FPT")
        assert [row["time"][11:16] for row in told["rows"]] == ["09:00", "09:05", "09:10", "09:15"]
        assert {row["interval"] for row in told["rows"]} == {"5m"}

    run(scenario, folder)


def test_csv_and_parquet_are_the_whole_range(folder):
    async def scenario(service: Service):
        query = {"symbol": "FPT", "format": "csv"}
        async with service.client.get(service.url + TRADES_PATH, params=query) as answer:
            assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
            assert 'filename="trades.csv"' in answer.headers["Content-Disposition"]
            rows = list(csv.DictReader(io.StringIO(await answer.text())))
        assert len(rows) == TRADES_COUNT // 2
        assert rows[1]["time"] == "2026-11-20T09:02:00+07:00"
        assert rows[1]["value_vnd"] == str(int(trades()["value_vnd"][2]))
        query = {"format": "parquet"}
        async with service.client.get(service.url + TRADES_PATH, params=query) as answer:
            table = pq.read_table(io.BytesIO(await answer.read()))
        assert table.num_rows == TRADES_COUNT
        assert sorted(table["value_vnd"].to_pylist()) == sorted(trades()["value_vnd"].tolist())

    run(scenario, folder)


def test_a_file_that_would_be_cut_is_refused_unless_a_limit_was_asked_for(folder, monkeypatch):
    monkeypatch.setattr("gateway.rest.history_request.FILE_ROWS_MAX", 10)

    async def scenario(service: Service):
        status, told = await service.get(TRADES_PATH, format="csv")
        assert status == 422
        assert told["field"] == "to"
        query = {"format": "csv", "limit": "10"}
        async with service.client.get(service.url + TRADES_PATH, params=query) as answer:
            assert len((await answer.text()).splitlines()) == 11
            cursor = answer.headers["Vntape-Next-Cursor"]
        _, told = await service.get(TRADES_PATH, limit=100, cursor=cursor)
        assert len(told["rows"]) == TRADES_COUNT - 10

    run(scenario, folder)


@pytest.mark.parametrize(
    ("path", "parameters", "status", "field", "says"),
    [
        ("/api/history/trade", {}, 404, "table", "trades"),
        ("/api/nothing", {}, 404, "path", "/openapi.json"),
        (TRADES_PATH, {"symbols": "FPT"}, 422, "symbols", "symbol"),
        (TRADES_PATH, {"symbol": "A" * 17}, 422, "symbol", "16"),
        (TRADES_PATH, {"from_": "yesterday"}, 422, "from", "2026-11-20"),
        (TRADES_PATH, {"from_": "2026-11-21", "to": "2026-11-20"}, 422, "to", "before"),
        (TRADES_PATH, {"interval": "1m"}, 422, "interval", "bars"),
        ("/api/history/bars", {"interval": "2m"}, 422, "interval", "5m"),
        (TRADES_PATH, {"limit": "0"}, 422, "limit", "1 to 10000"),
        (TRADES_PATH, {"cursor": "x"}, 422, "cursor", "cursor"),
        (TRADES_PATH, {"columns": "price"}, 422, "columns", "price_e2"),
        (TRADES_PATH, {"format": "xls"}, 422, "format", "parquet"),
    ],
)
def test_what_cannot_be_is_refused_by_name(folder, path, parameters, status, field, says):
    async def scenario(service: Service):
        told_status, told = await service.get(path, **parameters)
        assert told_status == status
        assert told["field"] == field
        assert says in told["message"]
        assert service.cell["refused"] == 1
        assert service.cell["failed"] == 0

    run(scenario, folder)


def test_a_cursor_belongs_to_its_question(folder):
    async def scenario(service: Service):
        _, told = await service.get(TRADES_PATH, limit=3, symbol="FPT")
        status, told = await service.get(
            TRADES_PATH, limit=3, symbol="HPG", cursor=told["next_cursor"]
        )
        assert (status, told["field"]) == (422, "cursor")

    run(scenario, folder)


def test_only_questions_are_answered(folder):
    async def scenario(service: Service):
        async with service.client.post(service.url + TRADES_PATH) as answer:
            assert answer.status == 405
        async with service.client.get(
            service.url + TRADES_PATH, headers={"Host": "evil.example"}
        ) as answer:
            assert answer.status == 403  # a page elsewhere whose name was pointed at us

    run(scenario, folder)


def test_the_tail_is_in_the_answer(folder):
    async def scenario(service: Service):
        context = zmq.Context()
        server = TailServer(context, service.settings.tail_endpoint)
        late = trades(1)
        late["seq"], late["exch_s"] = 999, NINE_S + 6 * 3_600
        rows = to_arrow(TRADES, TRADE, late, CODES)
        stop = threading.Event()

        def answer():
            while not stop.is_set():
                server.serve(lambda names: Tail(DAY, {0: (200, 201)}, {"trades": rows}))
                stop.wait(0.001)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            _, told = await service.get(TRADES_PATH, from_="2026-11-20T15:00")
            service.sources.recorder["lag_slots"] = 1_000_000
            _, behind = await service.get(TRADES_PATH)
        finally:
            stop.set()
            thread.join()
            server.close()
            context.destroy(linger=0)
        assert [row["seq"] for row in told["rows"]] == [999]
        assert told["warnings"] == []
        assert behind["warnings"] == ["the recorder is 1000000 slots behind the tape"]
        assert service.cell["tail_missing"] == 0

    run(scenario, folder)


def test_without_a_recorder_the_answer_says_that_the_last_seconds_are_missing(folder):
    async def scenario(service: Service):
        status, told = await service.get(TRADES_PATH)
        assert status == 200
        assert len(told["rows"]) == TRADES_COUNT
        assert any("recorder" in warning for warning in told["warnings"])
        assert service.cell["tail_missing"] == 1

    run(scenario, folder)


def test_a_truncated_segment_is_named_and_the_rest_is_told(folder):
    (file,) = (folder / "trades").rglob("*.parquet")
    file.write_bytes(file.read_bytes()[:-100])

    async def scenario(service: Service):
        status, told = await service.get(TRADES_PATH)
        assert (status, told["rows"]) == (200, [])
        assert any(file.name in warning for warning in told["warnings"])
        _, told = await service.get("/api/history/bars")
        assert len(told["rows"]) == 8
        async with service.client.get(
            service.url + TRADES_PATH, params={"format": "csv"}
        ) as answer:
            assert file.name in answer.headers["Vntape-Warnings"]

    run(scenario, folder)


def test_when_too_many_wait_the_next_one_is_told_to_come_back(folder, monkeypatch):
    gate, entered = threading.Event(), threading.Event()
    select = History.select

    def slow(self, *args, **named):
        entered.set()
        gate.wait(30)
        return select(self, *args, **named)

    monkeypatch.setattr(History, "select", slow)
    monkeypatch.setattr(history_service, "WAITING_MAX", 3)

    async def scenario(service: Service):
        waiting = [asyncio.ensure_future(service.get(TRADES_PATH)) for _ in range(3)]
        while not entered.is_set() or service.cell["requests"] < 3:
            await asyncio.sleep(0.005)
        async with service.client.get(service.url + TRADES_PATH) as answer:
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "1"
        async with service.client.get(service.url + "/livez") as answer:
            assert answer.status == 200  # the loop never waits
        gate.set()
        assert [status for status, _ in await asyncio.gather(*waiting)] == [200] * 3

    run(scenario, folder)


def test_a_question_that_takes_too_long_is_ended(folder, monkeypatch):
    interrupted = threading.Event()

    def endless(self, *_args, **_named):
        assert interrupted.wait(30)
        raise QueryError("table", "INTERRUPT Error: Interrupted!")  # as History says it

    monkeypatch.setattr(History, "select", endless)
    monkeypatch.setattr(History, "interrupt", lambda self: interrupted.set())
    limits = {"question_limit_s": 0.05}
    monkeypatch.setattr(history_service.HistoryService.__init__, "__kwdefaults__", limits)

    async def scenario(service: Service):
        status, told = await service.get(TRADES_PATH)
        assert status == 422
        assert "longer than 0.05 s" in told["message"]

    run(scenario, folder)


def test_a_bug_is_an_answer_and_a_line_in_the_log(folder, monkeypatch, capsys):
    monkeypatch.setattr(History, "describe", lambda self: 1 // 0)

    async def scenario(service: Service):
        status, told = await service.get("/api/history")
        assert status == 500
        assert "ZeroDivisionError" not in told["message"]
        assert service.cell["failed"] == 1

    run(scenario, folder)
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_shapes_are_the_same_tables_under_the_names_desks_use(folder):
    async def scenario(service: Service):
        for shape, table, count in (("ticks", "trades", 25), ("bars", "bars", 8)):
            status, told = await service.get(f"/api/history/FPT/{shape}")
            assert (status, told["table"], len(told["rows"])) == (200, table, count)
            assert {row["symbol"] for row in told["rows"]} == {"FPT"}
        for path in ("/FPT/foreign", "/index/VN30", "/derivatives/VN30F2108"):
            status, told = await service.get("/api/history" + path)
            assert (status, told["rows"]) == (200, [])
        status, told = await service.get(f"/api/history/{'A' * 17}/ticks")
        assert (status, told["field"]) == (422, "symbol")
        status, told = await service.get(f"/api/history/index/{'A' * 17}")
        assert (status, told["field"]) == (422, "id")
        _, text, headers = await service.ask(
            "/api/history/FPT/ticks", headers={"Accept": "text/csv"}, limit=3
        )
        assert headers["Content-Type"] == "text/csv; charset=utf-8"
        assert len(text.splitlines()) == 4
        _, told = await service.get("/api/history/HPG/ticks", limit=3)
        _, told = await service.get("/api/history/HPG/ticks", cursor=told["next_cursor"])
        assert len(told["rows"]) == 22

    run(scenario, folder)


def test_without_a_history_every_question_about_it_says_what_to_set(tmp_path):
    async def scenario(service: Service):
        for path in ("/api/history", TRADES_PATH, "/api/history/FPT/bars"):
            status, told = await service.get(path)
            assert (status, told["error"]) == (503, "unavailable")
            assert "history.record" in told["message"]
        assert (await service.ask("/livez"))[0] == 200

    run(scenario, tmp_path, history_root=None)


def test_a_public_address_and_a_busy_port_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="vntape token new"):
        run(None, tmp_path, host="0.0.0.0")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        async def start():
            await serve(RestSettings((), port=port), healthy(1), SystemClock(), print)

        with pytest.raises(ConfigError, match=f"rest.port {port}"):
            asyncio.run(start())


def test_a_port_picked_freely_is_picked_again_if_it_is_free():
    async def picked(last_port: int) -> int:
        stop, ports = asyncio.Event(), []

        def ready(port: int) -> None:
            ports.append(port)
            stop.set()

        settings = RestSettings((), port=0, last_port=last_port)
        await serve(settings, healthy(1), SystemClock(), ready, stop=stop)
        return ports[0]

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert asyncio.run(picked(port)) not in (0, port)
    assert asyncio.run(picked(port)) == port


def test_settings_come_from_the_configuration(tmp_path):
    told = [
        f"run.data_dir={tmp_path}",
        "rest.port=0",
        "history.rows_max=55",
        "engine.shards=2",
        "gateway.origins=https://desk.example",
        "gateway.tokens_file=tokens.toml",
    ]
    config = load(environ={}, overrides=told)
    run_dir = RunDir(tmp_path / "run")
    settings = settings_of(run_dir, config, 4_711)
    assert (settings.port, settings.last_port) == (0, 4_711)  # the one picked at the first start
    assert settings_of(run_dir, config, -4_711).last_port == 4_711, "the supervisor died as well"
    assert settings.rows_max == 55
    assert settings.history_root == RunDir.data_dir(config) / "history"
    assert settings.tail_endpoint == run_dir.tail_endpoint
    assert len(settings.endpoints) == 3, "two shards and the board"
    assert settings.origins == ("https://desk.example",)
    assert settings.tokens_file == "tokens.toml"
    config = load(environ={}, overrides=[*told, "history.record=off"])
    assert settings_of(run_dir, config, 0).history_root is None
