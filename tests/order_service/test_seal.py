"""While the standby is silent, no order is shown that another transaction committed."""

import asyncio

from stack.postgres import PostgresCluster
from stack.waiting import until
from tests.order_service.conftest import Shop
from tests.silent_standby import silent_standby, until_one_waits

_BOUND_S = 30
KEY = {"Idempotency-Key": '"of the customer"'}


async def test_a_settled_order(shop: Shop, cluster: PostgresCluster) -> None:
    """503 for each way to read it, by its id, in the list, by its customer's key and when it is cancelled; then the answer."""
    placed = await shop.place(headers=KEY)
    assert placed.status_code == 201
    order_id = placed.json()["order_id"]

    async def ask() -> list[int]:
        answers = await asyncio.gather(
            shop.orders.get(f"/orders/{order_id}"),
            shop.orders.get("/orders"),
            shop.orders.get("/orders/00000000-0000-4000-8000-000000000009"),
            shop.place(headers=KEY),
            shop.place(headers=KEY, item="another"),
            shop.orders.post(f"/orders/{order_id}/cancel"),
        )
        return [answer.status_code for answer in answers]

    final = [200, 200, 404, 201, 422, 409]
    assert await ask() == final
    async with silent_standby(cluster):
        assert await ask() == [503] * len(final)

    async def answered() -> bool:
        return await ask() == final

    assert await until(answered, _BOUND_S, "the final answers")


async def test_no_key_is_declared_settled_without_the_standby(
    shop: Shop, cluster: PostgresCluster
) -> None:
    """Billing forgets what is declared: a settlement that a failover may lose must not count."""
    assert (await shop.place()).status_code == 201
    async with silent_standby(cluster) as watcher:
        await until_one_waits(watcher, "order_service")
        answer = await shop.orders.get("/readyz")
        assert answer.status_code == 503
        assert "the standby does not confirm" in answer.text
