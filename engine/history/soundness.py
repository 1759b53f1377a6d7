"""Which files of a question can be trusted: damaged ones are left out, and told."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from engine.history import files
from engine.history.catalogue import Damage, File

READ_BYTES_MAX: Final = 268_435_456  # of files not known yet, for one question
KNOWN_MAX: Final = 16_384  # files remembered; beyond it all are forgotten, and read again


class Soundness:
    """Remembers which files were whole when they were last read.

    A file's length is looked at for every question. The whole of it is read once: for the newest
    files first, and a bounded number of bytes per question, so that the first question to a long
    history need not read all of it.

    Parameters
    ----------
    root
        ``<data_dir>/history``.
    """

    def __init__(self, root: Path, *, read_bytes_max: int = READ_BYTES_MAX) -> None:
        self.root = root
        self._read_bytes_max = read_bytes_max
        self._sound: set[tuple[str, int, tuple[int, ...]]] = set()

    def sort(
        self, wanted: Iterable[File], *, thorough: bool = False
    ) -> tuple[list[File], list[Damage]]:
        """Tell sound files from damaged ones.

        Parameters
        ----------
        wanted
            Oldest first.
        thorough
            Read them all, whatever was known and however long it takes.

        Returns
        -------
        tuple
            Sound files in their order, and what is wrong with the others.
        """
        wanted = list(wanted)
        if len(self._sound) > KNOWN_MAX:
            self._sound.clear()
        good, damage = [], []
        left_bytes = self._read_bytes_max
        for file in reversed(wanted):
            identity = (file.path, file.size_bytes, file.checksums)
            known = identity in self._sound and not thorough
            if known or (left_bytes < file.size_bytes and not thorough):
                found = files.size_damage(self.root, file)
            else:
                left_bytes -= file.size_bytes
                found = files.damage_of(self.root, file)
                if found is None:
                    self._sound.add(identity)
            if found is None:
                good.append(file)
            else:
                self._sound.discard(identity)
                damage.append(found)
        return good[::-1], damage[::-1]
