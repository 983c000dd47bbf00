"""A service that is forked is like one that was executed, and no process is left of it."""

import asyncio
import fcntl
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from stack.nursery import Nursery
from stack.processes import Child, Command, Death, Program, StackError, Start, execute
from stack.schema import PROJECT
from stack.waiting import until
from tests.service_kit.http_guard.connection import next_turn

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="services are forked on Linux only")
BOUND_S = 60.0


@pytest.fixture(scope="module")
async def nursery() -> AsyncIterator[Nursery]:
    async with Nursery() as nursery:
        yield nursery


def probe(end: str, *fds: int, environ: Mapping[str, str] | None = None) -> Command:
    argv = [sys.executable, "-m", "tests.stack.probe", end, *map(str, fds)]
    return Command(argv, {"PATH": os.defpath, **(environ or {})}, PROJECT, inherited_fds=fds)


async def ended(start: Start, command: Command, log: Path) -> tuple[int, str]:
    """The exit code of a process, and its log."""
    process = await start(command, log)
    async with asyncio.timeout(BOUND_S):
        code = await process.wait()
    return code, log.read_text(encoding="utf-8")


async def test_it_is_like_one_that_was_executed(nursery: Nursery, tmp_path: Path) -> None:
    """Arguments, environment, folder, session, open files, signals and input: the same, but for the number and what is drawn."""
    with socket.socket() as first, socket.socket() as second:
        # Numbers that the nursery has for itself, and one for which another one came.
        first_fd, second_fd = (
            fcntl.fcntl(each.fileno(), fcntl.F_DUPFD, 60) for each in (first, second)
        )
        command = probe("0", second_fd, first_fd, environ={"A": "b", "LC_ALL": "C.UTF-8"})
        found: list[dict[str, Any]] = []
        for name, start in (("executed", execute), ("forked", nursery.fork)):
            code, text = await ended(start, command, tmp_path / f"{name}.log")
            assert code == 0, text
            found.append(json.loads(text))
        os.close(first_fd)
        os.close(second_fd)
    for each in found:
        assert each["descriptors"].pop("1").endswith(".log")
        assert each["descriptors"].pop("2").endswith(".log")
        assert len({each.pop("pid"), each.pop("drawn")}) == 2
    assert found[0] == found[1]
    assert found[1]["descriptors"].keys() == {"0", str(first_fd), str(second_fd)}


async def test_what_is_drawn_differs(nursery: Nursery, tmp_path: Path) -> None:
    """Two forked processes do not draw the same numbers, so that their pauses differ."""
    texts = [
        (await ended(nursery.fork, probe("0"), tmp_path / f"{number}.log"))[1]
        for number in range(2)
    ]
    assert len({json.loads(text)["drawn"] for text in texts}) == 2


@pytest.mark.parametrize(
    ("end", "code", "says"),
    [
        ("0", 0, ""),
        ("3", 3, ""),
        ("says why", 1, "no disk"),
        ("raises", 1, "PostgresError: no disk"),
    ],
)
async def test_an_exit_code(
    nursery: Nursery, tmp_path: Path, end: str, code: int, says: str
) -> None:
    """As that of an executed process, with what it says at its end."""
    for name, start in (("executed", execute), ("forked", nursery.fork)):
        got, text = await ended(start, probe(end), tmp_path / f"{name}.log")
        assert got == code
        assert text.rstrip().endswith(says or "}")


async def test_a_death_is_recorded_and_healed(nursery: Nursery, tmp_path: Path) -> None:
    """After kill -9 another process runs, and the dead one's end can be read."""
    running = Child("forked", probe("waits"), tmp_path / "log", start=nursery.fork)
    await running.start()
    first = running.pid
    assert await running.crash() == Death(first, -9)
    async with asyncio.timeout(BOUND_S):
        await running.running_after(1)
    assert running.pid != first
    await running.stop(BOUND_S)
    assert running.return_code == -signal.SIGTERM


async def test_the_nursery_is_killed(tmp_path: Path) -> None:
    """What it has forked dies with it, and is forked again by another one."""
    async with Nursery() as nursery:
        running = Child("forked", probe("waits"), tmp_path / "log", start=nursery.fork)
        await running.start()
        first = running.pid
        os.kill(parent_of(first), signal.SIGKILL)
        async with asyncio.timeout(BOUND_S):
            await running.running_after(1)
        assert running.pid != first
        assert running.deaths == [Death(first, -9)]
        await gone(first)
        await running.stop(BOUND_S)


