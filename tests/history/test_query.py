"""Questions: pages that add up, arguments refused by name, and SQL that can only read."""

import threading
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.history.catalogue import TIER_DAY, commit_folder, pack, unpack
from engine.history.compaction import Compactor
from engine.history.errors import QueryError
from engine.history.query import History
from engine.history.segments import SegmentStore
from engine.history.tables import TABLES, column_names, to_arrow
from engine.schema import channels
from tests.history.days import CODES, DAY, bar_table, filled, seqs_of, trade_table, trades


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("history")
    store = filled(root, commits=4)
    rows = {"trades": trade_table(0, 60), "bars": bar_table(1, {(2, 1): 5, (2, 2): 6})}
    store.commit(DAY + 1, 0, 0, 60, rows)
    Compactor(store).compact_day(DAY + 1)
    return root


@pytest.fixture(scope="module")
def history(root):
    history = History(root)
    yield history
    history.close()


@pytest.fixture(scope="module")
def every_row(history) -> list[dict]:
    rows = history.sql("SELECT * FROM trades").to_pylist()
    return sorted(rows, key=lambda row: (row["day"], row["symbol"], row["time"], row["seq"]))


# --- pages ---------------------------------------------------------------------------------------


@given(
    symbols=st.lists(st.sampled_from(["FPT", "HPG", "ACB", "NONE"]), max_size=3),
    limit=st.integers(30, 200),
    start=st.none() | st.integers(0, 45),
    length_s=st.none() | st.integers(1, 45),
)
@settings(max_examples=15)
def test_pages_add_up_to_the_whole(history, every_row, symbols, limit, start, length_s):
    first = datetime.fromisoformat("2026-11-20T09:00") + timedelta(seconds=start or 0)
    arguments = {
        "symbols": symbols,
        "start": None if start is None else first,
        "end": None if length_s is None else first + timedelta(seconds=length_s),
        "limit": limit,
    }
    expected = [
        row
        for row in every_row
        if (not symbols or row["symbol"] in symbols)
        and (start is None or row["time"] >= arguments["start"])
        and (length_s is None or row["time"] < arguments["end"])
    ]
    pages, cursor = [], None
    while True:
        rows, cursor = history.select("trades", cursor=cursor, **arguments)
        pages.append(rows.to_pylist())
        if cursor is None:
            break
        assert len(pages[-1]) == limit
    assert [row for page in pages for row in page] == expected


def test_pages_of_one_row(history, every_row):
    rows, cursor = [], None
    for _ in range(12):
        page, cursor = history.select("trades", limit=1, cursor=cursor)
        rows += page.to_pylist()
    assert rows == every_row[:12]


def test_rows_without_a_time_are_on_the_first_pages(tmp_path):
    rows = trades(0, 20)
    rows["exch_s"][::3] = 0
    store = SegmentStore(tmp_path)
    store.commit(DAY, 0, 0, 20, {"trades": to_arrow(TABLES[0], channels.TRADE, rows, CODES)})
    history = History(tmp_path)
    seqs, cursor = [], ""
    while cursor is not None:
        page, cursor = history.select("trades", ["FPT", "ACB"], limit=2, cursor=cursor or None)
        seqs += [(r["symbol"], r["time"] is not None, r["seq"]) for r in page.to_pylist()]
    assert seqs == sorted(seqs)
    assert len(seqs) == sum(rows["symbol_id"] == 1) + sum(rows["symbol_id"] == 4)
    assert len(set(seqs)) == len(seqs) > 4
    assert history.select("trades", start="2026-11-20")[0].num_rows == 13
    history.close()


def test_a_last_page_that_is_full_has_no_cursor(history):
    rows, cursor = history.select("trades", limit=460)
    assert (rows.num_rows, cursor) == (460, None)


def test_columns_come_as_asked(history):
    rows, cursor = history.select("trades", ["FPT"], columns=["price_e2", "day"], limit=2)
    assert rows.column_names == ["price_e2", "day"]
    rows, _ = history.select("trades", ["FPT"], cursor=cursor, columns=["seq"], limit=2)
    assert rows.column_names == ["seq"]
    assert tuple(history.select("trades")[0].column_names) == column_names(TABLES[0])


def test_bars_have_intervals(history):
    assert history.select("bars", ["HPG"], interval="1m")[0].num_rows == 2
    assert history.select("bars", interval="5m")[0].num_rows == 0


