"""What the exactly-once charge is compared with: endpoints of the same shape, on the same server, that promise less.

Guarantee: they are written in the usual way and have every advantage: no token, no key, no log, no metrics.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import asyncpg
from fastapi import FastAPI

from billing_service.wire import Charge, Charged

# As many as billing_service has by default.
_CONNECTIONS = 10


def nothing() -> FastAPI:
    """`POST /charges` that reads and checks its body, does nothing, and answers."""
    app = FastAPI()

    @app.post("/charges", status_code=201)
    async def post_charge(charge: Charge) -> Charged:
        return Charged(
            charge_id=uuid4(),
            account=charge.account,
            amount_cents=charge.amount_cents,
            balance_cents=0,
        )

    return app


def unprotected() -> FastAPI:
    """`POST /charges` that moves the money and writes the ledger in one statement; sent twice, it charges twice."""
    pools: list[asyncpg.Pool[asyncpg.Record]] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(
            os.environ["BILLING_DATABASE_URL"], max_size=_CONNECTIONS
        ) as pool:
            pools.append(pool)
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/charges", status_code=201)
    async def post_charge(charge: Charge) -> Charged:
        charge_id, balance_cents = await withdraw(pools[0], charge)
        return Charged(
            charge_id=charge_id,
            account=charge.account,
            amount_cents=charge.amount_cents,
            balance_cents=balance_cents,
        )

    return app


async def withdraw(pool: "asyncpg.Pool[asyncpg.Record]", charge: Charge) -> tuple[UUID, int]:
    """One INSERT and one UPDATE in one statement, which is one transaction."""
    row = await pool.fetchrow(
        """
        WITH withdrawn AS (
          UPDATE billing.accounts
          SET balance_cents = balance_cents - $2
          WHERE account = $1
          RETURNING balance_cents
        )
        INSERT INTO billing.ledger (client, sequence_key, order_id, account, amount_cents, balance_cents)
        SELECT 'unprotected', 0, $3, $1, $2, balance_cents
        FROM withdrawn
        RETURNING charge_id, balance_cents
        """,
        charge.account,
        charge.amount_cents,
        charge.order_id,
    )
    if row is None:
        raise RuntimeError(f"there is no account {charge.account}")
    return row["charge_id"], row["balance_cents"]
