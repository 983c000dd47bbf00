"""Steps of a failover: the standby is cut off, a wait for it ends without it, the primary dies, the standby is promoted.

Guarantee: Postgres itself says what its log holds and what the standby has received, which rows are visible on the old
primary, and which are absent on the standby that is promoted.

Long because a failover is one chain of steps that share what they cut off, end and promote.
"""

import asyncio
import os
import signal
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import httpx

from chaos.evidence.readings import Check
from chaos.harness.context import Context
from chaos.harness.failover import CLIENT, OPEN, RESTARTING, Charging, Failover
from chaos.harness.harness import BOUND_S
from chaos.steps import failover_rows
from chaos.steps.step import STANDBY, Needs
from stack.toxics import Timeout
from stack.waiting import until

PROMISE_OF_ANSWERS = "F3"
CLAIM_OF_ANSWERS = "after a promotion every replica answers again, without a restart"
PROMISE_OF_WAITS = "F2"
CLAIM_OF_WAITS = "a service ends no wait for the standby: its deadline makes no row visible"
# Of the single path, as many as the pool of a process has connections.
SINGLE_MAX = 10
# The first of them is sent alone.
_ORDERS = 4

WaitEnd = Literal[
    "cancelled", "terminated", "crashed", "restarted", "restarted read-only", "only the deadline"
]

_WAITING = "SELECT pid, usename FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
_END_WAITS = {
    "cancelled": "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
    "terminated": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
}


@dataclass(frozen=True)
class Prepare:
    """Opens accounts and draws keys; one charge is executed while the standby follows."""

    needs: ClassVar[Needs] = STANDBY
    copies: int = 20

    async def perform(self, context: Context) -> None:
        failover = Failover(context.harness)
        context.failover = failover
        context.cleanups += [lambda: restore(context), failover.close]
        connection = await failover.connect()
        try:
            first: int = 1 + await connection.fetchval(
                """
                SELECT greatest((SELECT max(sequence_key) FROM billing.processed_keys WHERE client = $1),
                                (SELECT first_incomplete FROM billing.clients WHERE client = $1), 0)
                """,
                CLIENT,
            )
        finally:
            await connection.close()
        keys = iter(range(first, first + 2 * self.copies + 2 * SINGLE_MAX))
        fast, *singles = await asyncio.gather(
            *(context.harness.open_account("failover") for _ in range(3 + SINGLE_MAX))
        )
        failover.customer = fast
        # The lowest key: no other one is declared settled with it.
        failover.forgotten = Charging(next(keys), fast)
        failover.voided = Charging(next(keys), fast)
        failover.alone = [Charging(next(keys), singles.pop()) for _ in failover.billing]
        before = Charging(next(keys), fast)
        failover.fast = [before, *(Charging(next(keys), fast) for _ in range(self.copies))]
        failover.single = [Charging(next(keys), account) for account in singles]
        failover.customer_keys = [str(uuid.uuid4()) for _ in range(_ORDERS)]
        await _until_final(failover, before)


@dataclass(frozen=True)
class CutOffStandby:
    """Nothing more reaches the standby: in silence, or with its connection closed."""

    needs: ClassVar[Needs] = STANDBY
    silently: bool = True

    async def perform(self, context: Context) -> None:
        toxiproxy = context.network
        if self.silently:
            toxic = Timeout(timeout_ms=0, stream="downstream")
            await toxiproxy.arm("replication", toxic)
            context.witness(f"{toxic} read back from proxy replication", seen=True)
            return
        await toxiproxy.disable("replication")
        state = (await toxiproxy.proxies())["replication"]
        context.witness("replication read back as closed", seen=not state.enabled)


@dataclass(frozen=True)
class ChargeAlone:
    """Sends one charge to each replica of billing, on the fast path and on the single path, and one order.

    Returns when their commits wait for the standby, so that each is alone in its transaction.
    """

    needs: ClassVar[Needs] = STANDBY

    async def perform(self, context: Context) -> None:
        failover = context.failover
        failover.sending = [
            asyncio.create_task(each)
            for each in (
                *(
                    failover.charge(charging, url)
                    for charging, url in zip(failover.alone, failover.billing, strict=True)
                ),
                failover.place(failover.customer_keys[0], failover.orders[0]),
            )
        ]
        await _witness_waits(context, {"billing_service": len(failover.alone), "order_service": 1})


