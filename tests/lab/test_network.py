"""Toxics of the lab: armed for a column's order, removed again, and seen to be there until then."""

from types import SimpleNamespace
from typing import Any

import pytest

from lab.columns import COLUMNS
from lab.network import Network
from stack.servers import LentServers
from stack.toxics import LimitData

COLUMN, LOST = COLUMNS[0], LimitData(bytes=0)


@pytest.mark.parametrize("gone", [False, True])
async def test_whether_it_was_still_armed(servers: LentServers, gone: bool) -> None:
    """A toxic that someone else has replaced meanwhile is no witness of what happened."""
    admin, shell = servers.toxiproxy.admin, list[str]()
    setup: Any = SimpleNamespace(
        harness=SimpleNamespace(
            journal=SimpleNamespace(note=lambda *_, **__: None), toxiproxy=admin
        ),
        published=SimpleNamespace(toxiproxy="http://127.0.0.1:1"),
    )
    network = Network(setup, shell.append)
    await admin.create(COLUMN.proxy, "127.0.0.1:9")
    try:
        await network.arm(COLUMN, "account", LOST)
        assert await admin.toxics(COLUMN.proxy) == [LOST.name]
        if gone:
            await admin.remove(COLUMN.proxy, LOST.name)
            await admin.arm(COLUMN.proxy, LimitData(bytes=7))
        assert await network.disarm(COLUMN, "account", LOST) is not gone
        assert await admin.toxics(COLUMN.proxy) == []
        assert [line.partition(" ")[0] for line in shell] == ["curl"] * 2
    finally:
        await admin.delete(COLUMN.proxy)
