"""The operator's own rules over the rows of groups, told as tables and by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.alerts import sentences
from engine.alerts.rulebook import compile_rules
from engine.config import AlertsConfig, RuleConfig
from engine.errors import ConfigError
from engine.schema.channels import ALERTS, STATS
from engine.schema.codes import (
    AlertType,
    ControlOp,
    FeedState,
    Severity,
    Side,
    SlotKind,
    TradeEvent,
    Venue,
)
from engine.shard import classify, directory, stats
from engine.shard.stage import StageSettings
from engine.wiring.stages import make_fold
from tests.alerts.standin import STAGE, STAGES, fold_with
from tests.shard.folding import fold_groups
from tests.shard.messages import Message, exch_s

TABLES = Path(__file__).parents[1] / "tables"
DAY = "2021-07-15"
SIDES = {"buy": Side.BUY, "sell": Side.SELL}


def rules(*told: tuple[str, str], repeat_s: int = 60, severity: str = "info") -> Any:
    """Return the rule book of (name, condition)."""
    configured = [RuleConfig(name, when, severity) for name, when in told]
    return compile_rules(configured, AlertsConfig(repeat_s=repeat_s))


def introduction(symbol_id: int, name: str, multiplier: int = 1) -> Message:
    return {
        "kind": SlotKind.SYMBOL,
        "symbol_id": symbol_id,
        "code": name.encode(),
        "instrument": 1,
        "value_multiplier": multiplier,
        "venue": Venue.HOSE,
    }


def match(
    time: str,
    price: float,
    volume: int,
    total: int,
    symbol_id: int = 1,
    day: str = DAY,
    **more: int,
) -> Message:
    """Return one trade message of FPT, or of another symbol."""
    stamp = exch_s(day, time)
    return {
        "kind": SlotKind.TRADE,
        "symbol_id": symbol_id,
        "venue": Venue.HOSE,
        "exch_s": stamp,
        "recv_ns": stamp * 10**9 + 1,
        "last_price_e2": round(100 * price),
        "reference_price_e2": 8_800_000,
        "last_volume_shares": volume,
        "total_volume_shares": total,
    } | more


def told(fold: Any, *groups: list[Message]) -> list[dict[str, Any]]:
    """Fold groups and return the alerts of the rules."""
    _, emitted = fold_groups(fold, groups)
    return [row for row in emitted.get("alerts", []) if row["alert_type"] == AlertType.RULE]


# --- a day in a table ---------------------------------------------------------------------------


class Story:
    """Plays one table: rules, days, matches of some symbols, and what is told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: list[tuple[str, str]] = []
        self.repeat_s = 60
        self.ids: dict[str, int] = {}
        self.totals: dict[str, int] = {}
        self.day = DAY
        self.checked = 0
        self.fold: Any = None

    def play(self) -> int:
        """Run every line; return how many matches were checked."""
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), 1):
            text = line.split("#", 1)[0].strip()
            if text:
                self._line(text, f"{self.path.name}:{number}: {line}")
        return self.checked

    def _line(self, text: str, where: str) -> None:
        word, _, rest = text.partition(" ")
        if word == "rule":
            name, _, condition = rest.partition(" ")
            self.told.append((name, condition))
            self.fold = None
        elif word == "repeat":
            self.repeat_s, self.fold = int(rest), None
        elif word == "day":
            self.day = rest
            self.totals.clear()
        elif word == "outage":
            self._outage()
        else:
            self._match(text, where)

    def _ready(self) -> Any:
        if self.fold is None:
            self.fold = fold_with(rules(*self.told, repeat_s=self.repeat_s))
            self.ids.clear()
        return self.fold

    def _outage(self) -> None:
        states = (FeedState.LIVE, FeedState.DOWN, FeedState.LIVE)
        head = {"kind": SlotKind.CONTROL, "op": ControlOp.FEED_STATE}
        fold_groups(self._ready(), [[head | {"arg0": state}] for state in states])

    def _match(self, text: str, where: str) -> None:
        given, expected = (part.strip() for part in text.split("|"))
        time, name, price, volume, *more = given.split()
        fold = self._ready()
        if name not in self.ids:
            self.ids[name] = len(self.ids) + 1
            fold_groups(fold, [[introduction(self.ids[name], name)]])
        side = next((SIDES[word] for word in more if word in SIDES), Side.UNKNOWN)
        before = [int(word.removeprefix("+")) for word in more if word.startswith("+")]
        total = self.totals.get(name, 0) + int(volume) + sum(before)
        self.totals[name] = total
        message = match(time, float(price), int(volume), total, self.ids[name], self.day, side=side)
        shown = [
            f"{row['rule'].decode()} {row['alert_no']}"
            for row in told(fold, [message])
            if row["symbol_id"] == self.ids[name]
        ]
        self.checked += 1
        assert shown == ([] if expected == "-" else expected.split("; ")), where


