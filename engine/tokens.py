"""Who may connect: tokens of clients, stored as hashes in one TOML file of mode 0600.

    [tokens.desk-1]
    hash = "sha256:6f1c..."            # of the secret; `vntape token new` prints the secret once
    scopes = ["trade.*", "quote.*"]    # topics, as clients name them
    expires = 2027-01-01               # may be missing; the last day it is good, UTC+7

A secret is 256 random bits. Nobody can guess or list those, so one plain SHA-256 protects them as
well as a slow password hash would, and a flood of wrong tokens costs the event loop nothing.
"""

import datetime
import hashlib
import hmac
import os
import re
import secrets
import stat
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from engine.clock import Clock, SystemClock, trade_day
from engine.errors import ConfigError

MARK: Final = "vnt_"  # every secret begins so: people and scanners know one when they see it
RANDOM_BYTES: Final = 32
TOKENS_MAX: Final = 1_000
FILE_BYTES_MAX: Final = 1_048_576
LOOK_NS: Final = 1_000_000_000  # the file is looked at once a second at most
SECOND_NS: Final = 1_000_000_000
EPOCH: Final = datetime.date(1970, 1, 1)

NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
HASH = re.compile(r"sha256:([0-9a-f]{64})")
SCOPE = re.compile(r'\*|[a-z][a-z0-9_.]{0,31}\.(?:[^\s"\\*]{1,31}\*?|\*)', re.ASCII)


