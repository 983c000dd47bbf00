"""How a stack ends: its description goes first, then callers stop before the services that they call."""

from pathlib import Path

import pytest

from stack import run_directory
from stack.embedded import Stack
from stack.processes import Child
from stack.servers import LentServers


async def test_callers_stop_first(
    tmp_path: Path, servers: LentServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order that is in flight still gets its answer; and stack.json is gone before anything is."""
    stopped: list[tuple[str, bool]] = []
    stop = Child.stop
    description = tmp_path / run_directory.DESCRIPTION

    async def recorded(child: Child, grace_s: float) -> None:
        stopped.append((child.name, description.exists()))
        await stop(child, grace_s)

    monkeypatch.setattr(Child, "stop", recorded)
    async with Stack(tmp_path, usual_ports=False, servers=servers):
        assert description.exists()
    assert [name.rstrip("-0123456789") for name, _ in stopped] == [
        "order_service",
        "billing_service",
        "notification_service",
    ]
    assert not any(described for _, described in stopped)
