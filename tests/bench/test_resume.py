"""A shard that forgets everything, and a machine that does: the digest is the journal's."""

import pytest

from bench import bench_resume

pytestmark = pytest.mark.e2e


def test_every_way_back_ends_on_the_digest_of_the_journal() -> None:
    figures = bench_resume.run("small")  # it raises when a digest differs
    assert figures["slots"] >= bench_resume.SLOTS["small"]
    assert figures["journal_bytes"] > 200 * figures["slots"]
    for name in ("blank", "machine"):
        assert figures[name]["worst_s"] >= figures[name]["median_s"] > 0
    assert figures["replay_slots_per_s"] > 0
