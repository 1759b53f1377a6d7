"""Every stage of a shard in the order they run: the core, then the trackers, then the alerts.

Adding a channel costs its files and one line in ``engine.trackers.trackers`` (docs/new-channel.md).
"""

from collections.abc import Sequence

from engine.alerts import stage as alerts
from engine.alerts.rulebook import compile_rules
from engine.config import AlertsConfig, RuleConfig
from engine.journal.days import About
from engine.shard.fold import Fold
from engine.shard.stage import Stage, StageSettings
from engine.shard.stages import STAGES as CORE
from engine.trackers.trackers import TRACKERS

STAGES: tuple[Stage, ...] = (*CORE, *TRACKERS, alerts.STAGE)


def make_fold(
    symbols_max: int,
    batch_slots: int,
    settings: StageSettings,
    rules: Sequence[RuleConfig] = (),
    *,
    hash_deltas: bool = False,
) -> Fold:
    """Return a blank fold of all stages, with the operator's own alert rules.

    Raises
    ------
    ConfigError
        A rule or a setting that cannot be.
    """
    return Fold(
        symbols_max,
        batch_slots,
        settings,
        hash_deltas=hash_deltas,
        stages=STAGES,
        rules=compile_rules(rules, settings.alerts),
    )


def fold_of(about: About, batch_slots: int, *, hash_deltas: bool = False) -> Fold:
    """Return a blank fold with the settings a journal was begun with.

    Raises
    ------
    ConfigError
        A setting that cannot be.
    """
    settings = about.settings
    return make_fold(
        about.symbols_max,
        batch_slots,
        StageSettings(tuple(settings["side_precedence"]), AlertsConfig(**settings["alerts"])),
        tuple(RuleConfig(**rule) for rule in settings["rules"]),
        hash_deltas=hash_deltas,
    )
