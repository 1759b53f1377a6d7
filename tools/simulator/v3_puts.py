"""A few put-through deals beside the matched day: v2 has no stream of them, so none are planned.

Negotiated between 09:00-11:30 and 13:00-15:00 (ssi-wire section 4.1), at any price within the
day's limits, in blocks of at least 20,000 shares. They are lines of a type no v2 client can ask
for, so that faults and pace treat them as any other line.
"""

import heapq
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import orjson

from tools.simulator.hub import broadcast
from tools.simulator.lines import Line
from tools.simulator.v3_almanac import Almanac
from tools.simulator.v3_render import PUT, clock, hundredths

DEALS: Final = 40
_WINDOWS_S: Final = ((9 * 3600, 11 * 3600 + 1800), (13 * 3600, 15 * 3600))
_BLOCK_SHARES: Final = 20_000
_BLOCKS_MAX: Final = 50
_STEP_E2: Final = 10_00  # 10 VND: a put-through price keeps no tick


def put_lines(almanac: Almanac, seed: int, count: int = DEALS) -> list[Line]:
    """Return `count` deals in order of time; the same seed and day give the same deals."""
    stocks = [facts for facts in almanac.facts.values() if facts.board != "DERIVATIVES"]
    if not stocks:
        return []
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *PUT.encode()])))
    morning = _WINDOWS_S[0][1] - _WINDOWS_S[0][0]
    length = sum(end - start for start, end in _WINDOWS_S)
    seconds = np.sort((rng.random(count) * length).astype(np.int64))
    totals: dict[str, tuple[int, int]] = {}
    lines: list[Line] = []
    for second in seconds.tolist():
        time_s = second + (_WINDOWS_S[0][0] if second < morning else _WINDOWS_S[1][0] - morning)
        facts = stocks[int(rng.random() * len(stocks))]
        steps = max((facts.ceiling_e2 - facts.floor_e2) // _STEP_E2, 0)
        price_e2 = facts.floor_e2 + int(rng.random() * (steps + 1)) * _STEP_E2
        shares = _BLOCK_SHARES * (1 + int(rng.random() * _BLOCKS_MAX))
        before_shares, before_vnd = totals.get(facts.code, (0, 0))
        total = before_shares + shares, before_vnd + shares * price_e2 // 100
        totals[facts.code] = total
        record = {
            "RType": PUT,
            "TradingDate": f"{almanac.date:%d/%m/%Y}",
            "Time": clock(time_s),
            "Symbol": facts.code,
            "Price": hundredths(price_e2),
            "Quantity": shares,
            "TotalQuantity": total[0],
            "TotalValue": total[1],
        }
        envelope = {"DataType": PUT, "Content": orjson.dumps(record).decode()}
        message = broadcast(orjson.dumps(envelope).decode())
        lines.append((time_s * 1000, PUT, facts.code, message))
    return lines


def with_puts(lines: Iterable[Line], puts: Iterable[Line]) -> Iterator[Line]:
    """Merge two ascending streams of lines; at equal times the day's own come first."""
    return heapq.merge(lines, puts, key=lambda line: line[0])