@dataclass(frozen=True, slots=True)
class Token:
    """One entry of the file. `repr` shows no hash."""

    name: str
    scopes: tuple[str, ...]
    digest: bytes = field(repr=False)  # SHA-256 of the secret, 32 bytes
    expires: datetime.date | None = None  # the last day it is good, UTC+7

    def expired(self, now_ns: int) -> bool:
        """Return whether its last day is over."""
        if self.expires is None:
            return False
        return trade_day(now_ns // SECOND_NS) > (self.expires - EPOCH).days


def new_secret() -> str:
    """Return a secret nobody has: 256 random bits in characters that fit an HTTP header."""
    return MARK + secrets.token_urlsafe(RANDOM_BYTES)


def digest_of(secret: str) -> bytes:
    """Return what is stored of a secret: its SHA-256, 32 bytes."""
    # Whatever a client sends must be hashed and found wrong, a lone surrogate too.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


class TokenBook:
    """The tokens of one reading of the file.

    Parameters
    ----------
    tokens
        The entries.
    clock
        Tells which have expired; the machine's by default.
    """

    def __init__(self, tokens: Iterable[Token], clock: Clock | None = None) -> None:
        self.tokens = tuple(tokens)
        self._clock = clock or SystemClock()

    @classmethod
    def load(cls, path: Path | str, clock: Clock | None = None) -> "TokenBook":
        """Read the file.

        Raises
        ------
        ConfigError
            It is missing, open to others, or holds what is no token. Never quotes a hash.
        """
        path = Path(path).expanduser()
        return cls(parse(read_private(path), path.name), clock)

    def __repr__(self) -> str:
        return f"TokenBook({len(self.tokens)} tokens)"

    def find(self, secret: str) -> Token | None:
        """Return the token of a secret, or None: it is unknown, or has expired.

        Every entry is compared, in a time that says nothing about which one was nearly right.
        """
        digest = digest_of(secret)
        found: Token | None = None
        for token in self.tokens:
            if hmac.compare_digest(token.digest, digest):
                found = token
        if found is None or found.expired(self._clock.now_ns()):
            return None
        return found

    def current(self, token: Token) -> Token | None:
        """Return the entry that has this token's name and secret today, or None: it is revoked."""
        for entry in self.tokens:
            if entry.name == token.name and hmac.compare_digest(entry.digest, token.digest):
                return None if entry.expired(self._clock.now_ns()) else entry
        return None


class LiveTokens:
    """The file as it is now: read again when it changes, looked at once a second at most.

    A new file that cannot be read changes nothing: the tokens known before stay good, and
    `on_trouble` is told once why.

    Parameters
    ----------
    path
        The tokens file.
    on_trouble
        Called with a sentence for the log.
    clock
        The machine's by default.

    Raises
    ------
    ConfigError
        The file cannot be used; only here, at the start.
    """

    def __init__(
        self, path: Path | str, on_trouble: Callable[[str], None], clock: Clock | None = None
    ) -> None:
        self._path = Path(path).expanduser()
        self._on_trouble = on_trouble
        self._clock = clock or SystemClock()
        self._trouble = ""
        # Looked at before it is read: a change in between is found the next time.
        self._seen = self._look()
        self._looked_ns = self._clock.now_ns()
        self._book = TokenBook.load(self._path, self._clock)

    def __repr__(self) -> str:
        return f"LiveTokens({len(self._book.tokens)} tokens)"

    def find(self, secret: str) -> Token | None:
        """Return the token of a secret, or None (see `TokenBook.find`)."""
        self._refresh()
        return self._book.find(secret)

    def current(self, token: Token) -> Token | None:
        """Return a connected client's token as the file has it now, None once it is revoked.

        Ask once a second per client: scopes may have changed, too.
        """
        self._refresh()
        return self._book.current(token)

    def _refresh(self) -> None:
        now_ns = self._clock.now_ns()
        if abs(now_ns - self._looked_ns) < LOOK_NS:
            return
        self._looked_ns = now_ns
        look = self._look()
        if look == self._seen:
            self._trouble = ""  # gone and back: if it goes again, that is news
            return
        try:
            self._book = TokenBook.load(self._path, self._clock)
        except ConfigError as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._on_trouble(f"{error}; the tokens read before stay in force")
        else:
            self._seen, self._trouble = look, ""

    def _look(self) -> tuple[int, ...]:
        try:
            found = self._path.stat()
        except OSError:
            return ()
        return (found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)


def read_private(path: Path) -> str:
    """Return the text of a file that only its owner can read.

    Raises
    ------
    ConfigError
        It is missing, open to others, or no text file of a sane size.
    """
    try:
        # A pipe somebody put there must not keep the gateway waiting.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            facts = os.fstat(file.fileno())
            data = file.read(FILE_BYTES_MAX + 1) if stat.S_ISREG(facts.st_mode) else b""
    except FileNotFoundError:
        raise ConfigError(
            f"tokens file {path} does not exist: `vntape token new NAME --scope 'trade.*'` makes it"
        ) from None
    except OSError as error:
        raise ConfigError(f"tokens file {path} cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(facts.st_mode):
        raise ConfigError(f"tokens file {path} is no ordinary file")
    mode = facts.st_mode & 0o077
    if mode:
        raise ConfigError(
            f"tokens file {path} is open to others (mode bits {mode:03o}): chmod 600 it"
        )
    if len(data) > FILE_BYTES_MAX:
        raise ConfigError(f"tokens file {path} has more than {FILE_BYTES_MAX} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ConfigError(f"tokens file {path} is not UTF-8") from None


def parse(text: str, file_name: str) -> tuple[Token, ...]:
    """Return the entries of a tokens file.

    Parameters
    ----------
    text
        TOML.
    file_name
        For the errors.

    Raises
    ------
    ConfigError
        Says which entry and field, and what would be right. Never quotes a hash.
    """
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # The message may quote the line; only the place is told.
        place = re.search(r"at (line \d+, column \d+|end of document)", str(error))
        where = f" at {place[1]}" if place else ""
        raise ConfigError(f"tokens file {file_name} is no TOML{where}") from None
    entries = tree.pop("tokens", {})
    if tree or not isinstance(entries, dict):
        raise ConfigError(f"tokens file {file_name} holds [tokens.NAME] tables and nothing else")
    if len(entries) > TOKENS_MAX:
        raise ConfigError(
            f"tokens file {file_name} has {len(entries)} tokens, at most {TOKENS_MAX}"
        )
    tokens = tuple(_entry(name, entry, file_name) for name, entry in entries.items())
    owners: dict[bytes, str] = {}
    for token in tokens:
        other = owners.setdefault(token.digest, token.name)
        if other != token.name:
            raise ConfigError(
                f"tokens file {file_name}: {other} and {token.name} have the same hash; "
                "a secret has one owner"
            )
    return tokens


def _entry(name: str, entry: Any, file_name: str) -> Token:
    def need(good: object, text: str) -> None:
        if not good:
            raise ConfigError(f"tokens file {file_name}: {text}")

    need(NAME.fullmatch(name), "a name is 1 to 32 of letters, digits, - and _")
    need(isinstance(entry, dict), f"{name} is no table: write [tokens.{name}]")
    unknown = entry.keys() - {"hash", "scopes", "expires"}
    need(not unknown, f"{name} has a key besides hash, scopes and expires")
    text, scopes, expires = entry.get("hash"), entry.get("scopes"), entry.get("expires")
    match = HASH.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ConfigError(
            f'tokens file {file_name}: {name} needs hash = "sha256:" and 64 hexadecimal digits'
        )
    need(isinstance(scopes, list) and scopes, f'{name} needs scopes, such as ["trade.*"]')
    for number, scope in enumerate(scopes or [], 1):
        need(
            isinstance(scope, str) and SCOPE.fullmatch(scope),
            f"{name}: scope {number} is no topic; write *, trade.*, trade.VN30* or trade.FPT",
        )
    # A moment is a date to Python, not to us.
    need(
        expires is None or type(expires) is datetime.date,
        f"{name}: expires is a date without quotes or a time, such as 2027-01-31",
    )
    return Token(name, tuple(scopes or ()), bytes.fromhex(match[1]), expires)
