"""The ``vntape`` command. One word each; ``vntape WORD --help`` says more.

up           start the engine and keep it running
config show  print every key, its value and where the value came from
verify-day   compare closing statistics with a published table
replay       play a recording through the engine again
certificate  print what is proved about a day: what was seen, what was missed
"""

import argparse
import os
import sys
from pathlib import Path

import engine
from engine import config as configuration
from engine.errors import ConfigError, SchemaMismatch
from engine.process import EX_CONFIG


def _add_config_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML configuration file")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        dest="overrides",
        help="override one key (repeatable)",
    )


def _up(args: argparse.Namespace) -> int:
    import uvloop

    from engine.wiring.supervisor import Supervisor

    config = configuration.load(args.config, overrides=args.overrides)
    configuration.load_credentials(config)  # refuse before anything is started
    uvloop.run(Supervisor(config).run())
    return 0


def _config_show(args: argparse.Namespace) -> int:
    config = configuration.load(args.config, overrides=args.overrides)
    for key, item in configuration.all_keys():
        section, _, name = key.partition(".")
        value = getattr(getattr(config, section), name)
        origin = config.origins.get(key, "default")
        print(f"{key} = {value!r}  ({origin}) - {item.metadata['meaning']}")
    for rule in config.rules:
        key = f"{configuration.RULES}.{rule.name}"
        print(f"{key} = {rule.when!r}  ({config.origins[key]}) - alert of severity {rule.severity}")
    if config.rules:
        from engine.alerts.rulebook import compile_rules

        compile_rules(config.rules, config.alerts)
    return 0


def _verify_day(args: argparse.Namespace) -> int:
    from engine.wiring import verify_day

    return verify_day.run(args)


def _verify_day_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--table",
        type=Path,
        metavar="FILE",
        help="published figures (default: the day that ships with vntape)",
    )
    parser.add_argument(
        "--futures", type=Path, metavar="FILE", help="15-minute bars of the front future"
    )
    parser.add_argument(
        "--url", default="ws://127.0.0.1:8765/ws", help="a running gateway (default %(default)s)"
    )
    parser.add_argument(
        "--wait-s", type=float, default=0.0, help="wait up to this long for the day to be complete"
    )
    parser.add_argument(
        "--replay",
        action="store_true",
        help="play the synthetic day through the engine in this process instead",
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the replayed day")
    parser.add_argument(
        "--trades-max", type=int, default=None, help="size of the replayed day, in trades"
    )


def _replay(args: argparse.Namespace) -> int:
    from engine.wiring import replay

    config = configuration.load(args.config, overrides=args.overrides)
    if args.digest:
        return replay.run_digest(args.files, config)
    return replay.run_instance(args.files, config, args.speed)


def _replay_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="PATH", help="recordings, or folders of them"
    )
    parser.add_argument("--speed", default="1", help="times real time, or max (default 1)")
    parser.add_argument(
        "--digest",
        action="store_true",
        help="play in this process as fast as it goes and print the digest of the state",
    )
    _add_config_options(parser)


def _certificate(args: argparse.Namespace) -> int:
    from engine.wiring import certificate_cli

    config = configuration.load(args.config, overrides=args.overrides)
    return certificate_cli.run(config, args.date)


def build_parser() -> argparse.ArgumentParser:
    """Return the command line; separate so that the docs can be checked against it."""
    parser = argparse.ArgumentParser(prog="vntape", description="Live tape for Vietnam's markets.")
    parser.add_argument("--version", action="version", version=f"vntape {engine.__version__}")
    words = parser.add_subparsers(dest="word", required=True, metavar="WORD")
    up = words.add_parser("up", help="start the engine and keep it running")
    _add_config_options(up)
    up.set_defaults(call=_up)
    config = words.add_parser("config", help="look at the configuration")
    config_words = config.add_subparsers(dest="config_word", required=True, metavar="WORD")
    show = config_words.add_parser("show", help="every key, its value and its origin")
    _add_config_options(show)
    show.set_defaults(call=_config_show)
    verify = words.add_parser("verify-day", help="compare closing statistics with a table")
    _verify_day_options(verify)
    verify.set_defaults(call=_verify_day)
    replay = words.add_parser("replay", help="play a recording through the engine again")
    _replay_options(replay)
    replay.set_defaults(call=_replay)
    certificate = words.add_parser("certificate", help="print what is proved about a day")
    certificate.add_argument("--date", metavar="YYYY-MM-DD", help="default: the newest there is")
    _add_config_options(certificate)
    certificate.set_defaults(call=_certificate)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one word; a refused configuration is one sentence and exit code 78."""
    args = build_parser().parse_args(argv)
    try:
        code: int = args.call(args)
    except (ConfigError, SchemaMismatch) as error:
        print(f"vntape: {error}", file=sys.stderr)
        return EX_CONFIG
    except BrokenPipeError:  # whoever reads us, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


if __name__ == "__main__":
    sys.exit(main())
