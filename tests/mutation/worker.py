"""One worker: a process that has imported all libraries and forks a child for each request. Run as `python -m tests.mutation.worker`.

It works in its copy of the tree. A request is a line of JSON on standard input, the answer one on standard output. The child
imports the project afresh, with the mutant in it, so that nothing of an earlier mutant is left; importing the libraries, which
takes most of the time of a start, has happened before the fork.

Guarantee: no child outlives its time limit or the worker, and the worker ends when its input does.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from stack.processes import die_with
from tests.mutation.plugin import (
    Attached,
    Chosen,
    Measured,
    Server,
    Warm,
    needs_its_own,
    run_chosen,
)
from tests.mutation.swap import Functions, NotSwappable

# No file of the project's options: each is said here. A warning of pytest's own, that a library is imported already, is
# what this worker is for.
_OPTIONS = (
    "--import-mode=importlib",
    "--strict-markers",
    "-q",
    "-o",
    "addopts=",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:faulthandler",
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
    "-m",
    "not chaos",
)
_OURS = (
    "tests",
    "chaos",
    "stack",
    "report",
    "lab",
    "judge",
    "bench",
    "migrations",
    "examples",
    "service_kit",
    "order_service",
    "billing_service",
    "notification_service",
)
# A pipe holds as much.
_PIPE_BYTES = 65_536


def main() -> None:
    """Answers until the input ends."""
    project = Path.cwd()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # What tests print is not an answer.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    collected = sys.argv[1] if len(sys.argv) > 1 else "tests"
    names = _in_child(lambda: _libraries(project, collected), timeout_s=600)
    for name in names.get("result", []):
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()
    answers.write(json.dumps({"ready": len(names.get("result", []))}) + "\n")
    answers.flush()
    warm = WarmChild(project)
    for line in sys.stdin:
        request = json.loads(line)
        started_s = time.monotonic()
        answer = _answer(request, project, warm)
        answer["seconds"] = round(time.monotonic() - started_s, 3)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


class WarmChild:
    """A child that has imported the project and collected the tests, without any mutant, and forks for each request itself.

    It saves the import, which takes longer than most tests.
    """

    def __init__(self, project: Path) -> None:
        self._project = project
        self._requests: Any = None
        self._answers = -1
        self._gone = True

    def begin(self, files: list[str], server: dict[str, Any]) -> None:
        """Returns when these files of tests are collected: a mutant that is planted meanwhile would be imported, and stay."""
        request_end, self_request = os.pipe()
        self_answer, answer_end = os.pipe()
        parent = os.getpid()
        if os.fork() == 0:
            for descriptor in (self_request, self_answer):
                os.close(descriptor)

            def work() -> int:
                attached = Attached(Server(**server))
                serve = Warm(
                    lambda session: self._serve(session, attached, request_end, answer_end)
                )
                return _run(["--capture=no", *files], [attached, serve])

            _be_child(work, os.open(os.devnull, os.O_WRONLY), parent)
        os.close(request_end)
        os.close(answer_end)
        self._requests = os.fdopen(self_request, "w", encoding="utf-8")
        self._answers = self_answer
        self._gone = not os.read(self_answer, 1)

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer of its fork; when the child itself is gone, the answer that the mutant was not planted."""
        not_planted: dict[str, Any] = {"result": {"swapped": False}}
        if self._gone:
            return not_planted
        line = b""
        try:
            self._requests.write(json.dumps(request) + "\n")
            self._requests.flush()
            while not line.endswith(b"\n"):
                part = os.read(self._answers, _PIPE_BYTES)
                if not part:
                    raise BrokenPipeError
                line += part
        except OSError:
            self._gone = True
            return not_planted
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _serve(
        self, session: pytest.Session, attached: Attached, requests: int, answers: int
    ) -> None:
        functions = Functions(str(self._project) + os.sep)
        gc.collect()
        gc.freeze()
        os.write(answers, b"\n")

        def play(request: dict[str, Any]) -> dict[str, Any]:
            attached.server = Server(**request["server"])
            if request.get("original"):
                path = str(self._project / request["path"])
                try:
                    functions.swap(path, request["original"], request["mutated"])
                except NotSwappable:
                    return {"swapped": False}
            chosen = run_chosen(session, request["ids"], request["test_timeout_s"])
            return {"failed": chosen.failed, "reason": chosen.reason, "ran": chosen.ran, "code": 0}

        with os.fdopen(requests, encoding="utf-8") as pipe:
            for line in pipe:
                request = json.loads(line)
                answer = _in_child(lambda request=request: play(request), request["timeout_s"])  # type: ignore[misc]
                os.write(answers, (json.dumps(answer) + "\n").encode())


