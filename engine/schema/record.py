"""The one helper that builds record layouts: little-endian, packed, without padding.

A layout that would need padding is a mistake: two processes, a file and a browser
read these bytes, so every byte has a name. `record` refuses anything else.
"""

from typing import Any

import numpy as np

Field = tuple[str, str] | tuple[str, str, tuple[int, ...]]


def record(name: str, fields: list[Field], *, size_bytes: int) -> np.dtype[Any]:
    """Build the packed dtype of one record and prove its layout.

    Parameters
    ----------
    name
        What the record is called in errors and in the schema hash.
    fields
        ``(name, format)`` or ``(name, format, shape)`` in memory order. Formats are
        numpy's without byte order (``"i8"``, ``"u1"``, ``"S16"``).
    size_bytes
        The size the author believes the record has. Pinned here so that a changed
        field is noticed where it is written.

    Returns
    -------
    numpy.dtype
        A structured dtype whose offsets are naturally aligned and contiguous.
    """
    spec = [(field[0], "<" + field[1], *field[2:]) for field in fields]
    dtype = np.dtype(spec)
    assert dtype.itemsize == size_bytes, (
        f"{name}: the fields add up to {dtype.itemsize} bytes, the layout says {size_bytes}"
    )
    assert dtype.fields is not None
    for field_name, (field_dtype, offset, *_) in dtype.fields.items():
        base = field_dtype.subdtype[0] if field_dtype.subdtype else field_dtype
        if base.kind != "S" and base.names is None:
            assert offset % base.itemsize == 0, (
                f"{name}.{field_name}: offset {offset} is not a multiple of {base.itemsize}"
            )
    return dtype


def describe(dtype: np.dtype[Any]) -> str:
    """Return a layout as text, one ``offset name format`` per field: what SCHEMA_ID hashes."""
    assert dtype.fields is not None
    lines = [
        f"{offset} {name} {field.base.str}{field.shape}"
        if field.names is None
        else f"{offset} {name} ({describe(field)})"
        for name, (field, offset, *_) in dtype.fields.items()
    ]
    return f"{dtype.itemsize}:" + ";".join(lines)


def cut_text(text: str, bytes_max: int) -> bytes:
    """Return UTF-8 for a bytes field of `bytes_max` bytes, cut between characters."""
    return text.encode()[:bytes_max].decode(errors="ignore").encode()
