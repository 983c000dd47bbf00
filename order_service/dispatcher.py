"""Delivers every pending order until there is an answer: the orders of this process, and those of dead processes.

Guarantee: a recorded order is settled as long as one replica lives and billing comes back.
"""

import asyncio
from contextlib import suppress
from uuid import UUID

import structlog

from order_service import delivery, settlement
from order_service.attempts import Attempts, charge_of
from order_service.context import DeliveryContext
from order_service.orders import LeaseLost, PendingOrder
from order_service.outcomes import (
    CHARGED_OTHERWISE,
    KEY_OF_ANOTHER,
    VOIDED,
    Acknowledged,
    Outcome,
    Refused,
    slug_of,
)
from order_service.statements import leases
from order_service.wire import Order
from service_kit import telemetry
from service_kit.bounded_pool import DatabaseTrouble, LockWaitTooLong

log = structlog.get_logger()

# What billing says of a key when the charge of its order was not executed: each settles the order.
_SETTLES = frozenset({VOIDED, KEY_OF_ANOTHER, CHARGED_OTHERWISE})


class Dispatcher:
    """All deliveries of one process."""

    def __init__(self, context: DeliveryContext) -> None:
        self._context = context
        self._running: dict[UUID, asyncio.Task[None]] = {}
        self._unsettled: dict[UUID, asyncio.Future[Order | None]] = {}
        self._declared = 1

    @property
    def in_hand(self) -> int:
        """Orders that this process is delivering."""
        return len(self._running)

    def start(self, order: PendingOrder) -> "asyncio.Future[Order | None]":
        """Delivers in the background. The future holds the settled order, or None when another process has the order now."""
        settled: asyncio.Future[Order | None] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(
            deliver(order, self._context, settled), name=f"deliver {order.order_id}"
        )
        self._running[order.order_id] = task
        self._unsettled[order.order_id] = settled
        task.add_done_callback(lambda done: self._ended(order.order_id, done, settled))
        return settled

    async def wait(self, order_id: UUID, timeout_s: float) -> None:
        """Waits at most `timeout_s` seconds until an order that this process delivers is settled; not for its notification."""
        settled = self._unsettled.get(order_id)
        if settled is not None:
            await asyncio.wait((settled,), timeout=timeout_s)

    async def cancel(self, order: PendingOrder) -> Outcome:
        """Voids a pending order's key and settles the order by billing's answer.

        The outcome is `key-voided` when the order is cancelled, an answer when it was executed, another refusal when its key
        was executed for something else, else unknown. A delivery that is under way finds the order settled, or the key
        voided, and ends.
        """
        outcome = await self._context.peers.void(charge_of(order), order.sequence_key)
        log.info("cancel", order_id=str(order.order_id), found=outcome.caller_saw)
        settles = isinstance(outcome, Refused) and slug_of(outcome.answer) in _SETTLES
        if settles or isinstance(outcome, Acknowledged):
            # A process that stops in between leaves the order pending; the next attempt gets the same answer.
            with suppress(LeaseLost):
                await settlement.settle(Attempts(order, self._context), outcome)
        return outcome

    async def run(self) -> None:
        """Takes over orders of dead processes in a loop, until it is cancelled."""
        while True:
            # `gather` returns the exception: no failure of one round, not even a defect, may end the loop.
            a_round = asyncio.create_task(self._round(), name="a round of taking over")
            (end,) = await asyncio.gather(a_round, return_exceptions=True)
            failed = isinstance(end, BaseException)
            if isinstance(end, DatabaseTrouble | LockWaitTooLong):
                log.warning("cannot look for orders to take over", reason=str(end))
            elif failed:
                log.error("a look for orders to take over failed", exc_info=end)
            self._context.metrics.takeover_rounds.labels(end="failed" if failed else "done").inc()
            # A full batch means that there is more: go on at once while there is room.
            if isinstance(end, BaseException) or end < self._room():
                await self._context.sleep(self._context.settings.takeover_poll_s)

    async def _round(self) -> int:
        """Everything that is due at one time; returns how many orders were taken over."""
        await self._look()
        await self._keep()
        taken = await self.run_once()
        await self._declare()
        return taken

    async def run_once(self) -> int:
        """One look; returns how many orders were taken over."""
        async with self._context.pool.connection() as connection:
            taken = await leases.take_over(
                connection, self._context.owner, self._context.settings.lease_s, self._room()
            )
        for order in taken:
            # It may be an order of this very process, whose loop was slow: the lease is renewed, its delivery goes on.
            if order.order_id not in self._running:
                log.info("order taken over", order_id=str(order.order_id), attempts=order.attempts)
                self.start(order)
        return len(taken)

    async def stop(self) -> None:
        """Lets attempts in flight end, begins no new ones, and leaves the rest to other processes."""
        self._context.stopping.set()
        if self._running:
            bound_s = self._context.settings.attempt_timeout_s * 2
            await asyncio.wait(list(self._running.values()), timeout=bound_s)
        for task in list(self._running.values()):
            task.cancel()
        try:
            async with self._context.pool.connection() as connection:
                await leases.release_leases(connection, self._context.owner)
        except (DatabaseTrouble, LockWaitTooLong) as exc:
            log.warning("leases were not released; they will expire", reason=str(exc))

    async def _keep(self) -> None:
        """An order may wait long for a token or for the database; no other process takes it over meanwhile."""
        if self._running:
            async with self._context.pool.connection() as connection:
                await leases.keep_leases(
                    connection,
                    list(self._running),
                    self._context.owner,
                    self._context.settings.lease_s,
                )

    async def _look(self) -> None:
        async with self._context.pool.connection() as connection:
            unsettled = await leases.read_unsettled(connection)
        self._context.first_incomplete = max(
            self._context.first_incomplete, unsettled.first_incomplete
        )
        self._context.metrics.unsettled.set(unsettled.orders)
        self._context.metrics.oldest_unsettled_seconds.set(unsettled.oldest_s)

    async def _declare(self) -> None:
        """Tells billing which keys are settled when no charge does: else they would stay until the next charge."""
        mark = self._context.first_incomplete
        quiet = not self._running and mark > self._declared
        if quiet and await self._context.peers.declare_settled(mark):
            self._declared = mark

    def _room(self) -> int:
        return max(1, self._context.settings.attempts_in_flight_max - len(self._running))

    def _ended(
        self, order_id: UUID, task: asyncio.Task[None], settled: "asyncio.Future[Order | None]"
    ) -> None:
        self._running.pop(order_id, None)
        self._unsettled.pop(order_id, None)
        if not settled.done():
            settled.set_result(None)
        if not task.cancelled() and (exc := task.exception()) is not None:
            # A defect. The lease runs out and the order is taken over; nothing is lost.
            log.error("delivery failed", order_id=str(order_id), exc_info=exc)


async def deliver(
    order: PendingOrder, context: DeliveryContext, settled: "asyncio.Future[Order | None]"
) -> None:
    """Delivers one order, from its first attempt to the fate of its notification."""
    telemetry.begin_trace()
    attempts = Attempts(order, context)
    try:
        if order.taken_over:
            await attempts.record_unknown()
        outcome = await delivery.SEMANTICS[order.delivery](order, attempts)
        await settlement.settle(attempts, outcome, settled)
    except LeaseLost:
        log.info("order left to another process", order_id=str(order.order_id))
