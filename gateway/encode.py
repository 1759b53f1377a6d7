"""Rows to JSON frames. The shape of every channel's `data` is derived from its dtype by name.

===========================  =======================================================================
field                        JSON
===========================  =======================================================================
``seq symbol_id updates``    not in data: the frame says seq and n, `ch` is the symbol
``reserved...``              dropped
``price_e2``                 ``"price"``: exact decimal, an integer when whole; 0 is "no price"
``exch_s``                   ``"exch_time"``: ISO-8601 with +07:00, null when 0
``last_trade_exch_s``        ``"last_trade_exch_time"``, likewise
``trade_day``                ``"trade_date"``: ISO date, null when 0
``phase venue side...``      the code's word; flags a list of words
``bid_price_e2[10]`` and     ``"bids": [[price, volume], ...]`` without the empty tail; asks too
``bid_volume_shares[10]``
``phase_side_x[9, 4]``       ``"phase_side": {"ATO": {"NEUTRAL": {"x": ...}}}``, cells with anything
``phase_x[9]``               ``"phase_x": {"ATO": ...}``, cells that are not 0
anything else                the integer under its own name
===========================  =======================================================================

Ratios are derived at the edge and are the only floats: see `_stats_ratios`.

A frame is text of latin-1: the WebSocket header, then ASCII JSON (gateway.frames says why).
"""

import json
import re
from collections.abc import Callable, Iterable
from enum import IntEnum, IntFlag
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from engine.clock import iso_ict
from engine.schema.channels import CHANNELS, STATS, Channel
from engine.schema.codes import (
    DeltaFlag,
    FeedState,
    GapCause,
    GapOutcome,
    GapState,
    IndexMember,
    Instrument,
    Phase,
    Side,
    SideRule,
    Venue,
)
from engine.schema.slots import LEVEL_COUNT
from gateway.directory import Directory
from gateway.frames import HEADERS
from gateway.merge import MergedPart
from gateway.rows import pick
from gateway.settings import CH_SYMBOL_BITS

Column = Callable[[NDArray[np.void]], Iterable[object]]  # rows -> one value per row, for "%s"

REQUESTED: Final = -2  # instead of a seq: the receiver asked for the state

NOT_IN_DATA: Final = {"seq", "symbol_id", "updates"}
WORDS: Final[dict[str, type[IntEnum]]] = {
    "phase": Phase,
    "venue": Venue,
    "side": Side,
    "side_rule": SideRule,
    "side_exchange": Side,
    "side_quote": Side,
    "side_tick": Side,
    "instrument": Instrument,
    "feed_state": FeedState,
    "gap_state": GapState,
    "gap_cause": GapCause,
    "gap_outcome": GapOutcome,
}
FLAGS: Final[dict[str, type[IntFlag]]] = {"flags": DeltaFlag, "indices": IndexMember}
PHASES: Final = [phase.name for phase in Phase]
SIDES: Final = [side.name for side in Side]


class _Texts(dict[int, str]):
    """Remembers how numbers are written. Forgets everything when full: a bound, not a policy."""

    def __init__(self, render: Callable[[int], str], entries_max: int = 100_000) -> None:
        super().__init__()
        self._render = render
        self._entries_max = entries_max

    def __missing__(self, key: int) -> str:
        if len(self) >= self._entries_max:
            self.clear()
        text = self[key] = self._render(key)
        return text


def price_text(price_e2: int) -> str:
    """Write hundredths exactly: 2530000 -> "25300", 128390 -> "1283.9"."""
    whole, cents = divmod(abs(price_e2), 100)
    sign = "-" if price_e2 < 0 else ""
    return f"{sign}{whole}" + (f".{cents:02d}".rstrip("0") if cents else "")


PRICES: Final = _Texts(price_text)
TIMES: Final = _Texts(lambda exch_s: f'"{iso_ict(exch_s)}"' if exch_s else "null")
DATES: Final = _Texts(lambda day: f'"{np.datetime64(day, "D")}"' if day else "null")


def ch_of(channel: Channel, symbol_id: int) -> int:
    """Return the number that names a channel key in frames: the same for all clients."""
    return channel.code << CH_SYMBOL_BITS | symbol_id


