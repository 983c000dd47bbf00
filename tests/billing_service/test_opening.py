"""Accounts are opened once, by a command that ends."""

import asyncio
import os
import sys
from typing import Any

import pytest

from billing_service import accounts, opening
from billing_service.settings import Settings
from service_kit.bounded_pool import BoundedPool
from stack.schema import PROJECT


async def balance(database: Any, account: str) -> int | None:
    """What an account has, read past the command."""
    pool = BoundedPool(
        database.billing,
        application="test",
        size_max=1,
        deadline_s=5,
        lock_timeout_s=5,
        idle_in_transaction_timeout_s=5,
    )
    await pool.open()
    try:
        return await accounts.balance(pool, account)
    finally:
        await pool.close()


async def test_accounts_are_opened_and_stay(database: Any, settings: Settings) -> None:
    """The second run, as after a restart of the stack, changes nothing."""
    for _ in range(2):
        assert await opening.open_all(settings, [("alice", 1_000_000), ("bob", 500)]) == 0
    assert await balance(database, "alice") == 1_000_000
    assert await balance(database, "bob") == 500


async def test_another_balance_is_an_error(database: Any, settings: Settings) -> None:
    """Exit code 1, and the account is as it was."""
    assert await opening.open_all(settings, [("alice", 1_000)]) == 0
    assert await opening.open_all(settings, [("alice", 2_000)]) == 1
    assert await balance(database, "alice") == 1_000


@pytest.mark.parametrize("argument", ["alice", "alice=", "alice=-1", "alice=1.5", "=5", 'a"b=5'])
async def test_a_malformed_argument_is_refused(argument: str) -> None:
    """Exit code 2 and a sentence, before the database is touched."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "billing_service.opening",
        argument,
        cwd=PROJECT,
        env={"PATH": os.defpath},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert "is not ACCOUNT=CENTS" in errors.decode()
