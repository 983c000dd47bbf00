"""What the two servers of a failover show: the rows that count, and how far their logs go."""

import asyncpg

from chaos.harness.context import Context
from chaos.harness.failover import CLIENT, Failover
from chaos.harness.harness import BOUND_S
from stack.waiting import NotSeen, until

_VISIBLE = """
    SELECT (SELECT count(DISTINCT sequence_key) FROM billing.ledger WHERE account = ANY ($1)) AS fast,
           (SELECT count(DISTINCT sequence_key) FROM billing.ledger WHERE account = ANY ($2)) AS single,
           (SELECT count(*) FROM orders.orders WHERE customer = $3) AS orders,
           (SELECT count(*) FROM billing.processed_keys WHERE client = $4 AND sequence_key = $5 AND status = 410) AS voided,
           (SELECT count(*) FROM billing.clients WHERE client = $4 AND first_incomplete > $6) AS forgotten,
           (SELECT count(DISTINCT sequence_key) FROM billing.ledger WHERE account = ANY ($7)) AS alone
"""
# The process that replays waits for more.
_REPLAYED = """
    SELECT wait_event IN ('RecoveryWalStream', 'RecoveryRetrieveRetryInterval')
    FROM pg_stat_activity
    WHERE backend_type = 'startup'
"""


async def visible(failover: Failover) -> asyncpg.Record:
    """What the server that is primary now shows."""
    connection = await failover.connect()
    try:
        return await _rows(failover, connection)
    finally:
        await connection.close()


async def received_rows(context: Context) -> asyncpg.Record:
    """What the standby shows once it has replayed all that it received. Raises `NotSeen`."""
    standby = context.services.database_servers.standby
    if standby is None:
        raise NotSeen("there is no standby")
    connection = await asyncpg.connect(standby.url("billed_once"), timeout=BOUND_S)

    async def replayed() -> bool:
        return bool(await connection.fetchval(_REPLAYED))

    try:
        await until(replayed, BOUND_S, "the standby has replayed all that it received")
        return await _rows(context.failover, connection)
    finally:
        await connection.close()


async def _rows(
    failover: Failover, connection: "asyncpg.Connection[asyncpg.Record]"
) -> asyncpg.Record:
    row = await connection.fetchrow(
        _VISIBLE,
        [failover.customer],
        [each.account for each in failover.single],
        failover.customer,
        CLIENT,
        failover.voided.key,
        failover.forgotten.key,
        [each.account for each in failover.alone],
    )
    if row is None:
        raise RuntimeError("an aggregate without a row")
    return row


async def positions(context: Context) -> tuple[int, int]:
    """How far the primary has written its log, and how far the standby has received it, in bytes."""
    servers = context.services.database_servers
    if servers.standby is None:
        raise NotSeen("there is no standby")
    found = []
    for server, function in (
        (servers.primary, "pg_current_wal_flush_lsn()"),
        (servers.standby, "pg_last_wal_receive_lsn()"),
    ):
        connection = await asyncpg.connect(server.url("postgres"), timeout=BOUND_S)
        try:
            found.append(int(await connection.fetchval(f"SELECT {function} - '0/0'::pg_lsn")))
        finally:
            await connection.close()
    return found[0], found[1]
