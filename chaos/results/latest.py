"""`latest` beside the results: a link to the newest run, so that its address can be written down.

Guarantee: it leads to a whole run at every moment, also when two runs end at once; without it a run is as good.
"""

import os
from pathlib import Path

NAME = "latest"


def point(directory: Path) -> Path | None:
    """Makes `latest` lead to the run in `directory`; None where there can be no such link."""
    link = directory.parent / NAME
    draft = directory.parent / f".{NAME}-{os.getpid()}"
    try:
        draft.unlink(missing_ok=True)
        draft.symlink_to(directory.name, target_is_directory=True)
        # At once: a reader finds the run before or this one.
        os.replace(draft, link)
    except OSError:
        # A file system without links, or a folder of this name.
        draft.unlink(missing_ok=True)
        return None
    return link
