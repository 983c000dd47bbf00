"""`pytest --judge judge.toml`: one test for each case.

Guarantee: the judge runs once, in a process of its own, so that nothing of the tested project (its modules, its event
loop, its warnings) can change a verdict; a case that could not be told fails, and one that was not played is skipped.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# The calibration comes first; the others are those of `retry-judge list`.
_CALIBRATION = "calibration"
_TIMEOUT_S = 900


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds --judge."""
    group = parser.getgroup("retry-judge")
    group.addoption(
        "--judge",
        metavar="judge.toml",
        help="judge the service that this file describes: one test for each case",
    )
    group.addoption(
        "--judge-only", metavar="CASES", default="", help="these cases alone, separated by commas"
    )


def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Adds the cases behind the project's own tests."""
    if not config.getoption("--judge"):
        return
    collector = _Judge.from_parent(session, name=str(config.getoption("--judge")))
    items.extend(collector.collect())


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Without tests of its own, a project has those of the judge."""
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and session.config.getoption("--judge"):
        session.exitstatus = (
            pytest.ExitCode.OK if not session.testsfailed else pytest.ExitCode.TESTS_FAILED
        )


class _Judge(pytest.Collector):
    """The run, which begins with the first test of it."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._document: dict[str, Any] | None = None
        self._error = ""

    def collect(self) -> Iterator["_CaseTest"]:
        from judge.cases.catalogue import CASES

        only = [name for name in str(self.config.getoption("--judge-only")).split(",") if name]
        names = [case.name for case in CASES if not only or case.name in only]
        for name in (_CALIBRATION, *names):
            yield _CaseTest.from_parent(self, name=name)

    def case(self, name: str) -> dict[str, Any]:
        """What became of a case. Raises `_NotJudged` when the judge could not work."""
        if self._document is None and not self._error:
            self._run()
        if self._document is None:
            raise _NotJudged(self._error)
        for case in (*self._document["cases"], *self._document["not_played"]):
            if case["name"] == name:
                found: dict[str, Any] = case
                return found
        raise _NotJudged(f"there is no case {name}")

    def _run(self) -> None:
        with tempfile.TemporaryDirectory(prefix="retry-judge-pytest-") as folder:
            argv = [
                sys.executable,
                "-P",
                "-m",
                "judge",
                "run",
                os.path.abspath(self.name),
                "--out",
                folder,
            ]
            if only := str(self.config.getoption("--judge-only")):
                argv += ["--only", only]
            try:
                ended = subprocess.run(
                    argv, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
                )
            except subprocess.TimeoutExpired:
                self._error = f"the judge did not end within {_TIMEOUT_S} s"
                return
            file = Path(folder) / "result.json"
            text = file.read_text(encoding="utf-8") if file.exists() else ""
        if text:
            self._document = json.loads(text)
        else:
            self._error = ended.stderr.strip() or "the judge gave no result"


class _NotJudged(Exception):
    """The judge could not work."""


class _NotPassed(Exception):
    """A case did not pass."""


class _CaseTest(pytest.Item):
    parent: _Judge

    def runtest(self) -> None:
        """Passes, fails or is skipped as the case."""
        case = self.parent.case(self.name)
        if "why" in case:
            pytest.skip(case["why"])
        if case["verdict"] != "pass":
            raise _NotPassed(_told(case))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The sentence and the requests, without a traceback."""
        if excinfo.errisinstance((_NotPassed, _NotJudged)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[str, None, str]:
        """Where the test is said to be."""
        return self.parent.name, None, f"judge: {self.name}"


def _told(case: dict[str, Any]) -> str:
    lines = [f"{case['verdict']}: {case['sentence']}", f"promise: {case['promise']}"]
    lines += [f"usual cause: {case['cause']}"] if case["cause"] else []
    for event in case["events"]:
        if event["kind"] == "attempt":
            lines += [f"{event['label']}: {event['curl']}", f"    {event['saw']}"]
        elif event["kind"] == "reading":
            lines.append(f"reading: {event['value']} ({event['effects']:g} effects)")
    return "\n".join(lines)
