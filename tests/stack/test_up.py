"""The command `up`: refused arguments, and one function for `python -m stack up` and `python -m chaos up`."""

import argparse
import io
from pathlib import Path
from typing import Any, ClassVar

import pytest
from rich.console import Console

import stack.up
from chaos.__main__ import COMMANDS
from stack.__main__ import main
from stack.processes import StackError
from stack.up import up

ORDER_URL = "http://127.0.0.1:18001"


@pytest.mark.parametrize("replicas", ["0", "5", "-1", "two", ""])
def test_a_number_of_replicas_that_is_refused(
    replicas: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and one sentence, before anything is started."""
    with pytest.raises(SystemExit) as ended:
        main(["up", "--replicas", replicas])
    assert ended.value.code == 2
    assert "the number of replicas is 1 to 4" in capsys.readouterr().err


def test_chaos_starts_the_same_stack() -> None:
    """`python -m chaos up` is the same function."""
    assert COMMANDS["up"] is up


class SlowStack:
    """A stack that notes what has been printed when it is ready, and when it begins to serve."""

    console = Console(file=io.StringIO())
    fails = False
    printed: dict[str, str]
    moved = ("Port 8001 is taken.",)
    urls: ClassVar = dict.fromkeys(
        ("order_service", "billing_service", "notification_service"), ORDER_URL
    )
    tokens: ClassVar = {"curl": "token-of-curl"}
    order_tokens: ClassVar[dict[str, str]] = {}

    def __init__(self, *_: Any, **__: Any) -> None:
        type(self).printed = {}

    def note(self, moment: str) -> None:
        self.printed[moment] = self.console.file.getvalue()  # type: ignore[attr-defined]

    async def __aenter__(self) -> "SlowStack":
        self.note("while it starts")
        if self.fails:
            raise StackError("Postgres did not start")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.note("when it stops")

    async def serve_until_stopped(self) -> None:
        self.note("while it serves")


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> type[SlowStack]:
    """`up` starts this stack."""
    monkeypatch.setattr(stack.up, "Stack", SlowStack)
    monkeypatch.setattr(SlowStack, "console", Console(file=io.StringIO(), width=200))
    return SlowStack


async def test_the_lines_to_paste_come_when_the_stack_is_ready(
    slow: type[SlowStack], tmp_path: Path
) -> None:
    """Not while it starts; all of them before it serves, with the ports that moved above them."""
    options = argparse.Namespace(run_dir=tmp_path, replicas=1)
    assert await up(options, slow.console) == 0
    assert "curl" not in slow.printed["while it starts"]
    serving = slow.printed["while it serves"]
    assert f"curl -i {ORDER_URL}/orders" in serving
    assert serving.index("Port 8001 is taken.") < serving.index("curl")
    assert slow.printed["when it stops"] == serving


async def test_a_stack_that_does_not_start(
    slow: type[SlowStack], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nothing to paste."""
    monkeypatch.setattr(slow, "fails", True)
    options = argparse.Namespace(run_dir=tmp_path, replicas=1)
    with pytest.raises(StackError):
        await up(options, slow.console)
    assert "curl" not in slow.console.file.getvalue()  # type: ignore[attr-defined]
