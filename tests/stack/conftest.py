"""A Toxiproxy for tests of the adapter."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stack import ports, toxiproxy
from stack.servers import CACHE
from stack.toxics import Toxiproxy


@pytest.fixture(scope="session")
async def toxiproxy_binary() -> Path:
    """The real server's program."""
    return await toxiproxy.find_or_build(CACHE, lambda _: None)


@pytest.fixture
async def admin(toxiproxy_binary: Path, tmp_path: Path) -> AsyncIterator[Toxiproxy]:
    """A Toxiproxy of this test alone."""
    async with _running(toxiproxy_binary, tmp_path / "toxiproxy.log") as admin:
        yield admin


@pytest.fixture
async def other_admin(toxiproxy_binary: Path, tmp_path: Path) -> AsyncIterator[Toxiproxy]:
    """A second one."""
    async with _running(toxiproxy_binary, tmp_path / "other_toxiproxy.log") as admin:
        yield admin


@asynccontextmanager
async def _running(binary: Path, log: Path) -> AsyncIterator[Toxiproxy]:
    server = toxiproxy.ToxiproxyServer(binary, log, lambda: ports.choose("", None))
    await server.start()
    yield server.admin
    await server.stop()
