"""What may be shown of a text that came from outside: one line, of bounded length, no secret."""

import re
import string
from collections import deque
from urllib.parse import quote

TEXT_CHARACTERS_MAX = 200
SECRET_CHARACTERS_MIN = 6  # SSI's have 32; a toy key is not cut out of ordinary words
PASSING_SECRETS_MAX = 8
COVER = "***"
LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)  # changes no length

# A token we have not been told about looks like this: JSON's "{" and a quote, in base64.
JWT = re.compile(r"eyJ[\w+/=-]{8,}(?:\.[\w+/=-]*){0,2}", re.ASCII)


class Redactor:
    """Knows the secrets of one feed. `repr` shows none.

    Parameters
    ----------
    secrets
        Those that never change: the key and its secret.
    """

    def __init__(self, *secrets: str) -> None:
        self._lasting = [one for one in secrets if len(one) >= SECRET_CHARACTERS_MIN]
        self._passing: deque[str] = deque(maxlen=PASSING_SECRETS_MAX)

    def __repr__(self) -> str:
        return f"Redactor({len(self._lasting) + len(self._passing)} secrets)"

    def hide(self, secret: str) -> None:
        """Cover one more secret: a token. The last few are remembered."""
        if secret in self._passing:
            self._passing.remove(secret)  # it is in use again: others go first
        if len(secret) >= SECRET_CHARACTERS_MIN:
            self._passing.append(secret)

    def clean(self, text: str) -> str:
        """Return `text` in one line, cut, with every known secret and every token covered.

        A secret is found in any case and also as it is spelled in a URL.
        """
        spellings = {s for one in (*self._lasting, *self._passing) for s in (one, quote(one, ""))}
        for spelling in sorted(spellings, key=len, reverse=True):  # no secret may hide a longer one
            text = _cover(text, spelling)
        return " ".join(JWT.sub(COVER, text).split())[:TEXT_CHARACTERS_MAX]


def _cover(text: str, secret: str) -> str:
    """Replace a secret in any case. Not by a pattern: `re` would keep it in its cache."""
    lowered, wanted = text.translate(LOWER), secret.translate(LOWER)
    parts, start = [], 0
    while (found := lowered.find(wanted, start)) >= 0:
        parts += [text[start:found], COVER]
        start = found + len(wanted)
    return "".join([*parts, text[start:]])
