"""Waits until a service of the stack does its job.

Guarantee: the wait ends when the service is ready, when its process cannot be kept running, or at its bound.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import httpx

from stack.http_client import http_client
from stack.processes import Child, StackError
from stack.waiting import NotSeen, until

T = TypeVar("T")


async def wait(child: Child, url: str, timeout_s: float) -> None:
    """Returns when the service at `url` says that it is ready. Raises `StackError`."""
    last = "no answer"

    async def ready() -> bool:
        nonlocal last
        if child.failure.done():
            child.failure.result()
        try:
            response = await or_failure(child, client.get(f"{url}/readyz"))
        except httpx.TransportError:
            return False
        last = response.text
        return response.status_code == httpx.codes.OK

    async with http_client(timeout=timeout_s) as client:
        try:
            await until(ready, timeout_s, "the service is ready")
        except NotSeen as exc:
            raise StackError(f"{child.name} is not ready ({last}):\n{child.log_end()}") from exc


async def or_failure(child: Child, request: Coroutine[Any, Any, T]) -> T:
    """The response, unless the child gives up first: its listening socket would let the request wait for ever."""
    asking = asyncio.ensure_future(request)
    try:
        await asyncio.wait((asking, child.failure), return_when=asyncio.FIRST_COMPLETED)
        if child.failure.done():
            child.failure.result()
        return await asking
    finally:
        # On an interruption the request ends with its caller; a child that failed already is reported by its failure alone.
        asking.cancel()
