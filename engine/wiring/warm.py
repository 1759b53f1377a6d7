"""Compile every kernel into the shared cache: ``python -m engine.wiring.warm``.

Plays three frames of the synthetic market through the local tape, which calls every kernel with
the types production uses.
"""

from engine.wiring.local import LocalTape

FRAME = (
    b'{"C":"d-0","M":[{"H":"FcMarketDataV2Hub","M":"Broadcast","A":["{\\"DataType\\":\\"F\\",'
    b'\\"Content\\":\\"{\\\\\\"RType\\\\\\":\\\\\\"F\\\\\\"}\\"}"]}]}'
)


def main() -> None:
    """Run one frame through intake, ring and stages; `Fold.warm` covers the stages it skips."""
    tape = LocalTape(ring_slots=8_192)
    for shard in tape.shards:
        shard.fold.warm()
    tape.play([(1, FRAME)])


if __name__ == "__main__":
    main()
