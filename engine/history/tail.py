"""The recorder's unwritten rows, asked for over a local socket.

    request   one frame: JSON {"tables": ["trades", ...]}
    answer    JSON {"day", "seqs": {shard: [from_seq, to_seq]}, "tables": [...]}
              then one Arrow IPC stream for each table, in that order

The recorder answers with all rows of the slots from_seq to to_seq - 1: exactly what no commit had
when it answered. So who reads first the tail and then the commits, and takes only commits up to
from_seq, has every row once.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import zmq

from engine.errors import ConfigError

REQUESTS_PER_SERVE_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class Tail:
    """Rows that are in no commit.

    Attributes
    ----------
    day
        Their trading day, days since 1970-01-01.
    seqs
        Shard -> (from_seq, to_seq): rows of these slots; from_seq is the shard's committed_seq.
    tables
        Table name -> rows, columns as ``tables.to_arrow`` gives them; absent means none.
    """

    day: int
    seqs: Mapping[int, tuple[int, int]]
    tables: Mapping[str, pa.Table] = field(default_factory=dict)


def pack(tail: Tail) -> list[bytes]:
    """Return the frames of an answer."""
    head = {
        "day": tail.day,
        "seqs": {str(shard): list(seqs) for shard, seqs in tail.seqs.items()},
        "tables": list(tail.tables),
    }
    frames = [json.dumps(head).encode()]
    for rows in tail.tables.values():
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema) as stream:
            stream.write_table(rows.unify_dictionaries())
        frames.append(sink.getvalue().to_pybytes())
    return frames


def unpack(frames: Sequence[bytes | memoryview]) -> Tail:
    """Return the tail of an answer.

    Raises
    ------
    ValueError
        It is no such answer.
    """
    try:
        head = json.loads(bytes(frames[0]))
        names = head["tables"]
        tables = {
            name: pa.ipc.open_stream(frame).read_all()
            for name, frame in zip(names, frames[1:], strict=True)
        }
        seqs = {int(shard): (first, last) for shard, (first, last) in head["seqs"].items()}
        return Tail(head["day"], seqs, tables)
    except (KeyError, IndexError, TypeError, AttributeError, pa.ArrowInvalid) as error:
        raise ValueError(f"no answer of a recorder: {error!r}") from None


class TailServer:
    """The recorder's side. Never waits for anybody.

    Parameters
    ----------
    context
        ZeroMQ context of the process.
    endpoint
        ``ipc://`` (or ``inproc://``) address; bound here.

    Attributes
    ----------
    requests
        Answered since the start.

    Raises
    ------
    ConfigError
        The endpoint is taken.
    """

    def __init__(self, context: "zmq.Context[Any]", endpoint: str) -> None:
        self.requests = 0
        self._socket = context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            self._socket.close()
            raise ConfigError(
                f"the recorder cannot bind {endpoint} ({error.strerror}): is another instance "
                "using it?"
            ) from None

    @property
    def fd(self) -> int:
        """Descriptor that becomes readable when `serve` may have work; edge-triggered."""
        return int(self._socket.getsockopt(zmq.FD))

    def serve(self, answer: Callable[[list[str]], Tail | None]) -> int:
        """Answer what waits, a bounded number.

        Parameters
        ----------
        answer
            Table names -> their tail, or None: not now, ask without us. Unknown names are to be
            left out.

        Returns
        -------
        int
            Requests answered; call again until it is 0 before sleeping on `fd`.
        """
        for served in range(REQUESTS_PER_SERVE_MAX):
            try:
                asker, *rest = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return served
            self.requests += 1
            names = _asked(rest[-1] if rest else b"")
            tail = answer(names) if names is not None else None
            frames = pack(tail) if tail is not None else [b"{}"]
            try:
                self._socket.send_multipart([asker, *rest[:-1], *frames], zmq.NOBLOCK)
            except zmq.Again:
                pass  # an asker that does not read gets nothing, and will say so itself
        return REQUESTS_PER_SERVE_MAX

    def close(self) -> None:
        """Release the endpoint."""
        self._socket.close()


def _asked(request: bytes) -> list[str] | None:
    try:
        names = json.loads(request)["tables"]
    except (ValueError, KeyError, TypeError):
        return None
    return names if isinstance(names, list) and all(isinstance(n, str) for n in names) else None


class TailClient:
    """Asks the recorder; an answer that does not come is None, and no error.

    Parameters
    ----------
    context
        ZeroMQ context of the process.
    endpoint
        Where the recorder answers; need not exist yet.
    timeout_ms
        Longest wait for one answer.

    Attributes
    ----------
    missing
        Times there was no answer.
    """

    def __init__(
        self, context: "zmq.Context[Any]", endpoint: str, *, timeout_ms: int = 1_000
    ) -> None:
        self.missing = 0
        self._context = context
        self._endpoint = endpoint
        self._timeout_ms = timeout_ms
        self._socket: zmq.Socket[bytes] | None = None

    def __call__(self, names: Sequence[str]) -> Tail | None:
        """Return the unwritten rows of some tables; None without a recorder."""
        if self._socket is None:
            self._socket = self._context.socket(zmq.REQ)
            self._socket.setsockopt(zmq.LINGER, 0)
            self._socket.connect(self._endpoint)
        self._socket.send(json.dumps({"tables": list(names)}).encode())
        try:
            if self._socket.poll(self._timeout_ms):
                return unpack(self._socket.recv_multipart())
        except ValueError:
            pass
        self.missing += 1
        self.close()  # a late answer must not be taken for that of the next question
        return None

    def close(self) -> None:
        """Forget the connection; the next question makes a new one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
