"""The operator's own rules at work: they look at the rows of a group and add alerts to it.

Source: market-behaviour section 10. Rules of the rules:

* A rule is asked about every row of its channel (``expressions``), in the order of the rows. It
  fires for a symbol when its condition holds and did not hold for that symbol's row before: on
  the rising edge, not as long as it holds. A new trading date begins with "did not hold".
* The first row of a symbol's day, when it starts from a baseline, and the first row of a symbol
  since an outage (``shard.outages``) only arm, as does any row flagged AFTER_OUTAGE: what is found
  so was not seen to become so. A LATE row tells of the past: it is
  not judged, and neither is a row of an older date.
* At most one alert per rule, symbol and ``alerts.repeat_s`` of exchange time. An edge within that
  time is not told later.
* Each alert is a row of channel ``alerts`` after those of the built-in rules: rules in the order
  of the configuration, rows in theirs. It carries the head of the row that fired it and, where
  that has them, its price, volume_shares and value_vnd. alert_no counts per rule, symbol and day.

State depends on rows only, so it is the same wherever batches are cut: a fold with rules hands
over one group at a time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.alerts.expressions import Condition, compile_condition
from engine.clock import trade_day
from engine.config import SEVERITIES, AlertsConfig, RuleConfig
from engine.errors import ConfigError, SchemaMismatch
from engine.schema.channels import ALERTS, SYMBOL
from engine.schema.codes import AlertType, DeltaFlag, Severity
from engine.schema.deltas import ALERT_DELTA
from engine.shard import classify
from engine.shard.fold import Fold, Sections
from engine.shard.image import Image

BASELINE: Final = int(DeltaFlag.BASELINE)
AFTER_OUTAGE: Final = int(DeltaFlag.AFTER_OUTAGE)
LATE: Final = int(DeltaFlag.LATE)

# Where an alert's own numbers come from: the first of these that the channel has.
NUMBERS: Final = {
    "price_e2": ("price_e2", "last_price_e2", "close_price_e2", "value_e2"),
    "volume_shares": ("volume_shares",),
    "value_vnd": ("value_vnd",),
}
HEAD: Final = ("recv_ns", "exch_s", "symbol_id", "phase", "venue")

# Columns of what is saved: whose watch, of which rule by place, and the fields of Watch.
MEMORY: Final = ("symbol_id", "rule", "day", "outage_no", "held", "alert_count", "alert_exch_s")

assert [word.name.lower() for word in Severity][1:] == list(SEVERITIES)


@dataclass(slots=True)
class Watch:
    """What one rule knows of one symbol."""

    day: int  # trading date, days since 1970 (ICT)
    outage_no: int  # outages as of the last row
    held: bool = False
    alert_count: int = 0  # of that day
    alert_exch_s: int = 0  # stamp of the last one


@dataclass(frozen=True, slots=True)
class Rule:
    """A checked rule and what it knows of every symbol."""

    name: bytes
    severity: Severity
    condition: Condition
    numbers: tuple[tuple[str, str], ...]  # field of the alert, field of the row
    watches: dict[int, Watch] = field(default_factory=dict)

    @classmethod
    def of(cls, config: RuleConfig) -> "Rule":
        """Check a rule as it is configured, or raise ConfigError."""
        condition = compile_condition(config.name, config.when)
        known = condition.channel.dtype.names or ()
        numbers = (
            (target, next((name for name in names if name in known), ""))
            for target, names in NUMBERS.items()
        )
        return cls(
            config.name.encode(),
            Severity[config.severity.upper()],
            condition,
            tuple((target, name) for target, name in numbers if name),
        )

    def fires(
        self, symbol_id: int, exch_s: int, flags: int, holds: bool, outage_no: int, repeat_s: int
    ) -> int:
        """Take one answer of the condition; return the number of the alert, 0 for none."""
        day = trade_day(exch_s)
        watch = self.watches.get(symbol_id)
        if flags & LATE or (watch is not None and day < watch.day):
            return 0
        first = watch is None or watch.day < day
        if watch is None or first:
            watch = self.watches[symbol_id] = Watch(day, outage_no)
        rising, found = holds and not watch.held, watch.outage_no != outage_no
        watch.held, watch.outage_no = holds, outage_no
        if not rising or found or flags & AFTER_OUTAGE or (first and flags & BASELINE):
            return 0
        if watch.alert_count and exch_s - watch.alert_exch_s < repeat_s:
            return 0
        watch.alert_count += 1
        watch.alert_exch_s = exch_s
        return watch.alert_count


class RuleBook:
    """All rules of one shard: ``shard.fold.RuleBook``.

    Parameters
    ----------
    rules
        Checked, in the order in which they are asked.
    repeat_s
        Least exchange time between two alerts of one rule and symbol.
    """

    def __init__(self, rules: Sequence[Rule], repeat_s: int) -> None:
        self._rules = rules
        self._repeat_s = repeat_s
        self._multiplier: NDArray[np.int64] = np.zeros(0, np.int64)
        self._last: NDArray[np.void] = np.zeros(0, ALERT_DELTA)
        self._market: Any = None  # row 0 of classify's state: it counts outages

    def attach(self, fold: Fold) -> None:
        """Get to know the fold: its symbols' multipliers, and where alert rows are kept.

        Raises
        ------
        ConfigError
            No stage of the fold publishes alerts, or the channel a rule looks at.
        """
        for rule in self._rules:
            for channel in (ALERTS, SYMBOL, rule.condition.channel):
                if channel.name not in fold.latest:
                    raise ConfigError(
                        f"rules.{rule.name.decode()} needs channel {channel.name}, "
                        "and no stage of this shard publishes it"
                    )
        self._last = fold.latest[ALERTS.name]
        self._multiplier = fold.latest[SYMBOL.name]["value_multiplier"]
        self._market = fold.state(classify.STAGE.name)[0]

    def judge(self, sections: Sections) -> Sections:
        """Take the rows of one group; return them with this group's alerts added.

        Parameters
        ----------
        sections
            Channels that have news, with the rows of one group.

        Returns
        -------
        list of (Channel, rows)
            The same without news for any rule; else with one ALERTS section that holds the
            built-in rules' rows first. Valid until the fold's next call.
        """
        news = {channel.code: rows for channel, rows in sections}
        added = [
            alert
            for rule in self._rules
            if rule.condition.channel.code in news
            for alert in self._ask(rule, news[rule.condition.channel.code])
        ]
        if not added:
            return sections
        told = [rows for channel, rows in sections if channel is ALERTS]
        others = [section for section in sections if section[0] is not ALERTS]
        return [*others, (ALERTS, np.concatenate([*told, *added]))]

    def save(self) -> Image:
        """Return what every rule remembers, in an order that does not depend on the past.

        Returns
        -------
        dict
            ``rules``: int64 (watches, len(MEMORY)). ``rule_names``: uint8, the names, one a line.
        """
        rows = [
            (symbol_id, place, *astuple(watch))
            for place, rule in enumerate(self._rules)
            for symbol_id, watch in sorted(rule.watches.items())
        ]
        return {
            "rules": np.array(rows, np.int64).reshape(len(rows), len(MEMORY)),
            "rule_names": self._names(),
        }

    def restore(self, saved: Image) -> None:
        """Take back what `save` returned, and forget everything else.

        Raises
        ------
        SchemaMismatch
            Other rules remembered it. Nothing has changed then.
        """
        rows, names = saved.get("rules"), saved.get("rule_names")
        if rows is None or names is None or not np.array_equal(names, self._names()):
            raise SchemaMismatch(
                "a saved state was made with other rules than are configured now; "
                "fold the journal instead"
            )
        for rule in self._rules:
            rule.watches.clear()
        for symbol_id, place, day, outage_no, held, count, exch_s in rows.tolist():
            watch = Watch(day, outage_no, bool(held), count, exch_s)
            self._rules[place].watches[symbol_id] = watch

    def _names(self) -> NDArray[np.uint8]:
        """Return the rules' names in their order, as bytes."""
        return np.frombuffer(b"\n".join(rule.name for rule in self._rules), np.uint8).copy()

    def _ask(self, rule: Rule, rows: NDArray[np.void]) -> Iterator[NDArray[np.void]]:
        """Ask one rule about the rows of its channel; yield its alerts."""
        ids = rows["symbol_id"]
        holds = rule.condition.holds(rows, self._multiplier[ids])
        outage_no = int(self._market["outage_no"])
        for place, facts in enumerate(
            zip(
                ids.tolist(),
                rows["exch_s"].tolist(),
                rows["flags"].tolist(),
                holds.tolist(),
                strict=True,
            )
        ):
            alert_no = rule.fires(*facts, outage_no, self._repeat_s)
            if alert_no:
                yield self._alert(rule, rows[place], alert_no)

    def _alert(self, rule: Rule, row: Any, alert_no: int) -> NDArray[np.void]:
        """Return one ALERT_DELTA row, shape (1,), and make it the symbol's last alert."""
        symbol_id = int(row["symbol_id"])
        alert = np.zeros(1, ALERT_DELTA)
        for name in HEAD:
            alert[name] = row[name]
        for target, name in rule.numbers:
            alert[target] = row[name]
        alert["seq"] = self._last[symbol_id]["seq"] + 1
        alert["updates"] = 1
        alert["alert_type"] = AlertType.RULE
        alert["severity"] = rule.severity
        alert["alert_no"] = alert_no
        alert["trade_day"] = trade_day(int(row["exch_s"]))
        alert["rule"] = rule.name
        self._last[symbol_id] = alert[0]
        return alert


def compile_rules(rules: Sequence[RuleConfig], settings: AlertsConfig) -> RuleBook | None:
    """Check the configured rules and return them ready to be given to a fold.

    Parameters
    ----------
    rules
        Section [rules] of the configuration; names are different.
    settings
        Section [alerts].

    Returns
    -------
    RuleBook or None
        None without rules: a fold without a rule book folds whole batches at once.

    Raises
    ------
    ConfigError
        A condition that cannot be: which rule, what is wrong, and where in the text.
    """
    checked = [Rule.of(rule) for rule in rules]
    return RuleBook(checked, settings.repeat_s) if checked else None
