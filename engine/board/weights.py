"""The operator's own index weights: ``board.weights_file``, a CSV of index, code, weight_pct.

    index,code,weight_pct
    VN30,ACB,6.21
    VN30,FPT,9.8075

Columns may stand in any order, lines starting with # are remarks. The codes of an index are its
members, in every summary (see ``view``); their weights need not add up to 100. An index without a
line has the members and the weights that REST tells.
"""

import csv
from decimal import Decimal, InvalidOperation
from typing import Final

from engine.board.keys import INDICES
from engine.errors import ConfigError
from engine.schema.slots import CODE_BYTES

COLUMNS: Final = ("index", "code", "weight_pct")
WEIGHT_UNIT: Final = 10**8  # a weight of this is the whole index
PCT_DIGITS: Final = 6
SUM_MAX_PCT: Final = 101  # published weights are rounded one by one

Weights = dict[str, dict[str, int]]  # index -> code -> weight, in parts of WEIGHT_UNIT


def parse_weights(text: str, source: str) -> Weights:
    """Read and check the text of a weights file.

    Parameters
    ----------
    text
        The whole file.
    source
        What errors call it.

    Raises
    ------
    ConfigError
        A line that cannot be. Names it by number, and says what would do.
    """
    lines = [
        (number, [cell.strip() for cell in cells])
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
        for cells in csv.reader([line])
    ]
    if not lines or sorted(lines[0][1]) != sorted(COLUMNS):
        where = f"line {lines[0][0]}" if lines else "it is empty"
        raise ConfigError(f"{source}, {where}: the first line must name {', '.join(COLUMNS)}")
    (_, names), *rows = lines
    weights: Weights = {}
    for number, cells in rows:
        where = f"{source}, line {number}"
        if len(cells) != len(names):
            raise ConfigError(f"{where}: {len(cells)} cells, {len(names)} are expected")
        cell = dict(zip(names, cells, strict=True))
        index, code = cell["index"].upper(), cell["code"].upper()
        if index not in INDICES:
            raise ConfigError(f"{where}: index is {cell['index']!r}, allowed: {', '.join(INDICES)}")
        if not (code.isascii() and code.isalnum() and len(code) <= CODE_BYTES):
            raise ConfigError(f"{where}: code is {cell['code']!r}, no code of a share")
        members = weights.setdefault(index, {})
        if code in members:
            raise ConfigError(f"{where}: {code} is in {index} twice; keep one of the lines")
        members[code] = _weight(cell["weight_pct"], where)
        total_pct = Decimal(sum(members.values())) * 100 / WEIGHT_UNIT
        if total_pct > SUM_MAX_PCT:
            raise ConfigError(f"{where}: the weights of {index} add up to {total_pct:f} %")
    return weights


def _weight(text: str, where: str) -> int:
    """Return a percentage in parts of WEIGHT_UNIT."""
    try:
        scaled = Decimal(text) * (WEIGHT_UNIT // 100)
        good = 0 < scaled <= WEIGHT_UNIT and scaled == int(scaled)
    except (InvalidOperation, ValueError, OverflowError):
        good = False
    if not good:
        raise ConfigError(
            f"{where}: weight_pct is {text!r}; write a number above 0 and up to 100, with at most "
            f"{PCT_DIGITS} decimals"
        )
    return int(scaled)
