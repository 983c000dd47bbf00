"""docs/map.md lists the files that an order passes, as they are found while one is placed."""

import asyncio
import inspect
import re
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from order_service.settings import Settings
from tests.evidence import seen
from tests.order_service.conftest import Shop

PROJECT = Path(__file__).resolve().parent.parent.parent
SERVICES = ("order_service/", "billing_service/")
# They run all the time, with an order or without one.
IN_THE_BACKGROUND = ("take over", "a round of taking over", "forget keys")
FILE = re.compile(r"`((?:order|billing)_service/[\w/]+\.py)`")
FILES_MAX = 10


@pytest.fixture
def order_settings(order_settings: Settings) -> Settings:
    """So patient that a busy machine causes no second attempt."""
    patient = {"attempt_timeout_s": 30.0, "wait_budget_s": 60.0, "lease_s": 120.0}
    return order_settings.model_copy(update={**patient, "transaction_timeout_s": 20.0})


class Passed:
    """The files of the services that were entered, in this order; `handed` are those whose coroutines were."""

    def __init__(self) -> None:
        self.entered: list[str] = []
        self.handed: list[str] = []

    def called(self, frame: FrameType, event: str, _: Any) -> None:
        path = frame.f_code.co_filename.removeprefix(f"{PROJECT}/")
        if event != "call" or not path.startswith(SERVICES) or _in_the_background():
            return
        if path not in self.entered:
            self.entered.append(path)
        if frame.f_code.co_flags & inspect.CO_COROUTINE and path not in self.handed:
            self.handed.append(path)


def _in_the_background() -> bool:
    task = asyncio.current_task()
    return task is not None and task.get_name() in IN_THE_BACKGROUND


def _under_way() -> set[str]:
    """The tasks of the services, but those that run all the time."""
    return {
        task.get_name() for task in asyncio.all_tasks() if task.get_name() not in IN_THE_BACKGROUND
    }


async def test_the_files_that_an_order_passes(shop: Shop) -> None:
    """Ten hand the request on, each once and in the listed order; all other files that it enters are named, and no more."""
    page = (PROJECT / "docs" / "map.md").read_text(encoding="utf-8")
    listed = page.partition("## How one order flows")[2].partition("Each charge of a batch")[0]
    rows = [FILE.findall(line) for line in listed.splitlines() if line.startswith("|")]
    way = [row[0] for row in rows if row]
    idle = _under_way()

    async def nothing_is_under_way() -> bool:
        return _under_way() <= idle

    # What is done once in a process is done, and what follows the answer, too: the notification and its record.
    assert (await shop.place()).status_code == 201
    await seen(nothing_is_under_way, "the first order is done with")
    passed = Passed()
    before = sys.getprofile()
    sys.setprofile(passed.called)
    try:
        response = await shop.place()
    finally:
        sys.setprofile(before)
    assert response.status_code == 201
    asked = {path for row in rows for path in row[1:]}
    assert [path for path in passed.handed if path not in asked][: len(way)] == way
    assert len(way) <= FILES_MAX
    assert sorted(passed.entered) == sorted(FILE.findall(listed))