def test_the_day_in_the_table():
    assert Story(TABLES / "rules_day.txt").play() > 20


# --- rule by rule -------------------------------------------------------------------------------


def big_fold(**settings: Any) -> Any:
    fold = fold_with(rules(("big", "trade.volume_shares >= 500"), **settings))
    fold_groups(fold, [[introduction(1, "FPT"), introduction(2, "SSI")]])
    return fold


def test_an_alert_of_a_rule_has_the_head_and_the_numbers_of_the_row_that_fired_it():
    message = match("09:30:00", 88_100, 500, 500)
    (row,) = told(big_fold(severity="critical"), [message])
    filled = {name: value for name, value in row.items() if value}
    assert filled == {
        "seq": 1,
        "recv_ns": message["recv_ns"],
        "exch_s": message["exch_s"],
        "symbol_id": 1,
        "updates": 1,
        "phase": 2,
        "venue": Venue.HOSE,
        "alert_type": AlertType.RULE,
        "severity": Severity.CRITICAL,
        "alert_no": 1,
        "price_e2": 8_810_000,
        "volume_shares": 500,
        "value_vnd": 500 * 88_100,
        "trade_day": 18_823,
        "rule": b"big",
    }


def test_an_alert_of_a_rule_has_a_deterministic_id_and_reads_in_two_languages():
    (row,) = told(big_fold(), [match("09:30:00", 88_100, 500, 500)])
    assert sentences.alert_id(row, "FPT") == "20210715-rule.big-FPT-1"
    assert "big" in sentences.sentence_en(row, "FPT", 1)
    assert "big" in sentences.sentence_vi(row, "FPT", 1)


def test_alerts_of_rules_and_built_in_alerts_share_one_sequence():
    fold = big_fold(repeat_s=0)
    news = [
        [match("09:30:00", 88_100, 1_000, 1_000), match("09:30:00", 88_100, 100, 1_100)],
        [match("09:30:05", 88_100, 2_000, 3_100)],
        [match("09:30:06", 88_100, 2_000, 5_100)],
    ]
    _, emitted = fold_groups(fold, news)
    kinds = [(row["seq"], AlertType(row["alert_type"]).name) for row in emitted["alerts"]]
    assert kinds == [
        (1, "BLOCK_TRADE"), (2, "RULE"), (3, "BLOCK_TRADE"), (4, "RULE"), (5, "BLOCK_TRADE"),
    ]  # fmt: skip
    assert fold.latest["alerts"][1]["seq"] == 5


def test_the_last_alert_of_a_rule_is_what_a_snapshot_shows():
    fold = big_fold()
    (row,) = told(fold, [match("09:30:00", 88_100, 500, 500)])
    latest = fold.latest["alerts"][1]
    assert (latest["seq"], latest["rule"], latest["alert_no"]) == (1, b"big", 1)
    assert latest["exch_s"] == row["exch_s"]


def test_two_rules_speak_in_the_order_of_the_configuration():
    fold = fold_with(
        rules(("zulu", "stats.volume_shares > 0"), ("alfa", "trade.volume_shares > 0"))
    )
    alerts = told(fold, [introduction(1, "FPT"), match("09:30:00", 88_100, 500, 500)])
    assert [(row["rule"], row["seq"]) for row in alerts] == [(b"zulu", 1), (b"alfa", 2)]


