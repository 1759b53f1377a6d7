"""How a channel's rows become JSON: its dtype gives members of `data` and columns to fill them.

===========================  =======================================================================
field                        JSON
===========================  =======================================================================
``seq symbol_id updates``    not in data: the frame says seq and n, `ch` is the key
``...reserved...``           dropped
``price_e2``                 ``"price"``: exact decimal, an integer when whole; 0 is "no price"
``points_e4``                ``"points"``, likewise, four digits
``exch_s``                   ``"exch_time"``: ISO-8601 with +07:00, null when 0
``last_trade_exch_s``        ``"last_trade_exch_time"``, likewise
``trade_day``                ``"trade_date"``: ISO date, null when 0
``phase venue side...``      the code's word; flags a list of words; `locked` true or false
``bid_price_e2[n]`` and      ``"bids": [[price, volume], ...]`` without the empty tail; asks too
``bid_volume_shares[n]``
``phase_side_x[9, 4]``       ``"phase_side": {"ATO": {"NEUTRAL": {"x": ...}}}``, cells with anything
``phase_x[9]``               ``"phase_x": {"ATO": ...}``, cells that are not 0
``series_count series_x[n]`` ``"series": [[x, ...], ...]``: one entry per minute, in field order
``top_count top_x[n]``       ``"top": [{"x": ...}, ...]``, as many as are in use; bottom too
anything else                the integer, or the text, under its own name
===========================  =======================================================================

After the fields come what is derived from them: gateway.derived.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.schema.channels import Channel
from engine.schema.codes import Phase, Side
from gateway.texts import DATES, POINTS, PRICES, TIMES, Texts, string
from gateway.words import code_column, code_run, is_code

Column = Callable[[NDArray[np.void]], Iterable[object]]  # rows -> one value per row, for "%s"
Member = tuple[str, Column]  # text with one "%s", and what fills it
Write = Callable[[Any], str]

NOT_IN_DATA: Final = {"seq", "symbol_id", "updates"}
PHASES: Final = [phase.name for phase in Phase]
SIDES: Final = [side.name for side in Side]
PUBLIC_SUFFIX: Final = {"_e2": "", "_e4": "", "exch_s": "exch_time", "_day": "_date"}
WRITTEN: Final[dict[str, Texts]] = {"_e2": PRICES, "_e4": POINTS, "exch_s": TIMES, "_day": DATES}


def members_of(channel: Channel) -> list[Member]:
    """Derive the members of `data` from the channel's dtype."""
    dtype = channel.dtype
    names = [n for n in dtype.names or () if n not in NOT_IN_DATA and "reserved" not in n]
    found: list[Member] = []
    while names:
        fields, member = _next_member(names, dtype)
        assert member is not None, f"{channel.name}.{names[0]}: no rule for it"
        found.append(member)
        names = [name for name in names if name not in fields]
    return found


def public_name(name: str) -> str:
    """Return what clients call a plain field."""
    for suffix, public in PUBLIC_SUFFIX.items():
        if name.endswith(suffix):
            return re.sub(f"{suffix}$", public, name)
    return name


def _next_member(names: list[str], dtype: np.dtype[Any]) -> tuple[list[str], Member | None]:
    """Return the fields that the first name's member speaks for, and the member."""
    name = names[0]
    shape = dtype[name].shape
    if is_code(name):
        run = code_run(names, dtype)
        return run, ("%s", code_column(run, dtype))
    table, _, counted = name.rpartition("_count")
    if not counted and table in ("series", "top", "bottom"):
        fields = [n for n in names if n.startswith(f"{table}_") and n != name]
        make = _series_column if table == "series" else _entries_column
        return [name, *fields], (f'"{table}":%s', make(name, fields, dtype))
    if shape == ():
        return [name], (f'"{public_name(name)}":%s', _scalar_column(name, dtype[name]))
    if shape == (len(Phase), len(Side)) and name.startswith("phase_side_"):
        matrices = [n for n in names if n.startswith("phase_side_")]
        return matrices, ('"phase_side":%s', _matrix_column(matrices))
    if shape == (len(Phase),):
        return [name], (f'"{name}":%s', _phase_column(name))
    side, price, rest = name.partition("_price_e2")
    volume = f"{side}_volume_shares"
    if price and not rest and volume in names:
        return [name, volume], (f'"{side}s":%s', _levels_column(name, volume))
    return [name], None


