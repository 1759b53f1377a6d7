"""A fold that was saved and restored goes on as if nothing had happened, wherever it was cut."""

from itertools import pairwise

import numpy as np
import pytest

from engine.config import RuleConfig
from engine.errors import SchemaMismatch
from engine.shard.fold import Fold
from engine.shard.stage import StageSettings
from engine.shard.stages import STAGES
from engine.wiring.stages import make_fold
from tests.shard.folding import SLOTS, SYMBOLS, fold_groups
from tests.shard.messages import rows_of
from tests.shard.test_fold import long_stream

# Conditions that come and go all the time, so that what a rule remembers decides what it tells.
RULES = (
    RuleConfig("dear", "trade.volume_shares > 200", "warning"),
    RuleConfig("wide", "quote.spread > 8", "info"),
)


def blank(hash_deltas: bool = True, rules: tuple[RuleConfig, ...] = RULES) -> Fold:
    """Return a fold of all stages, as a shard has it."""
    return make_fold(SYMBOLS, SLOTS, StageSettings(), rules, hash_deltas=hash_deltas)


def batches(seed: int, count: int, groups: int) -> list:
    """Return some batches of a bad day; every symbol introduces itself somewhere in it."""
    stream = [group for group in long_stream(seed) if group]
    edges = range(0, groups * count + 1, groups)
    return [stream[first:end] for first, end in pairwise(edges)]


def told(fold: Fold, batch: list) -> list:
    """Fold one batch; return its rows as bytes by channel."""
    return [(channel.name, rows.tobytes()) for channel, rows in fold.fold(rows_of(batch))]


def test_restored_at_every_cut_it_tells_the_same_rows_and_ends_on_the_same_digest(seed):
    parts = batches(seed, count=14, groups=12)
    straight = blank()
    rows, images = [], []
    for part in parts:
        images.append(straight.save())
        rows.append(told(straight, part))
    assert any(name == "alerts" for news in rows for name, _ in news)
    for cut, image in enumerate(images):
        other = blank()
        other.restore(image)
        assert [told(other, part) for part in parts[cut:]] == rows[cut:], f"cut {cut}"
        assert other.digest() == straight.digest()
        assert other.counts == straight.counts


def test_restored_again_and_again_it_is_still_the_same(seed):
    parts = batches(seed, count=30, groups=5)
    straight, handed_on = blank(), blank()
    for part in parts:
        after = blank()
        after.restore(handed_on.save())
        handed_on = after
        assert told(handed_on, part) == told(straight, part)
    assert handed_on.digest() == straight.digest()


def test_what_a_rule_remembers_decides_what_it_tells(seed):
    """The test above could not fail if no rule had anything to forget."""
    parts = batches(seed, count=14, groups=12)
    straight, forgetful = blank(), blank()
    for part in parts[:7]:
        told(straight, part)
    image = straight.save()
    assert len(image["rules"]) > 4
    forgetful.restore(image | {"rules": image["rules"][:0]})
    assert forgetful.digest().state != straight.digest().state
    assert [told(forgetful, part) for part in parts[7:]] != [
        told(straight, part) for part in parts[7:]
    ]


def test_an_image_is_a_copy_and_holds_the_symbols_met(seed):
    fold = blank()
    told(fold, [[{"kind": 1, "symbol_id": 3, "exch_s": 1_626_314_400}]])
    image = fold.save()
    assert len(image["state.stats"]) == 4
    before = {name: array.copy() for name, array in image.items()}
    told(fold, batches(seed, count=1, groups=40)[0])
    assert all(np.array_equal(before[name], image[name]) for name in image)
    assert len(fold.save()["state.stats"]) > 4