class Codec:
    """Encodes rows of one channel.

    Parameters
    ----------
    channel
        Whose rows.
    directory
        Codes for `snap` frames and multipliers for ratios.
    """

    def __init__(self, channel: Channel, directory: Directory) -> None:
        self.channel = channel
        self._directory = directory
        members, self._columns = _plan(channel, directory)
        data = '"data":{' + ",".join(members) + "}}"
        self._delta = '%s%s,"n":%s,' + data
        self._snap = '%s%s,"epoch":"%s","n":%s,' + data
        self._heads = _Texts(lambda i: f'{{"op":"d","ch":{ch_of(channel, i)},"seq":')

    def frames(
        self,
        rows: NDArray[np.void],
        prev: NDArray[np.int64],
        epochs: list[str],
        merged: MergedPart | None = None,
    ) -> list[str]:
        """Encode one frame per row.

        Parameters
        ----------
        rows
            Rows of this channel.
        prev
            int64, the seq the receivers have: the frame is ``d`` with ``n = seq - prev``. When it
            is 0 they have never heard of this key's `ch`, and the frame is a `snap` with ``n =
            seq``; REQUESTED makes it a `snap` with ``n = 0``: a state asked for, no news.
        epochs
            Epoch text of each row's shard; read for snaps only, may be empty without any.
        merged
            Aggregates of the trades a conflated frame stands for, one per row.

        Returns
        -------
        list of str
            Whole WebSocket text frames as latin-1 text, in the order of rows.
        """
        first = prev <= 0
        if not first.any():
            return self._deltas(rows, prev, merged)
        if first.all():
            return self._snaps(rows, prev, epochs, merged)
        later = ~first
        snaps = iter(
            self._snaps(
                pick(rows, first),
                prev[first],
                [e for e, f in zip(epochs, first.tolist(), strict=True) if f],
                merged.select(first) if merged else None,
            )
        )
        deltas = iter(
            self._deltas(pick(rows, later), prev[later], merged.select(later) if merged else None)
        )
        return [next(snaps) if is_first else next(deltas) for is_first in first.tolist()]

    def _deltas(
        self, rows: NDArray[np.void], prev: NDArray[np.int64], merged: MergedPart | None
    ) -> list[str]:
        n = _with_merged((rows["seq"] - prev).tolist(), merged)
        heads = map(self._heads.__getitem__, rows["symbol_id"].tolist())
        values = zip(
            heads, rows["seq"].tolist(), n, *(column(rows) for column in self._columns), strict=True
        )
        return [HEADERS[len(text)] + text for text in map(self._delta.__mod__, values)]

    def _snaps(
        self,
        rows: NDArray[np.void],
        prev: NDArray[np.int64],
        epochs: list[str],
        merged: MergedPart | None,
    ) -> list[str]:
        n = _with_merged(np.where(prev == REQUESTED, 0, rows["seq"]).tolist(), merged)
        # Not remembered per id: a symbol may get another id's code after an epoch change.
        heads = [
            f'{{"op":"snap","ch":{ch_of(self.channel, i)},"topic":'
            f'{_string(self.channel.name + "." + self._directory.code(i))},"seq":'
            for i in rows["symbol_id"].tolist()
        ]
        values = zip(
            heads,
            rows["seq"].tolist(),
            epochs,
            n,
            *(column(rows) for column in self._columns),
            strict=True,
        )
        return [HEADERS[len(text)] + text for text in map(self._snap.__mod__, values)]


def codecs(directory: Directory) -> dict[int, Codec]:
    """Return a codec for every public channel, by channel code."""
    return {channel.code: Codec(channel, directory) for channel in CHANNELS if channel.public}


def _string(text: str) -> str:
    return json.dumps(text)  # ASCII: names are Vietnamese, frames are not


def _with_merged(n: list[int], merged: MergedPart | None) -> Iterable[object]:
    """Write `n` and, where a frame is news of several trades, their aggregates."""
    if merged is None:
        return n
    return [
        f'{count},"merged":{text}' if count else "0"
        for count, text in zip(n, _merged_texts(merged), strict=True)
    ]


def _merged_texts(part: MergedPart) -> list[str]:
    """Return the `merged` object of each row."""
    sums = part.sums
    return [
        f'{{"count":{count},"open":{PRICES[open_]},"high":{PRICES[high]},"low":{PRICES[low]},'
        f'"volume_shares":{volume},"value_vnd":{value},"buy_volume_shares":{buy},'
        f'"sell_volume_shares":{sell},"missed_volume_shares":{missed}}}'
        if count
        else '{"count":0}'
        for count, open_, high, low, volume, value, buy, sell, missed in zip(
            part.count.tolist(),
            part.open_e2.tolist(),
            part.high_e2.tolist(),
            part.low_e2.tolist(),
            sums["volume"].tolist(),
            sums["value"].tolist(),
            sums["buy"].tolist(),
            sums["sell"].tolist(),
            sums["missed"].tolist(),
            strict=True,
        )
    ]


# --- the plan: dtype -> template members and the columns that fill them -----------------------


def _plan(channel: Channel, directory: Directory) -> tuple[list[str], list[Column]]:
    """Derive the members of `data` and their columns from the channel's dtype."""
    members: list[str] = []
    columns: list[Column] = []
    names = [
        name
        for name in channel.dtype.names or ()
        if name not in NOT_IN_DATA and not name.startswith("reserved")
    ]
    done: set[str] = set()

    def member(column: Column, text: str) -> None:
        members.append(text)
        columns.append(column)

    for at, name in enumerate(names):
        if name in done:
            continue
        shape = channel.dtype[name].shape
        if name in WORDS or name in FLAGS:
            run = _word_run(names[at:])
            done.update(run)
            member(_word_column(run, channel.dtype), "%s")
        elif shape == (len(Phase), len(Side)) and name.startswith("phase_side_"):
            matrices = [n for n in names if n.startswith("phase_side_")]
            done.update(matrices)
            member(_matrix_column(matrices), '"phase_side":%s')
        elif shape == (len(Phase),):
            member(_phase_column(name), f'"{name}":%s')
        elif shape == (LEVEL_COUNT,):
            side, volume = name.removesuffix("_price_e2"), name.replace("price_e2", "volume_shares")
            done.add(volume)
            member(_levels_column(name, volume), f'"{side}s":%s')
        else:
            assert shape == (), f"{channel.name}.{name}: no rule for shape {shape}"
            column, public = _scalar_column(name, channel.dtype[name])
            member(column, f'"{public}":%s')
    if channel is STATS:
        member(lambda rows: _stats_ratios(rows, directory.multiplier), "%s")
    return members, columns


