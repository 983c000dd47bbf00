"""What each command does.

Guarantee: a mistake of the user or a failure of the service is one sentence on standard error and exit code 2.
"""

import asyncio
import sys
from collections.abc import Sequence

from judge.arguments import parser
from judge.beginning import write
from judge.cases.catalogue import CASES
from judge.config.reading import read
from judge.errors import ConfigError, JudgeError
from judge.loopback import require_loopback
from judge.outputs.console import Console, listing
from judge.outputs.files import Files
from judge.outputs.result import result
from judge.runner import CALIBRATION, Options, judge
from judge.verdict import EXIT_CODES
from stack import interruption

_UNKNOWN = EXIT_CODES["unknown"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        if options.command == "list":
            sys.stdout.write(listing(CASES))
            return 0
        if options.command == "init":
            sys.stdout.write(write(options.url, options.file))
            return 0
        only = _names(options.only)
        config = read(options.config)
        require_loopback(config, owned=options.i_own_this_service)
        files = Files(options.out, options.html)
        console = Console(quiet=options.json)
        run = asyncio.run(
            interruption.until_signalled(judge(config, Options(options.seed, only), console))
        )
        document = result(run, config)
        files.write(document)
        console.summary(run, document, files)
        if options.json:
            sys.stdout.write(files.json(document))
        return EXIT_CODES[run.kind]
    except JudgeError as exc:
        sys.stderr.write(f"retry-judge: {exc}\n")
        return _UNKNOWN


def _names(given: Sequence[str]) -> list[str]:
    names = [name.strip() for text in given for name in text.split(",") if name.strip()]
    known = {case.name for case in CASES}
    for name in names:
        if name not in known | {CALIBRATION}:
            raise ConfigError(f"there is no case {name!r}; `retry-judge list` shows them.")
    return names
