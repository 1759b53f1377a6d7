"""What every test run shares: how hard hypothesis tries, which seed is used, and a header.

``TESTS_PROFILE`` picks the profile: ``quick`` while working, ``ci`` on a build machine (the
same examples every time), ``night`` for hunting. ``TESTS_SEED`` replaces the seed of the
tests that draw their own numbers; the header and any failure show it.
"""

import os

import pytest
from hypothesis import HealthCheck, settings

SEED_DEFAULT = 20210715  # the trading day the project's published table is of
PROFILE = os.environ.get("TESTS_PROFILE", "quick")
SEED = int(os.environ.get("TESTS_SEED", SEED_DEFAULT))

# No deadline anywhere: no test asserts an upper time, and a first example may compile a kernel.
# Kernels run as plain Python in one lane, so slow generation says nothing there.
_COMMON = {
    "deadline": None,
    "print_blob": True,
    "suppress_health_check": [HealthCheck.too_slow],
}
settings.register_profile("quick", max_examples=25, **_COMMON)
settings.register_profile("ci", max_examples=100, derandomize=True, **_COMMON)
settings.register_profile("night", max_examples=5000, **_COMMON)
settings.load_profile(PROFILE)


def pytest_report_header() -> str:
    """Name everything a failure may depend on besides the code."""
    lane = [
        f"{name}={os.environ[name]}"
        for name in ("NUMBA_DISABLE_JIT", "NUMBA_BOUNDSCHECK")
        if name in os.environ
    ]
    return f"vntape: profile {PROFILE}, seed {SEED}, {' '.join(lane) or 'native'}"


@pytest.fixture
def seed(record_property: pytest.FixtureRequest) -> int:
    """Return the one integer a random test starts from; kept in the test's report."""
    record_property("seed", SEED)
    return SEED
