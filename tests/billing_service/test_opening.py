"""Accounts are opened once, by a command that ends."""

import asyncio
import sys
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from billing_service import accounts, opening
from billing_service.settings import Settings
from service_kit.bounded_pool import BoundedPool

TIMEOUTS = ("statement_timeout", "idle_in_transaction_session_timeout")


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


async def test_its_connection(
    database: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name is in the database's list of sessions, its bounds are those of the settings, and so is its password."""
    seen: dict[str, str] = {}

    async def look(pool: BoundedPool, *_: object) -> int:
        async with pool.connection() as connection:
            for name in ("application_name", "lock_timeout", *TIMEOUTS):
                seen[name] = await connection.fetchval("SELECT current_setting($1)", name)
        return 0

    monkeypatch.setattr(accounts, "open_account", look)
    role, _, place = database.billing.partition("@")
    without, _, password = role.rpartition(":")
    apart = {
        "database_url": SecretStr(f"{without}@{place}"),
        "database_password": SecretStr(password),
        "transaction_timeout_s": 10.0,
        "lock_timeout_s": 3.0,
        "idle_in_transaction_timeout_s": 7.0,
    }
    assert await opening.open_all(settings.model_copy(update=apart), [("alice", 1)]) == 0
    assert list(seen.values()) == ["billing_service.opening", "3s", "9s", "7s"]


async def test_what_it_says(database: Any, settings: Settings) -> None:
    """A line for each account, and for what ends it."""
    url = SecretStr("postgresql://billing_service@127.0.0.1:1/shop")
    with structlog.testing.capture_logs() as lines:
        await opening.open_all(settings, [("alice", 1), ("bob", 1)])
        await opening.open_all(settings, [("alice", 2)])
        await opening.open_all(settings.model_copy(update={"database_url": url}), [("alice", 1)])
    assert [(line["log_level"], line["event"], line.get("account")) for line in lines] == [
        ("info", "account is open", "alice"),
        ("info", "account is open", "bob"),
        ("error", "the account was opened with another balance before", "alice"),
        ("error", "the database failed", None),
    ]
    assert "ConnectionRefusedError" in lines[-1]["reason"]


async def test_another_balance_is_an_error(database: Any, settings: Settings) -> None:
    """Exit code 1, and the account is as it was; that another account has this balance is no excuse."""
    assert await opening.open_all(settings, [("alice", 1_000)]) == 0
    assert await opening.open_all(settings, [("bob", 2_000)]) == 0
    assert await opening.open_all(settings, [("alice", 2_000)]) == 1
    assert await balance(database, "alice") == 1_000


async def test_without_a_database(settings: Settings) -> None:
    """Exit code 1: whatever waits for the accounts does not start without them."""
    url = SecretStr("postgresql://billing_service@127.0.0.1:1/shop")
    nowhere = settings.model_copy(update={"database_url": url})
    assert await opening.open_all(nowhere, [("alice", 1_000)]) == 1


def test_the_command(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each argument is an account and its balance in cents; the settings are those of the environment."""
    monkeypatch.setattr(sys, "argv", ["opening", "alice=1000000", "bob=0"])
    monkeypatch.setenv("BILLING_DATABASE_URL", database.billing)
    monkeypatch.setenv("BILLING_TOKENS", '{"curl": "token-of-client-curl"}')
    assert opening.main() == 0
    assert asyncio.run(balance(database, "alice")) == 1_000_000
    assert asyncio.run(balance(database, "bob")) == 0


@pytest.mark.parametrize(
    "argument", ["alice", "alice=", "alice=-1", "alice=1.5", "=5", 'a"b=5', "a=b=5"]
)
def test_a_malformed_argument_is_refused(
    argument: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and a sentence that shows how it is written, before the database is touched."""
    monkeypatch.setattr(sys, "argv", ["opening", argument])
    with pytest.raises(SystemExit) as ended:
        opening.main()
    assert ended.value.code == 2
    usage, _, sentence = capsys.readouterr().err.partition("opening: error: ")
    assert " ".join(usage.split()).startswith(
        "usage: python -m billing_service.opening [-h] ACCOUNT=CENTS"
    )
    assert sentence == f"argument ACCOUNT=CENTS: {argument!r} is not ACCOUNT=CENTS\n"


def test_what_it_is_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--help` says what the command does, and its exit code."""
    monkeypatch.setattr(sys, "argv", ["opening", "--help"])
    with pytest.raises(SystemExit) as ended:
        opening.main()
    assert ended.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "running it again with the same balances changes nothing" in said
    assert "The exit code is 1 when" in said


def test_without_an_account(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command that has nothing to do was called by mistake."""
    monkeypatch.setattr(sys, "argv", ["opening"])
    with pytest.raises(SystemExit) as ended:
        opening.main()
    assert ended.value.code == 2
    assert "the following arguments are required: ACCOUNT=CENTS" in capsys.readouterr().err
