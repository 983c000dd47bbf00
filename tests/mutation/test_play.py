"""A mutant is planted in a copy, and the tests decide: what they notice is killed, what they cannot notice survives."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from stack.processes import StackError
from tests.mutation import net as nets
from tests.mutation import pool
from tests.mutation import worker as worker_module
from tests.mutation.choice import Choice
from tests.mutation.mutant import PYTHON, SCHEMA, Mutant
from tests.mutation.net import Net
from tests.mutation.play import control, play
from tests.mutation.pool import Worker, forker
from tests.mutation.verdict import HUNG, KILLED, SURVIVED, UNREACHED, Verdict
from tests.mutation.workspace import Workspace

PROJECT = Path(__file__).resolve().parent.parent.parent
PATH = "examples/mutated.py"
# Line 5 is executed by both tests, and line 9 by none.
SOURCE = '''"""A module of the copy alone."""


def larger(one: int, other: int) -> int:
    return one if one > other else other


def smaller(one: int, other: int) -> int:
    return min(one, other)
'''
TESTS = '''"""Two tests of it, and two of the database."""

import asyncpg

from examples.mutated import larger


def test_the_larger() -> None:
    assert larger(1, 2) == 2


def test_equal_ones() -> None:
    assert larger(2, 2) == 2


async def test_the_table(database) -> None:
    connection = await asyncpg.connect(database.owner)
    try:
        assert await connection.fetchval("SELECT to_regclass('billing.ledger') IS NOT NULL")
    finally:
        await connection.close()


async def test_of_another_schema(database) -> None:
    connection = await asyncpg.connect(database.owner)
    try:
        await connection.execute("CREATE TABLE billing.more (id int)")
    finally:
        await connection.close()
'''
FILE = "tests/report/test_mutated.py"


@pytest.fixture(scope="module")
async def worker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Worker]:
    """With the module and its tests in its copy."""
    folder: Path = tmp_path_factory.mktemp("worker")
    workspace = Workspace(PROJECT, folder / "tree")
    for path, text in ((PATH, SOURCE), (FILE, TESTS)):
        (workspace.folder / path).write_text(text, encoding="utf-8")
    # Postgres may run as another user, who has to reach its folder.
    folder.chmod(0o755)
    async with pool.worker(workspace, folder, FILE) as worker:
        yield worker


def net(*, seconds: float = 0.1) -> Net:
    """What measuring would have found."""
    names = ("test_the_larger", "test_equal_ones")
    entries = {
        f"{FILE}::{name}": {
            "passed": True,
            "called": True,
            "seconds": seconds,
            "database": False,
            "lines": {PATH: [5]},
        }
        for name in names
    }
    table = {**entries[f"{FILE}::{names[0]}"], "database": True, "lines": {}}
    found = Net()
    found.add({"tests": {**entries, f"{FILE}::test_the_table": table}})
    return found


def mutant(old: str, new: str) -> Mutant:
    """Of the module: one text for another."""
    start = SOURCE.index(old)
    line = SOURCE.count("\n", 0, start) + 1
    return Mutant(PYTHON, PATH, "larger", line, "test", start, start + len(old), new)


async def judged(worker: Worker, *mutants: Mutant) -> list[Verdict]:
    verdicts: list[Verdict] = []
    await play(mutants, Choice(worker.workspace.folder, net()), [worker], verdicts.append, [])
    return verdicts


async def test_a_bug_that_a_test_notices(worker: Worker) -> None:
    """It is killed, by the test that fails; the copy is as before."""
    (verdict,) = await judged(worker, mutant("one > other", "one < other"))
    assert (verdict.outcome, verdict.test) == (KILLED, f"{FILE}::test_the_larger")
    assert (worker.workspace.folder / PATH).read_text(encoding="utf-8") == SOURCE


async def test_a_bug_that_no_test_can_notice(worker: Worker) -> None:
    """It survives, although both tests execute it; also right after one that was killed."""
    killed, survived = await judged(
        worker, mutant("one > other", "one < other"), mutant("one > other", "one >= other")
    )
    assert (killed.outcome, survived.outcome) == (KILLED, SURVIVED)
    assert survived.tests == 2


async def test_the_first_bug_is_gone_after_its_turn(worker: Worker) -> None:
    """The tests are collected before it is planted: what was imported by then meets all mutants that follow."""
    await judged(worker, mutant("one > other", "one < other"))
    answer = await worker.ask(
        kind="play",
        ids=[f"{FILE}::test_the_larger"],
        warm=True,
        test_timeout_s=60.0,
        timeout_s=60.0,
    )
    assert (answer["result"]["ran"], answer["result"]["failed"]) == (1, "")


async def test_a_line_that_no_test_executes(worker: Worker) -> None:
    """It is not played, and does not count as killed."""
    (verdict,) = await judged(worker, mutant("min(one", "max(one"))
    assert verdict.outcome == UNREACHED
    assert not verdict.caught


async def test_a_module_that_cannot_be_imported(worker: Worker) -> None:
    """It is killed."""
    (verdict,) = await judged(worker, mutant("return one if", "raise Nothing if"))
    assert verdict.outcome == KILLED


async def test_tests_that_cannot_be_run_at_all(worker: Worker) -> None:
    """No verdict: a machine on which nothing can be imported must not look like good tests."""
    conftest = (worker.workspace.folder / "tests/conftest.py").read_text(encoding="utf-8")
    with (
        worker.workspace.with_text("tests/conftest.py", f"import nothing\n{conftest}"),
        pytest.raises(StackError, match="without any mutant"),
    ):
        await judged(worker, mutant("one > other", "one >= other"))


async def test_a_control_plays_the_tests_without_any_mutant(worker: Worker) -> None:
    """It names what fails by itself."""
    tests = list(net().tests.values())[:2]
    assert await control(worker, tests) == ""
    with worker.workspace.with_text(FILE, TESTS.replace("== 2", "== 3", 1)):
        assert await control(worker, tests) == f"{FILE}::test_the_larger"


async def test_a_test_that_changes_the_schema(worker: Worker) -> None:
    """It can be the last one: its database is dropped before its process ends, and the tests of the next mutant get another."""
    spoiling = nets.Test(f"{FILE}::test_of_another_schema", 0.1, True, {})
    assert await control(worker, [spoiling]) == ""
    assert await control(worker, [spoiling]) == ""


async def test_a_bug_that_hangs(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended by the time limit of the whole, counts as noticed, and the worker goes on."""
    monkeypatch.setattr("tests.mutation.play._TEST_TIMEOUT_S", 1.0)
    endless = mutant("return one if one > other else other", "while True: one = other")
    (verdict,) = await judged(worker, endless)
    assert verdict.outcome == HUNG
    (after,) = await judged(worker, mutant("one > other", "one >= other"))
    assert after.outcome == SURVIVED