def test_times_may_be_written_in_several_ways(history):
    moment = datetime.fromisoformat("2026-11-20T09:00:30")
    zone = timezone(timedelta(hours=7))
    ways = [
        moment,
        "2026-11-20T09:00:30",
        "2026-11-20 09:00:30",
        "2026-11-20T02:00:30Z",
        moment.replace(tzinfo=zone),
        moment.replace(tzinfo=zone).astimezone(UTC),
    ]
    answers = [history.select("trades", start=way)[0] for way in ways]
    assert all(answer == answers[0] for answer in answers)
    assert 0 < answers[0].num_rows < 460
    assert history.select("trades", end="2026-11-20")[0].num_rows == 0


@pytest.mark.parametrize(
    ("argument", "arguments", "words"),
    [
        ("table", {"table": "deals"}, "choose trades, quotes"),
        ("columns", {"columns": ["price"]}, "it has symbol, time"),
        ("symbols", {"symbols": [""]}, "1 to 16"),
        ("symbols", {"symbols": ["A" * 17]}, "1 to 16"),
        ("interval", {"interval": "1m"}, "only bars"),
        ("interval", {"table": "bars", "interval": "2m"}, "choose 1m, 5m"),
        ("limit", {"limit": 0}, "at least one"),
        ("start", {"start": "yesterday"}, "write 2026-11-20"),
        ("end", {"end": "25:00"}, "write 2026-11-20"),
        ("end", {"start": "2026-11-21", "end": "2026-11-20"}, "before it starts"),
        ("cursor", {"cursor": "zzz"}, "no cursor of ours"),
        ("cursor", {"cursor": "é"}, "no cursor of ours"),
        ("cursor", {"cursor": "WzFd"}, "no cursor of ours"),
    ],
)
def test_what_cannot_be_is_refused_by_name(history, argument, arguments, words):
    with pytest.raises(QueryError, match=words) as refused:
        history.select(**{"table": "trades", **arguments})
    assert refused.value.argument == argument


def test_a_cursor_belongs_to_its_question(history):
    _, cursor = history.select("trades", ["FPT"], limit=1)
    with pytest.raises(QueryError, match="another question"):
        history.select("trades", ["HPG"], cursor=cursor)


def test_quotes_in_values_are_values(history):
    assert history.select("trades", ["' OR 1=1"])[0].num_rows == 0


# --- SQL -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "SELECT count(*) FROM trades",
        "FROM trades",
        "WITH t AS (SELECT * FROM trades) SELECT * FROM t ORDER BY seq LIMIT 3;",
        "SELECT 1 -- and a remark",
        "DESCRIBE trades",
        "SUMMARIZE bars",
        "SHOW TABLES",
        "VALUES (1), (2)",
        "SELECT day, interval, time FROM bars JOIN trades USING (day, symbol, time)",
        "SELECT * FROM quotes, foreign_flow, indices, basis, alerts, gaps",
    ],
)
def test_questions_are_answered(history, text):
    assert history.sql(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SELECT",
        "SELECT 1; SELECT 2",
        "SELECT * FROM nothing",
        "SELECT 1) AS a, (SELECT 2",
        "SELECT 1 /* open",
        "CREATE TABLE t AS SELECT 1",
        "DROP VIEW trades",
        "INSERT INTO trades SELECT * FROM trades",
        "SET threads = 9",
        "PRAGMA database_list",
        "CALL pragma_version()",
        "ATTACH '{folder}/x.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "EXPORT DATABASE '{folder}/x'",
        "COPY (SELECT 1) TO '{folder}/x.csv'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder}/x.csv'",
        "WITH x AS (COPY (SELECT 1) TO '{folder}/x.csv') SELECT * FROM x",
        "SELECT * FROM (WITH x AS (COPY (SELECT 1) TO '{folder}/x.csv') SELECT * FROM x)",
        "SELECT * FROM query('COPY (SELECT 1) TO ''{folder}/x.csv''')",
        "SELECT * FROM QUERY('SELECT 1')",
        "FROM \"json_execute_serialized_sql\"('{tree}')",
        "SELECT (SELECT count(*) FROM Json_Execute_Serialized_Sql('{tree}'))",
        "FROM enable_logging(storage='file', storage_path='{folder}/log')",
        "FROM read_text('/etc/passwd')",
        "FROM read_text('{folder}/../secret')",
        "FROM '{folder}/../secret.csv'",
        "FROM glob('/etc/*')",
        "SELECT regexp_matches('a', '(')",
        "SELECT 'x'::INTEGER",
    ],
)
def test_anything_but_reading_is_refused_and_does_nothing(history, root, text):
    inner = f"WITH x AS (COPY (SELECT 1) TO '{root}/x.csv') SELECT * FROM x"
    database = history._database.cursor()
    tree = database.execute("SELECT json_serialize_sql(?)", [inner]).fetchall()[0][0]
    (root.parent / "secret").write_text("s", encoding="utf-8")
    before = sorted(root.rglob("*"))
    with pytest.raises(QueryError) as refused:
        history.sql(text.replace("{folder}", str(root)).replace("{tree}", tree.replace("'", "''")))
    assert refused.value.argument == "text"
    assert sorted(root.rglob("*")) == before
    assert history.sql("SELECT * FROM trades").num_rows == 460


