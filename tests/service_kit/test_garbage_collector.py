"""The garbage collector of a server, in a process of its own."""

import subprocess
import sys

import pytest

from service_kit import garbage_collector
from stack.schema import PROJECT
from tests.architecture.contracts import SERVICES

PROGRAM = """
import gc, weakref
from service_kit.garbage_collector import spare_the_program

class Node:
    pass

spare_the_program()
assert gc.get_freeze_count() > 1000, "the program is looked at again and again"
assert gc.get_threshold()[0] == 10_000, "collections come at another pace"
freed = []
while not freed:
    node = Node()
    node.itself = node
    weakref.finalize(node, freed.append, True)
    assert gc.get_count()[0] <= gc.get_threshold()[0] + 1, "nothing collects"
"""


def test_cycles_are_still_collected() -> None:
    """What was there when the service began is spared; a cycle that came later is freed without being asked for."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("service", sorted(SERVICES))
async def test_each_service_spares_its_program(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, when it begins to serve."""
    spared: list[str] = []
    monkeypatch.setattr(garbage_collector, "spare_the_program", lambda: spared.append(service))
    app = SERVICES[service]()
    assert spared == []
    async with app.router.lifespan_context(app):
        assert spared == [service]
