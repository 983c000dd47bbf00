"""`billing.charge_plain`, which the replicas of the releases before still call while this one is rolled out: it keeps the same promises."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import pytest

OPENING_CENTS = 10_000
FINGERPRINT = b"fingerprint"
Member = tuple[str, int, str, int]


@pytest.fixture
async def session(database: Any) -> AsyncIterator[Any]:
    """Of a replica; alice and bob have accounts."""
    connection = await asyncpg.connect(database.billing)
    for account in ("alice", "bob"):
        await connection.execute(
            "INSERT INTO billing.accounts VALUES ($1, $2, $2)", account, OPENING_CENTS
        )
    yield connection
    await connection.close()


@pytest.fixture
async def other(database: Any) -> AsyncIterator[Any]:
    """Another session of billing, inside a transaction."""
    connection = await asyncpg.connect(database.billing)
    async with rolled_back(connection):
        yield connection
    await connection.close()


@asynccontextmanager
async def rolled_back(connection: Any) -> AsyncIterator[None]:
    transaction = connection.transaction()
    await transaction.start()
    yield
    await transaction.rollback()


async def charge(connection: Any, *members: Member) -> list[Any]:
    """One call for several charges: client, key, account, cents."""
    rows: list[Any] = await connection.fetch(
        "SELECT * FROM billing.charge_plain($1, $2, $3, $4, $5, $6)",
        [client for client, _, _, _ in members],
        [key for _, key, _, _ in members],
        [FINGERPRINT for _ in members],
        [account for _, _, account, _ in members],
        [cents for _, _, _, cents in members],
        [UUID(int=key) for _, key, _, _ in members],
    )
    return rows


def verdicts(rows: list[Any]) -> list[str]:
    return [row["verdict"] for row in rows]


async def balances(connection: Any) -> dict[str, int]:
    rows = await connection.fetch("SELECT account, balance_cents FROM billing.accounts")
    return {row["account"]: row["balance_cents"] for row in rows}


async def withdrawn(connection: Any) -> list[tuple[int, str, int, int]]:
    """Key, account, amount and balance of each entry of the ledger."""
    rows = await connection.fetch(
        "SELECT sequence_key, account, amount_cents, balance_cents FROM billing.ledger ORDER BY sequence_key"
    )
    return [tuple(row) for row in rows]


async def test_charges_of_two_accounts(session: Any) -> None:
    """Each is withdrawn, written and stored once, in the order of arrival."""
    rows = await charge(
        session,
        ("c", 3, "alice", 10),
        ("c", 2, "bob", 20),
        ("c", 1, "alice", 30),
        ("d", 1, "bob", 40),
    )
    assert verdicts(rows) == ["charged"] * 4
    bodies = [json.loads(row["body"]) for row in rows]
    assert [body["balance_cents"] for body in bodies] == [9_990, 9_980, 9_960, 9_940]
    assert [body["order_id"] for body in bodies] == [str(UUID(int=key)) for key in (3, 2, 1, 1)]
    assert await balances(session) == {"alice": 9_960, "bob": 9_940}
    assert sorted(await withdrawn(session)) == [
        (1, "alice", 30, 9_960),
        (1, "bob", 40, 9_940),
        (2, "bob", 20, 9_980),
        (3, "alice", 10, 9_990),
    ]
    stored = await session.fetch(
        "SELECT client, sequence_key, status, body FROM billing.processed_keys"
    )
    assert {(row["client"], row["sequence_key"]): row["body"] for row in stored} == {
        ("c", 3): rows[0]["body"],
        ("c", 2): rows[1]["body"],
        ("c", 1): rows[2]["body"],
        ("d", 1): rows[3]["body"],
    }
    assert {row["status"] for row in stored} == {201}


async def test_all_the_money_of_an_account(session: Any) -> None:
    """To the last cent."""
    rows = await charge(session, ("c", 1, "alice", OPENING_CENTS - 1), ("c", 2, "alice", 1))
    assert verdicts(rows) == ["charged", "charged"]
    assert await balances(session) == {"alice": 0, "bob": OPENING_CENTS}


async def test_more_than_an_account_has(session: Any) -> None:
    """None of its charges is executed here, and no other account waits for them."""
    rows = await charge(
        session, ("c", 1, "alice", OPENING_CENTS), ("c", 2, "bob", 5), ("c", 3, "alice", 1)
    )
    assert verdicts(rows) == ["not plain", "charged", "not plain"]
    assert await balances(session) == {"alice": OPENING_CENTS, "bob": OPENING_CENTS - 5}
    assert await withdrawn(session) == [(2, "bob", 5, OPENING_CENTS - 5)]


async def test_an_account_that_there_is_not(session: Any) -> None:
    """It is left to the single transaction."""
    assert verdicts(await charge(session, ("c", 1, "carol", 5))) == ["not plain"]


async def test_a_known_key(session: Any) -> None:
    """It comes with what is stored, and moves nothing; the same key of another client, and another key, are new."""
    (first,) = await charge(session, ("c", 1, "alice", 10))
    again, of_another, next_one = await charge(
        session, ("c", 1, "alice", 10), ("d", 1, "alice", 10), ("c", 2, "alice", 10)
    )
    assert (again["verdict"], again["fingerprint"]) == ("known", FINGERPRINT)
    assert (again["status"], again["body"]) == (201, first["body"])
    assert verdicts([of_another, next_one]) == ["charged", "charged"]
    assert (await balances(session))["alice"] == OPENING_CENTS - 30


async def test_a_known_key_beside_a_new_one(session: Any) -> None:
    """The known one takes no part in the sum of the account."""
    await charge(session, ("c", 1, "alice", 6_000))
    rows = await charge(session, ("c", 1, "alice", 6_000), ("c", 2, "alice", 4_000))
    assert verdicts(rows) == ["known", "charged"]
    assert await balances(session) == {"alice": 0, "bob": OPENING_CENTS}


async def test_a_forgotten_key(session: Any) -> None:
    """Below the client's own mark nothing is executed, at the mark it is; the mark of another client says nothing."""
    await session.execute("INSERT INTO billing.clients VALUES ('c', 5), ('d', 7)")
    rows = await charge(
        session,
        ("c", 4, "alice", 10),
        ("c", 5, "alice", 10),
        ("d", 6, "alice", 10),
        ("e", 1, "bob", 10),
    )
    assert verdicts(rows) == ["forgotten", "charged", "forgotten", "charged"]
    assert [row["first_incomplete"] for row in rows] == [5, 5, 7, 1]
    assert await balances(session) == {"alice": OPENING_CENTS - 10, "bob": OPENING_CENTS - 10}


