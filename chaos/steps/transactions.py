"""Acts inside a transaction of billing: it is paused by a trigger in Postgres, for the length of one scenario.

Guarantee: no service holds a line for it; the paused transaction is found in Postgres's own list of waiting locks
before anything is done to it.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from chaos.faults.account_lock import AccountLock
from chaos.harness.context import Context
from chaos.steps.step import NOTHING, Needs

Where = Literal["before commit", "inside commit", "recording"]


@dataclass(frozen=True)
class PauseTransaction:
    """The next charge stops inside COMMIT, or after its last statement before COMMIT; or an order's recording inside COMMIT."""

    needs: ClassVar[Needs] = NOTHING
    where: Where

    async def perform(self, context: Context) -> None:
        connection = await context.database.connect()
        context.pausing = connection

        async def undo() -> None:
            # The lock goes with the connection, so whatever still waits goes on; the trigger has to be dropped.
            await connection.close()
            cleaner = await context.database.connect()
            await cleaner.execute("DROP FUNCTION IF EXISTS billing.pause() CASCADE")
            await cleaner.close()

        context.cleanups.append(undo)
        # Whoever is paused waits as long as its statement may: a batch has no patience with locks, and would be gone before
        # anything is done to it.
        await connection.execute(
            """
            CREATE FUNCTION billing.pause() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = 0 AS
            $$ BEGIN PERFORM pg_advisory_xact_lock(471147, 0); RETURN NULL; END $$
            """
        )
        if self.where in ("inside commit", "recording"):
            table = "orders.orders" if self.where == "recording" else "billing.ledger"
            await connection.execute(
                f"""
                CREATE CONSTRAINT TRIGGER pause AFTER INSERT ON {table}
                DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing.pause()
                """
            )
        else:
            # The answer is stored by the last statement, whether it claims the key as well or not.
            await connection.execute(
                """
                CREATE TRIGGER pause AFTER INSERT OR UPDATE ON billing.processed_keys
                FOR EACH ROW WHEN (NEW.status IS NOT NULL) EXECUTE FUNCTION billing.pause()
                """
            )
        await connection.execute("SELECT pg_advisory_lock(471147, 0)")


@dataclass(frozen=True)
class LockAccount:
    """Another transaction has the order's account. A plain charge is one message, committed by itself; this one cannot be."""

    needs: ClassVar[Needs] = NOTHING

    async def perform(self, context: Context) -> None:
        placed = await context.order()
        connection = await context.database.connect()
        context.cleanups.append(connection.close)
        context.account_lock = AccountLock(connection)
        await context.account_lock.take(placed.account)


@dataclass(frozen=True)
class UnlockAccount:
    """As soon as the charge waits for the account: it goes on in a transaction whose COMMIT is a message of its own."""

    needs: ClassVar[Needs] = NOTHING

    async def perform(self, context: Context) -> None:
        seen = await context.until(
            context.account_lock.is_waited_for, "a charge waits for the account"
        )
        context.witness("the charge had begun a transaction and waited for its account", seen=seen)
        await context.account_lock.leave()


@dataclass(frozen=True)
class AwaitPausedTransaction:
    """Until a transaction stands there."""

    needs: ClassVar[Needs] = NOTHING

    async def perform(self, context: Context) -> None:
        async def waiting() -> bool:
            found: bool = await context.pausing.fetchval(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE classid = 471147 AND objid = 0 AND NOT granted)"
            )
            return found

        seen = await context.until(waiting, "a transaction is paused")
        context.witness("the transaction stood still in Postgres", seen=seen)


@dataclass(frozen=True)
class AwaitDuplicateBlocked:
    """Until another transaction waits for the paused one: it wants the same key."""

    needs: ClassVar[Needs] = NOTHING

    async def perform(self, context: Context) -> None:
        async def waiting() -> bool:
            found: bool = await context.pausing.fetchval(
                """
                SELECT EXISTS (
                  SELECT FROM pg_locks WHERE NOT granted AND (locktype <> 'advisory' OR classid <> 471147)
                )
                """
            )
            return found

        seen = await context.until(waiting, "a twin waits for the key")
        context.witness("a twin waited for the key while it was being committed", seen=seen)


@dataclass(frozen=True)
class ResumeTransaction:
    """Lets the paused transaction go on; the next ones do not stop any more."""

    needs: ClassVar[Needs] = NOTHING

    async def perform(self, context: Context) -> None:
        await context.pausing.execute("SELECT pg_advisory_unlock_all()")


@dataclass(frozen=True)
class TerminateSession:
    """pg_terminate_backend of the paused transaction's session."""

    needs: ClassVar[Needs] = NOTHING

    async def perform(self, context: Context) -> None:
        ended = await context.pausing.fetchval(
            """
            SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))
            FROM pg_locks WHERE classid = 471147 AND objid = 0 AND NOT granted
            """
        )
        context.journal.note("crashed", context.first_account(), what="a session of Postgres")
        context.witness("the session that held the charge was ended", seen=ended == 1)
