"""Record layouts as plain data: what the verb `schema` tells a client that reads binary frames.

A LAYOUT is ``{"bytes": 88, "fields": [{"name": "price_e2", "type": "i4", "offset": 32, "shape":
[]}, ...]}``. `type` is numpy's code without byte order, which is always little-endian: ``i`` and
``u`` are integers of that many bytes, ``S`` is text in UTF-8, padded with zero bytes. `shape` is
that of an array inside the record, last index fastest.
"""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np

from engine.schema import SCHEMA_ID
from engine.schema.channels import CHANNELS
from gateway.binary import HEADER, KEY, MERGED

Layout = dict[str, object]


def layout(dtype: np.dtype[Any]) -> Layout:
    """Return a packed, flat record dtype as plain data.

    Parameters
    ----------
    dtype
        As engine.schema.record makes them: little-endian fields without holes.

    Returns
    -------
    dict
        ``bytes`` and ``fields``, in memory order, ready for JSON.
    """
    assert dtype.fields is not None, "a layout is told of records"
    fields = []
    end = 0
    for name, (field, offset, *_) in dtype.fields.items():
        assert field.names is None, f"{name}: a record inside a record has no layout"
        assert offset == end, f"{name}: hole of {offset - end} bytes"
        assert field.base.str[0] in "<|", f"{name}: not little-endian"
        end = offset + field.itemsize
        fields.append(
            {
                "name": name,
                "type": field.base.str[1:],
                "offset": offset,
                "shape": list(field.shape),
            }
        )
    assert end == dtype.itemsize
    return {"bytes": dtype.itemsize, "fields": fields}


@cache
def describe() -> Mapping[str, object]:
    """Return all a client needs to read binary frames: the members of `schema_ok`.

    Returns
    -------
    Mapping
        ``schema`` (the id `hello` tells: layouts can be kept as long as it stays the same),
        ``header``, ``key`` and ``merged`` (LAYOUT), and ``channels``: by name of every public
        channel its ``code`` (``ch >> 20``) and the ``layout`` of its rows.
    """
    told = {
        "schema": SCHEMA_ID,
        "header": layout(HEADER),
        "key": layout(KEY),
        "merged": layout(MERGED),
        "channels": {
            channel.name: {"code": channel.code, "layout": layout(channel.dtype)}
            for channel in CHANNELS
            if channel.public
        },
    }
    return MappingProxyType(told)