def test_nothing_lies_beyond_the_symbols_met(seed):
    """Else a saved state would be less than the state."""
    for symbols in (2, 4, 6):
        fold = make_fold(SYMBOLS, SLOTS, StageSettings(), RULES, hash_deltas=True)
        for part in batches(seed, count=10, groups=12):
            kept = [[m for m in group if m.get("symbol_id", 0) < symbols] for group in part]
            told(fold, [group for group in kept if group])
        used = len(fold.save()["state.stats"])
        assert used == symbols
        for stage in fold.stages:
            assert not fold.state(stage.name)[used:].view(np.uint8).any(), stage.name


def test_a_fold_that_knew_more_forgets_it(seed):
    """Symbols of before must not come through from behind the image."""
    small, full = blank(), blank()
    told(small, [[{"kind": 1, "symbol_id": 2, "exch_s": 1_626_314_400, "last_price_e2": 5}]])
    for part in batches(seed, count=10, groups=12):
        told(full, part)
    full.restore(small.save())
    assert full.digest() == small.digest()
    for stage in full.stages:
        assert full.state(stage.name)[3:].view(np.uint8).max(initial=0) == 0, stage.name
    more = batches(seed, count=2, groups=12)[1]
    assert told(full, more) == told(small, more)


def test_a_wider_fold_takes_a_narrower_one_s_image_and_not_the_other_way(seed):
    narrow, wide = blank(), make_fold(64, SLOTS, StageSettings(), RULES, hash_deltas=True)
    for part in batches(seed, count=3, groups=12):
        told(narrow, part)
    wide.restore(narrow.save())
    assert wide.digest() == narrow.digest()
    told(wide, [[{"kind": 1, "symbol_id": 60, "exch_s": 1_626_314_400}]])
    with pytest.raises(SchemaMismatch, match="fold the journal instead"):
        narrow.restore(wide.save())


def broken(image: dict, how: str) -> dict:
    """Return an image that a fold with rules and hashed deltas must refuse."""
    other = dict(image)
    if how == "stages":
        other["layout"] = image["layout"] ^ 1
    elif how == "missing":
        del other["state.book"]
    elif how == "bytes":
        other["state.book"] = image["state.book"][:, :-1]
    elif how == "dtype":
        other["tally"] = image["tally"].astype(np.int32)
    elif how == "chains":
        other = {name: array for name, array in image.items() if not name.startswith("chain.")}
    elif how == "rules":
        other["rule_names"] = np.frombuffer(b"dear\nwise", np.uint8)
    elif how == "no rules":
        del other["rules"]
    return other


@pytest.mark.parametrize(
    "how", ["stages", "missing", "bytes", "dtype", "chains", "rules", "no rules"]
)
def test_what_does_not_fit_is_refused_whole(how, seed):
    source, other = blank(), blank()
    first, second = batches(seed, count=2, groups=20)
    told(source, first)
    told(other, second)
    before = other.digest()
    with pytest.raises(SchemaMismatch, match="fold the journal instead"):
        other.restore(broken(source.save(), how))
    assert other.digest() == before


def test_a_fold_of_other_stages_refuses_it():
    fold = Fold(SYMBOLS, SLOTS)
    with pytest.raises(SchemaMismatch, match="other stages"):
        Fold(SYMBOLS, SLOTS, stages=(STAGES[1], STAGES[0], *STAGES[2:])).restore(fold.save())


def test_chains_that_nobody_keeps_are_left_in_the_image(seed):
    hashed, plain = blank(rules=()), blank(hash_deltas=False, rules=())
    for part in batches(seed, count=3, groups=12):
        told(hashed, part)
    plain.restore(hashed.save())
    assert plain.digest().state == hashed.digest().state
    assert plain.digest().deltas == {}


def test_saving_in_the_middle_of_a_day_disturbs_nothing(seed):
    groups = long_stream(seed)[:60]
    saved, plain = Fold(SYMBOLS, SLOTS), Fold(SYMBOLS, SLOTS)
    rows = []
    for group in groups:
        saved.save()
        saved.digest()
        rows.append(fold_groups(saved, [group]))
    assert rows == [fold_groups(plain, [group]) for group in groups]
