"""``python -m tools.simulator``: an SSI FastConnect server, v2 and v3, on the loopback."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from engine.clock import SystemClock
from engine.errors import ConfigError
from engine.log import Log
from engine.process import EX_CONFIG, die_with_parent
from tools.simulator import faults, truth
from tools.simulator.moments import parse_time_ms
from tools.simulator.player import Mishaps, Pace
from tools.simulator.rest import Keys
from tools.simulator.script import TYPES, Script, ScriptSettings
from tools.simulator.server import Options, Simulator
from tools.simulator.v3_almanac import almanac_of
from tools.simulator.v3_auth import Keys as V3Keys
from tools.simulator.v3_puts import put_lines, with_puts
from tools.simulator.v3_service import FastConnectV3, V3Options


def market_time_ms(text: str) -> int:
    """Return milliseconds since midnight of ``HH:MM`` or ``HH:MM:SS``."""
    time_ms = parse_time_ms(text)
    if time_ms is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not HH:MM or HH:MM:SS")
    return time_ms


def speed(text: str) -> float | None:
    """Return times real time, or None for ``max``."""
    if text == "max":
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a positive number nor max")
    return value


def per_frame(text: str) -> int:
    """Return 1 to 10, which is what the real server puts into a frame."""
    value = int(text) if text.isdigit() else 0
    if not 1 <= value <= 10:
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 to 10")
    return value


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.simulator",
        description=__doc__,
        epilog=faults.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    day = parser.add_argument_group("the day")
    day.add_argument("--table", type=Path, help="published figures of the day's stocks (CSV)")
    day.add_argument("--futures", type=Path, help="15-minute bars of its future (CSV)")
    day.add_argument("--seed", type=int, default=1)
    day.add_argument("--trades-max", type=int, help="size of the day, in trades")
    day.add_argument(
        "--mode",
        choices=sorted(TYPES),
        default="pair",
        help="play X-QUOTE and X-TRADE (pair), these and odd lots (v3), X, or every type there "
        "is; clients of v3 are told of trades and books in all modes but x",
    )
    play = parser.add_argument_group("playing it")
    play.add_argument(
        "--speed",
        type=speed,
        default=1.0,
        help="times real time, or max: as fast as it is read, dropping nothing",
    )
    play.add_argument(
        "--start",
        type=market_time_ms,
        metavar="HH:MM[:SS]",
        help="begin here; a subscriber is told the last state of everything before",
    )
    play.add_argument(
        "--origin-file",
        type=Path,
        help="where to note when the day began; a restarted simulator that finds it "
        "resumes where the day is by then",
    )
    play.add_argument(
        "--messages-per-frame",
        type=per_frame,
        default=10,
        metavar="1..10",
        help="most messages in one frame, reached under load (default 10)",
    )
    play.add_argument(
        "--prerender",
        action="store_true",
        help="render the day before listening: 1.4 GB of memory for a million "
        "messages, but five times faster at --speed max",
    )
    play.add_argument(
        "--no-snapshot",
        action="store_true",
        help="send a new subscriber only what happens from now on",
    )
    spoil = parser.add_argument_group("spoiling it")
    spoil.add_argument(
        "--faults",
        type=Path,
        help="a script of what goes wrong, in the language below; tools/simulator/scripts has some",
    )
    spoil.add_argument(
        "--truth-file",
        type=Path,
        help="at the end of the day, write here (JSON) which matches the newest client never got",
    )
    serve = parser.add_argument_group("serving it")
    serve.add_argument("--port", type=int, default=0, help="0 picks a free one (default)")
    serve.add_argument("--port-file", type=Path, help="write the port here once listening")
    serve.add_argument(
        "--keepalive-s",
        type=float,
        default=10.0,
        help="real seconds between keep-alives; clients are told twice this as their timeout",
    )
    serve.add_argument(
        "--replace-all",
        action="store_true",
        help="a second SwitchChannels replaces all types, not those it names",
    )
    serve.add_argument("--consumer-id", default="", help="the one id accepted (default: any)")
    serve.add_argument("--consumer-secret", default="", help="its secret; never a real one")
    serve.add_argument("--otp", default="", help="the one OTP accepted by v3 (default: any)")
    serve.add_argument("--parent", type=int, help="stop when this process dies")
    return parser.parse_args(argv)


def write_number(path: Path, number: int) -> None:
    """Write a number so that a reader sees all of it or nothing."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(f"{number}\n", encoding="ascii")
    draft.replace(path)


async def serve(args: argparse.Namespace, script: Script, mishaps: Mishaps) -> None:
    """Serve until SIGTERM or SIGINT."""
    clock, loop, stop = SystemClock(), asyncio.get_running_loop(), asyncio.Event()
    log = Log("simulator", clock)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    start_ms = args.start
    if start_ms is None:
        start_ms = min([script.first_ms, *(fault.time_ms for fault in mishaps.faults)])
    almanac = almanac_of(script.day, script.names)
    played = with_puts(script.lines(), put_lines(almanac, args.seed))
    lines = list(played) if args.prerender else played
    origin = args.origin_file
    origin_ns = int(origin.read_text(encoding="ascii")) if origin and origin.exists() else None
    simulator = Simulator(
        lines,
        Pace(args.speed, start_ms, origin_ns),
        clock,
        Options(
            port=args.port,
            keepalive_s=args.keepalive_s,
            snapshot=not args.no_snapshot,
            messages_per_frame=args.messages_per_frame,
            replace_all=args.replace_all,
            keys=Keys(args.consumer_id, args.consumer_secret),
        ),
        instruments=script.instruments,
        vn30=script.vn30,
        figures=script.figures,
        begun=lambda began_ns: write_number(origin, began_ns) if origin else None,
        mishaps=mishaps,
        v3=FastConnectV3(
            almanac,
            V3Options(keys=V3Keys(args.consumer_id, args.consumer_secret, args.otp)),
        ),
    )
    try:
        await simulator.start()
    except OSError as error:
        raise ConfigError(
            f"cannot listen on 127.0.0.1:{args.port}: {error.strerror}; choose "
            "another --port, or 0 for a free one"
        ) from None
    if args.port_file:
        write_number(args.port_file, simulator.port)
    log.write("info", "listening", port=simulator.port)
    stopped, playing = asyncio.create_task(stop.wait()), simulator.playing
    assert playing is not None
    await asyncio.wait({playing, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if playing.done():
        playing.result()  # a bug in the player must not pass for the end of the day
        if mishaps.truth is not None:
            truth.write(args.truth_file, mishaps.truth.document(script.day.date.isoformat()))
        log.write("info", "the day is over", messages=simulator.player.sent_count)
    await stopped
    await simulator.stop()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the simulator."""
    args = parse(argv)
    if args.parent is not None:
        die_with_parent(args.parent)
    try:
        script = Script(
            ScriptSettings(args.table, args.futures, args.seed, args.trades_max, args.mode)
        )
        mishaps = Mishaps(
            faults.read(args.faults) if args.faults else (),
            script.zeroes,
            truth.Truth() if args.truth_file else None,
        )
        uvloop.run(serve(args, script, mishaps))
    except ConfigError as error:
        print(f"simulator: {error}", file=sys.stderr)
        return EX_CONFIG
    except KeyboardInterrupt:  # while the day was still being planned
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
