"""What tests of the feed share."""

import pytest

from tests.feed.simulated import SECRET


@pytest.fixture
def no_secret_is_logged(caplog):
    """Record what any library logs at any level, and show that it holds no secret."""
    caplog.set_level(1)
    yield
    for record in caplog.get_records("call"):
        text = record.getMessage()
        assert SECRET not in text
        assert "Bearer" not in text
        assert "connectionToken" not in text
