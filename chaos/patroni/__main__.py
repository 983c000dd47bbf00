"""Fails over under a real failover manager, under load: `make patroni-test`.

Guarantee: exit code 0 when each strike was survived, 1 when what was told is lost, something is doubled, or the cluster does
not come back, 2 when a piece is missing or does not start; whatever was started is stopped.
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

import asyncpg
import httpx
from rich.console import Console

from chaos.patroni import programs
from chaos.patroni.cluster import Cluster
from chaos.patroni.deployment import Deployment
from chaos.promises.audit import audit
from stack import environ, interruption, output
from stack.processes import StackError, exit_with_parent
from stack.waiting import NotSeen

# Orders that are billed before each strike and after it.
_ORDERS = 30
_ETCD_AWAY_S = 60.0
# Twice the time after which a leader has lost its lock (`ttl` in patroni.yml): a busy machine is late.
_LEADS_NO_MORE_S = 40.0
# An answer that had left before the strike may arrive after it.
_ANSWERS_UNDER_WAY_S = 0.5
# A part that does not answer: before the first strike it did not start, after that it did not come back.
_AWAY = (
    StackError,
    NotSeen,
    OSError,
    httpx.HTTPError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
)


class Broken(Exception):
    """A strike showed what must not be; the message says what."""


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
    except _AWAY as exc:
        sys.stderr.write(f"patroni-test: {exc}\n")
        return interruption.UNKNOWN


async def run(strikes: list[str], console: Console) -> int:
    """Plays the strikes one after the other on one cluster. Raises one of `_AWAY` when it does not start."""
    programs.etcd()
    python = await programs.python_with_patroni(console.print)
    with tempfile.TemporaryDirectory(prefix="patroni-", ignore_cleanup_errors=True) as text:
        directory = Path(text)
        # Postgres runs as another user than root does.
        directory.chmod(0o755)
        console.print("Starting etcd and three nodes of Patroni", style="dim")
        async with Cluster(directory, python) as cluster:
            console.print("Starting the services, 6 processes", style="dim")
            async with Deployment(cluster, directory) as deployment:
                return await play(strikes, cluster, deployment, console)


async def play(
    strikes: list[str], cluster: Cluster, deployment: Deployment, console: Console
) -> int:
    """The exit code of the strikes; an audit follows each. The first one after which the cluster does not come back ends them."""
    code = 0
    for name in strikes:
        try:
            await deployment.billed_after(time.monotonic(), _ORDERS)
            seconds = await STRIKES[name](cluster, deployment)
            await deployment.billed_after(time.monotonic(), _ORDERS)
            await cluster.whole()
            wrong = await _wrong(deployment)
        except (Broken, *_AWAY) as exc:
            _show(console, f"FAIL {name}: {exc}", [cluster.log_ends()])
            return 1
        code = 1 if wrong else code
        told = len(deployment.billed_at_s)
        _show(
            console,
            f"{'FAIL' if wrong else 'PASS'} {name}: the first order was billed after {seconds:.1f} s; {told} told as billed so far",
            [f"        {each}" for each in wrong],
        )
    return code


def _show(console: Console, verdict: str, details: list[str]) -> None:
    for line in (verdict, *details):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


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
            raise Broken("orders were billed, and no other node has become the leader.")
    finally:
        cluster.resume(leader)
    return seconds + _ANSWERS_UNDER_WAY_S


async def _etcd_lost(cluster: Cluster, deployment: Deployment) -> float:
    """Without etcd no node may lead: nothing is acknowledged. Seconds from its return to the first order that is billed."""
    await cluster.whole()
    os.kill(cluster.etcd.pid, signal.SIGSTOP)
    since_s = time.monotonic()
    try:
        await asyncio.sleep(_ETCD_AWAY_S)
        late = [s for s in deployment.billed_at_s.values() if s > since_s + _LEADS_NO_MORE_S]
    finally:
        os.kill(cluster.etcd.pid, signal.SIGCONT)
    if late:
        raise Broken(f"{len(late)} orders were billed while no node may lead.")
    return await deployment.billed_after(time.monotonic(), 1)


STRIKES: dict[str, Callable[[Cluster, Deployment], Awaitable[float]]] = {
    "leader-killed": _leader_killed,
    "leader-paused": _leader_paused,
    "etcd-lost": _etcd_lost,
}

if __name__ == "__main__":
    interruption.exit_with(main)
