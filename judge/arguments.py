"""The command line: run, init, list."""

import argparse
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """What may be said."""
    top = argparse.ArgumentParser(
        prog="retry-judge",
        description="Judges whether an HTTP endpoint survives retries: it injects faults of the network and counts what really happened.",
        epilog="Exit codes: 0 all pass, 1 a promise was broken, 2 unknown, or the judge could not work.",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="run | init | list")
    run = commands.add_parser("run", help="judge the service that a judge.toml describes")
    run.add_argument(
        "config", type=Path, nargs="?", default=Path("judge.toml"), metavar="judge.toml"
    )
    run.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="CASE",
        help="play this case; may be repeated, or name several with commas",
    )
    run.add_argument("--seed", type=int, default=1, help="of the moments of kills (default 1)")
    run.add_argument(
        "--json", action="store_true", help="print the result as JSON in place of the table"
    )
    run.add_argument("--html", type=Path, metavar="FILE", help="write the report to this file, too")
    run.add_argument(
        "--out",
        type=Path,
        default=Path("judge-results"),
        metavar="DIR",
        help="folder for result.json, junit.xml, results.sarif, report.html and badge.svg (default judge-results)",
    )
    run.add_argument(
        "--i-own-this-service",
        action="store_true",
        help="judge a service that is not on a loopback address",
    )
    init = commands.add_parser("init", help="write a commented judge.toml")
    init.add_argument("url", metavar="URL")
    init.add_argument(
        "--file", type=Path, default=Path("judge.toml"), help="where to (default judge.toml)"
    )
    commands.add_parser("list", help="show the cases and what each proves")
    return top