def _scalar_column(name: str, dtype: np.dtype[Any]) -> tuple[Column, str]:
    """Return how one plain field is written, and under which name."""
    if dtype.kind == "S":
        return lambda rows: [
            _string(v.decode("utf-8", "replace")) for v in rows[name].tolist()
        ], name
    for suffix, public, texts in (
        ("_e2", "", PRICES),
        ("exch_s", "exch_time", TIMES),
        ("_day", "_date", DATES),
    ):
        if name.endswith(suffix):
            return _written_column(name, texts), re.sub(f"{suffix}$", public, name)
    return lambda rows: rows[name].tolist(), name


def _written_column(name: str, texts: _Texts) -> Column:
    written = texts.__getitem__
    return lambda rows: map(written, rows[name].tolist())


def _word_run(names: list[str]) -> list[str]:
    """Return the leading names that are all codes: they share one remembered text."""
    run: list[str] = []
    for name in names:
        if name not in WORDS and name not in FLAGS:
            break
        run.append(name)
    return run


def _word(kind: type[IntEnum], value: int) -> str:
    try:
        return kind(value).name
    except ValueError:
        return str(value)  # a newer writer's code: say the number rather than lie


def _word_column(run: list[str], dtype: np.dtype[Any]) -> Column:
    """Write several codes at once: their bytes make one key, the text of a key is remembered."""
    bits = [8 * dtype[name].itemsize for name in run]
    shifts = [sum(bits[:i]) for i in range(len(bits))]
    assert sum(bits) < 63, f"too many codes in a row: {run}"

    def render(key: int) -> str:
        members = []
        for name, shift, width in zip(run, shifts, bits, strict=True):
            value = key >> shift & (1 << width) - 1
            if name in FLAGS:
                words = [flag.name for flag in FLAGS[name] if flag and value & flag]
                members.append(f'"{name}":{orjson.dumps(words).decode()}')
            else:
                members.append(f'"{name}":"{_word(WORDS[name], value)}"')
        return ",".join(members)

    written = _Texts(render).__getitem__

    def column(rows: NDArray[np.void]) -> Iterable[object]:
        key = rows[run[0]].astype(np.int64)
        for name, shift in zip(run[1:], shifts[1:], strict=True):
            key |= rows[name].astype(np.int64) << shift
        return map(written, key.tolist())

    return column


def _levels_column(price: str, volume: str) -> Column:
    def column(rows: NDArray[np.void]) -> Iterable[object]:
        prices, volumes = rows[price], rows[volume]
        used = (prices != 0) | (volumes != 0)
        depth = np.where(used.any(axis=1), LEVEL_COUNT - used[:, ::-1].argmax(axis=1), 0)
        return [
            "["
            + ",".join([f"[{PRICES[p]},{v}]" for p, v in zip(ps[:count], vs[:count], strict=True)])
            + "]"
            for ps, vs, count in zip(prices.tolist(), volumes.tolist(), depth.tolist(), strict=True)
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


def _stats_ratios(rows: NDArray[np.void], multiplier: NDArray[np.int64]) -> list[str]:
    """Return what a board shows and a sum cannot: vwap, change, change_pct, active_buy_ratio.

    vwap = value / volume / multiplier, in price units, of the volume seen; change = last -
    reference (exact), change_pct in percent of the reference; active_buy_ratio = buy / (buy + sell)
    volume, where auctions count on neither side. Each is null where it has no meaning.
    """
    volumes = rows["phase_side_volume_shares"]
    buys, sells = volumes[:, :, Side.BUY].sum(axis=1), volumes[:, :, Side.SELL].sum(axis=1)
    out = []
    for last, reference, value, volume, unit, buy, sell in zip(
        rows["last_price_e2"].tolist(),
        rows["reference_price_e2"].tolist(),
        rows["value_vnd"].tolist(),
        rows["volume_shares"].tolist(),
        multiplier[rows["symbol_id"]].tolist(),
        buys.tolist(),
        sells.tolist(),
        strict=True,
    ):
        quoted = last > 0 and reference > 0
        vwap = repr(round(value / (volume * unit), 4)) if volume > 0 and unit > 0 else "null"
        change = price_text(last - reference) if quoted else "null"
        percent = repr(round(100 * (last - reference) / reference, 4)) if quoted else "null"
        ratio = repr(round(buy / (buy + sell), 6)) if buy + sell > 0 else "null"
        out.append(
            f'"vwap":{vwap},"change":{change},"change_pct":{percent},"active_buy_ratio":{ratio}'
        )
    return out
