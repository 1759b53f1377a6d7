"""Who wants which keys, against a loop over all groups."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audience import Audience
from gateway.groups import Group

CAPACITY = 12
CODES = (1, 2, 4)

keys = st.sets(st.integers(0, CAPACITY - 1))
masks = st.dictionaries(st.sampled_from(CODES), keys, max_size=3)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 20), masks),
        st.tuples(st.just("remove"), st.integers(0, 20), st.none()),
    ),
    max_size=40,
)
batches = st.lists(st.integers(0, CAPACITY - 1), min_size=1, max_size=8)


def table(ids):
    mask = np.zeros(CAPACITY, np.bool_)
    mask[list(ids)] = True
    return mask


@given(steps, batches)
def test_rows_find_those_who_want_them(steps, batch):
    audience, groups, twin = Audience(CAPACITY), [Group({}, "json") for _ in range(21)], {}
    ids = np.array(batch)
    for verb, number, wanted in steps:
        group = groups[number]
        if verb == "put":
            audience.put(group, {code: table(of) for code, of in wanted.items()})
            twin[group] = wanted
        else:
            audience.remove(group)
        if verb == "remove" or not wanted:
            twin.pop(group, None)
        for code in CODES:
            found = audience.hits(code, ids)
            expected = {
                group: [key in wants[code] for key in batch]
                for group, wants in twin.items()
                if wants.get(code, set()) & set(batch)
            }
            assert len(found) == len(expected), "a group is named once"
            for group, keep in found:
                every = all(expected[group])
                assert (keep is None) == every
                assert every or keep.tolist() == expected[group]
            every_key = set().union(*(wants.get(code, set()) for wants in twin.values()))
            watched = audience.watched(code)
            assert set(() if watched is None else np.flatnonzero(watched)) == every_key
            assert (code in audience.codes()) == bool(every_key)
        assert set(audience) == set(twin)
        assert len(audience) == len(twin)


@pytest.mark.parametrize("count", [1, 8, 9, 64, 65])
def test_a_column_that_was_left_is_used_again(count):
    audience = Audience(CAPACITY)
    groups = [Group({}, "json") for _ in range(count)]
    for group in groups:
        audience.put(group, {1: table([3])})
    audience.remove(groups[0])
    late = Group({}, "bin")
    audience.put(late, {1: table([4])})
    found = {id(group) for group, _ in audience.hits(1, np.array([3]))}
    assert found == {id(group) for group in groups[1:]}
    assert [group for group, _ in audience.hits(1, np.array([4]))] == [late]
