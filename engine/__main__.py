"""The ``vntape`` command. One word each; ``vntape WORD --help`` says more.

up           start the engine and keep it running
config show  print every key, its value and where the value came from
verify-day   compare closing statistics with a published table
replay       play a recording through the engine again
certificate  print what is proved about a day: what was seen, what was missed
sql          ask the history with one SELECT
export       write a part of the history into a CSV or Parquet file
token        say who may connect: make, list and remove tokens of clients
shm          list what instances keep in shared memory; remove what dead ones left
capsule      print what is in a crash capsule, and fold it again
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
    from engine.wiring import replay, replay_journal

    config = configuration.load(args.config, overrides=args.overrides)
    journals = [path for path in args.files if replay_journal.is_journal(path)]
    if journals and not (args.digest and len(args.files) == 1):
        raise ConfigError(
            f"{journals[0]} is a journal: it is replayed alone and with --digest; what clients "
            "can connect to is played from a recording (feed.record)"
        )
    if journals:
        return replay_journal.run_digest(journals[0])
    if args.digest:
        return replay.run_digest(args.files, config)
    return replay.run_instance(args.files, config, args.speed)


def _replay_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="recordings, folders of them, or one day's journal",
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


def _capsule(args: argparse.Namespace) -> int:
    from engine.wiring import capsule_cli

    return capsule_cli.run(args.file, fold=args.fold, slots_shown=args.slots, folds=args.folds)


def _capsule_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="a capsule of run.data_dir")
    parser.add_argument(
        "--fold",
        action="store_true",
        help="fold the group again in a process of its own; exit code 0 if it still kills, else 1",
    )
    parser.add_argument(
        "--slots",
        type=int,
        default=20,
        metavar="N",
        help="most slots printed of each part (default %(default)s)",
    )
    parser.add_argument(
        "--folds",
        default="engine.wiring.stages",
        metavar="MODULE",
        help="whose make_fold to use, to try a change (default %(default)s)",
    )


def _shm(args: argparse.Namespace) -> int:
    from engine.wiring import shm

    return shm.run(configuration.load(args.config, overrides=args.overrides), args.shm_word)


def _token(args: argparse.Namespace) -> int:
    from engine.wiring import token_cli

    return token_cli.run(configuration.load(args.config, overrides=args.overrides), args)


def _token_words(token: argparse.ArgumentParser) -> None:
    words = token.add_subparsers(dest="action", required=True, metavar="WORD")
    new = words.add_parser("new", help="add a token to gateway.tokens_file, print its secret once")
    new.add_argument("name", metavar="NAME", help="whose it is, such as desk-1")
    new.add_argument(
        "--scope",
        action="append",
        required=True,
        dest="scopes",
        metavar="TOPIC",
        help="what it opens: *, trade.*, trade.VN30* or trade.FPT (repeatable)",
    )
    new.add_argument("--expires", metavar="YYYY-MM-DD", help="the last day it is good, UTC+7")
    words.add_parser("ls", help="names, scopes and last days; no secret is kept to be shown")
    rm = words.add_parser("rm", help="remove a token: its clients are cut off")
    rm.add_argument("name", metavar="NAME", help="whose it is")
    for word in words.choices.values():
        _add_config_options(word)
        word.set_defaults(call=_token)


def _sql_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", metavar="QUERY", help="one SELECT, in DuckDB's SQL")
    parser.add_argument(
        "--format", choices=("table", "csv", "json"), default="table", help="default %(default)s"
    )
    parser.add_argument(
        "--limit",
        type=int,
        default=1_000,
        metavar="N",
        help="most rows printed, 0: all (default %(default)s)",
    )


def _sql(args: argparse.Namespace) -> int:
    from engine.wiring import history_cli

    return history_cli.run_sql(configuration.load(args.config, overrides=args.overrides), args)


def _export_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("table", metavar="TABLE", help="trades, quotes, bars ...")
    parser.add_argument("--symbol", metavar="CODES", default="", help="FPT,HPG (default: all)")
    parser.add_argument("--from", dest="start", metavar="TIME", help="2026-11-20T09:00, UTC+7")
    parser.add_argument("--to", dest="end", metavar="TIME", help="the first moment beyond")
    parser.add_argument("--interval", metavar="STEP", help="of bars: 1m, 5m, 15m, 1h or 1d")
    parser.add_argument("--format", choices=("csv", "parquet"), default="csv", help="default csv")
    parser.add_argument("--output", type=Path, metavar="FILE", required=True, help="where to")


def _export(args: argparse.Namespace) -> int:
    from engine.wiring import history_cli

    return history_cli.run_export(configuration.load(args.config, overrides=args.overrides), args)


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
    sql = words.add_parser("sql", help="ask the history with one SELECT")
    _sql_options(sql)
    _add_config_options(sql)
    sql.set_defaults(call=_sql)
    export = words.add_parser("export", help="write a part of the history into a file")
    _export_options(export)
    _add_config_options(export)
    export.set_defaults(call=_export)
    _token_words(words.add_parser("token", help="say who may connect to gateways"))
    shm = words.add_parser("shm", help="look after shared memory")
    shm_words = shm.add_subparsers(dest="shm_word", required=True, metavar="WORD")
    for word, meaning in (
        ("ls", "every instance: owner, size, trading day, age"),
        ("gc", "remove what dead instances left; never one that is in use"),
    ):
        shm_word = shm_words.add_parser(word, help=meaning)
        _add_config_options(shm_word)
        shm_word.set_defaults(call=_shm)
    capsule = words.add_parser("capsule", help="look at slots that killed workers, fold them again")
    _capsule_options(capsule)
    capsule.set_defaults(call=_capsule)
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