@dataclass(frozen=True)
class ChargeInTheCut:
    """Sends, at once: many charges on the fast path, some on the single path, orders, a voiding, a notification.

    With `waits`, returns when sessions of billing and of the order service wait for the standby; else when all is answered.
    """

    needs: ClassVar[Needs] = STANDBY
    waits: bool = True

    async def perform(self, context: Context) -> None:
        failover = context.failover
        fast, single = failover.billing
        failover.sending += [
            asyncio.create_task(each)
            for each in (
                *(failover.charge(charging, fast) for charging in failover.fast[1:]),
                *(failover.charge(charging, single) for charging in failover.single),
                *(
                    failover.place(customer_key, failover.orders[place % len(failover.orders)])
                    for place, customer_key in enumerate(failover.customer_keys[1:])
                ),
                failover.key("DELETE", failover.voided.key, fast),
                failover.notify(context.target.urls["notification_service"]),
            )
        ]
        if not self.waits:
            await asyncio.wait(failover.sending, timeout=BOUND_S)
            return
        # One session for each that was sent alone, and more.
        await _witness_waits(context, {"billing_service": 3, "order_service": 2})


@dataclass(frozen=True)
class ForgetInTheCut:
    """Sends a charge with the mark above its own key: it is refused for ever, once the mark is committed.

    It is sent alone, because the mark is moved under a lock for which all other charges of the client wait.
    """

    needs: ClassVar[Needs] = STANDBY

    async def perform(self, context: Context) -> None:
        failover = context.failover
        forgotten = failover.forgotten
        failover.sending = [
            asyncio.create_task(
                failover.charge(forgotten, failover.billing[0], mark=forgotten.key + 1)
            )
        ]
        await _witness_waits(context, {"billing_service": 1})


@dataclass(frozen=True)
class EndTheWait:
    """Ends the waits without the standby, until the rows are visible; or lets only the services' deadlines pass.

    `rows` names the counts that must not be zero in the end.
    """

    needs: ClassVar[Needs] = STANDBY
    how: WaitEnd
    rows: tuple[str, ...] = ("alone", "fast", "single", "orders", "voided")

    async def perform(self, context: Context) -> None:
        failover = context.failover
        if self.how == "only the deadline":
            await asyncio.wait(failover.sending, timeout=BOUND_S)
            visible = await failover_rows.visible(failover)
            hidden = not any(visible[row] for row in ("alone", "single", "orders", "voided"))
            hidden = hidden and visible["fast"] == 1
            detail = f"what became visible without the standby: {dict(visible)}"
            context.checks.append(
                Check(PROMISE_OF_WAITS, CLAIM_OF_WAITS, hidden, "" if hidden else detail)
            )
            return
        if self.how in ("crashed", "restarted", "restarted read-only"):
            await self._restart(context)
        seen = await context.until(lambda: self._all_visible(failover), "the rows are visible")
        context.witness(
            f"rows without the standby's confirmation are visible on the primary ({', '.join(self.rows)})",
            seen=seen,
        )

    async def _all_visible(self, failover: Failover) -> bool:
        if self.how in ("cancelled", "terminated"):
            connection = await failover.connect()
            try:
                await connection.execute(_END_WAITS[self.how])
            finally:
                await connection.close()
        try:
            visible = await failover_rows.visible(failover)
        except RESTARTING:
            return False
        # Of the fast path, one charge was executed before the cut; two were sent alone.
        return all(visible[row] > (row in ("alone", "fast")) for row in self.rows)

    async def _restart(self, context: Context) -> None:
        failover = context.failover
        # Whatever gets so far waits by now: a restart undoes what does not.
        await asyncio.wait(failover.sending, timeout=BOUND_S)
        postgres = context.services.postgres
        connection = await failover.connect()
        try:
            pid = await connection.fetchval(_WAITING)
            if self.how == "restarted read-only":
                await connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        finally:
            await connection.close()
        if self.how == "crashed":
            os.kill(pid, signal.SIGKILL)
            return
        deaths = len(postgres.child.deaths)
        os.kill(postgres.child.pid, signal.SIGINT)
        await postgres.child.running_after(deaths + 1)
        await postgres.accepting()


