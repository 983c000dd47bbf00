"""What pytest is told in a process of the worker: which tests, in which order, on which Postgres, and what is measured.

Guarantee: a test uses the worker's Postgres only in the place of the session's own one, and a database of its own in it, as
always; its durability is the default there too.
"""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import coverage
import pytest
from _pytest.fixtures import SubRequest

from stack.postgres import PostgresCluster
from tests.databases import Databases

# Tests that crash the session's server, or read its log, need one that is theirs.
_NEEDS_ITS_OWN = ("cluster.crash", "cluster.child")

_OF_THE_WORKER = ("cluster", "template", "databases")
# This tool: no test depends on it.
_OWN = "tests/mutation/"


@dataclass(frozen=True)
class Server:
    """The worker's Postgres, the migrated database that is cloned for tests, and one such clone; empty when there is none."""

    port: int
    password: str
    template: str
    spare: str = ""


class AttachedCluster(PostgresCluster):
    """A server that another process started and stops."""

    def __init__(self, server: Server) -> None:
        self.port = server.port
        self._password = server.password

    async def start(self) -> None:
        """It runs already."""

    async def stop(self) -> None:
        """It belongs to the worker."""


class ReusedDatabases(Databases):
    """The first test gets the worker's spare database, which the process before has left empty."""

    def __init__(self, server: Server) -> None:
        super().__init__(AttachedCluster(server), server.template)
        self._spare = server.spare

    async def take(self) -> str:
        """As always, but the spare one first."""
        name, self._spare = self._spare, ""
        if name:
            # It may have been dropped, because a test has changed its schema.
            with suppress(OSError, asyncpg.PostgresError):
                await self._read(name)
                return name
        return await super().take()

    async def give_back(self, name: str, *, spoilt: bool = False) -> None:
        """Returns when a spoilt one is dropped: the process ends with its last test, and the next one would take the spare as empty."""
        await super().give_back(name, spoilt=spoilt)
        await self.close()


def needs_its_own(path: Path) -> bool:
    """Whether a file of tests does to its server what no other test may meet."""
    text = path.read_text(encoding="utf-8")
    return any(each in text for each in _NEEDS_ITS_OWN)


class Attached:
    """Gives `cluster`, `template` and `databases` of the worker."""

    def __init__(self, server: Server) -> None:
        self.server = server

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: SubRequest
    ) -> object | None:
        """In the place of tests/conftest.py, which would start a server."""
        if fixturedef.scope != "session" or fixturedef.argname not in _OF_THE_WORKER:
            return None
        value: object = self.server.template
        if fixturedef.argname == "cluster":
            value = AttachedCluster(self.server)
        elif fixturedef.argname == "databases":
            value = ReusedDatabases(self.server)
        fixturedef.cached_result = (value, fixturedef.cache_key(request), None)
        return value


