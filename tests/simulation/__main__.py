"""Play one simulation by hand: ``python -m tests.simulation SEED``, as a failing test says it."""

import argparse

from tests.simulation.canaries import CANARIES, let_loose
from tests.simulation.script import EVENTS, draw, shrink
from tests.simulation.world import TRADES, play


def main() -> None:
    """Play seeds, print what fails, and the shortest script that does."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("seed", type=int)
    parser.add_argument("--seeds", type=int, default=1, help="how many, from SEED on")
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--trades", type=int, default=TRADES)
    parser.add_argument("--canary", choices=sorted(CANARIES), help="break this on purpose")
    parser.add_argument("--shrink", action="store_true", help="look for a shorter script")
    args = parser.parse_args()
    failed = 0
    for seed in range(args.seed, args.seed + args.seeds):
        trouble = CANARIES[args.canary].trouble if args.canary else None
        script = draw(seed, args.events, trouble)
        with let_loose(args.canary):
            violation = play(script, args.trades)
            if violation is None:
                continue
            failed += 1
            if args.shrink:
                script = shrink(script, lambda one: play(one, args.trades) is not None)
                violation = play(script, args.trades) or violation
        print(violation)
        cause = violation.__cause__
        while cause is not None and cause.__traceback__ is not None:
            at = cause.__traceback__
            while at.tb_next is not None:
                at = at.tb_next
            print(f"  raised in {at.tb_frame.f_code.co_filename}:{at.tb_lineno}")
            cause = cause.__cause__
    print(f"{args.seeds} seeds, {failed} failed")
    raise SystemExit(failed > 0)


if __name__ == "__main__":
    main()
