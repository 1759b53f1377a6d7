"""``vntape sql`` and ``vntape export``, over a history on disk and with a recorder's tail."""

import csv
import json
import threading

import pyarrow.parquet as pq
import pytest
import zmq

from engine.__main__ import main
from engine.config import load
from engine.history.tables import TRADES, to_arrow
from engine.history.tail import Tail, TailServer
from engine.process import EX_CONFIG
from engine.rundir import RunDir
from engine.schema.channels import TRADE
from engine.wiring import history_cli
from tests.gateway.rest.history_tape import (
    CODES,
    DAY,
    NINE_S,
    TRADES_COUNT,
    trades,
    write_history,
)


@pytest.fixture
def overrides(tmp_path):
    told = [f"run.data_dir={tmp_path}/data", f"run.dir={tmp_path}/run"]
    write_history(RunDir.data_dir(load(environ={}, overrides=told)) / "history")
    return told


@pytest.fixture
def vntape(overrides, capsys):
    """Run a word; return exit code, stdout and stderr."""

    def call(*words):
        options = [part for text in overrides for part in ("--set", text)]
        code = main([*words, *options])
        return code, *capsys.readouterr()

    return call


def test_a_question_is_answered_as_a_table(vntape):
    code, out, err = vntape(
        "sql", "SELECT symbol, count(*) AS n, min(time) AS first FROM trades GROUP BY 1 ORDER BY 1"
    )
    assert code == 0
    assert out.splitlines() == [
        "symbol   n  first",
        "FPT     25  2026-11-20T09:00:00+07:00",
        "HPG     25  2026-11-20T09:01:00+07:00",
    ]
    assert err == ""


def test_answers_as_csv_and_json_are_exact(vntape):
    text = "SELECT symbol, sum(value_vnd) AS vnd FROM trades GROUP BY 1 ORDER BY 1"
    wanted = [int(trades()["value_vnd"][place::2].sum()) for place in (0, 1)]
    _, out, _ = vntape("sql", text, "--format", "json")
    assert json.loads(out) == [
        {"symbol": "FPT", "vnd": wanted[0]},
        {"symbol": "HPG", "vnd": wanted[1]},
    ]
    _, out, _ = vntape("sql", text, "--format", "csv")
    rows = list(csv.reader(out.splitlines()))
    assert rows == [["symbol", "vnd"], ["FPT", str(wanted[0])], ["HPG", str(wanted[1])]]


def test_many_rows_are_cut_and_it_says_so(vntape):
    code, out, err = vntape("sql", "SELECT seq FROM trades", "--limit", "3")
    assert code == 0
    assert len(out.splitlines()) == 1 + 3
    assert "--limit 0" in err
    _, out, err = vntape("sql", "SELECT seq FROM trades", "--limit", "0")
    assert len(out.splitlines()) == 1 + TRADES_COUNT
    assert err == ""
    _, out, err = vntape("sql", "SELECT seq FROM trades", "--limit", str(TRADES_COUNT))
    assert err == ""


def test_a_null_is_an_empty_cell(vntape):
    _, out, _ = vntape("sql", "SELECT NULL::INTEGER AS a, 'x' AS b")
    assert out.splitlines() == ["a  b", "   x"]


@pytest.mark.parametrize(
    "text",
    [
        "SELEC",
        "SELECT nothing FROM trades",
        "COPY trades TO '/tmp/x.csv'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT 1; SELECT 2",
    ],
)
def test_what_is_no_question_is_refused(vntape, text):
    code, out, err = vntape("sql", text)
    assert code == history_cli.EX_USAGE
    assert out == ""
    assert err.startswith("vntape: ")


def test_a_file_holds_the_range(vntape, tmp_path):
    file = tmp_path / "fpt.csv"
    code, out, _ = vntape(
        "export",
        "trades",
        "--symbol",
        "FPT",
        "--from",
        "2026-11-20T09:10",
        "--to",
        "2026-11-20T09:15",
        "--output",
        str(file),
    )
    assert code == 0
    assert out == f"trades: 3 rows in {file}\n"
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert [row["time"][11:16] for row in rows] == ["09:10", "09:12", "09:14"]
    assert {row["symbol"] for row in rows} == {"FPT"}