# --- one value ------------------------------------------------------------------------------------


def _write(name: str, dtype: np.dtype[Any]) -> Write:
    """Return how one value of a field is written."""
    if dtype.base.kind == "S":
        return lambda value: string(value.decode("utf-8", "replace"))
    for suffix, texts in WRITTEN.items():
        if name.endswith(suffix):
            return texts.__getitem__
    return str


def _scalar_column(name: str, dtype: np.dtype[Any]) -> Column:
    write = _write(name, dtype)
    if write is str:  # "%s" writes an integer by itself
        return lambda rows: rows[name].tolist()
    return lambda rows: map(write, rows[name].tolist())


# --- tables ---------------------------------------------------------------------------------------


def _levels_column(price: str, volume: str) -> Column:
    def column(rows: NDArray[np.void]) -> Iterable[object]:
        prices, volumes = rows[price], rows[volume]
        used = (prices != 0) | (volumes != 0)
        deepest = used.shape[1] - used[:, ::-1].argmax(axis=1)
        depth = np.where(used.any(axis=1), deepest, 0)
        return [
            "["
            + ",".join([f"[{PRICES[p]},{v}]" for p, v in zip(ps[:count], vs[:count], strict=True)])
            + "]"
            for ps, vs, count in zip(prices.tolist(), volumes.tolist(), depth.tolist(), strict=True)
        ]

    return column


def _cells(
    rows: NDArray[np.void], count: str, fields: list[str], writes: list[Write]
) -> Iterable[Iterable[tuple[str, ...]]]:
    """Yield for each row its entries in use, each as the texts of its fields."""
    for i, used in enumerate(rows[count].tolist()):
        yield zip(
            *(
                map(write, rows[name][i, :used].tolist())
                for name, write in zip(fields, writes, strict=True)
            ),
            strict=True,
        )


def _series_column(count: str, fields: list[str], dtype: np.dtype[Any]) -> Column:
    writes = [_write(name, dtype[name]) for name in fields]

    def column(rows: NDArray[np.void]) -> Iterable[object]:
        return [
            "[" + ",".join([f"[{','.join(cells)}]" for cells in entries]) + "]"
            for entries in _cells(rows, count, fields, writes)
        ]

    return column


def _entries_column(count: str, fields: list[str], dtype: np.dtype[Any]) -> Column:
    table = count.removesuffix("count")
    writes = [_write(name, dtype[name]) for name in fields]
    publics = [public_name(name.removeprefix(table)) for name in fields]
    entry = "{" + ",".join(f'"{public}":%s' for public in publics) + "}"

    def column(rows: NDArray[np.void]) -> Iterable[object]:
        return [
            "[" + ",".join([entry % cells for cells in entries]) + "]"
            for entries in _cells(rows, count, fields, writes)
        ]

    return column


def _matrix_column(names: list[str]) -> Column:
    publics = [name.removeprefix("phase_side_") for name in names]
    cell = "{" + ",".join(f'"{public}":%s' for public in publics) + "}"

    def column(rows: NDArray[np.void]) -> Iterable[object]:
        used = np.logical_or.reduce([rows[name] != 0 for name in names])
        at = np.nonzero(used)
        cells = zip(
            *(index.tolist() for index in at),
            *(rows[name][at].tolist() for name in names),
            strict=True,
        )
        found: list[dict[int, list[str]]] = [{} for _ in range(len(rows))]
        for row, phase, side, *values in cells:
            found[row].setdefault(phase, []).append(f'"{SIDES[side]}":{cell % tuple(values)}')
        return [
            "{"
            + ",".join(
                [f'"{PHASES[phase]}":{{{",".join(sides)}}}' for phase, sides in phases.items()]
            )
            + "}"
            for phases in found
        ]

    return column


def _phase_column(name: str) -> Column:
    def column(rows: NDArray[np.void]) -> Iterable[object]:
        return [
            "{"
            + ",".join(
                [f'"{PHASES[phase]}":{value}' for phase, value in enumerate(values) if value]
            )
            + "}"
            for values in rows[name].tolist()
        ]

    return column
