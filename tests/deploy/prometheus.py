"""A real Prometheus, with the project's own files.

Debian's package is installed by .ci/run. Where there is none, tests that need one say so in the summary of the run.
"""

import asyncio
import copy
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from stack import ports, targets
from stack.processes import Child, Command
from stack.schema import PROJECT
from stack.waiting import until

BINARY, TOOL = (
    shutil.which(name, path=os.environ.get("PATH", os.defpath))
    for name in ("prometheus", "promtool")
)
needed = pytest.mark.skipif(
    BINARY is None or TOOL is None, reason="Prometheus is not installed: apt-get install prometheus"
)
CONFIGURATION = PROJECT / "deploy/prometheus"
# Often enough that a test need not wait; and a process on a busy machine has this long for its answer.
INTERVAL = "2s"
# Far above what a start or a few rounds of scraping take on a busy machine.
BOUND_S = 60.0


@dataclass(frozen=True)
class Prometheus:
    """A running server."""

    client: httpx.AsyncClient

    async def api(self, path: str, **parameters: str) -> Any:
        """The `data` of an answer of the HTTP API. Raises `AssertionError` for an error, such as a wrong expression."""
        response = await self.client.get(f"/api/v1/{path}", params=parameters)
        assert response.status_code == 200, f"{parameters}: {response.text}"
        return response.json()["data"]

    async def query(self, expr: str) -> list[Any]:
        """The time series that an expression gives now."""
        result: list[Any] = (await self.api("query", query=expr))["result"]
        return result

    async def firing(self) -> list[dict[str, str]]:
        """The labels of each alert that fires."""
        found = (await self.api("alerts"))["alerts"]
        return [alert["labels"] for alert in found if alert["state"] == "firing"]


def impatient(rules: dict[str, Any]) -> dict[str, Any]:
    """The same alerts, each at once: what is waited for in operation (`for`) is the only thing that is left out."""
    changed = copy.deepcopy(rules)
    for group in changed["groups"]:
        for rule in group["rules"]:
            rule.pop("for", None)
    return changed


def configuration(directory: Path, run_dir: Path) -> Path:
    """deploy/prometheus/local.yml for the stack in `run_dir`, with short intervals and impatient alerts."""
    rules = yaml.safe_load((CONFIGURATION / "alerts.yml").read_text(encoding="utf-8"))
    (directory / "alerts.yml").write_text(yaml.safe_dump(impatient(rules)), encoding="utf-8")
    changed = yaml.safe_load((CONFIGURATION / "local.yml").read_text(encoding="utf-8"))
    changed["global"] = {
        "scrape_interval": INTERVAL,
        "scrape_timeout": INTERVAL,
        "evaluation_interval": INTERVAL,
    }
    (job,) = changed["scrape_configs"]
    (discovery,) = job["file_sd_configs"]
    (file,) = discovery["files"]
    assert (CONFIGURATION / file).resolve() == PROJECT / ".run" / targets.FILE
    discovery["files"] = [str(run_dir / targets.FILE)]
    path = directory / "prometheus.yml"
    path.write_text(yaml.safe_dump(changed), encoding="utf-8")
    return path


@asynccontextmanager
async def prometheus(directory: Path, config: Path) -> AsyncIterator[Prometheus]:
    """Runs one in `directory`, on a free port of the loopback address."""
    assert BINARY is not None
    port = ports.choose("", None)
    argv = [
        BINARY,
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address={ports.LOOPBACK}:{port}",
    ]
    # A process of its own, without the settings and proxies that the shell may have.
    command = Command(argv, {"PATH": os.defpath, "HOME": str(directory)}, directory)
    child = Child("prometheus", command, directory / "prometheus.log")
    await child.start()
    try:
        url = f"http://{ports.LOOPBACK}:{port}"
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=BOUND_S) as client:

            async def ready() -> bool:
                if child.failure.done():
                    child.failure.result()
                try:
                    return (await client.get("/-/ready")).status_code == 200
                except httpx.TransportError:
                    return False

            await until(ready, BOUND_S, "Prometheus is ready")
            yield Prometheus(client)
    finally:
        await child.stop(BOUND_S)


async def promtool(*arguments: str, directory: Path) -> tuple[int, str]:
    """Runs it: exit code and output."""
    assert TOOL is not None
    process = await asyncio.create_subprocess_exec(
        TOOL,
        *arguments,
        cwd=directory,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode(errors="replace")
