"""The saved state of a shard: one file that a restarted shard begins from.

    byte 0    magic, 8 bytes
    byte 8    checksum of what stands in the head, 8 bytes
    byte 16   length of the head in bytes, 8 bytes
    byte 24   head: JSON with StateHead, the program, the books, and of each array its place,
              shape and checksum
    then      the arrays of the fold's image, each on a multiple of 64 bytes

It lies on a tmpfs and is no backup: whoever cannot use it folds the journal from its beginning
and arrives at the same state, later. So a reader refuses whatever is not certainly right, and says
why: a piece of a file, a changed byte, another program, another journal, other settings. A writer
dies at any moment without harm: the new file takes the old one's place only when it is whole.
"""

import hashlib
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from engine.jit import CACHE_FOLDER
from engine.shard.digest import hash_bytes
from engine.shard.image import Image

MAGIC: Final = b"VNTSTAT1"
FRONT_BYTES: Final = 24
ALIGN_BYTES: Final = 64
PARTS_MAX: Final = 512  # arrays in one call of writev, which takes 1,024
OWNER_ONLY: Final = 0o600


def _program() -> str:
    """Return what names this program: a hash of all sources that give saved numbers a meaning.

    A field can change its meaning without changing its layout, so only the program that wrote a
    state may read it. The folder of compiled kernels is named by a hash of the other rooms.
    """
    sources = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    return hashlib.sha256(b"\0".join([CACHE_FOLDER.name.encode(), *sources])).hexdigest()[:16]


PROGRAM: Final = _program()

Books = dict[str, Any]


@dataclass(frozen=True, slots=True)
class StateHead:
    """What a saved state is of.

    Attributes
    ----------
    seq
        The next slot to be folded: the state is the fold of all slots of the day before it.
    epoch
        Of the stream the shard published when it was saved.
    journal_epoch
        Of the trading day's journal, whose slots were folded.
    schema
        SCHEMA_ID.
    settings_hash
        Of everything configured that decides what stages say.
    saved_ns
        When, UTC ns.
    """

    seq: int
    epoch: int
    journal_epoch: int
    schema: str
    settings_hash: str
    saved_ns: int


class State(NamedTuple):
    """A state that was read: what it is of, the fold's image, and the books beside it."""

    head: StateHead
    image: Image
    books: Books


class Refused(NamedTuple):
    """Why a saved state is not used, in words for the log."""

    why: str


def write_state(path: Path, head: StateHead, image: Image, books: Books) -> int:
    """Store a state in the place of an older one.

    Parameters
    ----------
    path
        Its folder exists.
    head
        What it is of.
    image
        Of ``Fold.save``: arrays of plain numbers, contiguous. Read only; they are not copied.
    books
        What orjson can write.

    Returns
    -------
    int
        Bytes written.

    Raises
    ------
    OSError
        There is no room, or the folder cannot be written to; an older state is left as it was.
    """
    front, parts = _pack(head, image, books)
    draft = path.with_name(f".{path.name}.draft")  # of one name: a dead writer's is used again
    try:
        fd = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, OWNER_ONLY)
        try:
            size_bytes = _write_all(fd, [front, *parts])
        finally:
            os.close(fd)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    return size_bytes


def read_state(
    path: Path, *, journal_epoch: int, schema: str, settings_hash: str
) -> State | Refused | None:
    """Read the state that was saved last.

    Parameters
    ----------
    path
        Where `write_state` put it.
    journal_epoch, schema, settings_hash
        What it must be of.

    Returns
    -------
    State, Refused or None
        Its arrays are this call's own, writable; None when nothing was ever saved.

    Raises
    ------
    OSError
        The file is there and cannot be read.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except FileNotFoundError:
        return None
    found = _unpack(data)
    if isinstance(found, Refused):
        return found
    head = found.head
    for what, told, wanted in (
        ("schema", head.schema, schema),
        ("settings", head.settings_hash, settings_hash),
        ("journal", head.journal_epoch, journal_epoch),
    ):
        if told != wanted:
            return Refused(f"it is of another {what}: {told}, and now it is {wanted}")
    return found


def _pack(
    head: StateHead, image: Image, books: Books
) -> tuple[NDArray[np.uint8], list[NDArray[np.uint8]]]:
    """Return everything before the arrays, and the arrays as bytes with their padding."""
    parts: list[NDArray[np.uint8]] = []
    places: list[dict[str, Any]] = []
    for name, array in image.items():
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        parts += [data, np.zeros(-data.size % ALIGN_BYTES, np.uint8)]
        places.append(
            {
                "name": name,
                "dtype": array.dtype.str,
                "shape": array.shape,
                "checksum": hash_bytes(data),
            }
        )
    words = orjson.dumps(
        {"head": asdict(head), "program": PROGRAM, "arrays": places, "books": books}
    )
    words += b" " * (-(FRONT_BYTES + len(words)) % ALIGN_BYTES)
    text = np.frombuffer(words, np.uint8).copy()
    numbers = np.array([hash_bytes(text), len(words)], np.uint64).view(np.uint8)
    return np.concatenate([np.frombuffer(MAGIC, np.uint8), numbers, text]), parts


def _write_all(fd: int, parts: list[NDArray[np.uint8]]) -> int:
    """Write parts one after the other, however little the system takes at once."""
    waiting = [part.data for part in parts if part.size]
    total = sum(view.nbytes for view in waiting)
    while waiting:
        taken = os.writev(fd, waiting[:PARTS_MAX])
        while waiting and taken >= waiting[0].nbytes:
            taken -= waiting.pop(0).nbytes
        if taken:
            waiting[0] = waiting[0][taken:]
    return total


def _unpack(data: NDArray[np.uint8]) -> State | Refused:
    """Take a file apart, or say what is wrong with it."""
    if data.size < FRONT_BYTES or data[:8].tobytes() != MAGIC:
        return Refused(f"it is no saved state, or only a piece of one ({data.size} bytes)")
    checksum, words_bytes = data[8:FRONT_BYTES].view(np.uint64).tolist()
    at = FRONT_BYTES + words_bytes
    text = data[FRONT_BYTES:at]
    if text.size != words_bytes or hash_bytes(text) != checksum:
        return Refused(f"it is damaged: its head, bytes {FRONT_BYTES} to {at} of {data.size}")
    told = orjson.loads(text.tobytes())
    if told["program"] != PROGRAM:
        return Refused(f"another program wrote it: {told['program']}, this one is {PROGRAM}")
    image: Image = {}
    for place in told["arrays"]:
        dtype, shape = np.dtype(place["dtype"]), tuple(place["shape"])
        end = at + dtype.itemsize * math.prod(shape)
        part = data[at:end]
        if part.size != end - at or hash_bytes(part) != place["checksum"]:
            return Refused(f"it is damaged: {place['name']}, bytes {at} to {end} of {data.size}")
        image[place["name"]] = part.view(dtype).reshape(shape)
        at = end + -part.size % ALIGN_BYTES
    return State(StateHead(**told["head"]), image, told["books"])
