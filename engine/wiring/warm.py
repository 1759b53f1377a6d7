"""Compile every kernel into the shared cache: ``python -m engine.wiring.warm v2``.

Plays a frame of a protocol through the local tape, which calls every kernel with the types
production uses.
"""

import sys

from engine.wiring.local import LocalTape

FRAMES = {
    "v2": b'{"C":"d-0","M":[{"H":"FcMarketDataV2Hub","M":"Broadcast","A":["{\\"DataType\\":\\"F\\",'
    b'\\"Content\\":\\"{\\\\\\"RType\\\\\\":\\\\\\"F\\\\\\"}\\"}"]}]}',
    "v3": b'{"channel":"DATA","topic":"trade.A","data":{"t":"2021/07/15 09:15:00","s":"A"}}',
}


def main(protocol: str) -> None:
    """Run one frame through intake, ring and stages; `Fold.warm` covers the stages it skips."""
    tape = LocalTape(ring_slots=8_192, protocol=protocol)
    for shard in tape.shards:
        shard.fold.warm()
    tape.play([(1, FRAMES[protocol])])


if __name__ == "__main__":
    main(sys.argv[1])
