"""The refresh token on disk: private, whole, and never another key's."""

import pytest

from engine.feed.refresh_file import RefreshFile, RefreshToken
from engine.feed.source import FeedError

TOKEN = RefreshToken("refresh-token-000001", 1_800_000_000)


def test_what_is_stored_is_loaded(tmp_path):
    path = tmp_path / "deep" / "er" / "refresh.json"
    RefreshFile(path, "key").store(TOKEN)
    assert RefreshFile(path, "key").load() == TOKEN
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_newer_one_replaces_it_whole(tmp_path):
    file = RefreshFile(tmp_path / "refresh.json", "key")
    file.store(TOKEN)
    file.store(RefreshToken("b"))
    assert file.load() == RefreshToken("b", 0)


def test_another_keys_token_is_left_alone(tmp_path):
    path = tmp_path / "refresh.json"
    RefreshFile(path, "key").store(TOKEN)
    assert RefreshFile(path, "other").load() is None
    assert RefreshFile(path, "key").load() == TOKEN


def test_cleared_is_gone_and_clearing_twice_is_fine(tmp_path):
    file = RefreshFile(tmp_path / "refresh.json", "key")
    file.store(TOKEN)
    file.clear()
    file.clear()
    assert file.load() is None


def test_without_a_path_nothing_is_kept(tmp_path):
    file = RefreshFile(None, "key")
    file.store(TOKEN)
    assert file.load() is None
    file.clear()


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"key":1}', '{"refresh_token":"x"}'])
def test_a_torn_or_foreign_file_is_no_token(tmp_path, text):
    path = tmp_path / "refresh.json"
    path.write_text(text)
    path.chmod(0o600)
    assert RefreshFile(path, "key").load() is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_open_to_others_is_refused_and_named(tmp_path, mode):
    path = tmp_path / "refresh.json"
    RefreshFile(path, "key").store(TOKEN)
    path.chmod(mode)
    with pytest.raises(FeedError, match=r"refresh\.json is open to others .*chmod 600") as caught:
        RefreshFile(path, "key").load()
    assert TOKEN.text not in str(caught.value)


def test_a_folder_in_its_place_is_told(tmp_path):
    (tmp_path / "refresh.json").mkdir(mode=0o700)
    file = RefreshFile(tmp_path / "refresh.json", "key")
    with pytest.raises(FeedError, match="cannot be read"):
        file.load()
    with pytest.raises(OSError):
        file.store(TOKEN)
    file.clear()
    assert [each.name for each in tmp_path.iterdir()] == ["refresh.json"]


def test_repr_shows_no_token():
    assert TOKEN.text not in repr(TOKEN)
