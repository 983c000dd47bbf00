"""The deployed stack as the harness uses it: HTTP through the published ports, and Postgres for what really happened.

Guarantee: money is read from Postgres past every proxy; a wait has a bound and names what it waited for.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx

from chaos.harness.target import Target
from order_service.wire import Delivery
from stack.http_client import http_client
from stack.processes import StackError

AMOUNT_CENTS = 1_999
OPENING_CENTS = 100_000_000
# Far above what any step needs, a restart of Postgres included: a bound, not a measure.
STEP_TIMEOUT_S = 90.0
_POLL_PAUSE_S = 0.02

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection


class Deployment:
    """Use as `async with Deployment(target) as deployment`."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.client = http_client(timeout=STEP_TIMEOUT_S)

    async def __aenter__(self) -> "Deployment":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()

    async def connected(self) -> Connection:
        """A connection of the owner's."""
        return await asyncpg.connect(self.target.owner, timeout=STEP_TIMEOUT_S)

    async def open_account(self, prefix: str) -> str:
        """An account of its own, so that its balance tells of one test alone."""
        account = f"{prefix}-{uuid.uuid4().hex[:12]}"
        response = await self.client.put(
            f"{self.target.urls['billing_service']}/accounts/{account}",
            json={"opening_balance_cents": OPENING_CENTS},
            headers=self.curl,
        )
        response.raise_for_status()
        return account

    @property
    def curl(self) -> dict[str, str]:
        """The header of the client `curl`."""
        return {"Authorization": f"Bearer {self.target.tokens['curl']}"}

    async def place(
        self, account: str, delivery: Delivery = Delivery.EXACTLY_ONCE, key: str | None = None
    ) -> httpx.Response:
        """POST /orders, with the customer's key if there is one."""
        return await self.client.post(
            f"{self.target.urls['order_service']}/orders",
            json={
                "customer": account,
                "amount_cents": AMOUNT_CENTS,
                "item": "book",
                "delivery": delivery,
            },
            headers={
                **self.target.placing(),
                **({"Idempotency-Key": f'"{key}"'} if key else {}),
            },
        )

    async def charge(self, account: str, sequence_key: int) -> httpx.Response:
        """POST /charges as the client `curl`; the same key is the same charge."""
        return await self.client.post(
            f"{self.target.urls['billing_service']}/charges",
            json={
                "order_id": str(uuid.UUID(int=sequence_key)),
                "account": account,
                "amount_cents": AMOUNT_CENTS,
            },
            headers={**self.curl, "Idempotency-Key": f'"{sequence_key}"'},
        )

    async def effects(self, account: str) -> float:
        """Money moved ÷ amount, from the balance."""
        moved_cents = await self.fetch(
            "SELECT opening_balance_cents - balance_cents FROM billing.accounts WHERE account = $1",
            account,
        )
        return float(moved_cents / AMOUNT_CENTS)

    async def fetch(self, sql: str, *parameters: Any) -> Any:
        """One value."""
        connection = await self.connected()
        try:
            return await connection.fetchval(sql, *parameters)
        finally:
            await connection.close()

    async def until(self, what: str, happened: Callable[[], Awaitable[bool]]) -> None:
        """Returns when it has happened; raises `StackError` when it has not within the bound."""
        try:
            async with asyncio.timeout(STEP_TIMEOUT_S):
                while True:
                    if await happened():
                        return
                    await asyncio.sleep(_POLL_PAUSE_S)
        except TimeoutError as exc:
            raise StackError(f"it did not happen within {STEP_TIMEOUT_S:g} s: {what}") from exc
