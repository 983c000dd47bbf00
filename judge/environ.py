"""The environment of the service's start command and of the probe's command.

Guarantee: they find the programs of the judge's own virtual environment, after those of the person's PATH.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

# So that processes which left their group and session are found all the same.
MARK = "RETRY_JUDGE_RUN"


def of_commands(more: Mapping[str, str], mark: str = "") -> dict[str, str]:
    """The person's environment, what judge.toml adds, and a mark."""
    environ = {**os.environ, **more}
    own = str(Path(sys.executable).parent)
    folders = [folder for folder in environ.get("PATH", os.defpath).split(os.pathsep) if folder]
    environ["PATH"] = os.pathsep.join([*folders, *([own] if own not in folders else [])])
    if mark:
        environ[MARK] = mark
    return environ
