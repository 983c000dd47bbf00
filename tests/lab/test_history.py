"""Pages hear the same events in the same order, catch up, and cannot slow each other down."""

import asyncio
import json
from typing import Any

import pytest

from lab import history
from lab.history import EVENTS_MAX, History, TooManyPages


def made() -> History:
    return History(lambda: {"now": "is"})


async def read(stream: Any, count: int) -> list[tuple[str, dict[str, Any]]]:
    """The next messages: id and content."""
    messages = []
    async with asyncio.timeout(10):
        for _ in range(count):
            lines = dict(line.split(": ", 1) for line in (await anext(stream)).strip().splitlines())
            messages.append((lines.get("id", ""), json.loads(lines["data"])))
    return messages


async def test_two_pages_hear_the_same() -> None:
    """The events of one are those of the other, with the same ids."""
    told = made()
    one, other = told.stream(""), told.stream("")
    await read(one, 2)
    await read(other, 2)
    for number in range(5):
        told.note("sends", number=number)
    assert await read(one, 5) == await read(other, 5)


async def test_a_page_that_comes_again_gets_what_it_missed() -> None:
    """Not what it knows; what happened before is marked as past."""
    told = made()
    for number in range(4):
        told.note("sends", number=number)
    messages = await read(told.stream(f"{told.boot}-2"), 4)
    assert messages[0][1] == {"boot": told.boot, "anew": False}
    assert [content["number"] for _, content in messages[1:3]] == [2, 3]
    assert all(content["past"] for _, content in messages[1:3])
    assert messages[3][1] == {"now": "is"}


@pytest.mark.parametrize("heard", ["", "other-7", "nonsense", "{boot}-1"])
async def test_a_page_that_cannot_catch_up_begins_anew(heard: str) -> None:
    """One of another process, or one that missed more than is remembered."""
    told = made()
    for number in range(EVENTS_MAX + 10):
        told.note("sends", number=number)
    (hello,) = await read(told.stream(heard.format(boot=told.boot)), 1)
    assert hello[1]["anew"]


async def test_a_page_that_does_not_read_is_let_go() -> None:
    """Its stream ends, and the others go on."""
    told = made()
    slow, quick = told.stream(""), told.stream("")
    await read(slow, 2)
    await read(quick, 2)
    for number in range(history._UNREAD_MAX + 1):
        told.note("sends", number=number)
        await read(quick, 1)
    async with asyncio.timeout(10):
        ended = [message async for message in slow]
    assert len(ended) <= history._UNREAD_MAX
    told.note("sends", number=-1)
    assert (await read(quick, 1))[0][1]["number"] == -1


async def test_no_more_pages_than_may() -> None:
    """The next one is refused before it gets anything."""
    told = made()
    streams = [told.stream("") for _ in range(history.PAGES_MAX)]
    for stream in streams:
        await read(stream, 1)
    assert told.is_full
    with pytest.raises(TooManyPages):
        await read(told.stream(""), 1)
    await streams[0].aclose()
    assert not told.is_full


async def test_many_changes_are_told_once() -> None:
    """The state is sent once for changes that come together."""
    told = made()
    stream = told.stream("")
    await read(stream, 2)
    for _ in range(20):
        told.changed()
    await read(stream, 1)
    told.note("over", number=1)
    assert (await read(stream, 1))[0][1]["kind"] == "over"
