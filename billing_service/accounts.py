"""Opens accounts and reads balances.

Guarantee: an account keeps the balance that it was first opened with; only a charge changes it after that. With a synchronous
standby, a balance is told only when the standby has it.
"""

from service_kit.bounded_pool import BoundedPool, Connection, Connections


async def open_account(pool: BoundedPool, account: str, opening_balance_cents: int) -> int | None:
    """Opens an account and returns its balance in cents; None when it was opened with another balance before.

    Idempotent: an account that is open with the same opening balance stays as it is. Raises `DatabaseTrouble`.
    """
    async with pool.transaction() as connection:
        await insert_account(connection, account, opening_balance_cents)
        return await read_balance_opened_with(connection, account, opening_balance_cents)


async def balance(pool: Connections, account: str) -> int | None:
    """The balance in cents; None when there is no such account. Raises `DatabaseTrouble`."""
    async with pool.connection() as connection:
        return await read_balance(connection, account)


async def insert_account(connection: Connection, account: str, opening_balance_cents: int) -> None:
    """Inserts the account unless it exists."""
    await connection.execute(
        """
        INSERT INTO billing.accounts (account, opening_balance_cents, balance_cents)
        VALUES ($1, $2, $2)
        ON CONFLICT (account) DO NOTHING
        """,
        account,
        opening_balance_cents,
    )


async def read_balance(connection: Connection, account: str) -> int | None:
    """The balance in cents; None when there is no such account."""
    cents: int | None = await connection.fetchval(
        "SELECT balance_cents FROM billing.accounts WHERE (SELECT billing.sealed()) AND account = $1",
        account,
    )
    return cents


async def read_balance_opened_with(
    connection: Connection, account: str, opening_balance_cents: int
) -> int | None:
    """The balance in cents; None unless the account was opened with exactly this balance."""
    cents: int | None = await connection.fetchval(
        """
        SELECT balance_cents
        FROM billing.accounts
        WHERE (SELECT billing.sealed()) AND account = $1 AND opening_balance_cents = $2
        """,
        account,
        opening_balance_cents,
    )
    return cents
