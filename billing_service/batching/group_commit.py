"""Group commit of charges: the engine of `service_kit/group_commit/`, with the fast path and the rules of charges.

Guarantee: a charge begins at once when no batch is running, and gets the outcome that it would have got alone. A charge whose
lock another transaction holds waits together with the charges that need the same lock. It neither delays nor fails the
others. No charge waits here longer than `Bounds.wait_s`.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import billing_service.charge
from billing_service.batching import fast_path
from billing_service.batching.fast_path import Bodies, Held, Request
from billing_service.batching.queue import ChargeQueue, WaitingCharge
from billing_service.charge import Awaited, DeclineBody
from billing_service.metrics import Metrics
from billing_service.outcomes import ChargeOutcome, QueueFull
from billing_service.wire import Charge
from service_kit import group_commit
from service_kit.bounded_pool import BoundedPool
from service_kit.group_commit import Alone, Bounds, Group, Later

# What a batch gives for one charge.
_Result = ChargeOutcome | Exception


class GroupCommit:
    """Accepts charges and executes them in batches; one for each process."""

    def __init__(
        self, pool: BoundedPool, decline_body: DeclineBody, bounds: Bounds, metrics: Metrics
    ) -> None:
        self._pool = pool
        self._decline_body = decline_body
        self._bodies = Bodies.of(decline_body)
        self._bounds = bounds
        self._metrics = metrics
        self._queue = ChargeQueue()
        self._group = Group(
            self._charge_together, bounds, alone=self._charge_alone, queue=self._queue
        )

    @property
    def queue_length(self) -> int:
        """Charges that wait and have not begun."""
        return len(self._queue)

    async def charge(
        self, client: str, sequence_key: int, charge: Charge, awaited: Awaited
    ) -> ChargeOutcome:
        """As `charge.charge`, with its errors, and `QueueFull` when the charge did not begin in time.

        When the caller is cancelled, a charge that has not begun is dropped; a charge that has begun is finished.
        """
        connected = True
        request = Request(
            client,
            sequence_key,
            charge,
            billing_service.charge.fingerprint(charge),
            lambda: connected and awaited(),
        )
        try:
            return await self._group.put(request)
        except group_commit.QueueFull as exc:
            raise QueueFull(str(exc)) from exc
        finally:
            connected = False

    async def drain(self) -> None:
        """Accepts no more charges, and returns when every accepted charge has its outcome."""
        await self._group.drain()

    async def _charge_together(self, requests: Sequence[Request]) -> list[_Result]:
        outcomes = await fast_path.charge_all(self._pool, lambda: requests, self._bodies)
        return self._results(outcomes)

    def _results(self, outcomes: Sequence[ChargeOutcome | Held]) -> list[_Result]:
        if outcomes:
            self._metrics.batch_size.observe(len(outcomes))
        return [
            self._wait(outcome) if isinstance(outcome, Held) else outcome for outcome in outcomes
        ]

    def _wait(self, held: Held) -> Exception:
        """How a charge waits for a lock: alone for its key, else together with the others that need the lock."""
        self._metrics.charges_held.labels(lock=held.lock).inc()
        if held.lock == "key":
            return Alone()
        if self._queue.hold(held):
            self._group.spawn(self._wait_for(held))
        return Later()

    async def _wait_for(self, held: Held) -> None:
        """Waits for the lock of an account or client on behalf of all charges that need it, then executes them.

        When too many charges wait for locks, this gives up after a while, and the fast path tries the lock again.
        """
        taken: list[WaitingCharge] = []

        def take() -> list[Request]:
            taken.extend(self._queue.take(self._bounds.size_max, held))
            return [waiting.item for waiting in taken]

        async def charge_when_granted() -> list[_Result]:
            return self._results(
                await fast_path.charge_all(self._pool, take, self._bodies, wait_for=held)
            )

        deadline_s = asyncio.get_running_loop().time() + self._bounds.patience_s
        try:
            with suppress(group_commit.QueueFull):
                async with self._group.waiting_for_a_lock(deadline_s):
                    await self._group.write(taken, charge_when_granted())
        finally:
            self._queue.release(held)
            self._group.begin()

    async def _charge_alone(self, asked: Request) -> ChargeOutcome:
        """Executes one charge in the single transaction, which waits for the key."""
        return await billing_service.charge.charge(
            self._pool,
            asked.client,
            asked.sequence_key,
            asked.charge,
            self._decline_body,
            asked.awaited,
        )