@dataclass(frozen=True)
class TurnReadOnly:
    """The primary goes on, and only reads from now on: open sessions too."""

    needs: ClassVar[Needs] = STANDBY

    async def perform(self, context: Context) -> None:
        connection = await context.failover.connect()
        try:
            await connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            await connection.execute("SELECT pg_reload_conf()")
        finally:
            await connection.close()


@dataclass(frozen=True)
class LosePrimary:
    """Kills the primary with SIGKILL and promotes the standby. `behind`: the standby lacks what the primary has.

    With `only_reads` the old primary still runs when the standby is promoted, and is killed later.
    """

    needs: ClassVar[Needs] = STANDBY
    behind: bool = True
    only_reads: bool = False

    async def perform(self, context: Context) -> None:
        failover, servers = context.failover, context.services.database_servers
        old, before = servers.primary, await failover_rows.visible(failover)
        if self.behind:
            written, received = await failover_rows.positions(context)
            context.witness(
                "the primary's log lies beyond what the standby had received",
                seen=written > received,
                instead=f"{written} and {received}",
            )
        await (servers.cut_replication() if self.only_reads else servers.end_primary())
        # Read before the promotion: after it, the services execute anew what was lost.
        after = await failover_rows.received_rows(context)
        await servers.promote(beside=old if self.only_reads else None)
        promoted_s = time.monotonic()
        context.harness.refresh_target()
        if self.behind:
            gone = (
                not any(after[row] for row in set(after.keys()) - {"fast"}) and after["fast"] == 1
            )
            context.witness(
                "the rows are absent on the server that is promoted",
                seen=gone,
                instead=str(dict(after)),
            )
        else:
            same = dict(after) == dict(before)
            context.witness(
                "the rows are there on the server that is promoted",
                seen=same,
                instead=str(dict(after)),
            )
        answered = await context.until(
            lambda: _all_answer(failover), "every replica answers after the promotion"
        )
        bound_s = context.harness.bound_s
        detail = f"a replica still answered nothing final {bound_s:g} s after the promotion"
        context.checks.append(
            Check(PROMISE_OF_ANSWERS, CLAIM_OF_ANSWERS, answered, detail, liveness=True)
        )
        seconds = time.monotonic() - promoted_s
        context.journal.note(
            "failed over", "", text=f"every replica answered {seconds:.2f} s after the promotion"
        )
        if self.only_reads:
            await old.child.end(signal.SIGKILL)


async def restore(context: Context) -> None:
    """The pair as it was: a primary, and a synchronous standby that follows it."""
    servers = context.services.database_servers
    if servers.standby is not None and servers.primary.child.running:
        connection = await context.failover.connect()
        await connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
        await connection.close()
        await servers.follow_again()
    else:
        if servers.standby is not None:
            await servers.promote()
        await context.services.rejoin()
    context.harness.refresh_target()


async def _witness_waits(context: Context, sessions: Mapping[str, int]) -> None:
    """Of each role so many sessions at least."""
    connection = await context.failover.connect()

    async def wait() -> bool:
        waiting = Counter(row["usename"] for row in await connection.fetch(_WAITING))
        return waiting >= Counter(sessions)

    try:
        seen = await context.until(wait, "commits wait for the standby")
    finally:
        await connection.close()
    context.witness(
        f"commits of {' and '.join(f'{role} ({count})' for role, count in sorted(sessions.items()))} wait for the standby",
        seen=seen,
    )


async def _all_answer(failover: Failover) -> bool:
    """Whether each replica gives a final answer now, of what was executed while the standby followed."""
    answers = await asyncio.gather(
        *(failover.charge(failover.fast[0], url, "?1") for url in failover.billing),
        *(failover.balance(failover.customer, url) for url in failover.billing),
        *(failover.client.get(f"{url}/readyz") for url in failover.orders),
        return_exceptions=True,
    )
    return all(
        isinstance(answer, httpx.Response) and answer.status_code not in OPEN for answer in answers
    )


async def _until_final(failover: Failover, charging: Charging) -> None:
    """Sends the charge to the replicas in turn until its answer is final."""
    turn = 0

    async def final() -> bool:
        nonlocal turn
        turn += 1
        url = failover.billing[turn % len(failover.billing)]
        response = await failover.charge(charging, url, "?1")
        return response is not None and response.status_code not in OPEN

    await until(final, BOUND_S, f"the charge of key {charging.key} is final")
