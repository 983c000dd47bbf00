"""A lab that is played for long needs no more memory than one that is played for a while, and neither does its page."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import Tab
from tests.browser.test_lab import opened
from tests.lab.running import RunningLab, running

ORDERS = 500
# Between two readings. Each of the three columns is an order, so the services bill three times as many.
READ_EVERY = 100
# Of the longest list, the events, the oldest is forgotten after about this many orders: from here on all lists are full.
FULL_AFTER = 200
# One order in so many loses its answer; the others go well.
LOST_EVERY = 10
# What a process that frees and fragments may add (measured: 1.9 MiB, 0.01 MiB, 3); a history and a log without a bound add 7.3 MiB
# and 30,000 elements.
LAB_GROWTH_MAX_MIB = 4.0
HEAP_GROWTH_MAX_MIB = 0.5
NODES_GROWTH_MAX = 300
PLAY_S = 1_800


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[RunningLab]:
    """A lab that has played nothing yet."""
    async with running(tmp_path) as lab:
        yield lab


@pytest.mark.timeout(PLAY_S)
async def test_memory_is_flat(tab: Tab, lab: RunningLab, record_property: Any) -> None:
    """From the order on at which every list is full, neither the process nor the page's heap and elements grow."""
    plan = ";".join(["-"] * (LOST_EVERY - 1) + ["*r1l"])
    readings = []
    async with opened(tab, lab) as own:
        await own.page.locator("#tour-leave").click()
        for played in range(LOST_EVERY, ORDERS + 1, LOST_EVERY):
            assert (await lab.do("play", plan=plan)).status_code == 202
            await lab.over(played)
            await lab.state(lambda state: not state["busy"])
            if played % READ_EVERY == 0:
                await own.page.wait_for_selector(f'body[data-over="{played}"]')
                readings.append({"orders": played, "lab": memory_mib(lab), **await of_page(own)})
        assert own.complaints() == []
    for reading in readings:
        for name, figure in reading.items():
            record_property(f"{name}_{reading['orders']}", figure)
    full = [reading for reading in readings if reading["orders"] >= FULL_AFTER]
    assert growth(full, "lab") < LAB_GROWTH_MAX_MIB, readings
    assert growth(full, "heap") < HEAP_GROWTH_MAX_MIB, readings
    assert growth(full, "nodes") < NODES_GROWTH_MAX, readings


def growth(readings: list[dict[str, float]], name: str) -> float:
    """From the first to the last."""
    return readings[-1][name] - readings[0][name]


def memory_mib(lab: RunningLab) -> float:
    """Resident memory of the lab's own process."""
    status = Path(f"/proc/{lab.process.pid}/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return round(int(line.split()[1]) / 1024, 1)


async def of_page(tab: Tab) -> dict[str, float]:
    """The heap in MiB and the elements, after a collection of garbage."""
    session = await tab.page.context.new_cdp_session(tab.page)
    await session.send("HeapProfiler.collectGarbage")
    heap = await session.send("Runtime.getHeapUsage")
    counted = await session.send("Memory.getDOMCounters")
    await session.detach()
    return {
        "heap": round(heap["usedSize"] / 2**20, 2),
        "nodes": counted["nodes"],
        "listeners": counted["jsEventListeners"],
    }
