"""``vntape token``: the file it writes, and what it refuses."""

import stat
import threading
from datetime import date

import pytest

from engine.__main__ import main
from engine.process import EX_CONFIG
from engine.tokens import TokenBook, parse
from tests.test_tokens import HEX, entry, write


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tokens.toml"


@pytest.fixture
def vntape(path, capsys):
    def call(*words, code=0):
        assert main(["token", *words, "--set", f"gateway.tokens_file={path}"]) == code
        shown = capsys.readouterr()
        return shown.err if code else shown.out

    return call


def test_a_token_is_made_listed_and_removed(path, vntape):
    secret = vntape("new", "desk-1", "--scope", "trade.*", "--scope", "quote.VN30F*").strip()
    vntape("new", "desk-2", "--scope", "*", "--expires", "2999-12-31")
    book = TokenBook.load(path)
    assert book.find(secret).scopes == ("trade.*", "quote.VN30F*")
    assert [token.expires for token in book.tokens] == [None, date(2999, 12, 31)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secret not in path.read_text()
    assert vntape("ls").splitlines() == [
        "desk-1  no end  trade.* quote.VN30F*",
        "desk-2  until 2999-12-31  *",
    ]
    vntape("rm", "desk-1")
    assert vntape("ls") == "desk-2  until 2999-12-31  *\n"
    assert TokenBook.load(path).find(secret) is None
    vntape("rm", "desk-2")
    assert vntape("ls") == ""
    assert [each.name for each in path.parent.iterdir()] == ["tokens.toml"]


def test_what_people_wrote_into_the_file_stays(path, vntape):
    mine = "# ours\n" + entry("a", "1", more="# of a\n") + "# about b\n" + entry("b", "2")
    write(path, mine.rstrip("\n"))  # the last line has no end
    vntape("new", "c", "--scope", "trade.FPT")
    assert path.read_text().startswith(mine.rstrip("\n"))
    vntape("rm", "a")
    left = path.read_text()
    assert left.startswith("# ours\n# about b\n[tokens.b]")
    assert [token.name for token in parse(left, "")] == ["b", "c"]
    assert vntape("ls").splitlines()[1] == "c  no end  trade.FPT"


def test_an_expired_token_is_listed_as_such(path, vntape):
    write(path, entry("old", more="expires = 2020-01-01"))
    assert vntape("ls") == "old  until 2020-01-01  EXPIRED  trade.*\n"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("new", "a b", "--scope", "*"), "letters, digits"),
        (("new", "x", "--scope", "tarde.*"), "did you mean trade.*?"),
        (("new", "x", "--scope", "trade"), "did you mean trade.*?"),
        (("new", "x", "--scope", "symbol.*"), "--scope 'symbol.*'"),
        (("new", "x", "--scope", "trade.*", "--scope", "trade.F PT"), "--scope 'trade.F PT'"),
        (("new", "x", "--scope", "*", "--expires", "tomorrow"), "such as 2027-01-31"),
        (("new", "x", "--scope", "*", "--expires", "2020-01-01"), "is over: today is"),
        (("new", "desk-1", "--scope", "*"), "there is a token desk-1 already"),
        (("rm", "desk-7"), "no token 'desk-7'; there are: desk-1"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(path, vntape, words, hint):
    write(path, entry("desk-1"))
    before = path.read_bytes()
    assert hint in vntape(*words, code=EX_CONFIG)
    assert path.read_bytes() == before


def test_entries_that_cannot_be_told_apart_are_left_to_people(path, vntape):
    write(path, f'tokens.a.hash = "sha256:{HEX}"\ntokens.a.scopes = ["*"]\n')
    assert "remove them by hand" in vntape("rm", "a", code=EX_CONFIG)
    write(path, entry("a", more="expires = 2999-01-01  # \u2028[x") + entry("b", "2"))
    vntape("rm", "a")  # one line to TOML, two to Python
    assert vntape("ls") == "b  no end  trade.*\n"
    write(path, entry('"a"'))
    vntape("rm", "a")
    assert vntape("ls") == ""


def test_the_command_says_what_is_missing(path, vntape, capsys, tmp_path):
    assert main(["token", "ls"]) == EX_CONFIG
    assert "gateway.tokens_file is not set" in capsys.readouterr().err
    assert "does not exist" in vntape("ls", code=EX_CONFIG)
    assert "does not exist" in vntape("rm", "a", code=EX_CONFIG)
    nowhere = f"gateway.tokens_file={tmp_path}/none/tokens.toml"
    assert main(["token", "new", "a", "--scope", "*", "--set", nowhere]) == EX_CONFIG
    assert "No such file or directory" in capsys.readouterr().err


def test_a_link_to_the_file_stays_a_link(path, vntape, tmp_path):
    real = tmp_path / "real.toml"
    write(real, entry("desk-1"))
    path.symlink_to(real)
    vntape("new", "desk-2", "--scope", "*")
    assert path.is_symlink()
    assert [token.name for token in TokenBook.load(real).tokens] == ["desk-1", "desk-2"]


def test_two_who_add_tokens_at_once_lose_none(path):
    words = ["--scope", "*", "--set", f"gateway.tokens_file={path}"]
    threads = [
        threading.Thread(target=main, args=(["token", "new", f"desk-{n}", *words],))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = {token.name for token in TokenBook.load(path).tokens}
    assert names == {f"desk-{n}" for n in range(8)}
