"""How a command ends early: never with a traceback, and a crash is no broken promise."""

import os
import signal
import subprocess
import sys

import pytest

from stack.schema import PROJECT

ENTRIES = ("chaos", "bench", "chaos.compose", "stack.clean", "stack.bootstrap")
# Ctrl-C in the moment in which a module is imported for the first time.
STRUCK = """
import os, runpy, signal, sys

class Strike:
    def find_spec(self, name, path=None, target=None):
        if name == "{module}":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Strike())
sys.argv[1:] = ["--help"]
runpy.run_module("{entry}", run_name="__main__", alter_sys=True)
"""


def python(
    *arguments: str, held_back: bool = False, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs Python with Ctrl-C as a terminal has it; `held_back` strikes before the interpreter has started."""

    def before() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if held_back:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            os.kill(os.getpid(), signal.SIGINT)

    return subprocess.run(
        [sys.executable, *arguments],
        cwd=PROJECT,
        env={**os.environ, **(environ or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=before,
    )


@pytest.mark.parametrize("entry", ENTRIES)
def test_ctrl_c_while_the_interpreter_starts(entry: str) -> None:
    """The Makefile holds it back; the command takes it first of all, and says nothing."""
    ended = python("-m", entry, "--help", held_back=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("module", ["shutil", "asyncio"])
def test_ctrl_c_while_modules_are_imported(entry: str, module: str) -> None:
    """That takes a second; Ctrl-C ends it at once, and says nothing."""
    ended = python("-c", STRUCK.format(entry=entry, module=module))
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        ("return 1", 1, ""),
        ("return 1 / 0", 2, "This is a defect of the command, and no verdict."),
        ("raise KeyboardInterrupt", 130, ""),
        ("raise asyncio.CancelledError", 130, ""),
        ("raise BrokenPipeError", 2, ""),
    ],
)
def test_the_end_of_a_command(body: str, code: int, says: str) -> None:
    """1 is said by a verdict alone: a crash of the command has exit code 2."""
    source = f"import asyncio\nfrom stack.interruption import exit_with\ndef main():\n    {body}\nexit_with(main)"
    ended = python("-c", source)
    assert ended.returncode == code
    assert ended.stderr.strip().endswith(says)
    assert ("Traceback" in ended.stderr) == bool(says)


# Ctrl-C once, and another signal while the command is ending.
TWICE = """
import asyncio, os, signal
from stack.interruption import exit_with, until_signalled

async def struck(by):
    os.kill(os.getpid(), by)
    for _ in range(100):
        await asyncio.sleep(0)

async def command():
    try:
        await struck(signal.SIGINT)
        print("not ended")
    finally:
        await struck(signal.{second})
        print("ended in order")

def main():
    asyncio.run(until_signalled(command()))
    return 0

exit_with(main)
"""


@pytest.mark.parametrize("second", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_second_signal(second: str) -> None:
    """Impatience does not disturb the end: what is being stopped is stopped in order."""
    ended = python("-c", TWICE.format(second=second))
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "ended in order\n", "")


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-9"])
def test_a_terminal_that_lacks_a_character(encoding: str) -> None:
    """It shows a question mark, by whichever way the text gets there."""
    source = (
        "from stack.output import console\nconsole().print('a → b', markup=False)\nprint('c → d')"
    )
    ended = python("-c", source, environ={"PYTHONIOENCODING": encoding})
    assert (ended.returncode, ended.stdout) == (0, "a ? b\nc ? d\n")


def test_a_reader_that_has_gone() -> None:
    """`… | head` ends the command without a traceback, and not with the code of a broken promise."""
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "-m", "chaos", "list"],
        cwd=PROJECT,
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (2, b"")
