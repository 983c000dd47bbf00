"""Supervision: what dies is started again, what cannot live is given up, and every death is known."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from stack.processes import Child, Command, Death, StackError
from stack.waiting import until


def child(tmp_path: Path, code: str) -> Child:
    command = Command([sys.executable, "-c", code], {"PATH": os.defpath}, tmp_path)
    return Child("child", command, tmp_path / "child.log")


FOREVER = "import signal; signal.pause()"


async def test_a_death_is_recorded_and_healed(tmp_path: Path) -> None:
    """After kill -9 another process runs, and the dead one's end can be read."""
    running = child(tmp_path, FOREVER)
    await running.start()
    first = running.pid
    assert await running.crash() == Death(first, -9)
    async with asyncio.timeout(60):
        await running.running_after(1)
    assert running.pid != first
    await running.stop(5)


async def test_being_killed_often_is_no_reason_to_give_up(tmp_path: Path) -> None:
    """Chaos may kill a process many times in a row."""
    running = child(tmp_path, FOREVER)
    await running.start()
    for deaths in range(1, 9):
        await running.crash()
        async with asyncio.timeout(60):
            await running.running_after(deaths)
    await running.stop(5)
    assert not running.failure.done()


async def test_a_kill_right_after_a_kill(tmp_path: Path) -> None:
    """The second call waits for a process to kill, and kills it."""
    running = child(tmp_path, FOREVER)
    await running.start()
    async with asyncio.timeout(60):
        deaths = [await running.crash(), await running.crash()]
    assert [death.return_code for death in deaths] == [-9, -9]
    assert deaths[0].pid != deaths[1].pid
    await running.stop(5)


async def test_what_cannot_live_is_given_up(tmp_path: Path) -> None:
    """A process that ends by itself again and again is a failure that shows the end of its log."""
    dying = child(tmp_path, "import sys; sys.exit('no disk')")
    await dying.start()
    with pytest.raises(StackError, match="(?s)child ended with code 1.*no disk"):
        async with asyncio.timeout(60):
            await dying.running_after(99)
    assert len(dying.deaths) == 5
    await dying.stop(5)


async def test_a_wrong_setting_is_given_up_at_once(tmp_path: Path) -> None:
    """Exit code 2 says that another start would end the same way."""
    dying = child(tmp_path, "import sys; sys.exit(2)")
    await dying.start()
    with pytest.raises(StackError, match="code 2"):
        async with asyncio.timeout(60):
            await dying.failure
    assert len(dying.deaths) == 1
    await dying.stop(5)


async def test_who_does_not_stop_is_killed(tmp_path: Path) -> None:
    """The grace ends; the process does too."""
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
    deaf = child(tmp_path, code)
    await deaf.start()
    async with asyncio.timeout(60):
        while "deaf" not in deaf.log_end():
            await asyncio.to_thread(os.sched_yield)
    await deaf.stop(0.2)
    assert not deaf.running
    assert deaf.deaths == []


async def test_who_stands_still_stops_in_order(tmp_path: Path) -> None:
    """A process that was stopped by SIGSTOP hears of its end: it is not killed."""
    code = """
import signal, sys
def end(*_):
    print("in order", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
signal.pause()
"""
    still = child(tmp_path, code)
    await still.start()
    await until(lambda: _says(still, "ready"), 60, "the process is ready")
    os.kill(still.pid, signal.SIGSTOP)
    async with asyncio.timeout(60):
        await still.stop(300)
    assert "in order" in still.log_end()
    assert still.return_code == 0


async def _says(child: Child, text: str) -> bool:
    return text in child.log_end()


async def test_a_program_that_is_gone_is_a_failure(tmp_path: Path) -> None:
    """It cannot be started again after its death, and whoever waits for it is told why."""
    program = tmp_path / "program"
    program.symlink_to("/bin/sleep")
    running = Child("sleep", Command([str(program), "600"], {}, tmp_path), tmp_path / "log")
    await running.start()
    program.unlink()
    os.kill(running.pid, signal.SIGKILL)
    async with asyncio.timeout(60):
        with pytest.raises(StackError, match="sleep .*No such file"):
            await running.running_after(1)
