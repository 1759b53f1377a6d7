"""Tokens: one secret, one hash on disk, and a file that nobody else can read."""

import os
import re
from datetime import date

import pytest

from engine import tokens
from engine.clock import ManualClock
from engine.errors import ConfigError
from engine.tokens import LiveTokens, TokenBook, digest_of, new_secret

SECRET, OTHER = "vnt_alpha", "vnt_beta"
HEX = digest_of(SECRET).hex()
DAY_NS = 86_400 * 10**9
MIDNIGHT_NS = 17 * 3600 * 10**9  # 1970-01-02 00:00 in UTC+7


def entry(name, secret=SECRET, scopes='["trade.*"]', more=""):
    return (
        f'[tokens.{name}]\nhash = "sha256:{digest_of(secret).hex()}"\nscopes = {scopes}\n{more}\n'
    )


def write(path, text, mode=0o600):
    fresh = path.with_name("fresh")
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(mode)
    fresh.replace(path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tokens.toml"


# --- the book ------------------------------------------------------------------------------------


def test_a_secret_finds_its_token_and_nothing_else_does(path):
    write(path, entry("desk-1") + entry("desk-2", OTHER, '["*", "trade.VN30*", "quote.FPT"]'))
    book = TokenBook.load(path)
    assert book.find(SECRET).name == "desk-1"
    assert book.find(OTHER).scopes == ("*", "trade.VN30*", "quote.FPT")
    for wrong in ("", "vnt_alph", "vnt_alpha ", "VNT_ALPHA", HEX, "sha256:" + HEX, "\ud800", "ế"):
        assert book.find(wrong) is None


def test_every_entry_is_compared_whichever_is_right(path, monkeypatch):
    names = [f"desk-{n}" for n in range(5)]
    write(path, "".join(entry(name, f"vnt_{name}") for name in names))
    book, compared = TokenBook.load(path), []
    real = tokens.hmac.compare_digest
    monkeypatch.setattr(
        tokens.hmac, "compare_digest", lambda a, b: compared.append(a) or real(a, b)
    )
    for secret in ("vnt_desk-0", "vnt_desk-4", "wrong"):
        compared.clear()
        book.find(secret)
        assert len(compared) == len(names), secret


def test_the_last_day_is_good_until_its_midnight_in_vietnam(path):
    write(path, entry("desk-1", more="expires = 1970-01-01"))
    clock = ManualClock()
    book = TokenBook.load(path, clock)
    token = book.find(SECRET)
    assert token.expires == date(1970, 1, 1)
    clock.advance_ns(MIDNIGHT_NS - 1)
    assert book.find(SECRET) == token == book.current(token)
    clock.advance_ns(1)
    assert book.find(SECRET) is None
    assert book.current(token) is None


def test_nothing_shows_a_hash(path):
    write(path, entry("desk-1"))
    book = TokenBook.load(path)
    live = LiveTokens(path, print)
    shown = f"{book!r} {book} {book.tokens!r} {book.find(SECRET)} {live!r} {live}"
    assert "desk-1" in shown
    assert HEX not in shown
    assert repr(digest_of(SECRET)) not in shown


def test_secrets_are_256_random_bits_that_fit_a_header():
    found = {new_secret() for _ in range(200)}
    assert len(found) == 200
    assert all(re.fullmatch(r"vnt_[A-Za-z0-9_-]{43}", secret) for secret in found)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o666])
def test_a_file_that_is_open_to_others_is_refused(path, mode):
    write(path, entry("desk-1"), mode)
    with pytest.raises(ConfigError, match=f"open to others .mode bits {mode & 0o77:03o}.*600"):
        TokenBook.load(path)


def test_files_that_are_none(path, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"does not exist.*vntape token new"):
        TokenBook.load(path)
    os.mkfifo(path, 0o600)
    with pytest.raises(ConfigError, match="no ordinary file"):
        TokenBook.load(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        TokenBook.load(tmp_path)
    path.unlink()
    path.write_bytes(b"\xff\xfe")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="not UTF-8"):
        TokenBook.load(path)
    write(path, "#" * 2_000_000)
    with pytest.raises(ConfigError, match="more than 1048576 bytes"):
        TokenBook.load(path)
    write(path, "")
    assert TokenBook.load(path).tokens == ()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert TokenBook.load("~/tokens.toml").tokens == ()