@pytest.mark.parametrize(
    "sql, outcome",
    [("DROP TABLE billing.ledger", KILLED), ("COMMENT ON TABLE billing.ledger IS 'x'", SURVIVED)],
)
async def test_the_schema(worker: Worker, sql: str, outcome: str) -> None:
    """Only tests with a database play it, on a template that has it."""
    planted = Mutant(SCHEMA, "migrations/versions", "billing.ledger", 0, "test", apply_sql=sql)
    (verdict,) = await judged(worker, planted)
    assert (verdict.outcome, verdict.tests) == (outcome, 1)


async def test_the_child_ends_with_the_worker(worker: Worker, tmp_path: Path) -> None:
    """Nothing of a worker that is killed stays behind."""
    folder = tmp_path / "tree"
    Workspace(PROJECT, folder)
    async with forker(folder, tmp_path, FILE.replace("test_mutated", "test_receiver")) as process:
        pid = process.pid
        assert os.getpgid(pid) == pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_first_part_that_cannot_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer stands: that the tests with a server of their own pass afterwards says nothing of the mutant."""
    (tmp_path / "test_a.py").write_text("", encoding="utf-8")
    (tmp_path / "test_b.py").write_text("await cluster.crash()", encoding="utf-8")
    codes = iter((4, 0))
    monkeypatch.setattr(
        worker_module, "_in_child", lambda *_: {"result": {"failed": "", "code": next(codes)}}
    )
    monkeypatch.chdir(tmp_path)
    ids = ["test_a.py::test_one", "test_b.py::test_other"]
    answer = worker_module._answer(
        {"kind": "play", "ids": ids, "warm": False, "timeout_s": 1.0},
        tmp_path,
        worker_module.WarmChild(tmp_path),
    )
    assert answer["result"]["code"] == 4


async def test_a_spare_database_that_is_spoilt(worker: Worker) -> None:
    """A process that hung or died has left rows in it: the next mutant gets another one."""

    async def accounts() -> int:
        connection = await asyncpg.connect(worker.cluster.url("test_spare"))
        try:
            return int(await connection.fetchval("SELECT count(*) FROM billing.accounts"))
        finally:
            await connection.close()

    await worker.tidy(spare_is_empty=False)
    connection = await asyncpg.connect(worker.cluster.url("test_spare"))
    await connection.execute("INSERT INTO billing.accounts VALUES ('alice', 1, 1)")
    await connection.close()
    await worker.tidy(spare_is_empty=True)
    assert await accounts() == 1
    await worker.tidy(spare_is_empty=False)
    assert await accounts() == 0
