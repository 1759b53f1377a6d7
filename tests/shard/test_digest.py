"""The digest: kernels against a twin in plain integers, what counts, and what does not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.schema.channels import CHANNELS
from engine.schema.codes import ControlOp, Instrument, SlotKind
from engine.shard.digest import (
    MOD,
    NOT_MEANING,
    Digest,
    absorb,
    combine,
    hash_bytes,
    hash_records,
    hash_rows,
)
from engine.shard.fold import Fold
from engine.shard.stages import STAGES
from tests.shard.folding import SLOTS, SYMBOLS, fold_groups
from tests.shard.messages import rows_of
from tests.shard.test_fold import long_stream

STIR, JOIN = 0x9FB21C651E98DF25, 0xD6E8FEB86659FD93
LANES = (0xA0761D6478BD642F, 0xE7037ED1A0B428DB, 0x8EBC6AF09C88C6E3, 0x589965CC75374CC3)
WORD = st.integers(0, MOD - 1)


# The twin ---------------------------------------------------------------------------------------


def stirred(value: int) -> int:
    value = value * STIR % MOD
    return value ^ value >> 32


def joined(chain: int, value: int) -> int:
    value = (chain ^ value) * JOIN % MOD
    return value ^ value >> 28


def naive_hash(words: list[int]) -> int:
    lanes = list(LANES)
    for at, word in enumerate(words):
        lanes[at % 4] = stirred(lanes[at % 4] ^ word)
    return stirred(sum(lane * factor for lane, factor in zip(lanes, LANES, strict=True)) % MOD)


def array(words: list[int]) -> np.ndarray:
    return np.array(words, np.uint64)


def kernel_hash(words: list[int]) -> int:
    """One row's share of a chain that was empty."""
    chains = np.zeros(1, np.uint64)
    absorb(array(words), len(words), np.zeros(1, np.uint32), chains)
    return int(chains[0])


@given(st.integers(1, 13), st.data())
def test_chains_and_sums_are_what_the_twin_says(width, data):
    rows = data.draw(st.lists(st.lists(WORD, min_size=width, max_size=width), max_size=6))
    ids = data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)))
    chains = [data.draw(WORD) for _ in range(4)]
    got = array(chains)
    flat = array([word for row in rows for word in row])
    absorb(flat, width, np.array(ids, np.uint32), got)
    for symbol_id, row in zip(ids, rows, strict=True):
        chains[symbol_id] = joined(chains[symbol_id], naive_hash(row))
    assert got.tolist() == chains
    tag = data.draw(WORD)
    total = sum(
        joined(joined(tag, symbol_id), naive_hash(row))
        for symbol_id, row in zip(ids, rows, strict=True)
    )
    assert int(hash_rows(flat, width, array(ids), np.uint64(tag))) == total % MOD


# The hash ---------------------------------------------------------------------------------------


@given(st.lists(WORD, min_size=1, max_size=13), st.data())
def test_any_one_changed_word_shows(words, data):
    at = data.draw(st.integers(0, len(words) - 1))
    other = data.draw(WORD.filter(lambda word: word != words[at]))
    assert kernel_hash(words) != kernel_hash([*words[:at], other, *words[at + 1 :]])


def test_swapped_words_show_in_whichever_lane_they_lie():
    words = list(range(1, 14))
    seen = {kernel_hash(words)}
    for a in range(13):
        for b in range(a + 1, 13):
            other = list(words)
            other[a], other[b] = other[b], other[a]
            seen.add(kernel_hash(other))
    assert len(seen) == 1 + 13 * 12 // 2


def test_the_order_of_a_symbol_s_rows_counts_and_that_of_symbols_does_not():
    rows = array([1, 2, 3, 4, 5, 6])
    swapped = array([3, 4, 1, 2, 5, 6])

    def chains(words: np.ndarray, ids: list[int]) -> list[int]:
        got = np.zeros(3, np.uint64)
        absorb(words, 2, np.array(ids, np.uint32), got)
        return got.tolist()

    assert chains(rows, [1, 1, 2]) != chains(swapped, [1, 1, 2])
    assert chains(rows, [1, 2, 2]) == chains(swapped, [2, 1, 2])


def test_the_checksum_of_bytes_sees_each_of_them_and_their_number():
    data = np.random.default_rng(1).integers(0, 256, 83).astype(np.uint8)
    seen = {hash_bytes(data)}
    for at in range(len(data)):
        other = data.copy()
        other[at] ^= 1 << at % 8
        seen.add(hash_bytes(other))
    zeros = {hash_bytes(np.zeros(count, np.uint8)) for count in range(20)}
    assert len(seen) == 84
    assert len(zeros) == 20


def test_every_delta_is_whole_words():
    for channel in CHANNELS:
        assert channel.dtype.itemsize % 8 == 0, channel.name


