"""Whatever the user or the service does: one sentence and exit code 2, never a traceback."""

import asyncio
import itertools
import os
import signal
import sys
from pathlib import Path

import pytest

from stack.waiting import until
from tests.judge.conftest import PROJECT, Judge, Judged, free_port, planted
from tests.judge.scripted import scripted

_REQUEST = """
[request]
path = "/payments"
headers = { "Idempotency-Key" = "{key}" }
json = { reference = "{unique}" }
"""
_COUNT = """
[effect]
http = "GET /count"
value = "$.n"
"""


def _toml(url: str, effect: str = _COUNT, service: str = "") -> str:
    return f'[service]\nurl = "{url}"\n{service}\n{_REQUEST}{effect}'


def _must_be_one_sentence(judged: Judged, says: str) -> None:
    assert judged.code == 2, judged.output + judged.errors
    told = [line for line in judged.errors.splitlines() if line.startswith("retry-judge: ")]
    assert len(told) == 1, judged.errors
    assert says in told[0]
    assert "Traceback" not in judged.errors


async def test_nothing_listens(judge: Judge) -> None:
    _must_be_one_sentence(await judge(_toml(f"http://127.0.0.1:{free_port()}")), "nothing listens")


async def test_tls_that_fails(judge: Judge) -> None:
    """A service that speaks no TLS."""
    with scripted() as service:
        judged = await judge(_toml(service.url.replace("http://", "https://")))
    _must_be_one_sentence(judged, "the TLS connection failed")
    assert service.posts == 0


async def test_a_service_elsewhere(judge: Judge) -> None:
    """Nothing is sent to an address that is not of this machine (of the documentation's network, RFC 5737)."""
    _must_be_one_sentence(await judge(_toml("http://192.0.2.1:80")), "--i-own-this-service")


async def test_a_probe_elsewhere(judge: Judge) -> None:
    with scripted() as service:
        effect = _COUNT.replace("GET /count", "GET http://192.0.2.1/count")
        _must_be_one_sentence(await judge(_toml(service.url, effect)), "--i-own-this-service")


@pytest.mark.parametrize(
    ("value", "says"),
    [("$.nothing", "finds nothing"), ("$.text", "not a number"), ("$.list[*]", "finds 2 values")],
)
async def test_a_path_to_no_number(judge: Judge, value: str, says: str) -> None:
    with scripted(lambda _: {"text": "alice", "list": [1, 2]}) as service:
        judged = await judge(_toml(service.url, _COUNT.replace("$.n", value)))
    _must_be_one_sentence(judged, says)
    assert service.posts == 0


async def test_a_probe_that_changes_by_itself(judge: Judge) -> None:
    """Another user changes what is read."""
    ticks = itertools.count()
    with scripted(lambda _: {"n": next(ticks)}) as service:
        judged = await judge(_toml(service.url))
    _must_be_one_sentence(judged, "while nothing is sent")
    assert service.posts == 0


async def test_a_start_command_that_exits(judge: Judge) -> None:
    """Its last words are told."""
    start = 'start = "echo no such database >&2; exit 3"'
    judged = await judge(_toml(f"http://127.0.0.1:{free_port()}", service=start))
    _must_be_one_sentence(judged, "code 3")
    assert "no such database" in judged.errors


async def test_a_service_that_runs_already(judge: Judge) -> None:
    with scripted() as service:
        judged = await judge(_toml(service.url, service='start = "true"'))
    _must_be_one_sentence(judged, "listens")


@pytest.mark.parametrize(
    ("effect", "says"),
    [
        ('[effect]\nsql = "SELECT 1"\ndsn = "sqlite:///missing.db"', "does not exist"),
        ('[effect]\ncommand = "exit 3"', "code 3"),
        ('[effect]\ncommand = "echo text"', "not a number"),
        (
            '[effect]\nsql = "SELECT 1"\ndsn = "postgresql://nobody@127.0.0.1:1/none"',
            "the probe's sql failed",
        ),
    ],
)
async def test_a_probe_that_fails(judge: Judge, effect: str, says: str) -> None:
    with scripted() as service:
        _must_be_one_sentence(await judge(_toml(service.url, effect)), says)


async def test_a_case_that_does_not_exist(judge: Judge) -> None:
    judged = await judge(_toml("http://127.0.0.1:1"), "--only", "replays")
    _must_be_one_sentence(judged, "no case 'replays'")


async def test_a_folder_that_cannot_be_written(judge: Judge, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("", encoding="utf-8")
    _must_be_one_sentence(await judge(_toml("http://127.0.0.1:1")), "cannot be written")


@pytest.mark.parametrize(
    ("reading", "status", "says"),
    [
        (lambda posts: {"n": 0 * posts}, 201, "the reading stayed 0"),
        (lambda posts: {"n": 2 * posts}, 201, "step says 1"),
        (lambda posts: {"n": min(posts, 1)}, 201, "2 requests with 2 keys"),
        (lambda posts: {"n": min(posts, 2)}, 201, "3 requests with 3 keys"),
        (lambda posts: {"n": 0 * posts}, 500, "does not succeed"),
        (lambda posts: {"n": 0 * posts}, 404, "does not succeed"),
    ],
    ids=["no effect", "two effects", "one at most", "two at most", "errors only", "refusals only"],
)
async def test_a_service_that_cannot_be_judged(
    judge: Judge, reading: object, status: int, says: str
) -> None:
    """A service that does nothing does not pass: unknown, and why; no case is played."""
    with scripted(reading, status) as service:  # type: ignore[arg-type]
        judged = await judge(_toml(service.url))
    assert judged.code == 2
    assert judged.document["verdict"] == "unknown"
    assert says in judged.unknown["calibration"]
    assert [case["name"] for case in judged.document["cases"]] == ["calibration"]


@pytest.mark.parametrize("interrupt", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_run_leaves_nothing(tmp_path: Path, interrupt: signal.Signals) -> None:
    """Neither the service that it started nor Toxiproxy, whenever the signal comes."""
    config = tmp_path / "judge.toml"
    config.write_text(planted("right", tmp_path), encoding="utf-8")
    environ = {**os.environ, "PYTHONPATH": str(PROJECT), "RETRY_JUDGE_TEST": str(tmp_path)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-E", "-m", "judge", "run", str(config), "--out", str(tmp_path / "out")),
        cwd=PROJECT,
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    # The first verdict: the service and Toxiproxy run.
    await process.stdout.readline()

    async def both_run() -> bool:
        return len(_marked(str(tmp_path))) >= 3

    await until(both_run, 30.0, "the judge, the service and Toxiproxy run")
    process.send_signal(interrupt)
    _, errors = await process.communicate()
    assert process.returncode == 130, errors
    assert b"Traceback" not in errors

    async def none_left() -> bool:
        return not [pid for pid in _marked(str(tmp_path)) if pid != process.pid]

    await until(none_left, 10.0, "no process is left")


def _marked(folder: str) -> list[int]:
    """The processes of this test: those that have its folder in their command line, the judge's children included."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                parent = int(
                    (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1]
                )
            except (OSError, IndexError):
                continue
            if (any(folder.encode() in word for word in words) and words[0]) or parent in found:
                found.append(int(entry.name))
    return found
