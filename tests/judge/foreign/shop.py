"""The endpoint behind every middleware: one payment, kept in SQLite, and a reading of how many there are.

It has no protection of its own: what the judge finds is what the middleware does with its documented settings.
"""

import asyncio
import os
import sqlite3
import uuid
from contextlib import closing
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

# What a payment takes elsewhere: a call to a bank.
_WORK_S = 0.05
FOLDER = os.environ["SHOP_FOLDER"]
REDIS = os.environ.get("SHOP_REDIS", "")


class Payment(BaseModel):
    """What is sent."""

    account: str
    amount: int
    reference: str


def _connect() -> sqlite3.Connection:
    database = sqlite3.connect(f"{FOLDER}/payments.db", timeout=20, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(
        "CREATE TABLE IF NOT EXISTS payments (id TEXT PRIMARY KEY, amount INTEGER NOT NULL)"
    )
    return database


async def pay(payment: Payment) -> dict[str, Any]:
    """The effect."""
    made = str(uuid.uuid4())
    await asyncio.sleep(_WORK_S)
    with closing(_connect()) as database:
        database.execute("INSERT INTO payments VALUES (?, ?)", (made, payment.amount))
    return {"payment": made, "amount": payment.amount}


def create(**settings: Any) -> FastAPI:
    """An application with the reading; the endpoint is added by `add_endpoint`, or by the middleware's own way."""
    app = FastAPI(**settings)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {}

    @app.get("/payments/count")
    async def count() -> dict[str, int]:
        with closing(_connect()) as database:
            (number,) = database.execute("SELECT count(*) FROM payments").fetchone()
        return {"count": number}

    return app


def add_endpoint(app: FastAPI) -> None:
    """POST /payments."""

    @app.post("/payments", status_code=201)
    async def payments(payment: Payment) -> dict[str, Any]:
        return await pay(payment)
