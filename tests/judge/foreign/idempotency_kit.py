"""idempotency-kit, with its Redis repository; the decorator is on the operation, as its guide shows."""

from typing import Any

from fastapi import Header, HTTPException
from idempotency_kit import (
    AsyncIdempotencyCoordinator,
    IdempotencyDomainService,
    IdempotencyInProgressError,
    IdempotencyKeyReuseError,
    JsonResultAdapter,
    async_idempotent,
)
from idempotency_kit.infra.storage.redis.aio import RedisAsyncIdempotencyRepository
from redis.asyncio import Redis

from tests.judge.foreign import shop

app = shop.create()
coordinator = AsyncIdempotencyCoordinator(
    RedisAsyncIdempotencyRepository(Redis.from_url(shop.REDIS)), IdempotencyDomainService()
)


@async_idempotent(
    operation="payment.create",
    adapter=JsonResultAdapter(),
    infra_param="coordinator",
    fingerprint_params=("payment",),
)
async def execute(
    payment: dict[str, Any],
    *,
    coordinator: AsyncIdempotencyCoordinator,
    idempotency_key: str | None = None,
) -> dict[str, Any]:
    """The operation."""
    return await shop.pay(shop.Payment(**payment))


@app.post("/payments", status_code=201)
async def payments(
    payment: shop.Payment, idempotency_key: str | None = Header(None)
) -> dict[str, Any]:
    """Translates the kit's exceptions to the statuses of the draft."""
    try:
        return await execute(
            payment.model_dump(), coordinator=coordinator, idempotency_key=idempotency_key
        )
    except IdempotencyKeyReuseError as exc:
        raise HTTPException(422, "the key was used with another payload") from exc
    except IdempotencyInProgressError as exc:
        raise HTTPException(409, "in flight") from exc
