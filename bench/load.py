"""Load from wrk, with a key of its own in each request.

Guarantee: a run in which one request failed or was refused raises, and yields no measurement.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from stack.environ import of_child
from stack.programs import run_to_end

_HERE = Path(__file__).resolve().parent
# A slower request counts as failed, and one failed request ends the bench.
_TIMEOUT_S = 10


class LoadFailed(Exception):
    """wrk is missing, or a run was not clean."""


@dataclass(frozen=True)
class Load:
    """The result of one run of wrk."""

    requests: int
    seconds: float
    failed: int
    not_2xx: int
    p50_ms: float
    p99_ms: float
    max_ms: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


async def run(url: str, script: str, connections: int, seconds: int, *arguments: object) -> Load:
    """Runs wrk on one thread; `arguments` go to the script."""
    if shutil.which("wrk") is None:
        raise LoadFailed("wrk is missing: install it (Debian and Ubuntu: apt-get install wrk).")
    ended = await run_to_end(
        [
            "wrk",
            "--threads=1",
            f"--connections={connections}",
            f"--duration={seconds}s",
            f"--timeout={_TIMEOUT_S}s",
            f"--script={_HERE / script}",
            url,
            "--",
            *map(str, arguments),
        ],
        of_child(),
    )
    for line in ended.output.splitlines():
        if line.startswith("RESULT "):
            load = Load(**json.loads(line.removeprefix("RESULT ")))
            if load.failed or load.not_2xx:
                raise LoadFailed(f"{load.failed} requests failed, {load.not_2xx} were refused")
            return load
    raise LoadFailed(f"wrk said: {ended.output}")