def test_an_answer_can_be_cut(history):
    rows = history.sql("SELECT seq FROM trades ORDER BY seq DESC", rows_max=3)
    assert rows["seq"].to_pylist() == [399, 398, 397]


def test_a_question_that_takes_too_long_can_be_ended(history):
    refused = []

    def ask():
        try:
            history.sql("SELECT count(*) FROM range(10000000000) a, range(1000) b")
        except QueryError as error:
            refused.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    deadline = time.monotonic() + 60
    while asking.is_alive():
        assert time.monotonic() < deadline
        history.interrupt()  # before it has begun to run there is nothing to end
        asking.join(0.01)
    assert [error.argument for error in refused] == ["text"]
    assert history.sql("SELECT count(*) FROM trades").num_rows == 1


# --- files ---------------------------------------------------------------------------------------


def test_an_empty_history_has_all_tables(tmp_path):
    history = History(tmp_path / "none")
    for table in TABLES:
        answer = history.sql(f"SELECT * FROM {table.name}")
        assert tuple(answer.column_names) == column_names(table)
        assert answer.num_rows == 0
        assert history.select(table.name) == (answer, None)
    assert [told["rows"] for told in history.describe()] == [0] * len(TABLES)
    history.close()


def test_it_tells_what_there_is(history):
    told = {entry["table"]: entry for entry in history.describe()}
    assert told["trades"]["rows"] == 460
    assert told["trades"]["first_day"] == "2026-11-20"
    assert told["trades"]["last_day"] == "2026-11-21"
    assert told["gaps"]["first_day"] is None
    assert told["bars"]["bytes"] > 0


def test_files_of_an_older_version_lack_columns_and_are_read(tmp_path):
    store = SegmentStore(tmp_path)
    store.commit(DAY, 0, 0, 10, {"trades": trade_table(0, 10).drop_columns(["ask_price_e2"])})
    store.commit(DAY, 0, 10, 20, {"trades": trade_table(10, 10)})
    history = History(tmp_path)
    rows = history.sql("SELECT * FROM trades ORDER BY seq")
    assert tuple(rows.column_names) == column_names(TABLES[0])
    assert [value is None for value in rows["ask_price_e2"].to_pylist()] == [True] * 10 + [
        False
    ] * 10
    history.close()


def test_what_was_damaged_after_it_was_known_is_found_when_it_is_read(tmp_path):
    store = filled(tmp_path)
    history = History(tmp_path)
    assert history.sql("SELECT * FROM trades").num_rows == 300
    path = tmp_path / store.listing(DAY).commits[1].files[0].path
    size = path.stat().st_size
    path.write_bytes(b"x" * size)  # the same length: only reading can tell
    assert history.sql("SELECT * FROM trades").num_rows == 200
    assert [damage.path for damage in history.damage] == [path]
    history.close()


def test_only_so_many_bytes_are_read_for_checksums_and_newest_first(tmp_path):
    store = filled(tmp_path)
    files = [c.files[0] for c in store.listing(DAY).commits]
    limit = files[-1].size_bytes + files[0].size_bytes // 2
    history = History(tmp_path, read_bytes_max=limit)
    known = history._soundness._sound
    for count in (1, 2, 3, 3):
        history.sql("SELECT * FROM trades")
        assert {path for path, *_ in known} == {file.path for file in files[-count:]}
    history.close()


def test_a_merge_while_files_are_being_opened_costs_a_second_try(tmp_path, monkeypatch):
    store = filled(tmp_path)
    history = History(tmp_path)
    tried = []
    real = history._make_views

    def merged_in_between(*args, **kwargs):
        real(*args, **kwargs)
        tried.append(1)
        if len(tried) == 1:
            Compactor(store).compact_day(DAY)

    monkeypatch.setattr(history, "_make_views", merged_in_between)
    assert seqs_of(history.sql("SELECT seq FROM trades")) == list(range(300))
    assert len(tried) == 2
    assert store.listing(DAY).commits[0].tier == TIER_DAY
    history.close()


def test_records_are_read_as_they_are_packed(root):
    for path in commit_folder(root, DAY).iterdir():
        commit = unpack(path.read_bytes())
        assert pack(commit) == path.read_bytes()
        assert path.stem == commit.name
