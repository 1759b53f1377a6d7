"""A shard that only publishes: rows from memory onto a real bus, for a gateway to follow.

    python -m bench.fanout_source DELTA_ENDPOINT SNAPSHOT_ENDPOINT SYMBOLS

Prints "ready", then obeys `bench.fanout_play` on stdin until that ends.
"""

import os
import select
import sys
import time
from typing import Final

import orjson
import zmq

from bench.fanout_play import COARSE_NS, Play
from bench.fanout_rows import Rows
from engine.bus.publisher import Publisher
from engine.clock import SystemClock

IDLE_S: Final = 0.005
EPOCH: Final = 1


class Source:
    """Rows, the bus, and the order that is being played."""

    def __init__(self, delta_endpoint: str, snapshot_endpoint: str, symbol_count: int) -> None:
        self.clock = SystemClock()
        self.rows = Rows(symbol_count)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.publisher = Publisher(
            self._context, delta_endpoint, snapshot_endpoint, shard=0, epoch=EPOCH
        )

    def write(self, count: int, now_ns: int) -> None:
        """Publish the next rows as one frame."""
        for channel, rows in self.rows.take(count, now_ns):
            self.publisher.add(channel, rows)
        self.publisher.flush(now_ns)

    def turn(self) -> None:
        """Do what a shard does between batches."""
        self.publisher.flush(self.clock.now_ns())
        self.publisher.serve(self.rows.latest)

    def play(self, order: str) -> dict[str, int]:
        """Obey one order."""
        play = Play(order, self.clock.now_ns())
        while play.left:
            wait_ns = play.step(self.clock, self.write)
            if play.left and wait_ns >= COARSE_NS // 10:
                self.publisher.serve(self.rows.latest)
                time.sleep(wait_ns / 1e9)
        return play.done()

    def close(self) -> None:
        """Let the bus go."""
        self.publisher.close()
        self._context.destroy(linger=0)


def main() -> None:
    """Serve until stdin ends."""
    source = Source(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    print("ready", flush=True)
    text = b""
    while True:
        readable, _, _ = select.select([sys.stdin], [], [], IDLE_S)
        if readable:
            piece = os.read(sys.stdin.fileno(), 4_096)
            if not piece:
                break
            *orders, text = (text + piece).split(b"\n")
            for order in orders:
                print(orjson.dumps(source.play(order.decode())).decode(), flush=True)
        source.turn()
    source.close()


if __name__ == "__main__":
    main()
