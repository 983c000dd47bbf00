"""Fails over under a real failover manager, under load: `make patroni-test`.

Guarantee: exit code 0 when nothing that was told is lost and nothing is doubled, 1 when something is, 2 when a piece is
missing or the cluster does not come back; whatever was started is stopped.
"""

from stack import early_signals

if __name__ == "__main__":
    early_signals.end_at_once()

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from rich.console import Console

from chaos.patroni.cluster import Cluster, require_programs
from chaos.patroni.deployment import Deployment
from chaos.promises.audit import audit
from stack import environ, interruption, output
from stack.processes import StackError, exit_with_parent
from stack.waiting import NotSeen

# Orders that are billed before each strike and after it.
_ORDERS = 30
_ETCD_AWAY_S = 60.0


def main(words: list[str] | None = None) -> int:
    """Returns the exit code."""
    environ.settle_own()
    parser = argparse.ArgumentParser(prog="python -m chaos.patroni", description=__doc__)
    parser.add_argument("--exit-with-parent", action="store_true", help="make uses it")
    parser.add_argument(
        "--only", choices=list(STRIKES), action="append", help="default: all of them, in turn"
    )
    options = parser.parse_args(words)
    if options.exit_with_parent:
        exit_with_parent()
    try:
        return asyncio.run(
            interruption.until_signalled(run(options.only or list(STRIKES), output.console()))
        )
    except (StackError, NotSeen) as exc:
        sys.stderr.write(f"patroni-test: {exc}\n")
        return interruption.UNKNOWN


async def run(strikes: list[str], console: Console) -> int:
    """Plays the strikes one after the other on one cluster; an audit follows each. Raises `StackError` and `NotSeen`."""
    require_programs()
    code = 0
    with tempfile.TemporaryDirectory(prefix="patroni-", ignore_cleanup_errors=True) as text:
        directory = Path(text)
        # Postgres runs as another user than root does.
        directory.chmod(0o755)
        console.print("Starting etcd and three nodes of Patroni", style="dim")
        async with Cluster(directory) as cluster:
            console.print("Starting the services, 6 processes", style="dim")
            async with Deployment(cluster, directory) as deployment:
                for name in strikes:
                    await deployment.billed_after(time.monotonic(), _ORDERS)
                    seconds = await STRIKES[name](cluster, deployment)
                    await deployment.billed_after(time.monotonic(), _ORDERS)
                    await cluster.whole()
                    wrong = await _wrong(deployment)
                    code = 1 if wrong else code
                    verdict = "FAIL" if wrong else "PASS"
                    told = len(deployment.billed_at_s)
                    console.print(
                        f"{verdict} {name}: the first order was billed after {seconds:.1f} s; {told} told as billed so far",
                        highlight=False,
                    )
                    for each in wrong:
                        console.print(f"        {each}", highlight=False, markup=False)
    return code


async def _wrong(deployment: Deployment) -> list[str]:
    await deployment.settled()
    lost = [f"order {each} was told as billed, and is lost" for each in await deployment.lost()]
    audited = await audit(deployment.owner_url)
    return lost + [f"{row.kind} {row.subject}: {row.detail}" for row in audited.findings]


async def _leader_killed(cluster: Cluster, deployment: Deployment) -> float:
    """Seconds from the kill of the leader to the first order that is billed afterwards."""
    leader = await cluster.whole()
    await cluster.kill(leader)
    seconds = await deployment.billed_after(time.monotonic() + _ANSWERS_UNDER_WAY_S, 1)
    await cluster.start_node(leader)
    return seconds + _ANSWERS_UNDER_WAY_S


async def _leader_paused(cluster: Cluster, deployment: Deployment) -> float:
    """Another node leads while the leader is paused; it wakes up, and for a moment there are two."""
    leader = await cluster.whole()
    cluster.pause(leader)
    since_s = time.monotonic()
    try:
        seconds = await deployment.billed_after(since_s + _ANSWERS_UNDER_WAY_S, 1)
        await deployment.billed_after(time.monotonic(), _ORDERS)
        if (await cluster.leader()) in (None, leader):
            raise StackError("no other node became the leader.")
    finally:
        cluster.resume(leader)
    return seconds + _ANSWERS_UNDER_WAY_S


async def _etcd_lost(cluster: Cluster, deployment: Deployment) -> float:
    """Without etcd no node may lead: nothing is acknowledged. Seconds from its return to the first order that is billed."""
    os.kill(cluster.etcd.pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(_ETCD_AWAY_S)
    finally:
        os.kill(cluster.etcd.pid, signal.SIGCONT)
    return await deployment.billed_after(time.monotonic(), 1)


# An answer that had left before the strike may arrive after it.
_ANSWERS_UNDER_WAY_S = 0.5
STRIKES: dict[str, Callable[[Cluster, Deployment], Awaitable[float]]] = {
    "leader-killed": _leader_killed,
    "leader-paused": _leader_paused,
    "etcd-lost": _etcd_lost,
}

if __name__ == "__main__":
    interruption.exit_with(main)
