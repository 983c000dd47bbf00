"""asgi-idempotency-header, with its Redis backend."""

from idempotency_header_middleware import IdempotencyHeaderMiddleware
from idempotency_header_middleware.backends import RedisBackend
from redis.asyncio import Redis

from tests.judge.foreign import shop

app = shop.create()
shop.add_endpoint(app)
app.add_middleware(IdempotencyHeaderMiddleware, backend=RedisBackend(Redis.from_url(shop.REDIS)))
