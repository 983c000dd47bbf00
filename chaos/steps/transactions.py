"""Steps inside a transaction of a service: a trigger in Postgres pauses it, for the length of one scenario.

Guarantee: no service contains a line for it; a step acts on the paused transaction only after finding it in
Postgres's own list of waiting locks.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from chaos.faults.account_lock import AccountLock
from chaos.harness.context import Context
from chaos.steps.step import NOTHING, Needs

Where = Literal["before commit", "inside commit", "recording"]


@dataclass(frozen=True)
class PauseTransaction:
    """Pauses the next charge inside COMMIT or just before it, or the recording of an order inside COMMIT."""

    needs: ClassVar[Needs] = NOTHING
    where: Where

    async def perform(self, context: Context) -> None:
        connection = await context.database.connect()
        context.pausing = connection

        async def undo() -> None:
            # Closing the connection frees the lock, so a waiting transaction goes on; the trigger must be dropped.
            await connection.close()
            cleaner = await context.database.connect()
            await cleaner.execute("DROP FUNCTION IF EXISTS billing.pause() CASCADE")
            await cleaner.close()

        context.cleanups.append(undo)
        # Without lock_timeout = 0 a batch, which waits for locks only briefly, would give up before the next step.
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
    """Another transaction locks the order's account: the charge cannot take the fast path, a single message that commits itself."""

    needs: ClassVar[Needs] = NOTHING

    async def perform(self, context: Context) -> None:
        placed = await context.order()
        connection = await context.database.connect()
        context.cleanups.append(connection.close)
        context.account_lock = AccountLock(connection)
        await context.account_lock.take(placed.account)


@dataclass(frozen=True)
class UnlockAccount:
    """Unlocks the account once the charge waits for it: its transaction goes on, with a COMMIT that is a message of its own."""

    needs: ClassVar[Needs] = NOTHING

    async def perform(self, context: Context) -> None:
        seen = await context.until(
            context.account_lock.is_waited_for, "a charge waits for the account"
        )
        context.witness("the charge had begun a transaction and waited for its account", seen=seen)
        await context.account_lock.release()


@dataclass(frozen=True)
class AwaitPausedTransaction:
    """Waits until a transaction is paused."""

    needs: ClassVar[Needs] = NOTHING

    async def perform(self, context: Context) -> None:
        async def waiting() -> bool:
            found: bool = await context.pausing.fetchval(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE classid = 471147 AND objid = 0 AND NOT granted)"
            )
            return found

        seen = await context.until(waiting, "a transaction is paused")
        context.witness("the transaction was paused in Postgres", seen=seen)


@dataclass(frozen=True)
class AwaitDuplicateBlocked:
    """Waits until another transaction, which wants the same key, waits for the paused one."""

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

        seen = await context.until(waiting, "a duplicate waits for the key")
        context.witness(
            "a duplicate waited for the key while the original was being committed", seen=seen
        )


@dataclass(frozen=True)
class ResumeTransaction:
    """Lets the paused transaction go on; later transactions are not paused."""

    needs: ClassVar[Needs] = NOTHING

    async def perform(self, context: Context) -> None:
        await context.pausing.execute("SELECT pg_advisory_unlock_all()")


@dataclass(frozen=True)
class TerminateSession:
    """Ends the session of the paused transaction with pg_terminate_backend."""

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
