"""Figures out of counts: percentiles of ages, medians with their spread, ratios of pairs. Pure."""

import statistics
from collections.abc import Sequence
from typing import Any

Ages = Sequence[Sequence[int]]  # [[microseconds, how many], ...], ascending


def percentile_us(ages: Ages, share: float) -> int | None:
    """Return the age that `share` of all are not above; None of nothing.

    Ages are known by the lower edge of their bucket, to 1 %.
    """
    total = sum(count for _, count in ages)
    wanted = share * total
    for age_us, count in ages:
        wanted -= count
        if wanted <= 0:
            return age_us
    return None


def ages_ms(ages: Ages) -> dict[str, Any]:
    """Return what is usually told of ages, in milliseconds."""
    found: dict[str, Any] = {"count": sum(count for _, count in ages)}
    for name, share in (("p50", 0.5), ("p99", 0.99), ("p99_9", 0.999), ("max", 1.0)):
        age_us = percentile_us(ages, share)
        found[name] = None if age_us is None else age_us / 1_000
    return found


def joined(tables: Sequence[Ages]) -> list[list[int]]:
    """Return several tables of ages as one."""
    total: dict[int, int] = {}
    for table in tables:
        for age_us, count in table:
            total[age_us] = total.get(age_us, 0) + count
    return [[age_us, total[age_us]] for age_us in sorted(total)]


def spread(values: Sequence[float], digits: int = 3) -> dict[str, float]:
    """Return the median of some runs, and the least and the most of them."""
    return {
        "median": round(statistics.median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
    }


def ratio(reference: Sequence[float], ours: Sequence[float]) -> dict[str, float]:
    """Return reference / ours run by run: 1 is as cheap as the reference, below 1 is dearer."""
    return spread([theirs / own for theirs, own in zip(reference, ours, strict=True)])
