"""Fingerprints of a fold: of all its state, and of every row it has emitted, in order.

Equal slots give an equal digest: live, in a replay, after a restart from a saved state, and
however batches were cut. Everything here is arithmetic on 64-bit words kept in plain arrays, so it
can be saved and goes on after a restart, which a hash object of a library cannot.

Rows emitted
    One chain per channel and symbol: each row is hashed by itself and then folded into the chain,
    so the order of a symbol's rows counts and the order of symbols does not.
State
    Each row of a stage's state is hashed with the stage's name and the symbol's id. Rows that are
    all zero count nothing, so room that nobody uses does not show.
Several shards
    Chains and rows of symbols are summed modulo 2**64: the sums of shards add up to the sum of one
    shard that has all symbols. Three things are a shard's own, because they depend on which
    symbols it has, and `combine` leaves them out (``market``): row 0 of the states, which holds
    what the shard's own slots told of the market (its newest stamp, whether the feed is here,
    sums over its symbols); the tally, as every shard counts the CONTROL slots; and of the feed's
    pseudo symbol everything that carries the market's time, which is the newest stamp the
    shard has seen. What the feed told of itself (state, outages, lost frames) counts, once.

The hash finds faults, not forgers: any one changed word gives another value for certain, anything
else with odds of 1 to 2**64.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.jit import U64, inlined_kernel, kernel
from engine.schema.channels import FEED as FEED_CHANNEL
from engine.schema.channels import SYMBOL as SYMBOL_CHANNEL
from engine.schema.codes import Instrument

Words = NDArray[np.uint64]

WORD_BYTES: Final = 8
MOD: Final = 1 << 64

# A place in an out buffer depends on where batches were cut; it is no part of the state's meaning.
NOT_MEANING: Final = frozenset({"out_row"})

# Odd numbers with mixed bits: multiplying by one is a bijection of 64-bit words.
_STIR = U64(0x9FB21C651E98DF25)
_JOIN = U64(0xD6E8FEB86659FD93)
_LANE_A = U64(0xA0761D6478BD642F)
_LANE_B = U64(0xE7037ED1A0B428DB)
_LANE_C = U64(0x8EBC6AF09C88C6E3)
_LANE_D = U64(0x589965CC75374CC3)
_28, _32 = U64(28), U64(32)
_ALL = U64(MOD - 1)  # without the JIT sums grow: cut them to 64 bits


@inlined_kernel
def stir(value: Any) -> Any:
    """Return another word for every word: a multiplication, and high bits brought down."""
    product = (value * _STIR) & _ALL
    return product ^ (product >> _32)


@inlined_kernel
def join(chain: Any, value: Any) -> Any:
    """Return `chain` continued by `value`; a bijection in either."""
    product = ((chain ^ value) * _JOIN) & _ALL
    return product ^ (product >> _28)


@inlined_kernel
def hash_words(words: Any, start: Any, end: Any) -> Any:
    """Return the hash of ``words[start:end]``, uint64.

    Four lanes that do not wait for each other: a multiplication takes four cycles, and a CPU can
    begin one in each.
    """
    a, b, c, d = _LANE_A, _LANE_B, _LANE_C, _LANE_D
    at = start
    while at + 4 <= end:
        a = stir(a ^ U64(words[at]))
        b = stir(b ^ U64(words[at + 1]))
        c = stir(c ^ U64(words[at + 2]))
        d = stir(d ^ U64(words[at + 3]))
        at += 4
    if at < end:
        a = stir(a ^ U64(words[at]))
    if at + 1 < end:
        b = stir(b ^ U64(words[at + 1]))
    if at + 2 < end:
        c = stir(c ^ U64(words[at + 2]))
    return stir((a * _LANE_A + b * _LANE_B + c * _LANE_C + d * _LANE_D) & _ALL)


@kernel
def absorb(words: Any, row_words: Any, symbol_ids: Any, chains: Any) -> None:
    """Continue the chains of some symbols by rows they emitted.

    Parameters
    ----------
    words
        The rows as words, one after the other: uint64, shape (n x row_words,).
    row_words
        Words of one row.
    symbol_ids
        Whose rows they are, shape (n,), each below ``len(chains)``.
    chains
        uint64, shape (symbol_capacity,), written; 0 where nothing was emitted yet.
    """
    start = 0
    for i in range(len(symbol_ids)):
        symbol_id = symbol_ids[i]
        value = hash_words(words, start, start + row_words)
        chains[symbol_id] = join(U64(chains[symbol_id]), value)
        start += row_words


@kernel
def hash_rows(words: Any, row_words: Any, keys: Any, tag: Any) -> Any:
    """Return the sum of the hashes of rows, each joined with its key and a tag; modulo 2**64.

    Parameters
    ----------
    words
        uint64, shape (n x row_words,).
    row_words
        Words of one row.
    keys
        uint64, shape (n,): what each row belongs to.
    tag
        uint64: what they all are.
    """
    total = U64(0)
    start = 0
    for i in range(len(keys)):
        value = hash_words(words, start, start + row_words)
        total = (total + join(join(U64(tag), U64(keys[i])), value)) & _ALL
        start += row_words
    return total


@kernel
def _hash_block(words: Any) -> Any:
    return hash_words(words, 0, len(words))


def hash_bytes(data: NDArray[np.uint8]) -> int:
    """Return a 64-bit checksum of contiguous bytes, at the speed of memory.

    Parameters
    ----------
    data
        uint8, shape (n,), contiguous and writable; its length counts too.
    """
    whole = len(data) // WORD_BYTES * WORD_BYTES
    tail = int.from_bytes(data[whole:].tobytes(), "little")
    pieces = (int(_hash_block(data[:whole].view(np.uint64))), tail, len(data))
    return int(_hash_block(np.array(pieces, np.uint64)))


def tag_of(name: str) -> np.uint64:
    """Return the tag of a name for `hash_rows`."""
    return np.uint64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))


def hash_records(name: str, records: NDArray[np.void], ids: NDArray[np.int64]) -> int:
    """Return the sum of the hashes of the records of some symbols.

    Parameters
    ----------
    name
        What they are: the same records under another name have another hash.
    records
        Shape (symbol_capacity,), index symbol_id. Fields of NOT_MEANING count as 0.
    ids
        Whose records; those that are all zero count nothing.
    """
    dtype = records.dtype
    row_words = -(-dtype.itemsize // WORD_BYTES)
    padded = np.zeros((len(ids), row_words * WORD_BYTES), np.uint8)
    padded[:, : dtype.itemsize] = records.view(np.uint8).reshape(len(records), -1)[ids]
    for field_name, (part, offset, *_) in (dtype.fields or {}).items():
        if field_name in NOT_MEANING:
            padded[:, offset : offset + part.itemsize] = 0
    words = padded.view(np.uint64)
    used = words.any(axis=1)
    return hash_table(name, words[used], ids[used])


def hash_table(name: str, words: NDArray[Any], ids: NDArray[np.int64]) -> int:
    """Return the sum of the hashes of rows of words (n, w), 8 bytes each, of symbols `ids` (n,)."""
    flat = np.ascontiguousarray(words).view(np.uint64).reshape(-1)
    return int(hash_rows(flat, words.shape[1], ids.astype(np.uint64), tag_of(name)))


@dataclass(frozen=True, slots=True)
class Digest:
    """What a fold, or several shards together, ended on. Compare two, or their texts.

    Attributes
    ----------
    state
        Of all symbols' state in all stages, and what the operator's rules remember of them.
    deltas
        Channel name -> of all rows emitted; empty without ``hash_deltas``.
    feed
        Of what the feed told of itself; 0 where its pseudo symbol is not known.
    market
        Of what is one shard's own; 0 in a sum of shards.
    """

    state: int
    deltas: Mapping[str, int] = field(default_factory=dict, hash=False)
    feed: int = 0
    market: int = 0

    def __str__(self) -> str:
        """Return ``sha256:...`` over all of it."""
        deltas = ",".join(f"{name}={value:016x}" for name, value in sorted(self.deltas.items()))
        text = f"{self.state:016x};{deltas};{self.feed:016x};{self.market:016x}"
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def combine(digests: Iterable[Digest]) -> Digest:
    """Return the digest of all shards together: the same for any number of shards.

    That holds if the shards together got the same slots in the same groups, which bites of more
    than ``GROUP_SLOTS_MAX`` slots do not give: on one ring they are cut more often than on several.
    And no data may come while the feed is said to be away: they show a shard that it is
    back, so the next DOWN is one more outage there and not on a shard that had none of them.
    """
    state = feed = 0
    deltas: dict[str, int] = {}
    for one in digests:
        state, feed = (state + one.state) % MOD, (feed + one.feed) % MOD
        for name, value in one.deltas.items():
            deltas[name] = (deltas.get(name, 0) + value) % MOD
    return Digest(state, deltas, feed)


def digest_of(
    states: Mapping[str, NDArray[np.void]],
    used: int,
    tally: NDArray[np.void],
    chains: Mapping[str, Words] | None,
    latest: Mapping[str, NDArray[np.void]],
    remembered: NDArray[np.int64],
) -> Digest:
    """Return the digest of a fold's parts.

    Parameters
    ----------
    states
        Stage name -> its state, shape (symbol_capacity,).
    used
        Ids below this one are looked at.
    tally
        Shape (1,).
    chains
        Channel name -> as `absorb` keeps them; None without ``hash_deltas``.
    latest
        Channel name -> the newest row of each symbol.
    remembered
        What rules remember, int64 (n, w), column 0 the symbol's id.
    """
    ids, feed_ids = _symbols_and_feed(used, latest)
    state = hash_table("rules", remembered, remembered[:, 0])
    market = hash_table("tally", tally.view(np.int64).reshape(1, -1), np.zeros(1, np.int64))
    own_ids = np.concatenate([np.zeros(1, np.int64), feed_ids])
    for name, rows in states.items():
        state += hash_records(name, rows, ids)
        market += hash_records(name, rows, own_ids)
    deltas = {}
    for name, chain in (chains or {}).items():
        words = chain[:, np.newaxis]
        told = ids[chain[ids] != 0]
        deltas[name] = hash_table(name, words[told], told)
        market += hash_table(f"chain {name}", words[feed_ids], feed_ids)
    feed = 0
    if len(feed_ids) and FEED_CHANNEL.name in latest:
        rows = latest[FEED_CHANNEL.name].copy()
        rows["exch_s"] = 0  # the market's time as this shard knows it
        feed = hash_records("feed", rows, feed_ids)
    return Digest(state % MOD, deltas, feed, market % MOD)


def _symbols_and_feed(
    used: int, latest: Mapping[str, NDArray[np.void]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the ids of symbols, and those that name the feed."""
    every = np.arange(1, used)
    if SYMBOL_CHANNEL.name not in latest:
        return every, every[:0]
    is_feed = latest[SYMBOL_CHANNEL.name]["instrument"][1:used] == Instrument.FEED
    return every[~is_feed], every[is_feed]
