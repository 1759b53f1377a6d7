"""The refresh token of FastConnect v3 on disk, so that a restart needs no new OTP.

One JSON object in a file only its owner can read. It names the key it belongs to by a
fingerprint: a file of another key is not used, or its session would be ended.
"""

import contextlib
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from engine.feed.source import FeedError

MODE = 0o600
FINGERPRINT_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """One refresh token: used once, then replaced by the one in the answer.

    Parameters
    ----------
    text
        The token.
    expires_s
        UTC seconds; 0 when unknown.
    """

    text: str = field(repr=False)
    expires_s: int = 0


class RefreshFile:
    """Where the present refresh token is kept.

    Parameters
    ----------
    path
        The file, or None to keep nothing.
    api_key
        Whose token it is.
    """

    def __init__(self, path: Path | None, api_key: str) -> None:
        self._path = path
        self._key = hashlib.sha256(api_key.encode()).hexdigest()[:FINGERPRINT_CHARACTERS]

    def load(self) -> RefreshToken | None:
        """Return the token, or None when there is no file or it is not this key's.

        Raises
        ------
        FeedError
            The file is open to others, or cannot be read.
        """
        if self._path is None:
            return None
        try:
            mode = self._path.stat().st_mode & 0o077
            if mode:
                raise FeedError(
                    f"token file {self._path} is open to others (mode bits {mode:03o}): "
                    f"chmod 600 it"
                )
            kept = orjson.loads(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except orjson.JSONDecodeError:
            return None  # torn or foreign: the next login replaces it
        except OSError as error:
            raise FeedError(f"token file {self._path} cannot be read: {error.strerror}") from None
        if not isinstance(kept, dict) or kept.get("key") != self._key:
            return None
        text, expires_s = kept.get("refresh_token"), kept.get("expires_s")
        if not isinstance(text, str) or not text or not isinstance(expires_s, int):
            return None
        return RefreshToken(text, expires_s)

    def store(self, token: RefreshToken) -> None:
        """Replace the file whole. It is never readable by others, not even while it is written.

        Raises
        ------
        OSError
            It could not be written.
        """
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        document = {"key": self._key, "refresh_token": token.text, "expires_s": token.expires_s}
        draft.unlink(missing_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, MODE)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(orjson.dumps(document))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise

    def clear(self) -> None:
        """Forget the token: the server will not take it any more."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
