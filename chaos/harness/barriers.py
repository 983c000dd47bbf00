"""Holds the caller before its second attempt: by the control server, or by a lock in Postgres where nothing is wrapped.

Guarantee: the held caller has given up its first attempt and has sent nothing since.

471147 is the class of the harness's advisory locks; the services use class 1. The trigger takes them with the rights of
its owner: order_service's role may take none.
"""

from chaos.faults.control import Rule
from chaos.harness.context import Barrier, Context, Placed


async def hold_retry(context: Context, placed: Placed) -> Barrier:
    """Arms the barrier for one order."""
    if context.harness.wrapped:
        return _by_rule(context.control.hold("order_service", "attempt", placed.account, 2))
    return await _by_lock(context, placed)


def _by_rule(rule: Rule) -> Barrier:
    async def reached() -> bool:
        return rule.reached.is_set()

    async def release() -> None:
        rule.release()

    return Barrier(reached, release)


async def _by_lock(context: Context, placed: Placed) -> Barrier:
    """A trigger waits where the second attempt of this order is recorded, which comes before it is sent."""
    connection = await context.database.connect()

    async def reached() -> bool:
        waiting: bool = await connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE classid = 471147 AND NOT granted)"
        )
        return waiting

    async def release() -> None:
        if not connection.is_closed():
            # Closing the connection frees the lock: the held caller goes on.
            await connection.close()
            cleaner = await context.database.connect()
            await cleaner.execute("DROP FUNCTION IF EXISTS orders.hold_retry() CASCADE")
            await cleaner.close()

    # A scenario that breaks off leaves neither the trigger nor the lock in a database that is not its own.
    context.cleanups.append(release)
    await connection.execute(
        """
        CREATE FUNCTION orders.hold_retry() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
        $$ BEGIN PERFORM pg_advisory_xact_lock(471147, hashtext(NEW.customer)); RETURN NEW; END $$
        """
    )
    await connection.execute("SELECT pg_advisory_lock(471147, hashtext($1))", placed.account)
    await connection.execute(
        """
        CREATE TRIGGER hold_retry BEFORE UPDATE ON orders.orders
        FOR EACH ROW WHEN (NEW.attempts > OLD.attempts) EXECUTE FUNCTION orders.hold_retry()
        """
    )
    return Barrier(reached, release)
