"""The lines to paste do what the words above them say, on a real stack."""

import asyncio
import io
import json
import shutil
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
from rich.console import Console

from chaos.harness.harness import Harness
from stack.curl import print_by_hand, print_curl

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]

BOUND_S = 120.0


def printed(print_lines: Callable[..., None], *arguments: Any) -> list[str]:
    """The commands, as a terminal shows them."""
    written = io.StringIO()
    print_lines(Console(file=written, width=80), *arguments)
    return [line for line in written.getvalue().splitlines() if line.startswith(("curl", "("))]


async def paste(line: str) -> str:
    """Standard output of a line in a shell, and of what it started in the background."""
    shell = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", line),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(BOUND_S):
        # The pipe ends with its last writer.
        output, _ = await shell.communicate()
    return output.decode()


async def withdrawals(harness: Harness, order_id: str) -> int:
    owner = await asyncpg.connect(harness.target.owner)
    try:
        count: int = await owner.fetchval(
            "SELECT count(*) FROM billing.ledger WHERE order_id = $1", order_id
        )
    finally:
        await owner.close()
    return count


@pytest.mark.parametrize(
    ("delivery", "paid_once"), [("at_least_once", False), ("exactly_once", True)]
)
async def test_breaking_it_by_hand(harness: Harness, delivery: str, paid_once: bool) -> None:
    """Fresh keys: each attempt without an answer has taken the money. One key: once. Either way the network is healed."""
    await harness.reset_network()
    stack = harness.stack
    assert stack is not None
    toxiproxy = stack.description["toxiproxy"]["url"]
    cut, order = printed(print_by_hand, stack.urls, toxiproxy, stack.order_tokens)
    assert json.loads(await paste(cut))["name"] == "cut"
    output = await paste(order.replace('"at_least_once"', f'"{delivery}"'))
    answer = json.loads(output)
    attempts = len(answer["attempts"])
    assert answer["status"] == "billed"
    assert attempts > 1
    assert await withdrawals(harness, answer["order_id"]) == (1 if paid_once else attempts)
    assert "cut" not in await paste(f"curl {toxiproxy}/proxies/billing/toxics")


async def test_the_lines_of_a_stack_that_is_up(harness: Harness) -> None:
    """Each of them works; the charge, pasted twice, is replayed."""
    await harness.reset_network()
    stack = harness.stack
    assert stack is not None
    order, charge, account, notifications = printed(
        print_curl, stack.urls, stack.tokens, stack.order_tokens
    )
    assert "201 Created" in await paste(order)
    first, second = await paste(charge), await paste(charge)
    assert "idempotency-replayed: ?1" not in first.lower()
    assert "idempotency-replayed: ?1" in second.lower()
    assert json.loads(await paste(account))["account"] == "bob"
    assert json.loads(await paste(notifications))["notifications"]
