"""Delays before the next connection."""

import random

import pytest

from engine.feed.reconnect import QUOTA_WAIT_S, Backoff, backoff_s

BASE_MS, CAP_MS = 250, 30_000
LASTED_S = CAP_MS / 1_000 + 1
RUNS = 200


def test_backoff_grows_to_its_cap_with_full_jitter(seed):
    rng = random.Random(seed)
    for failures in (0, 1, 2, 3, 10, 1_000):
        most_s = min(CAP_MS, BASE_MS * 2 ** min(failures, 32)) / 1_000
        delays = [backoff_s(failures, BASE_MS, CAP_MS, rng) for _ in range(RUNS)]
        assert 0.0 <= min(delays) < 0.2 * most_s
        assert 0.8 * most_s < max(delays) <= most_s


# Failures in a row, each with its status; "+" before one: the connection had been live for long,
# "~": it had been live, but not for long. Then: between which limits is the last delay?
STORIES = [
    ("0", 0.0, 0.25),
    ("0 0", 0.0, 0.5),
    ("0 0 0 0", 0.0, 2.0),
    ("0 0 0 0 0 0 0 0 0 0 0 0", 0.0, 30.0),
    ("502 502 502 502", 0.0, 2.0),
    ("0 0 0 ~0", 0.0, 2.0),  # flapping does not begin anew
    ("0 0 0 +0", 0.0, 0.25),
    ("401", 0.0, 0.25),  # perhaps only the token: a fresh one may help
    ("401 401", 15.0, 30.0),  # it does not: the operator must
    ("401 401 401 401 401", 15.0, 30.0),
    ("400 400", 15.0, 30.0),
    ("403 403", 15.0, 30.0),
    ("404 401", 15.0, 30.0),
    ("401 0", 0.0, 0.5),
    ("401 0 401", 0.0, 1.0),
    ("401 +401", 0.0, 0.25),
    ("429", QUOTA_WAIT_S, QUOTA_WAIT_S + 0.25),
    ("429 429 429", QUOTA_WAIT_S, QUOTA_WAIT_S + 1.0),
]


@pytest.mark.parametrize(("story", "least_s", "most_s"), STORIES)
def test_stories(story, least_s, most_s, seed):
    lives_s = {"+": LASTED_S, "~": LASTED_S - 2}
    last = []
    for run in range(RUNS):
        backoff = Backoff(BASE_MS, CAP_MS, random.Random(seed + run))
        for word in story.split():
            status = int(word.lstrip("+~"))
            delay_s = backoff.after_failure(status, lives_s.get(word[0], 0.0))
        last.append(delay_s)
    room_s = most_s - least_s
    assert least_s <= min(last) < least_s + 0.2 * room_s
    assert most_s - 0.2 * room_s < max(last) <= most_s


def test_a_long_life_without_a_failure_begins_anew_and_a_short_one_does_not():
    backoff = Backoff(BASE_MS, CAP_MS, random.Random(1))
    backoff.after_failure(0, 0.0)
    backoff.after_life(1.0)
    assert backoff.failures == 1
    backoff.after_life(LASTED_S)
    assert backoff.failures == 0
