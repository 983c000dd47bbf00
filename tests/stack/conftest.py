"""A Toxiproxy for tests of the adapter."""

from collections.abc import AsyncIterator
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
    server = toxiproxy.ToxiproxyServer(
        toxiproxy_binary, tmp_path / "toxiproxy.log", lambda: ports.choose("", None)
    )
    await server.start()
    yield server.admin
    await server.stop()
