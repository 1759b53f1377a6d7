"""v3 frames of the same market as bench_decode's, and the fastest honest Python over them.

One message a frame, keys in the order of ssi-wire section 8, numbers as JSON numbers (nobody but
SSI knows whether they come as text; the scanner takes both).
"""

import json
import struct
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from engine.schema.codes import Side, SlotKind, SourceType, Venue
from engine.schema.slots import LEVEL_COUNT, SLOT_BYTES

Record = dict[str, Any]

_SIDES = {"B": int(Side.BUY), "S": int(Side.SELL), "U": int(Side.UNKNOWN)}
_HEAD = struct.Struct("<qqIIBBBBBBBB")
_BOOK = struct.Struct("<40i")
_MATCH = struct.Struct("<10i3q")


def frame_of_topic(topic: str, data: Record) -> bytes:
    """Return one data frame."""
    whole = {"channel": "DATA", "topic": topic, "data": data}
    return json.dumps(whole, separators=(",", ":")).encode()


def introduction(code: str) -> bytes:
    """Return a frame that makes a share known, with its venue."""
    data = {"s": code, "b": "HOSE", "t": "2026/08/14 09:00:00", "ref": 25000.0}
    return frame_of_topic(f"market.{code}", data)


def from_v2(name: str, record: Record) -> bytes:
    """Return a v2 message of the bench as v3 would tell it."""
    code, stamp = record["Symbol"], f"2026/08/14 {record['Time']}"
    if name == "X-QUOTE":
        book = {
            key: [
                [record[f"{side}Price{i}"], int(record[f"{side}Vol{i}"])]
                for i in range(1, LEVEL_COUNT + 1)
                if record[f"{side}Vol{i}"]
            ]
            for key, side in (("bids", "Bid"), ("asks", "Ask"))
        }
        return frame_of_topic(f"quote.{code}", {"t": stamp, "s": code, **book})
    trade = {
        "t": stamp,
        "s": code,
        "p": record["LastPrice"],
        "q": int(record["LastVol"]),
        "si": record["Side"][0],
        "v": int(record["TotalVol"]),
        "o": record["RefPrice"],
        "h": float(record["Highest"]),
        "l": float(record["Lowest"]),
        "a": record["AvgPrice"],
    }
    return frame_of_topic(f"trade.{code}", trade)


def orjson_lean(
    frames: list[bytes], ids: dict[str, int], midnights: dict[str, int], out: NDArray[np.void]
) -> int:
    """Turn trade and quote frames into slots with orjson and struct; trusts its input.

    Parameters
    ----------
    ids
        Symbol ids by code.
    midnights
        UTC seconds of the ICT midnight, by date as the wire spells it.
    out
        dtype SLOT, zeroed; row i takes frame i.

    Returns
    -------
    int
        Slots written.
    """
    loads, memory, at = orjson.loads, out.data.cast("B"), 0
    quote, trade, venue = int(SlotKind.QUOTE), int(SlotKind.TRADE), int(Venue.HOSE)
    v3_quote, v3_trade = int(SourceType.V3_QUOTE), int(SourceType.V3_TRADE)
    for recv_ns, frame in enumerate(frames):
        whole = loads(frame)
        data, stamp = whole["data"], whole["data"]["t"]
        exch_s = (
            midnights[stamp[:10]]
            + int(stamp[11:13]) * 3600
            + int(stamp[14:16]) * 60
            + int(stamp[17:])
        )
        symbol_id = ids[data["s"]]
        if whole["topic"].startswith("quote."):
            _HEAD.pack_into(
                memory, at, 0, recv_ns, exch_s, symbol_id, quote, 0, venue, 0, 0, 0, v3_quote, 0
            )
            cells = []
            for side in (data["bids"], data["asks"]):
                empty = [0] * (LEVEL_COUNT - len(side))
                cells += [round(price * 100) for price, _ in side] + empty
                cells += [volume for _, volume in side] + empty
            _BOOK.pack_into(memory, at + 32, *cells)
        else:
            side = _SIDES[data["si"]]
            _HEAD.pack_into(
                memory, at, 0, recv_ns, exch_s, symbol_id, trade, 0, venue, 0, 0, side, v3_trade, 0
            )
            _MATCH.pack_into(
                memory,
                at + 32,
                round(data["p"] * 100),
                0,
                0,
                0,
                round(data["o"] * 100),
                round(data["h"] * 100),
                round(data["l"] * 100),
                0,
                0,
                0,
                data["q"],
                data["v"],
                0,
            )
        at += SLOT_BYTES
    return at // SLOT_BYTES
