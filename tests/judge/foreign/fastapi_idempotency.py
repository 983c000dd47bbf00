"""fastapi-idempotency, with its Tortoise store on SQLite."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi_idempotency import IdempotencyMiddleware
from fastapi_idempotency.stores.tortoise import TortoiseStore
from tortoise.contrib.fastapi import RegisterTortoise

from tests.judge.foreign import shop


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The store's own table."""
    database = f"sqlite://{shop.FOLDER}/keys.db"
    modules = {"models": ["fastapi_idempotency.stores.tortoise"]}
    async with RegisterTortoise(app, db_url=database, modules=modules, generate_schemas=True):
        yield


app = shop.create(lifespan=lifespan)
shop.add_endpoint(app)
app.add_middleware(IdempotencyMiddleware, store=TortoiseStore())