def _answer(request: dict[str, Any], project: Path, warm: WarmChild) -> dict[str, Any]:
    if request["kind"] == "measure":
        return _in_child(lambda: _measure(request, project), request["timeout_s"])
    if request["kind"] == "begin":
        files = [each for each in request["files"] if not needs_its_own(project / each)]
        warm.begin(files, request["server"])
        return {"result": {}}
    own = {path: needs_its_own(project / path) for path in {_file(each) for each in request["ids"]}}
    answer: dict[str, Any] = {"result": {"failed": "", "reason": "", "ran": 0, "code": 0}}
    # First the tests that need no server of their own.
    for needs in (False, True):
        ids = [name for name in request["ids"] if own[_file(name)] == needs]
        if not ids:
            continue
        answer = {"result": {"swapped": False}}
        if request["warm"] and not needs:
            answer = warm.ask({**request, "ids": ids})
        if answer.get("result", {}).get("swapped") is False:
            answer = _in_child(
                lambda ids=ids, needs=needs: _play(request, ids, needs),  # type: ignore[misc]
                request["timeout_s"],
            )
        # A conftest.py that cannot be imported ends pytest without naming a test: that, too, is the answer.
        if "result" not in answer or answer["result"]["failed"] or answer["result"]["code"]:
            break
    return answer


def _file(name: str) -> str:
    return name.partition("::")[0]


def _libraries(project: Path, collected: str) -> list[str]:
    """The names of all modules that collecting the tests imports, apart from the project's own."""
    _run(["--collect-only", str(project / collected)])
    return [
        name
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] not in _OURS
        and getattr(module, "__spec__", None) is not None
        and not str(getattr(module, "__file__", None) or "").startswith(str(project) + os.sep)
    ]


def _play(request: dict[str, Any], ids: list[str], own_server: bool) -> dict[str, Any]:
    chosen = Chosen(ids)
    plugins: list[object] = [chosen]
    if not own_server:
        plugins.append(Attached(Server(**request["server"])))
    # In the order of the ids, each file once.
    files = list(dict.fromkeys(_file(name) for name in ids))
    code = _run(["-x", f"--timeout={request['test_timeout_s']}", *files], plugins)
    return {"failed": chosen.failed, "reason": chosen.reason, "ran": chosen.ran, "code": code}


def _measure(request: dict[str, Any], project: Path) -> dict[str, Any]:
    folder = Path(request["folder"])
    os.environ.update(Measured.settings(project, folder, request["sources"]))
    measured = Measured(project, folder, request["sources"])
    measured.start()
    plugins: list[object] = [measured]
    if not needs_its_own(project / request["file"]):
        plugins.append(Attached(Server(**request["server"])))
    code = _run(["--timeout=300", request["file"]], plugins)
    return {**measured.finish(), "code": code}


def _run(arguments: list[str], plugins: list[object] | None = None) -> int:
    for name in [name for name in sys.modules if name.partition(".")[0] in _OURS]:
        # The worker itself needs some of them; the child imports all of them again, the mutant among them.
        if name != "tests.mutation.worker":
            del sys.modules[name]
    return int(pytest.main([*_OPTIONS, *arguments], plugins=plugins))


def _in_child(work: Callable[[], Any], timeout_s: float) -> dict[str, Any]:
    """What `work` returns, computed in a fork; `{"hung": true}` when it took too long, `{"died": code}` when it died."""
    readable, writable = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _be_child(work, writable, parent)
    os.close(writable)
    text, hung = _read(readable, timeout_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if hung:
        return {"hung": True}
    if not text:
        return {"died": os.waitstatus_to_exitcode(status)}
    return {"result": json.loads(text)}


def _be_child(work: Callable[[], Any], writable: int, parent: int) -> None:
    code = 1
    try:
        os.setsid()
        die_with(parent, signal.SIGKILL)()
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        # pytest captures by its own files; what comes before must not reach the worker's.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the end of the process
        sys.stderr = sys.stdout
        data = json.dumps(work()).encode()
        with os.fdopen(writable, "wb") as pipe:
            pipe.write(data)
        code = 0
    finally:
        # Neither the clean-up of the worker nor threads of a test may run or be waited for.
        os._exit(code)


def _read(readable: int, timeout_s: float) -> tuple[bytes, bool]:
    """All that comes until the other end is closed, and whether that took too long."""
    deadline_s = time.monotonic() + timeout_s
    parts: list[bytes] = []
    with os.fdopen(readable, "rb", buffering=0) as pipe:
        while True:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or not select.select([pipe], [], [], left_s)[0]:
                return b"", True
            part = pipe.read(_PIPE_BYTES)
            if not part:
                return b"".join(parts), False
            parts.append(part)


def environ(variables: Mapping[str, str]) -> dict[str, str]:
    """Of a worker: without what would let its Python look elsewhere."""
    return {name: text for name, text in variables.items() if not name.startswith("PYTHON")}


if __name__ == "__main__":
    main()
