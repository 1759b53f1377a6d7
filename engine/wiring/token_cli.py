"""``vntape token``: make, list and remove tokens of clients.

The file is replaced, never changed in place: gateways read the old one or the new one. Comments and
the order of what people wrote there stay.
"""

import argparse
import contextlib
import datetime
import difflib
import fcntl
import io
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from engine.clock import Clock, SystemClock, trade_day
from engine.config import Config
from engine.errors import ConfigError
from engine.schema.channels import CHANNELS
from engine.tokens import (
    EPOCH,
    NAME,
    SCOPE,
    SECOND_NS,
    TokenBook,
    digest_of,
    new_secret,
    parse,
    read_private,
)

OWNER_ONLY: Final = 0o600
LOCK_WAIT_S: Final = 5.0
LOCK_TURN_S: Final = 0.05
HEAD: Final = "# Who may connect to vntape: see `vntape token --help`. Holds hashes, no secrets.\n"
CHANNEL_NAMES: Final = [channel.name for channel in CHANNELS if channel.public]


def run(config: Config, args: argparse.Namespace, clock: Clock | None = None) -> int:
    """Do one word.

    Raises
    ------
    ConfigError
        gateway.tokens_file is not set or cannot be used, or an argument makes no sense.
    """
    if not config.gateway.tokens_file:
        raise ConfigError(
            "gateway.tokens_file is not set: name a file in the configuration, or say "
            "--set gateway.tokens_file=FILE"
        )
    # A link is followed, or replacing the file would replace the link.
    path = Path(config.gateway.tokens_file).expanduser().resolve()
    clock = clock or SystemClock()
    if args.action == "new":
        return _new(path, args.name, args.scopes, _last_day(args.expires, clock))
    if args.action == "rm":
        return _remove(path, args.name)
    return _list(path, clock)


def _new(path: Path, name: str, scopes: list[str], expires: datetime.date | None) -> int:
    if not NAME.fullmatch(name):
        raise ConfigError(f"token name {name!r}: use 1 to 32 of letters, digits, - and _")
    for scope in scopes:
        _check_scope(scope)
    secret = new_secret()
    entry = (
        f'[tokens.{name}]\nhash = "sha256:{digest_of(secret).hex()}"\n'
        f"scopes = {json.dumps(list(dict.fromkeys(scopes)))}\n"
        + (f"expires = {expires.isoformat()}\n" if expires else "")
    )

    def with_entry(text: str) -> str:
        if name in (token.name for token in parse(text, path.name)):
            raise ConfigError(
                f"there is a token {name} already: choose another name, or remove it with "
                f"`vntape token rm {name}`"
            )
        return text + ("" if text.endswith("\n") else "\n") + "\n" + entry

    _change(path, with_entry, create=True)
    print(secret)
    print(
        f"This is the secret of {name}. It is not kept and cannot be shown again. "
        "Running gateways take it within a second.",
        file=sys.stderr,
    )
    return 0


def _remove(path: Path, name: str) -> int:
    def without_entry(text: str) -> str:
        before = parse(text, path.name)
        if name not in (token.name for token in before):
            known = ", ".join(token.name for token in before) or "none"
            raise ConfigError(f"there is no token {name!r}; there are: {known}")
        lines = io.StringIO(text, newline="").readlines()  # TOML's idea of a line, not str's
        head = re.compile(rf"""\s*\[\s*tokens\s*\.\s*(["']?){re.escape(name)}\1\s*\]\s*(#.*)?""")
        starts = [n for n, line in enumerate(lines) if head.fullmatch(line.rstrip("\r\n"))]
        if len(starts) == 1:
            below = range(starts[0] + 1, len(lines))
            end = next((n for n in below if lines[n].lstrip().startswith("[")), len(lines))
            while end < len(lines) and lines[end - 1].startswith("#"):
                end -= 1  # a comment right above the next entry is about that one
            rest = "".join(lines[: starts[0]] + lines[end:])
            left = tuple(token for token in before if token.name != name)
            with contextlib.suppress(ConfigError):
                if parse(rest, path.name) == left:
                    return rest
        raise ConfigError(
            f"tokens file {path}: cannot tell which lines are those of {name}; remove them by hand"
        )

    _change(path, without_entry, create=False)
    print(f"{name} is removed; gateways cut its clients off within a second", file=sys.stderr)
    return 0


def _list(path: Path, clock: Clock) -> int:
    now_ns = clock.now_ns()
    for token in TokenBook.load(path, clock).tokens:
        until = "no end" if token.expires is None else f"until {token.expires}"
        state = "  EXPIRED" if token.expired(now_ns) else ""
        print(f"{token.name}  {until}{state}  {' '.join(token.scopes)}")
    return 0


def _last_day(text: str | None, clock: Clock) -> datetime.date | None:
    if text is None:
        return None
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--expires is {text!r}, expected a date such as 2027-01-31") from None
    today = EPOCH + datetime.timedelta(days=trade_day(clock.now_ns() // SECOND_NS))
    if day < today:
        raise ConfigError(f"--expires {day} is over: today is {today}")
    return day


def _check_scope(scope: str) -> None:
    """Refuse a scope that opens nothing: the channel's name is most likely a slip."""
    name = scope.rpartition(".")[0]
    if SCOPE.fullmatch(scope) and (scope == "*" or name in CHANNEL_NAMES):
        return
    near = difflib.get_close_matches(name or scope, CHANNEL_NAMES, n=1)
    hint = f"; did you mean {near[0]}.*?" if near else f"; channels are {', '.join(CHANNEL_NAMES)}"
    raise ConfigError(f"--scope {scope!r} is no topic such as *, trade.*, or trade.VN30*{hint}")


def _change(path: Path, edit: Callable[[str], str], *, create: bool) -> None:
    """Replace the file by what `edit` makes of it, if that is a good tokens file."""
    with _locked(path.parent):
        exists = path.exists()
        text = edit(HEAD if create and not exists else read_private(path))
        parse(text, path.name)
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            _write(fresh, text, path if exists else None)
            fresh.replace(path)
        except OSError as error:
            raise ConfigError(f"tokens file {path} cannot be written: {error.strerror}") from None
        finally:
            fresh.unlink(missing_ok=True)


def _write(fresh: Path, text: str, like: Path | None) -> None:
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWNER_ONLY)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        if like is not None:  # root may edit the file of the user who runs the gateways
            owner, now = like.stat(), os.fstat(fd)
            if (owner.st_uid, owner.st_gid) != (now.st_uid, now.st_gid):
                os.fchown(fd, owner.st_uid, owner.st_gid)
        file.write(text)
        file.flush()
        os.fsync(fd)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep two editors apart. The folder is locked: the file itself is replaced."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"folder {folder} cannot be used: {error.strerror}") from None
    try:
        end_s = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end_s:
                    raise ConfigError(
                        f"somebody else is changing a tokens file in {folder}"
                    ) from None
                time.sleep(LOCK_TURN_S)
        yield
    finally:
        os.close(fd)