async def test_only_modules_of_this_revision_are_forked(nursery: Nursery, tmp_path: Path) -> None:
    """The nursery has imported the code of this one."""
    other = Command([sys.executable, "-m", "tests.stack.probe", "0"], {}, tmp_path)
    program = Command(["/bin/true", "-m", "x"], {}, PROJECT)
    for command in (other, program):
        with pytest.raises(StackError, match="only modules"):
            await nursery.fork(command, tmp_path / "log")


OWNER = """
import asyncio, pathlib, signal, sys
from stack.nursery import Nursery
from tests.stack.test_nursery import probe

async def main():
    async with Nursery() as nursery:
        process = await nursery.fork(probe("waits"), pathlib.Path(sys.argv[1]))
        print(process.pid, flush=True)
        await process.wait()

asyncio.run(main())
"""


async def test_nothing_is_left_when_the_owner_is_killed(tmp_path: Path) -> None:
    """Neither the forked process nor the nursery, however hard the end of the one who started them."""
    owner = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", OWNER, str(tmp_path / "log")),
        cwd=PROJECT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert owner.stdout is not None
    forked = int(await owner.stdout.readline())
    nursery = parent_of(forked)
    assert nursery not in (1, owner.pid)
    owner.kill()
    await owner.wait()
    for pid in (forked, nursery):
        await gone(pid)


async def test_nothing_is_left_at_the_end(tmp_path: Path) -> None:
    """A nursery that is closed ends, and so does what it still has."""
    async with Nursery() as nursery:
        process: Program = await nursery.fork(probe("waits"), tmp_path / "log")
        its = parent_of(process.pid)
    for pid in (process.pid, its):
        await gone(pid)


def parent_of(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    return int(stat.rpartition(")")[2].split()[1])


async def gone(pid: int) -> None:
    """Returns when the process has ended; one that its new parent has not reaped yet has."""

    async def ended() -> bool:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return True
        return stat.rpartition(")")[2].split()[0] in "ZX"

    await until(ended, BOUND_S, "the process is gone")


async def test_a_nursery_is_killed_before_it_has_read_a_request(tmp_path: Path) -> None:
    """Who asked is told, the next request is served by another one, and no traceback of the event loop is printed."""
    troubles: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, trouble: troubles.append(trouble))
    async with Nursery() as nursery:
        first = await nursery.fork(probe("waits"), tmp_path / "first.log")
        its = parent_of(first.pid)
        os.kill(its, signal.SIGSTOP)
        asked = asyncio.create_task(nursery.fork(probe("waits"), tmp_path / "second.log"))

        async def sent() -> bool:
            return len(nursery._asked) == 1

        await until(sent, BOUND_S, "the request is sent")
        os.kill(its, signal.SIGKILL)
        async with asyncio.timeout(BOUND_S):
            with pytest.raises(StackError, match="nursery of services was killed"):
                await asked
            assert await first.wait() == -signal.SIGKILL
        again = await nursery.fork(probe("waits"), tmp_path / "third.log")
        assert parent_of(again.pid) != its
    loop.set_exception_handler(None)
    assert troubles == []


async def test_the_other_end_is_gone_before_a_process_is_forked() -> None:
    """The nursery ends without a traceback: after Ctrl-C it would be the last that a person reads."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "stack.nursery", str(theirs.fileno())),
            cwd=PROJECT,
            pass_fds=[theirs.fileno()],
            stderr=asyncio.subprocess.PIPE,
        )
        request = {"words": ["this"], "fds": [], "environ": {}, "death_signal": signal.SIGKILL}
        null = os.open(os.devnull, os.O_WRONLY)
        socket.send_fds(ours, [json.dumps(request).encode()], [null])
        os.close(null)
    _, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")


async def test_a_start_that_is_cancelled(nursery: Nursery, tmp_path: Path) -> None:
    """It was asked for already: what is forked then is ended, and the next start is answered for itself."""
    assert (await ended(nursery.fork, probe("0"), tmp_path / "first.log"))[0] == 0
    gone = asyncio.create_task(nursery.fork(probe("waits"), tmp_path / "gone.log"))
    async with asyncio.timeout(BOUND_S):
        while not nursery._asked:
            await next_turn()
    gone.cancel()
    await asyncio.wait((gone,))
    code, _ = await ended(nursery.fork, probe("0"), tmp_path / "next.log")
    assert code == 0

    async def none() -> bool:
        return not nursery._forked

    await until(none, BOUND_S, "nothing that was forked is left")
