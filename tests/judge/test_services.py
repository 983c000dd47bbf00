"""The project's own receivers pass the judge: billing_service and the one file of the examples."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.judge.conftest import PROJECT, Judge, free_port

_OPENING_CENTS = 100_000_000
_TOKENS = '{"first": "token-of-the-first", "second": "token-of-the-second"}'
_REQUEST = """
[request]
path = "/charges"
headers = { Authorization = "Bearer token-of-the-first", "Idempotency-Key" = '"{key}"' }
json = { order_id = "{unique}", account = "alice", amount_cents = 100 }
other = { amount_cents = 101 }
other_caller = { Authorization = "Bearer token-of-the-second" }
key = "{integer}"
"""


async def test_billing_service(judge: Judge, database: Any) -> None:
    """billing_service survives every case, kill -9 included."""
    owner = await asyncpg.connect(database.owner)
    opened = "INSERT INTO billing.accounts (account, opening_balance_cents, balance_cents) VALUES ('alice', $1, $1)"
    await owner.execute(opened, _OPENING_CENTS)
    await owner.close()
    port = free_port()
    judged = await judge(f"""
[service]
url = "http://127.0.0.1:{port}"
start = "{_uvicorn(port)} --factory billing_service.app:create --http service_kit.http_guard:GuardedProtocol"
ready = "/healthz"
env = {{ BILLING_DATABASE_URL = "{database.billing}", BILLING_TOKENS = '{_TOKENS}' }}
{_REQUEST}
[effect]
http = "GET /accounts/alice"
headers = {{ Authorization = "Bearer token-of-the-first" }}
value = "$.balance_cents"
step = -100

[expect]
profile = "draft-07"
""")
    assert judged.code == 0, judged.output + judged.errors


@pytest.fixture
async def receivers_database(cluster: Any) -> AsyncIterator[str]:
    """The schema of examples/, with two clients and an account."""
    name = "judged_receiver"
    await cluster.create_database(name)
    owner = await asyncpg.connect(cluster.url(name))
    await owner.execute((PROJECT / "examples" / "schema.sql").read_text(encoding="utf-8"))
    await owner.execute("INSERT INTO clients (client) VALUES ('first'), ('second')")
    await owner.execute("INSERT INTO accounts VALUES ('alice', $1)", _OPENING_CENTS)
    await owner.close()
    yield cluster.url(name)
    await cluster.drop_database(name)


async def test_the_receiver_of_the_examples(judge: Judge, receivers_database: str) -> None:
    """The pattern alone survives every case; its effects are read from Postgres."""
    port = free_port()
    judged = await judge(f"""
[service]
url = "http://127.0.0.1:{port}"
start = "{_uvicorn(port)} examples.receiver:app"
env = {{ DATABASE_URL = "{receivers_database}", TOKENS = '{{"token-of-the-first": "first", "token-of-the-second": "second"}}' }}
{_REQUEST}
[effect]
sql = "SELECT balance_cents FROM accounts WHERE account = 'alice'"
dsn = "{receivers_database}"
step = -100

[expect]
# FastAPI's own answer to a header that is missing.
missing_key = 422
""")
    assert judged.code == 0, judged.output + judged.errors


def _uvicorn(port: int) -> str:
    folder = Path(sys.executable).parent
    return f"{folder / 'python'} -m uvicorn --port {port} --log-level warning"
