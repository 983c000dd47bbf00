"""`python -m chaos.compose`: builds, starts, plays, audits and takes all down again.

Guarantee: exit code 0 when every promise was kept, 1 when one was broken, 2 when it is unknown or Docker could not do
its work, 130 when it was interrupted; nothing of the project is left on the machine, however it ends.
"""

from stack import early_signals

if __name__ == "__main__":
    # Before the other imports: they take a second, in which Ctrl-C must not end in a traceback.
    early_signals.end_at_once()

import argparse
import asyncio
import os
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

import asyncpg
import httpx
from rich.console import Console

from chaos.compose import lab, load, situations, steps
from chaos.compose.deployment import Deployment
from chaos.compose.project import PROJECT, Project, Say, find_compose, run
from chaos.promises.audit import audit
from chaos.promises.verdict import Verdict, worst
from chaos.results.result import write
from stack import environ, interruption, output
from stack.processes import StackError
from stack.toxics import ToxiproxyError

ORDERS = 500
Step = Callable[[], Awaitable[list[str]]]


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m chaos.compose", description=__doc__)
    parser.add_argument(
        "--orders", type=int, default=ORDERS, help=f"of the load (default {ORDERS})"
    )
    options = parser.parse_args()
    environ.settle_own()
    console = output.console()
    try:
        return asyncio.run(interruption.until_signalled(_main(options.orders, console)))
    except (StackError, ToxiproxyError, httpx.HTTPError, asyncpg.PostgresError, OSError) as exc:
        sys.stderr.write(f"chaos.compose: {exc}\n")
    return Verdict.UNKNOWN.exit_code


async def _main(orders: int, console: Console) -> int:
    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    compose = await find_compose()
    version = (await run([*compose, "version", "--short"])).strip()
    project = Project(compose, f"billed-once-test-{uuid.uuid4().hex[:8]}", say)
    say(f"{' '.join(compose)} {version}, project {project.name}")
    started_s = time.monotonic()
    result: dict[str, Any] = {"run": project.name, "results": []}
    path = PROJECT / ".run" / "results" / project.name
    try:
        await project.compose("build")
        say(f"Built in {time.monotonic() - started_s:.0f} s")
        up_s = time.monotonic()
        await project.up()
        say(f"All containers healthy after {time.monotonic() - up_s:.0f} s")
        async with Deployment(project.target) as deployment:
            await _play(project, deployment, orders, result)
    except asyncio.CancelledError:
        if result["results"]:
            write(path, {**result, "verdict": Verdict.UNKNOWN, "interrupted": True})
        raise
    finally:
        await asyncio.shield(_clear_away(project))
    left = await project.leftovers()
    _record(result, "nothing is left behind", [f"left behind: {name}" for name in left], say)
    verdict = worst([Verdict(one["verdict"]) for one in result["results"]])
    result |= {
        "verdict": verdict,
        "compose": version,
        "seconds": round(time.monotonic() - started_s),
    }
    written = write(path, result)
    console.print(
        f"{verdict}, {result['seconds']} s. Result: {os.path.relpath(written)}", highlight=False
    )
    return verdict.exit_code


async def _clear_away(project: Project) -> None:
    await project.down("--volumes")
    await project.forget_images()


async def _play(
    project: Project, deployment: Deployment, orders: int, result: dict[str, Any]
) -> None:
    checks: list[tuple[str, Step]] = [
        ("containers, image and ports are as promised", lambda: steps.inspect(project)),
        ("a published port spreads over three replicas", lambda: steps.spread(project, deployment)),
        ("a stop finishes what is in flight", lambda: steps.stop_gracefully(project, deployment)),
        (
            "Toxiproxy comes back with its proxies",
            lambda: steps.restart_toxiproxy(project, deployment),
        ),
    ]
    for claim, step in checks:
        _record(result, claim, await step(), project.say)
    await _table(project, deployment, result)
    project.say(f"At least {orders} orders, while one container after the other is killed")
    loaded = await load.play(project, deployment, orders)
    result["load"] = load.as_json(loaded)
    result["results"].append({"claim": "every order is billed once", "verdict": loaded.verdict})
    project.say(
        f"{loaded.verdict}: {loaded.acknowledged} acknowledged, {loaded.billed_once} billed once, {loaded.repeats} "
        f"requests repeated, {len(loaded.audit.findings)} findings of the audit, {loaded.seconds} s"
    )
    kept = await steps.keep_data(project, deployment)
    _record(result, "data survive down and up", kept, project.say)
    found = await audit(deployment.target.owner)
    offences = [f"{one.kind} {one.subject}: {one.detail}" for one in found.findings]
    _record(result, "the audit of it all is clean", offences, project.say)
    # Last: what its planted bugs do is what an audit finds.
    project.say("The lab on top: the same Postgres and Toxiproxy, wrapped services")
    struck = await lab.strike(project, deployment)
    _record(result, "the lab's page strikes the containers", struck, project.say)


async def _table(project: Project, deployment: Deployment, result: dict[str, Any]) -> None:
    saw: set[str] = set()
    async for cell in situations.play_all(project, deployment):
        result["results"].append({"claim": f"{cell.situation}/{cell.delivery}", **asdict(cell)})
        project.say(
            f"{cell.verdict}: {cell.situation + '/' + cell.delivery:38} expected {cell.expected}, measured "
            f"{cell.measured:g} in {cell.attempts} attempts; the caller saw {cell.caller_saw}"
        )
        if cell.situation != "success":
            saw.add(cell.caller_saw)
    offences = [] if len(saw) == 1 else sorted(saw)
    _record(result, "situations 2 to 5 look the same to the caller", offences, project.say)


def _record(result: dict[str, Any], claim: str, offences: list[str], say: Say) -> None:
    verdict = Verdict.FAIL if offences else Verdict.PASS
    result["results"].append({"claim": claim, "verdict": verdict, "offences": offences})
    say(f"{verdict}: {claim}" + "".join(f"\n  {offence}" for offence in offences))


if __name__ == "__main__":
    interruption.exit_with(main)
