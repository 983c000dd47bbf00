"""Lines for a shell, and who is asked before a lab listens."""

import asyncio
import json
import shlex

from chaos.harness.target import Target
from lab.shell import Shell
from lab.switchboard import Switchboard
from order_service.wire import Delivery

TARGET = Target(
    urls={"order_service": "http://127.0.0.1:8001"},
    toxiproxy="http://127.0.0.1:8474",
    owner="",
    tokens={"curl": "secret-of-curl"},
    order_tokens={"shop": "secret-of-the-shop"},
)


def test_no_token_in_a_line() -> None:
    """A variable stands in its place; the rest can be pasted as it is."""
    line = Shell(TARGET).order("lab-k-1", Delivery.EXACTLY_ONCE)
    assert "secret" not in line
    words = shlex.split(line)
    assert words[:2] == ["curl", "http://127.0.0.1:8001/orders"]
    assert "Authorization: Bearer $ORDER_TOKEN" in words
    assert json.loads(words[-1])["customer"] == "lab-k-1"


async def _asked(board: Switchboard) -> dict[str, str]:
    """What the switchboard tells a service over its real socket."""
    host, _, port = board.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    event = {"service": "billing_service", "seam": "arrival", "account": "x"}
    writer.write(json.dumps(event).encode() + b"\n")
    async with asyncio.timeout(10):
        told: dict[str, str] = json.loads(await reader.readline())
    writer.close()
    return told


async def test_messages_pass_while_nobody_listens() -> None:
    """Before a lab listens and after it has closed; in between the lab decides."""

    async def decide(event: dict[str, str]) -> dict[str, str]:
        return {"do": "die"}

    board = Switchboard()
    async with board:
        assert await _asked(board) == {"do": "go"}
        board.listen(decide)
        assert await _asked(board) == {"do": "die"}
        board.close()
        assert await _asked(board) == {"do": "go"}


async def test_a_service_that_is_gone_is_held_no_longer() -> None:
    """The decision about it is cancelled when its connection ends."""
    held, gone = asyncio.Event(), asyncio.Event()

    async def decide(event: dict[str, str]) -> dict[str, str]:
        held.set()
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()
        return {}

    board = Switchboard()
    async with board:
        board.listen(decide)
        host, _, port = board.address.rpartition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        event = {"service": "billing_service", "seam": "arrival", "account": "x"}
        writer.write(json.dumps(event).encode() + b"\n")
        async with asyncio.timeout(10):
            await held.wait()
            writer.close()
            await gone.wait()
