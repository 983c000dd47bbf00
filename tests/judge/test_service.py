"""The service under judgement as a process: ended politely, and dead only when nothing listens any more."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from judge import service
from judge.caller import Caller
from judge.config.reading import parsed
from judge.errors import ServiceError
from judge.evidence import clock
from judge.service import Service
from tests.judge.conftest import free_port, smallest
from tests.judge.scripted import scripted

# Listens; writes a file when it has ended in order, which takes it a moment.
POLITE = """
import signal, socket, sys, threading
port, file = int(sys.argv[1]), sys.argv[2]
def end(*_):
    threading.Event().wait(0.3)
    open(file, "w").close()
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
listener = socket.create_server(("127.0.0.1", port))
while True:
    listener.accept()[0].close()
"""


@pytest.fixture
async def polite(tmp_path: Path) -> AsyncIterator[Service]:
    """A running service that takes its time to end."""
    port = free_port()
    program = tmp_path / "polite.py"
    program.write_text(POLITE, encoding="utf-8")
    polite = made(
        f"http://127.0.0.1:{port}",
        tmp_path,
        f"{sys.executable} {program} {port} {tmp_path / 'ended'}",
    )
    await polite.open()
    yield polite
    await polite.close()


def made(url: str, folder: Path, start: str) -> Service:
    text = smallest(url, start)
    config = parsed(text, folder / "judge.toml")
    return Service(config, Caller(config.service.url, clock()), folder)


async def test_it_may_end_in_order(polite: Service, tmp_path: Path) -> None:
    """What has begun to end is not killed as long as its grace lasts."""
    await polite.terminate()
    assert (tmp_path / "ended").exists()
    assert not polite.alive


async def test_it_is_killed(polite: Service, tmp_path: Path) -> None:
    """At once, and it can be started again at the same place."""
    await polite.kill()
    assert not polite.alive
    assert not (tmp_path / "ended").exists()
    await polite.restart()
    assert polite.alive


async def test_something_else_still_listens(
    polite: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it was not the service that was killed, and a crash proves nothing."""
    monkeypatch.setattr(service, "_CLOSED_TIMEOUT_S", 0.1)
    with scripted() as other:
        polite._caller = Caller(other.url, clock())
        with pytest.raises(ServiceError, match="still listens"):
            await polite.kill()
