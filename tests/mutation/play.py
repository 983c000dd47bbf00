"""Plays mutants: each on a worker, against the tests that were chosen for it.

Guarantee: a mutant is killed only when a test of the net failed, or when it did not end within several times what its tests take
without it. When nothing could be imported, the same test is played without the mutant: if that fails too, it is the machine that is
broken, and the run ends without a verdict.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from stack.processes import StackError
from tests.mutation.choice import Choice
from tests.mutation.mutant import SCHEMA, Mutant
from tests.mutation.net import SOURCES, Cache, Net, Test
from tests.mutation.plugin import Server
from tests.mutation.pool import Worker
from tests.mutation.verdict import HUNG, KILLED, SURVIVED, UNREACHED, Verdict

# A busy machine is slower than the one on which the test was measured; a mutant that hangs is slower than any.
_TEST_TIMEOUT_S = 20.0
_TIMES_SLOWER = 10.0
_MEASURE_TIMEOUT_S = 900.0
# pytest's own code.
_PASSED = 0
# After so many mutants, the tests of one are played without it: what fails then has failed by itself.
_CONTROL_EACH = 25
_TIMEOUT_MARK = "Timeout (>"


async def measure(
    files: Sequence[str],
    cache: Cache,
    pool: Sequence[Worker],
    told: Callable[[str, int, int], None],
) -> Net:
    """The net of these files of tests: from the cache, and from running what is not in it. `told` hears of each of those."""
    known = {file: cache.read(file) for file in files}
    missing = [file for file in files if known[file] is None]
    done = 0

    async def work(worker: Worker, file: str) -> None:
        nonlocal done
        answer = await worker.ask(
            kind="measure",
            file=file,
            folder=str(worker.folder),
            sources=SOURCES,
            timeout_s=_MEASURE_TIMEOUT_S,
        )
        if "result" in answer:
            known[file] = answer["result"]
            cache.write(file, answer["result"])
        done += 1
        told(file, done, len(missing))

    await _share(pool, missing, work)
    net = Net()
    for file in files:
        measured = known[file]
        if measured is None:
            net.refused.append(file)
        else:
            net.add(measured)
    return net


async def play(
    mutants: Sequence[Mutant],
    choice: Choice,
    pool: Sequence[Worker],
    told: Callable[[Verdict], None],
    controls: list[str],
) -> None:
    """Plays all of them; `told` hears each verdict at once.

    Each control adds an entry to `controls`: the test that failed without any mutant, empty when none did. Raises `StackError` when
    the tests cannot be run at all.
    """
    for worker in pool:
        await worker.ask(kind="begin", files=choice.files)
    played = itertools.count(1)

    async def work(worker: Worker, mutant: Mutant) -> None:
        tests = choice.tests(mutant)
        verdict = await _judged(worker, mutant, tests, at_import=choice.at_import(mutant))
        if tests and next(played) % _CONTROL_EACH == 0:
            controls.append(await control(worker, tests))
        if verdict.outcome == KILLED and verdict.test:
            choice.killed_by(mutant, verdict.test)
        told(verdict)

    await _share(pool, mutants, work)


async def _share(pool: Sequence[Worker], items: Iterable[Any], work: Callable[..., Any]) -> None:
    """Each worker takes the next item when it is free."""
    left = iter(list(items))

    async def serve(worker: Worker) -> None:
        for item in left:
            await work(worker, item)

    try:
        async with asyncio.TaskGroup() as group:
            for worker in pool:
                group.create_task(serve(worker))
    except* StackError as several:
        raise several.exceptions[0] from several


async def _judged(
    worker: Worker, mutant: Mutant, tests: Sequence[Test], *, at_import: bool
) -> Verdict:
    if not tests:
        return Verdict(mutant, UNREACHED)
    original = ""
    if mutant.kind != SCHEMA:
        original = (worker.workspace.folder / mutant.path).read_text(encoding="utf-8")
    slowest_s = max(test.seconds for test in tests)
    total_s = sum(test.seconds for test in tests)
    try:
        async with _planted(worker, mutant) as server:
            answer = await worker.ask(
                kind="play",
                ids=[test.id for test in tests],
                server=server,
                # What ran while modules were imported has to run again, with the mutant.
                warm=not at_import,
                path=mutant.path,
                original=original,
                mutated=mutant.source(original) if original else "",
                test_timeout_s=_TEST_TIMEOUT_S + _TIMES_SLOWER * slowest_s,
                timeout_s=3 * _TEST_TIMEOUT_S + _TIMES_SLOWER * total_s,
            )
    except asyncpg.PostgresError as exc:
        # The change itself is refused: nothing was planted.
        return Verdict(mutant, KILLED, reason=f"not possible: {exc}", tests=len(tests))
    seconds = float(answer.get("seconds", 0.0))
    if "died" in answer or ("result" in answer and _says_nothing(answer["result"])):
        await control(worker, tests[:1])
    if "hung" in answer:
        return Verdict(mutant, HUNG, tests=len(tests), seconds=seconds)
    if "died" in answer:
        reason = f"the process ended with {answer['died']}"
        return Verdict(mutant, KILLED, reason=reason, tests=len(tests), seconds=seconds)
    result = answer["result"]
    if result["failed"]:
        outcome = HUNG if _TIMEOUT_MARK in result["reason"] else KILLED
        return Verdict(mutant, outcome, result["failed"], result["reason"], len(tests), seconds)
    if result["code"] == _PASSED:
        return Verdict(mutant, SURVIVED, tests=len(tests), seconds=seconds)
    # Nothing could be imported or collected at all.
    reason = f"pytest ended with {result['code']}"
    return Verdict(mutant, KILLED, reason=reason, tests=len(tests), seconds=seconds)


def _says_nothing(result: dict[str, Any]) -> bool:
    """Whether pytest ended without naming what failed."""
    return result["code"] != _PASSED and not result["failed"]


async def control(worker: Worker, tests: Sequence[Test]) -> str:
    """Plays tests without any mutant; the name of the one that failed, or nothing.

    Raises `StackError` when they cannot be played at all.
    """
    answer = await worker.ask(
        kind="play",
        ids=[test.id for test in tests],
        warm=False,
        test_timeout_s=_TEST_TIMEOUT_S + _TIMES_SLOWER * max(test.seconds for test in tests),
        timeout_s=3 * _TEST_TIMEOUT_S + _TIMES_SLOWER * sum(test.seconds for test in tests),
    )
    if "result" not in answer:
        how = f"the process ended with {answer['died']}" if "died" in answer else "they do not end"
        raise StackError(f"without any mutant the tests fail: {how}. No verdict is possible.")
    if _says_nothing(answer["result"]):
        code = answer["result"]["code"]
        raise StackError(f"without any mutant pytest ends with {code}. No verdict is possible.")
    return str(answer["result"]["failed"])


@asynccontextmanager
async def _planted(worker: Worker, mutant: Mutant) -> AsyncIterator[Server]:
    """For the time of the block, the worker's copy and its template have the mutant."""
    workspace = worker.workspace
    if mutant.kind != SCHEMA:
        original = (workspace.folder / mutant.path).read_text(encoding="utf-8")
        with workspace.with_text(mutant.path, mutant.source(original)):
            yield worker.server
        return
    newest = max((workspace.folder / "migrations" / "versions").glob("*.py"))
    path = str(newest.relative_to(workspace.folder))
    text = newest.read_text(encoding="utf-8") + _after_upgrade(mutant.apply_sql)
    with workspace.with_text(path, text):
        async with worker.with_schema(mutant.apply_sql) as server:
            yield server


def _after_upgrade(sql: str) -> str:
    """Tests that migrate a database of their own meet the mutant as well, where it is possible there."""
    block = (
        f"DO $mutant$ BEGIN EXECUTE $change${sql}$change$; "
        "EXCEPTION WHEN OTHERS THEN NULL; END $mutant$"
    )
    return f"""

_upgrade = upgrade


def upgrade() -> None:
    _upgrade()
    op.get_bind().exec_driver_sql({block!r})
"""
