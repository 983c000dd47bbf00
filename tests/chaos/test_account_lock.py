"""The lock on an account: every session that waits for it is counted."""

import asyncio

import asyncpg

from chaos.faults.account_lock import AccountLock
from tests.databases import Database
from tests.evidence import seen


async def test_who_waits_is_seen_also_when_the_session_began_after_the_first_look(
    database: Database,
) -> None:
    first = await asyncpg.connect(database.owner)
    await first.execute(
        "INSERT INTO billing.accounts (account, opening_balance_cents, balance_cents) VALUES ('ada', 1, 1)"
    )
    account_lock = AccountLock(first)
    await account_lock.take("ada")
    assert not await account_lock.is_waited_for()

    second = await asyncpg.connect(database.owner)
    waiting = asyncio.create_task(
        second.execute("UPDATE billing.accounts SET balance_cents = 0 WHERE account = 'ada'")
    )
    async with asyncio.timeout(60):
        await seen(account_lock.is_waited_for, "the second session waits")
        assert await account_lock.count_waiting() == 1
        third = await asyncpg.connect(database.owner)
        behind = asyncio.create_task(
            third.execute("UPDATE billing.accounts SET balance_cents = 0 WHERE account = 'ada'")
        )

        async def both() -> bool:
            assert await account_lock.is_waited_for()
            return await account_lock.count_waiting() == 2

        await seen(both, "the third session waits")
        await account_lock.release()
        await waiting
        await behind
    assert not await account_lock.is_waited_for()
    assert await account_lock.count_waiting() == 0
    for session in (first, second, third):
        await session.close()
