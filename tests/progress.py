"""What a run of the tests tells a person: the lane, the test that has just ended, the time left, and the slowest tests.

Guarantee: every failed test is named at once; after an interruption `--last-failed` runs what failed and what was not
run. The time left comes from the durations of the run before, where there are any, and is an estimate.
"""

import sys
import time
from collections.abc import Iterable
from typing import Any

import pytest

# A line for each test would bury the failures; one in this time shows that the run is alive.
_PAUSE_S = 5.0
# What a test takes when no earlier run has measured it.
_UNKNOWN_S = 0.3
_SLOWEST_SHOWN = 10
_DURATIONS = "progress/seconds"
_LANES = "progress/lanes"
_LAST_FAILED = "cache/lastfailed"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--lane TEXT` is what the Makefile says about the run."""
    parser.addoption("--lane", default="", help="what this run plays, and about how long it takes")


def pytest_configure(config: pytest.Config) -> None:
    """The workers of pytest-xdist tell nothing; their controller does."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Progress(config), "billed-once-progress")


class Progress:
    """Counts what has ended; one for each run, in the process that prints."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        # None where a person has switched it off.
        self._cache: pytest.Cache | None = getattr(config, "cache", None)
        self._known_s: dict[str, float] = self._cache.get(_DURATIONS, {}) if self._cache else {}
        self._started_s = time.monotonic()
        self._printed_s = 0.0
        self._left: dict[str, float] = {}
        self._weight_done_s = 0.0
        self._total = 0
        self._seconds: dict[str, float] = {}
        self._failed: set[str] = set()
        self._width = 0

    def pytest_report_header(self) -> str:
        """What the run plays, and how long that took on this machine the last time."""
        lane = str(self._config.getoption("--lane"))
        took_s = self._cache.get(_LANES, {}).get(lane) if self._cache else None
        return f"{lane} The run before took {_clock(took_s)}." if lane and took_s else lane

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """The tests of this process; there are none when workers have them."""
        if session.items:
            self._expect(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Each worker collects all tests."""
        self._expect(ids)

    def pytest_report_teststatus(self, report: Any) -> tuple[str, str, str] | None:
        """No dot for a test that passed: the line of progress says more."""
        if report.passed:
            return ("passed" if report.when == "call" else "", "", "")
        if report.failed:
            # It is named at once, by the line below; the summary counts it.
            return ("failed" if report.when == "call" else "error", "", "")
        return None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of one test has ended."""
        name = report.nodeid
        self._seconds[name] = self._seconds.get(name, 0.0) + report.duration
        if report.failed:
            self._failed.add(name)
            self._write(f"FAILED {name} ({report.when})", stays=True)
        if report.when == "teardown":
            self._weight_done_s += self._left.pop(name, 0.0)
            self._show(name)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """The slowest tests, set-up and tear-down included."""
        self._write("", stays=False)
        slowest = sorted(self._seconds.items(), key=lambda entry: -entry[1])[:_SLOWEST_SHOWN]
        if len(self._seconds) > _SLOWEST_SHOWN:
            terminalreporter.section("slowest")
            for name, seconds in slowest:
                terminalreporter.write_line(f"{seconds:7.1f} s  {name}")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Keeps the durations; after an interruption also what was not run, for `--last-failed`."""
        if self._cache is None or not self._total:
            return
        self._cache.set(_DURATIONS, {**self._known_s, **self._seconds})
        if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            lane = str(self._config.getoption("--lane"))
            took_s = time.monotonic() - self._started_s
            self._cache.set(_LANES, {**self._cache.get(_LANES, {}), lane: took_s})
        if exitstatus == pytest.ExitCode.INTERRUPTED:
            left = [*self._failed, *self._left]
            self._cache.set(_LAST_FAILED, dict.fromkeys(left, True))
            workers = self._config.getoption("numprocesses", None)
            self._write(
                f"Interrupted: {len(left)} tests failed or were not run. Only these: "
                f".venv/bin/python -E -m pytest{f' -n {workers}' if workers else ''} --last-failed",
                stays=True,
            )

    def _expect(self, names: Iterable[str]) -> None:
        if not self._total:
            self._left = {name: self._known_s.get(name, _UNKNOWN_S) for name in names}
            self._total = len(self._left)

    def _show(self, name: str) -> None:
        now_s = time.monotonic()
        if now_s - self._printed_s < (0.1 if self._rewrites() else _PAUSE_S):
            return
        self._printed_s = now_s
        done = self._total - len(self._left)
        self._write(f"{done:5}/{self._total}  {self._time_left(now_s)}  {name}", stays=False)

    def _time_left(self, now_s: float) -> str:
        """By the weights of what is done and what is left: how the run before shared its time out."""
        pace = (now_s - self._started_s) / max(self._weight_done_s, _UNKNOWN_S)
        left_s = pace * sum(self._left.values())
        return f"{_clock(left_s):>5} left"

    def _rewrites(self) -> bool:
        return sys.stdout.isatty()

    def _write(self, text: str, *, stays: bool) -> None:
        """On a terminal a line of progress replaces the one before; elsewhere each is a line."""
        if not self._rewrites():
            if text:
                print(text, flush=True)
            return
        columns = 79
        shown = text if stays else text[:columns]
        print("\r" + shown.ljust(self._width), end="\n" if stays else "", flush=True)
        self._width = 0 if stays else len(shown)


def _clock(seconds: float) -> str:
    """Minutes and seconds, as on a clock."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
