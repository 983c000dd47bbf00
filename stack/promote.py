"""Makes a running stack fail over to its standby: `python -m stack promote`.

Guarantee: it returns when stack.json names the new primary, and fails with one sentence when that does not happen.
"""

import argparse
import json
import os
import signal
from pathlib import Path

from rich.console import Console

from stack import run_directory
from stack.processes import StackError
from stack.waiting import NotSeen, until

# A promotion takes a fraction of a second; on a busy machine many times that.
_BOUND_S = 90.0


async def promote(options: argparse.Namespace, console: Console) -> int:
    """Kill the primary of Postgres in a running stack and promote its standby."""
    description = options.run_dir / run_directory.DESCRIPTION
    pid = run_directory.user(options.run_dir)
    before = _primary(description)
    if pid is None or before is None:
        raise StackError(f"no stack runs in {options.run_dir}.")
    if not any(process["name"] == "standby" for process in _processes(description)):
        raise StackError("the stack has no standby to promote; start it with STANDBY=1.")
    os.kill(int(pid), signal.SIGUSR1)

    async def ended() -> bool:
        return _primary(description) != before or run_directory.user(options.run_dir) is None

    try:
        await until(ended, _BOUND_S, "the standby is the primary")
    except NotSeen as exc:
        raise StackError(f"the standby was not promoted within {_BOUND_S:g} s.") from exc
    after = _primary(description)
    if after is None:
        raise StackError(
            "the promotion failed, and the stack has stopped; its own output says why."
        )
    console.print(f"The primary of Postgres is now {after}.", highlight=False)
    return 0


def _primary(description: Path) -> str | None:
    """The folder of the primary, by stack.json; None when no stack describes itself."""
    try:
        return str(json.loads(description.read_text(encoding="utf-8"))["primary"])
    except (OSError, ValueError, KeyError):
        return None


def _processes(description: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(description.read_text(encoding="utf-8"))["processes"]
    return found
