"""What a client may be told, checked frame by frame: the numbering of docs/client-protocol.md.

Within a connection the rows of a key are numbered without a break: a frame that is news of n rows
has the number of the last one plus n. Over connections a number never stands for two rows, and a
restart of anything never takes back a row while the epoch stays.

Faults are sentences, not exceptions: a run of many hours shall tell all of them.
"""

from dataclasses import dataclass
from typing import Any, Final

FAULTS_KEPT: Final = 50


@dataclass(slots=True)
class Known:
    """The last row of a topic, whichever connection told it."""

    epoch: str
    seq: int
    data: dict[str, Any]


class RowChecker:
    """Takes every data frame and every notice of a gap.

    Attributes
    ----------
    rows
        Topic -> its last row. While a new connection shows a row that is older than one we know,
        the one we know stays here.
    faults
        The first sentences about what was wrong; `fault_count` is the number of all.
    row_count
        Rows that frames were news of, each counted once.
    lost_rows
        Rows of topics in mode all that were lost inside vntape after a notice that said so.
    old_rows
        Frames of a connection that told less than an earlier connection had: never wrong, but a
        client goes back in time.
    gaps
        Notices by reason.
    """

    def __init__(self) -> None:
        self.rows: dict[str, Known] = {}
        self.faults: list[str] = []
        self.fault_count = 0
        self.row_count = 0
        self.lost_rows = 0
        self.old_rows = 0
        self.gaps: dict[str, int] = {}
        self._every: frozenset[str] = frozenset()  # channels that are followed row by row
        self._topics: dict[int, tuple[str, str, bool]] = {}  # ch -> topic, epoch, row by row
        self._seq: dict[int, int] = {}
        self._bus_gap = False

    def connected(self, every_row: frozenset[str]) -> None:
        """Begin a connection.

        Parameters
        ----------
        every_row
            Channels that it has in mode all.
        """
        self._every = every_row
        self._topics.clear()
        self._seq.clear()
        self._bus_gap = False

    def take(self, message: dict[str, Any]) -> None:
        """Take a frame of any kind; those without rows are passed over."""
        op = message["op"]
        if op == "d":
            self._delta(message)
        elif op == "snap":
            self._snap(message)
        elif op == "gap":
            self.gaps[message["reason"]] = self.gaps.get(message["reason"], 0) + 1
            self._bus_gap |= message["reason"] == "bus"

    def _delta(self, message: dict[str, Any]) -> None:
        ch, seq, n = message["ch"], message["seq"], message["n"]
        known = self._topics.get(ch)
        if known is None:
            self._fault(f"a row of channel key {ch} before any snap")
            return
        topic, epoch, every_row = known
        last = self._seq[ch]
        if n < 1 or seq - n != last:
            self._fault(f"{topic}: row {seq} is news of {n}, but the last one was {last}")
        elif every_row and n > 1:
            if self._bus_gap:
                self.lost_rows += n - 1
            else:
                self._fault(f"{topic}: {n} rows at once in mode all, up to {seq}, without a gap")
        self._seq[ch] = seq
        self.row_count += max(n, 0)
        self._keep(topic, epoch, seq, message["data"])

    def _snap(self, message: dict[str, Any]) -> None:
        ch, topic, epoch = message["ch"], message["topic"], message["epoch"]
        seq, n = message["seq"], message["n"]
        before = self._topics.get(ch)
        if n not in (0, seq):
            self._fault(f"{topic}: the first row shown is {seq}, and news of {n}")
        if before is not None and before[:2] == (topic, epoch):
            self._fault(f"{topic}: shown anew within one connection and epoch, at {seq}, n {n}")
        self._topics[ch] = topic, epoch, topic.rpartition(".")[0] in self._every
        self._seq[ch] = seq
        self.row_count += n
        self._keep(topic, epoch, seq, message["data"])

    def _keep(self, topic: str, epoch: str, seq: int, data: dict[str, Any]) -> None:
        known = self.rows.get(topic)
        if known is None or known.epoch != epoch:
            self.rows[topic] = Known(epoch, seq, data)
        elif seq > known.seq:
            known.seq, known.data = seq, data
        elif seq < known.seq:
            self.old_rows += 1
        elif data != known.data:
            wrong = [
                name for name in data.keys() | known.data if data.get(name) != known.data.get(name)
            ]
            self._fault(f"{topic}: two different rows {seq} of one epoch, in {sorted(wrong)}")

    def _fault(self, text: str) -> None:
        self.fault_count += 1
        if len(self.faults) < FAULTS_KEPT:
            self.faults.append(text)