GOOD_HASH = f'hash = "sha256:{HEX}"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tokens", "no TOML at"),
        (f'[tokens.a]\nhash = "sha256:{HEX}\n', "no TOML at line 2"),
        ('port = 1\n[tokens.a]\nscopes=["*"]\n', "and nothing else"),
        ("tokens = 1", "and nothing else"),
        ("[tokens]\na = 1", "a is no table: write [tokens.a]"),
        (f'[tokens."a b"]\n{GOOD_HASH}scopes=["*"]', "a name is 1 to 32 of"),
        (f'[tokens.{"x" * 33}]\n{GOOD_HASH}scopes=["*"]', "a name is 1 to 32 of"),
        (f'[tokens.a]\n{GOOD_HASH}scopes=["*"]\nsecret="x"', "a key besides hash, scopes"),
        ('[tokens.a]\nscopes=["*"]', "64 hexadecimal digits"),
        (f'[tokens.a]\nhash = "{HEX}"\nscopes=["*"]', "64 hexadecimal digits"),
        (f'[tokens.a]\nhash = "md5:{HEX}"\nscopes=["*"]', "64 hexadecimal digits"),
        (f'[tokens.a]\nhash = "sha256:{HEX[1:]}"\nscopes=["*"]', "64 hexadecimal digits"),
        (f'[tokens.a]\nhash = "sha256:{HEX.upper()}"\nscopes=["*"]', "64 hexadecimal digits"),
        ("[tokens.a]\nhash = 1\nscopes=['*']", "64 hexadecimal digits"),
        (f"[tokens.a]\n{GOOD_HASH}", "needs scopes"),
        (f"[tokens.a]\n{GOOD_HASH}scopes = []", "needs scopes"),
        (f"[tokens.a]\n{GOOD_HASH}scopes = '*'", "needs scopes"),
        (f"[tokens.a]\n{GOOD_HASH}scopes = ['*', 1]", "scope 2 is no topic"),
        (f"[tokens.a]\n{GOOD_HASH}scopes = ['trade']", "scope 1 is no topic"),
        (f"[tokens.a]\n{GOOD_HASH}scopes = ['trade.']", "scope 1 is no topic"),
        (f"[tokens.a]\n{GOOD_HASH}scopes = ['trade.*F']", "scope 1 is no topic"),
        (f"[tokens.a]\n{GOOD_HASH}scopes = ['*.FPT']", "scope 1 is no topic"),
        (f"[tokens.a]\n{GOOD_HASH}scopes = ['trade.F PT']", "scope 1 is no topic"),
        (f"[tokens.a]\n{GOOD_HASH}scopes = ['**']", "scope 1 is no topic"),
        (f"[tokens.a]\n{GOOD_HASH}scopes = ['*']\nexpires = '2027-01-01'", "without quotes"),
        (f"[tokens.a]\n{GOOD_HASH}scopes = ['*']\nexpires = 2027-01-01T00:00:00", "a time"),
        (entry("a") + entry("b"), "a and b have the same hash"),
        ("".join(entry(f"t{n}", str(n)) for n in range(1_001)), "1001 tokens, at most 1000"),
    ],
)
def test_what_is_no_token_is_refused_whole_and_not_quoted(path, text, words):
    write(path, text)
    with pytest.raises(ConfigError) as refused:
        TokenBook.load(path)
    assert words in str(refused.value)
    assert "tokens.toml" in str(refused.value)
    assert HEX[1:] not in str(refused.value).lower()


# --- the file while it changes -------------------------------------------------------------------


class Live:
    def __init__(self, path):
        self.clock, self.said = ManualClock(10**18), []
        self.tokens = LiveTokens(path, self.said.append, self.clock)

    def after(self, seconds):
        self.clock.advance_ns(int(seconds * 10**9))
        return self.tokens


def test_a_changed_file_is_read_within_a_second_and_not_sooner(path):
    write(path, entry("desk-1"))
    live = Live(path)
    desk = live.tokens.find(SECRET)
    write(path, entry("desk-2", OTHER))
    assert live.after(0.999).find(OTHER) is None
    assert live.after(0).find(SECRET) == desk
    assert live.after(0.001).find(OTHER).name == "desk-2"
    assert live.tokens.find(SECRET) is None
    assert live.tokens.current(desk) is None, "revoked"
    assert not live.said


def test_a_connected_client_has_the_scopes_of_the_file_and_not_those_of_old(path):
    write(path, entry("desk-1"))
    live = Live(path)
    desk = live.tokens.find(SECRET)
    write(path, entry("desk-1", scopes='["quote.*"]'))
    assert live.after(1).current(desk).scopes == ("quote.*",)
    write(path, entry("desk-1", OTHER))
    assert live.after(1).current(desk) is None, "the same name, another secret"


@pytest.mark.parametrize("damage", ["broken", "open", "gone"])
def test_a_broken_new_file_changes_nothing_and_is_told_once(path, damage):
    write(path, entry("desk-1"))
    live = Live(path)
    if damage == "gone":
        path.unlink()
    else:
        write(path, "[tokens", 0o600) if damage == "broken" else path.chmod(0o644)
    for _ in range(3):
        assert live.after(1).find(SECRET).name == "desk-1"
    assert len(live.said) == 1
    assert "stay in force" in live.said[0]
    write(path, entry("desk-2", OTHER))
    assert live.after(1).find(SECRET) is None
    assert live.tokens.find(OTHER)
    write(path, "[tokens")
    live.after(1).find(OTHER)
    assert len(live.said) == 2, "new trouble is told anew"


def test_a_file_that_is_bad_at_the_start_is_refused(path):
    write(path, "[tokens")
    with pytest.raises(ConfigError, match="no TOML"):
        Live(path)


def test_a_folder_that_goes_away_twice_is_told_twice(tmp_path):
    folder, away = tmp_path / "here", tmp_path / "away"
    folder.mkdir()
    write(folder / "tokens.toml", entry("desk-1"))
    live = Live(folder / "tokens.toml")
    for told in (1, 2):
        folder.rename(away)
        assert live.after(1).find(SECRET)
        assert live.after(1).find(SECRET)
        away.rename(folder)
        assert live.after(1).find(SECRET)
        assert len(live.said) == told
