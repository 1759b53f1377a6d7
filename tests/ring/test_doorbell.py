"""A bell that never blocks, whoever listens."""

import os
import select
from collections.abc import Iterator

import pytest

from engine.ring import doorbell


@pytest.fixture
def bell() -> Iterator[int]:
    fd = doorbell.new_doorbell()
    yield fd
    os.close(fd)


def heard(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


def test_many_rings_are_one(bell: int) -> None:
    assert not heard(bell)
    doorbell.ring(bell)
    doorbell.ring(bell)
    assert heard(bell)
    doorbell.hush(bell)
    assert not heard(bell)


def test_hushing_a_silent_bell_returns(bell: int) -> None:
    doorbell.hush(bell)
    assert not heard(bell)


def test_a_bell_at_its_loudest_still_returns(bell: int) -> None:
    os.eventfd_write(bell, 2**64 - 2)
    doorbell.ring(bell)
    assert heard(bell)