class Chosen:
    """Runs the tests with these ids, in this order, to the first failure, and says which failed and why."""

    def __init__(self, ids: Sequence[str]) -> None:
        self.failed = ""
        self.reason = ""
        self.ran = 0
        self._places = {name: place for place, name in enumerate(ids)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leaves out the other tests of the files."""
        items[:] = sorted(
            (item for item in items if item.nodeid in self._places),
            key=lambda item: self._places[item.nodeid],
        )

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be imported."""
        if report.failed:
            self._note(report.nodeid, str(report.longrepr))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of one test has ended."""
        self.ran += report.when == "call"
        if report.failed:
            self._note(report.nodeid, str(report.longrepr))

    def _note(self, name: str, text: str) -> None:
        if not self.failed:
            self.failed = name
            self.reason = text[-2_000:]


class Warm:
    """Keeps a session whose tests are collected, and hands it to `serve` in the place of running them."""

    def __init__(self, serve: Callable[[pytest.Session], None]) -> None:
        self._serve = serve

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """In the place of pytest's own loop."""
        self._serve(session)
        return True


def run_chosen(session: pytest.Session, ids: Sequence[str], timeout_s: float) -> Chosen:
    """Runs tests of a collected session in this order, to the first failure, in a fork of its process."""
    chosen = Chosen(ids)
    session.config.pluginmanager.register(chosen)
    of_id = {item.nodeid: item for item in session.items}
    items = [of_id[name] for name in ids if name in of_id]
    for item in items:
        item.add_marker(pytest.mark.timeout(timeout_s))
    try:
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if chosen.failed:
                break
    finally:
        # The fixtures of the session, which the loop of pytest would end.
        session._setupstate.teardown_exact(None)
    return chosen


class Measured:
    """Which lines each test executes, in this process and in those that it starts, and how long it takes."""

    def __init__(self, project: Path, folder: Path, wanted: Sequence[str]) -> None:
        self.tests: dict[str, dict[str, Any]] = {}
        self._project = project
        self._folder = folder
        self._wanted = wanted
        self._coverage = coverage.Coverage(
            data_file=None, config_file=False, source=[str(project / name) for name in wanted]
        )

    @staticmethod
    def settings(project: Path, folder: Path, wanted: Sequence[str]) -> dict[str, str]:
        """The environment in which processes of tests measure themselves."""
        rcfile = folder / "coveragerc"
        sources = "\n  ".join(str(project / name) for name in wanted)
        rcfile.write_text(
            f"[run]\ndata_file = {folder / 'lines'}\nparallel = true\nsigterm = true\nsource =\n  {sources}\n",
            encoding="utf-8",
        )
        return {"COVERAGE_PROCESS_START": str(rcfile)}

    def start(self) -> None:
        """Before the first module of the project is imported."""
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """One test, with its fixtures."""
        self._coverage.switch_context(item.nodeid)
        start_s = time.monotonic()
        entry = self.tests.setdefault(item.nodeid, {"passed": True, "called": False})
        result = yield
        entry["seconds"] = round(time.monotonic() - start_s, 3)
        entry["database"] = bool(
            {*_OF_THE_WORKER, "database"} & set(getattr(item, "fixturenames", ()))
        )
        self._coverage.switch_context("between tests")
        lines = self._of_processes()
        last = nextitem is None or nextitem.path != item.path
        # A process that served all tests of the file has ended with the last one.
        file = item.nodeid.partition("::")[0]
        for name in [each for each in self.tests if last and each.startswith(f"{file}::")]:
            _merge(self.tests[name].setdefault("lines", {}), lines)
        _merge(entry.setdefault("lines", {}), lines)
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of one test has ended."""
        entry = self.tests[report.nodeid]
        entry["passed"] = entry["passed"] and not report.failed
        entry["called"] = entry["called"] or (report.when == "call" and report.passed)

    def finish(self) -> dict[str, Any]:
        """The tests, and the lines that importing executed."""
        self._coverage.stop()
        data = self._coverage.get_data()
        imported: dict[str, list[int]] = {}
        for file in data.measured_files():
            path = str(Path(file).relative_to(self._project))
            if path.startswith(_OWN):
                continue
            for line, contexts in data.contexts_by_lineno(file).items():
                for context in contexts:
                    if context in self.tests:
                        self.tests[context]["lines"].setdefault(path, []).append(line)
                    elif not context:
                        imported.setdefault(path, []).append(line)
        for entry in self.tests.values():
            entry["lines"] = {path: sorted(set(lines)) for path, lines in entry["lines"].items()}
        return {"tests": self.tests, "imported": imported}

    def _of_processes(self) -> dict[str, list[int]]:
        """What processes have written since the test before; one that was killed has written nothing."""
        found: dict[str, list[int]] = {}
        for file in self._folder.glob("lines.*"):
            data = coverage.CoverageData(str(file))
            try:
                data.read()
            except coverage.CoverageException:
                continue
            for measured in data.measured_files():
                path = str(Path(measured).relative_to(self._project))
                found.setdefault(path, []).extend(data.lines(measured) or [])
            file.unlink()
        return found


def _merge(into: dict[str, list[int]], lines: dict[str, list[int]]) -> None:
    for path, numbers in lines.items():
        into[path] = sorted({*into.get(path, ()), *numbers})
