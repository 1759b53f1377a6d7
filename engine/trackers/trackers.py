"""All trackers in the order they run. Adding one costs its file and one line here."""

from engine.shard.stage import Stage
from engine.trackers import (
    auction,
    bars,
    basis,
    basis_trend,
    foreign,
    index,
    index_series,
    limits,
    odd_lot,
    put_through,
    status,
)

TRACKERS: tuple[Stage, ...] = (
    *bars.STAGES,
    foreign.STAGE,
    index.STAGE,
    index_series.STAGE,
    basis.STAGE,
    basis_trend.STAGE,
    limits.STAGE,
    auction.STAGE,
    put_through.STAGE,
    odd_lot.STAGE,
    status.STAGE,
)
