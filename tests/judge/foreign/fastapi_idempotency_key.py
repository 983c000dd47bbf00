"""fastapi-idempotency-key, with its SQLite backend; the key is required."""

from fastapi_idempotency_key import IdempotencyMiddleware
from fastapi_idempotency_key.backends.sqlite import SQLiteBackend

from tests.judge.foreign import shop

app = shop.create()
shop.add_endpoint(app)
app.add_middleware(
    IdempotencyMiddleware, backend=SQLiteBackend(f"{shop.FOLDER}/keys.db"), required=True
)