# The state --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def busy() -> Fold:
    fold = Fold(SYMBOLS, SLOTS, hash_deltas=True)
    fold_groups(fold, long_stream(3)[:120], cuts=range(0, 120, 10))
    return fold


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_every_field_of_a_state_counts_but_for_what_batches_decide(busy, stage):
    rows = busy.state(stage.name)
    before = busy.digest()
    for name in rows.dtype.names:
        for symbol_id, part in ((2, "state"), (0, "market")):
            cell = rows[symbol_id : symbol_id + 1]
            kept = cell.tobytes()
            offset = rows.dtype.fields[name][1]
            cell.view(np.uint8)[offset] ^= 1
            after = busy.digest()
            cell.view(np.uint8)[:] = np.frombuffer(kept, np.uint8)
            if name in NOT_MEANING:
                assert after == before
            else:
                assert {
                    field
                    for field in ("state", "deltas", "feed", "market")
                    if getattr(after, field) != getattr(before, field)
                } == {part}, (name, symbol_id)
    assert busy.digest() == before


def test_a_state_is_another_under_another_name_or_for_another_symbol():
    rows = np.zeros(4, [("a", "<i8"), ("b", "<i4")])
    rows[1] = rows[2] = (5, 6)
    hashes = {
        hash_records(name, rows, np.array([symbol_id]))
        for name in ("one", "two")
        for symbol_id in (1, 2)
    }
    assert len(hashes) == 4
    assert hash_records("one", rows, np.array([3])) == 0, "nothing was heard of it"


def test_room_that_nobody_uses_does_not_show(busy):
    wide = Fold(16 * SYMBOLS, 2 * SLOTS, hash_deltas=True)
    groups = [
        [message for message in group if message.get("symbol_id", 0) < SYMBOLS]
        for group in long_stream(3)[:120]
    ]
    groups = [group for group in groups if group]
    fold_groups(wide, groups)
    narrow = Fold(SYMBOLS, SLOTS, hash_deltas=True)
    fold_groups(narrow, groups, cuts=range(0, 120, 10))
    assert wide.digest() == narrow.digest()


def test_without_hashed_deltas_there_are_none_to_compare():
    plain, hashed = Fold(SYMBOLS, SLOTS), Fold(SYMBOLS, SLOTS, hash_deltas=True)
    for fold in (plain, hashed):
        fold_groups(fold, long_stream(3)[:20])
    assert plain.digest().deltas == {}
    assert plain.digest().state == hashed.digest().state
    assert plain.digest() != hashed.digest()


def test_what_the_feed_told_counts_and_the_shard_s_market_time_does_not():
    feed = {"kind": SlotKind.SYMBOL, "symbol_id": 3, "code": b"FEED"}
    feed["instrument"] = Instrument.FEED
    down = {"kind": SlotKind.CONTROL, "symbol_id": 3, "recv_ns": 5_000_000_000, "op": 2}
    down["arg0"] = 1
    quote = {"kind": SlotKind.QUOTE, "symbol_id": 1, "exch_s": 1_626_314_400, "recv_ns": 1}

    def digest(*messages) -> Digest:
        fold = Fold(SYMBOLS, SLOTS, hash_deltas=True)
        fold.fold(rows_of([list(messages)]))
        return fold.digest()

    alone, with_stamp = digest(feed, down), digest(feed, quote, down)
    assert alone.feed
    assert alone.feed == with_stamp.feed
    assert alone.market != with_stamp.market, "its stamp is the newest one of this shard"
    assert digest(feed, down | {"arg0": 2}).feed != alone.feed
    assert digest(quote).feed == 0
    assert digest(quote, down).feed == 0, "another shard tells of the feed"


# Together ---------------------------------------------------------------------------------------


def test_shards_add_up():
    one = Digest(MOD - 1, {"trade": 5, "quote": MOD - 1}, feed=7, market=9)
    two = Digest(3, {"trade": 6, "book": 1, "quote": 1}, feed=0, market=8)
    both = Digest(2, {"trade": 11, "quote": 0, "book": 1}, feed=7)
    assert combine([one, two]) == combine([two, one]) == both
    assert str(combine([one, two])) == str(both)


def test_the_text_tells_any_two_apart():
    texts = {
        str(digest)
        for digest in (
            Digest(1),
            Digest(2),
            Digest(1, {"trade": 1}),
            Digest(1, {"quote": 1}),
            Digest(1, {"trade": 2}),
            Digest(1, feed=1),
            Digest(1, market=1),
        )
    }
    assert len(texts) == 7
    assert all(text.startswith("sha256:") and len(text) == 71 for text in texts)
    assert str(Digest(1, {"a": 1, "b": 2})) == str(Digest(1, {"b": 2, "a": 1}))


def test_two_halves_of_a_market_add_up_to_the_whole(seed):
    """As two shards do: each knows nothing of the other's symbols.

    Without states of the feed: this stream has data while the feed is said to be away, and each
    half then finds out from its own data that it is back.
    """

    def concerns(message: dict, kept: tuple[int, ...]) -> bool:
        if message["kind"] == SlotKind.CONTROL:
            return message["op"] != ControlOp.FEED_STATE
        return message["symbol_id"] in kept

    def digest(*kept: int) -> Digest:
        fold = Fold(SYMBOLS, SLOTS, hash_deltas=True)
        for group in long_stream(seed)[:120]:
            mine = [message for message in group if concerns(message, kept)]
            if mine:
                fold.fold(rows_of([mine]))
        return fold.digest()

    whole = digest(1, 2, 3, 4, 5)
    assert combine([digest(1, 4), digest(2, 3, 5)]) == combine([whole])
    assert combine([digest(1, 4), digest(2, 3)]) != combine([whole])