def test_a_late_match_tells_of_the_past_and_is_not_judged():
    fold = big_fold(repeat_s=0)
    first = match("09:30:00", 88_000, 100, 100)
    gap = match("09:30:09", 88_000, 100, 900)
    late = match("09:30:05", 88_000, 600, 700)
    notes, emitted = fold_groups(fold, [[first], [gap], [late]])
    assert notes[-1]["event"] == TradeEvent.LATE
    assert "alerts" not in emitted
    assert told(fold, [match("09:30:10", 88_000, 500, 1_400)])  # and the edge is still to come


def test_a_row_of_an_older_day_is_ignored():
    """Classify sees to it for slots; a rule book does not depend on it."""
    book = rules(("up", "stats.change > 0"), repeat_s=0)
    fold = fold_with(book)
    rows = np.zeros(3, STATS.dtype)
    rows["symbol_id"] = 1
    rows["reference_price_e2"], rows["last_price_e2"] = 100, (90, 110, 110)
    rows["exch_s"] = [exch_s(day, "09:30:00") for day in (DAY, "2021-07-14", DAY)]
    found = [len(book.judge([(STATS, rows[i : i + 1])])) - 1 for i in range(3)]
    assert found == [0, 0, 1]
    assert fold.latest["alerts"][1]["trade_day"] == 18_823


def test_news_without_a_rule_passes_untouched():
    book = rules(("up", "stats.change > 0"))
    fold_with(book)
    sections = [(ALERTS, np.zeros(1, ALERTS.dtype))]
    assert book.judge(sections) is sections


def test_no_rules_are_no_rule_book():
    assert compile_rules([], AlertsConfig()) is None


def test_a_bad_rule_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"^rules\.cheap, column 7: stats has no field vwop"):
        rules(("fine", "stats.vwap > 1"), ("cheap", "stats.vwop < 1"))


@pytest.mark.parametrize(
    ("stages", "channel"),
    [
        ((directory.STAGE, classify.STAGE, stats.STAGE), "alerts"),
        ((directory.STAGE, classify.STAGE, STAGE), "stats"),
        ((classify.STAGE, stats.STAGE, STAGE), "symbol"),
    ],
)
def test_a_shard_that_lacks_a_channel_refuses_to_start(stages, channel):
    with pytest.raises(ConfigError, match=rf"rules\.up needs channel {channel}, and no stage"):
        fold_with(rules(("up", "stats.change > 0")), stages)


def test_a_future_is_judged_with_its_own_multiplier():
    when = "stats.vwap == 1283.9"
    fold = fold_with(rules(("at", when)))
    message = match("09:30:00", 1_283.9, 8, 8) | {"venue": Venue.DERIVATIVES}
    assert told(fold, [introduction(1, "VN30F2407", 100_000), message])


def test_an_unknown_multiplier_makes_no_vwap():
    assert not told(
        fold_with(rules(("any", "stats.vwap > 0"))), [match("09:30:00", 88_000, 100, 100)]
    )


def test_the_real_alerts_stage_and_rules_share_rows_and_sequence():
    """With all stages of a shard: the one fused step that is compiled anyway."""
    fold = make_fold(8, 16, StageSettings(), [RuleConfig("big", "trade.volume_shares >= 500")])
    fold_groups(fold, [[introduction(1, "FPT")]])
    _, emitted = fold_groups(
        fold,
        [
            [match("09:30:00", 88_000, 60_000, 60_000)],
            [match("09:30:05", 88_000, 100, 60_100)],
            [match("09:31:05", 88_000, 60_000, 120_100)],
        ],
    )
    block, rule = AlertType.BLOCK_TRADE, AlertType.RULE
    assert [(row["seq"], row["alert_type"], row["alert_no"]) for row in emitted["alerts"]] == [
        (1, block, 1), (2, rule, 1), (3, block, 2), (4, rule, 2),
    ]  # fmt: skip
    assert [row["rule"] for row in emitted["alerts"]] == [b"", b"big", b"", b"big"]


def test_the_stages_of_these_tests_publish_what_the_rules_look_at():
    assert {each.name for each in STAGES} >= {"directory", "classify", "tape", "stats", "alerts"}