@pytest.mark.parametrize("page_rows", [7, 25, 1_000])
@pytest.mark.parametrize("how", ["csv", "parquet"])
def test_pages_are_joined_in_one_file(vntape, tmp_path, monkeypatch, how, page_rows):
    monkeypatch.setattr(history_cli, "PAGE_ROWS", page_rows)
    file = tmp_path / f"all.{how}"
    code, _, _ = vntape("export", "trades", "--format", how, "--output", str(file))
    assert code == 0
    if how == "csv":
        seqs = [int(row["seq"]) for row in csv.DictReader(file.read_text().splitlines())]
    else:
        seqs = pq.read_table(file)["seq"].to_pylist()
    assert seqs == [*range(1, 26), *range(1, 26)]
    assert [path.name for path in tmp_path.glob("all*")] == [file.name]


def test_an_empty_range_is_a_file_with_names_only(vntape, tmp_path):
    file = tmp_path / "none.csv"
    assert vntape("export", "bars", "--symbol", "ZZZ", "--output", str(file))[0] == 0
    assert len(file.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["trade"], "TABLE: there is no table 'trade'"),
        (["trades", "--from", "soon"], "--from: "),
        (["trades", "--from", "2026-11-21", "--to", "2026-11-20"], "--to: "),
        (["trades", "--interval", "1m"], "--interval: "),
        (["trades", "--symbol", "A" * 20], "--symbol: "),
    ],
)
def test_a_wrong_question_names_the_option_and_leaves_no_file(vntape, tmp_path, words, says):
    file = tmp_path / "out.csv"
    code, _, err = vntape("export", *words, "--output", str(file))
    assert code == history_cli.EX_USAGE
    assert says in err
    assert list(tmp_path.glob("out*")) == []


def test_a_file_that_cannot_be_written_is_refused(vntape, tmp_path):
    code, _, err = vntape("export", "trades", "--output", str(tmp_path / "no" / "x.csv"))
    assert code == EX_CONFIG
    assert "--output" in err


def test_without_a_history_it_says_where_it_looked(tmp_path, capsys):
    options = ["--set", f"run.data_dir={tmp_path}/x", "--set", f"run.dir={tmp_path}/y"]
    assert main(["sql", "SELECT 1", *options]) == EX_CONFIG
    assert f"{tmp_path}/x" in capsys.readouterr().err


def test_a_damaged_file_is_named(vntape, tmp_path):
    (file,) = (tmp_path / "data").rglob("trades/**/*.parquet")
    file.write_bytes(file.read_bytes()[:-9])
    code, out, err = vntape("sql", "SELECT count(*) AS n FROM trades")
    assert code == 0
    assert out.split() == ["n", "0"]
    assert file.name in err


def test_a_running_recorder_is_asked_for_its_rows(vntape, overrides):
    run_dir = RunDir.of(load(environ={}, overrides=overrides))
    run_dir.path.mkdir(parents=True)
    late = trades(1)
    late["seq"], late["exch_s"] = 999, NINE_S + 6 * 3_600
    rows = to_arrow(TRADES, TRADE, late, CODES)
    context, stop = zmq.Context(), threading.Event()
    server = TailServer(context, run_dir.tail_endpoint)

    def answer():
        while not stop.is_set():
            server.serve(lambda names: Tail(DAY, {0: (200, 201)}, {"trades": rows}))
            stop.wait(0.001)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        _, out, err = vntape("sql", "SELECT count(*) AS n, max(seq) AS newest FROM trades")
    finally:
        stop.set()
        thread.join()
        server.close()
        context.destroy(linger=0)
    assert out.split() == ["n", "newest", str(TRADES_COUNT + 1), "999"]
    assert err == ""


def test_a_recorder_that_does_not_answer_is_told(vntape, overrides, monkeypatch):
    run_dir = RunDir.of(load(environ={}, overrides=overrides))
    run_dir.path.mkdir(parents=True)
    (run_dir.path / history_cli.TAIL).touch()
    _, out, err = vntape("sql", "SELECT count(*) AS n FROM trades")
    assert out.split() == ["n", str(TRADES_COUNT)]
    assert "does not answer" in err