async def test_a_client_whose_mark_moves(session: Any, other: Any) -> None:
    """Its charges are not executed meanwhile; those of other clients are."""
    await other.execute("SELECT pg_advisory_xact_lock(1, hashtext('c'))")
    rows = await charge(session, ("c", 1, "alice", 10), ("d", 1, "bob", 20))
    assert verdicts(rows) == ["client", "charged"]
    assert await balances(session) == {"alice": OPENING_CENTS, "bob": OPENING_CENTS - 20}


async def test_a_key_that_is_being_inserted(session: Any, other: Any) -> None:
    """It is not waited for."""
    await other.execute("SELECT pg_advisory_xact_lock(hashtextextended('c', 1))")
    rows = await charge(session, ("c", 1, "alice", 10), ("c", 2, "alice", 20))
    assert verdicts(rows) == ["key", "charged"]
    assert (await balances(session))["alice"] == OPENING_CENTS - 20


async def test_an_account_that_another_charge_has(session: Any, other: Any) -> None:
    """It is not waited for, and left to the single transaction."""
    await other.execute("SELECT FROM billing.accounts WHERE account = 'alice' FOR NO KEY UPDATE")
    rows = await charge(session, ("c", 1, "alice", 10), ("c", 2, "bob", 20))
    assert verdicts(rows) == ["not plain", "charged"]


async def test_locks_of_a_batch_that_has_not_committed(session: Any, other: Any) -> None:
    """Until then no mark moves, no other charge has its key, and none has its accounts; other batches of the client go on."""
    async with rolled_back(session):
        assert verdicts(await charge(session, ("c", 1, "alice", 10))) == ["charged"]
        asked = "SELECT pg_try_advisory_xact_lock(1, hashtext('c')), pg_try_advisory_xact_lock_shared(1, hashtext('c'))"
        assert tuple(await other.fetchrow(asked)) == (False, True)
        assert not await other.fetchval(
            "SELECT pg_try_advisory_xact_lock(hashtextextended('c', 1))"
        )
        free = "SELECT account FROM billing.accounts FOR NO KEY UPDATE SKIP LOCKED"
        assert [row["account"] for row in await other.fetch(free)] == ["bob"]


async def test_an_account_that_is_only_known(session: Any, other: Any) -> None:
    """A batch locks the accounts that it withdraws from and no others: a replay holds up no charge."""
    await charge(session, ("c", 1, "alice", 10))
    async with rolled_back(session):
        await charge(session, ("c", 1, "alice", 10), ("c", 2, "bob", 10))
        free = "SELECT account FROM billing.accounts FOR NO KEY UPDATE SKIP LOCKED"
        assert [row["account"] for row in await other.fetch(free)] == ["alice"]
