"""The checker of promise F1 must say no: what was told and is not there is named, by the request that told it."""

import json
from typing import Any

import asyncpg
import httpx

from chaos.evidence.told import Told

CHARGE = "01a21908-201b-7bf2-ac0b-000000000001"
ORDER = "01a21908-201b-7bf2-ac0b-000000000002"
NOTIFICATION = "01a21908-201b-7bf2-ac0b-000000000003"
CHARGED = {"charge_id": CHARGE, "balance_cents": 5}


def answer(method: str, status: int, body: dict[str, Any]) -> httpx.Response:
    return httpx.Response(status, json=body, request=httpx.Request(method, "http://service"))


def problem(slug: str, status: int, **more: Any) -> httpx.Response:
    return answer("POST", status, {"type": f"http://service/problems/{slug}", **more})


def all_told() -> Told:
    """One fact of each kind."""
    told = Told()
    told.charge("curl", 1, answer("POST", 201, CHARGED))
    told.charge("curl", 2, problem("key-voided", 410))
    told.charge("curl", 3, problem("key-forgotten", 410))
    told.charge("curl", 4, problem("key-reused", 422))
    told.key("curl", 5, problem("key-executed", 409, executed_status=402, answer="{}"))
    told.balance("alice", answer("GET", 200, {"balance_cents": 10}))
    told.order(answer("POST", 201, {"order_id": ORDER, "status": "billed"}))
    told.arrival(answer("POST", 202, {"notification_id": NOTIFICATION}))
    return told


async def test_what_is_not_there(database: Any) -> None:
    """An empty database has lost all of it; an order counts twice, as recorded and as settled."""
    connection = await asyncpg.connect(database.owner)
    lost = await all_told().lost(connection)
    assert [final.kind for final in lost] == [
        "charge",
        "voided",
        "forgotten",
        "used",
        "charge",
        "balance",
        "order",
        "settled",
        "arrival",
    ]
    assert str(lost[0]) == f"charge curl 1 201 {CHARGE} (told by POST /charges)"
    await connection.close()


async def test_what_is_there(database: Any) -> None:
    """Each fact is found by what it says; a balance may have fallen since, and not have risen."""
    connection = await asyncpg.connect(database.owner)
    await connection.execute(
        f"""
        INSERT INTO billing.accounts (account, opening_balance_cents, balance_cents) VALUES ('alice', 20, 9);
        INSERT INTO billing.processed_keys (client, sequence_key, fingerprint, status, body)
        VALUES ('curl', 1, '', 201, '{json.dumps(CHARGED)}'), ('curl', 2, '', 410, ''),
               ('curl', 4, '', 201, ''), ('curl', 5, '', 402, '');
        INSERT INTO billing.ledger (charge_id, client, sequence_key, order_id, account, amount_cents, balance_cents)
        VALUES ('{CHARGE}', 'curl', 1, '{ORDER}', 'alice', 11, 9);
        """
    )
    told = all_told()
    assert [final.kind for final in await told.lost(connection)] == [
        "forgotten",
        "order",
        "settled",
        "arrival",
    ]
    await connection.execute("INSERT INTO billing.clients VALUES ('curl', 6)")
    await connection.execute("DELETE FROM billing.processed_keys")
    assert [final.kind for final in await told.lost(connection)] == ["order", "settled", "arrival"]
    await connection.execute("UPDATE billing.accounts SET balance_cents = 20")
    await connection.execute("DELETE FROM billing.ledger")
    assert [final.kind for final in await told.lost(connection)][:2] == ["charge", "balance"]
    await connection.close()


def test_what_leaves_the_outcome_open() -> None:
    """In flight, unknown, never seen, pending: none of it is final."""
    told = Told()
    told.charge("curl", 1, problem("key-in-flight", 409))
    told.charge("curl", 1, problem("unavailable", 503))
    told.key("curl", 1, answer("GET", 200, {"state": "never_seen"}))
    told.balance("alice", problem("account-unknown", 404))
    told.order(problem("unavailable", 503))
    assert len(told) == 0
    told.order(answer("POST", 202, {"order_id": ORDER, "status": "pending"}))
    assert len(told) == 1
