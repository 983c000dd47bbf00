"""Where Prometheus finds the processes of a stack: a file that its `file_sd_configs` read (deploy/prometheus/local.yml).

Guarantee: it names the processes of the services alone, each by its own address, and is there only while the stack is.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stack.credentials import write_private

FILE = "prometheus-targets.json"


def write(run_dir: Path, processes: Iterable[Mapping[str, Any]], services: Iterable[str]) -> None:
    """Writes the file from the `processes` of stack.json; those that are no service have no `/metrics` of ours."""
    wanted = set(services)
    groups = [
        {
            "targets": [urlsplit(process["url"]).netloc],
            "labels": {"job": process["name"], "replica": str(process["replica"])},
        }
        for process in processes
        if process["name"] in wanted
    ]
    write_private(run_dir / FILE, json.dumps(groups, indent=2) + "\n")


def forget(run_dir: Path) -> None:
    """Removes the file: Prometheus then asks no process any more."""
    (run_dir / FILE).unlink(missing_ok=True)
