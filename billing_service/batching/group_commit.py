"""Group commit: charges that arrive while a batch is running wait, and share the next batch.

Guarantee: a charge begins at once when no batch is running, and gets the outcome that it would have got alone. A charge whose
lock another transaction holds waits together with the charges that need the same lock. It neither delays nor fails the
others. No charge waits here longer than `Bounds.wait_s`.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

import billing_service.charge
from billing_service.batching import fast_path
from billing_service.batching.fast_path import Bodies, Held, Request
from billing_service.batching.queue import ChargeQueue, Waiting
from billing_service.charge import Awaited, DeclineBody
from billing_service.metrics import Metrics
from billing_service.outcomes import ChargeOutcome, QueueFull
from billing_service.wire import Charge
from service_kit.bounded_pool import BoundedPool, DatabaseTrouble, LockWaitTooLong

log = structlog.get_logger()

# Postgres executes one batch while this process reads and answers the other; they never share an account.
_PROMPT_MAX = 2


@dataclass(frozen=True)
class Bounds:
    """The bounds of batches and of waiting.

    `size_max`: charges in one batch. `halved_from`: when more charges than this wait, a batch takes half of them. `wait_s`: a
    charge that has not begun after this time fails. `patience_s`: a batch that takes longer is late and no longer delays the
    next one. `batches_max`: running batches, late ones included. `slow_max`: connections on which charges wait for locks.
    """

    size_max: int
    halved_from: int
    wait_s: float
    patience_s: float
    batches_max: int
    slow_max: int


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
        self._slow = asyncio.Semaphore(bounds.slow_max)
        # Running batches that are not late, and all running batches.
        self._prompt = 0
        self._batches = 0
        self._taken_last = 0
        # One timer fails the charges that have waited too long.
        self._expiry: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

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
        if self._closed:
            raise QueueFull("This process is stopping.")
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[ChargeOutcome] = loop.create_future()
        request = Request(
            client,
            sequence_key,
            charge,
            billing_service.charge.fingerprint(charge),
            lambda: not outcome.done() and awaited(),
        )
        if self._expiry is None:
            self._expiry = loop.call_later(self._bounds.wait_s, self._expire)
        if self._queue.add(Waiting(request, outcome, loop.time())):
            self._begin()
        return await outcome

    async def drain(self) -> None:
        """Accepts no more charges, and returns when every accepted charge has its outcome."""
        self._closed = True
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._expiry is not None:
            self._expiry.cancel()

    def _begin(self) -> None:
        may_begin = self._prompt < _PROMPT_MAX and self._batches < self._bounds.batches_max
        if self._queue.in_line and may_begin:
            self._prompt += 1
            self._batches += 1
            self._spawn(self._next_batch())

    async def _next_batch(self) -> None:
        # Charges are taken only now, so that all that arrived in the same moment are in the queue.
        taken = self._queue.take(self._next_size())
        self._taken_last = len(taken) or self._taken_last
        accounts = {waiting.request.charge.account for waiting in taken}
        self._queue.work_on(accounts)
        prompt = True

        def let_pass() -> None:
            nonlocal prompt
            if prompt:
                prompt = False
                self._prompt -= 1
                self._queue.done_with(accounts)
                # After an empty batch every waiting charge is blocked, and what blocks it calls `_begin` at its end.
                if taken:
                    self._begin()

        late = asyncio.get_running_loop().call_later(self._bounds.patience_s, let_pass)
        try:
            if taken:
                await self._together(lambda: taken)
        finally:
            self._batches -= 1
            late.cancel()
            let_pass()
            if taken:
                self._begin()

    def _next_size(self) -> int:
        """Half of the waiting charges and of those just answered, because busy callers send the next charge at once.

        If one batch took all charges, this process would be idle while Postgres works, and Postgres while this process answers
        and reads. With halves, Postgres executes one batch while this process handles the other.
        """
        present = self._queue.in_line + self._taken_last
        return min(self._bounds.size_max, max(self._bounds.halved_from, (present + 1) // 2))

    async def _together(
        self, take: Callable[[], list[Waiting]], wait_for: Held | None = None
    ) -> None:
        taken: list[Waiting] = []

        def requests() -> list[Request]:
            taken.extend(take())
            return [waiting.request for waiting in taken]

        transaction = asyncio.create_task(
            fast_path.charge_all(self._pool, requests, self._bodies, wait_for)
        )
        await asyncio.wait((transaction,))
        exc = transaction.exception()
        if exc is None:
            if taken:
                self._metrics.batch_size.observe(len(taken))
            self._deliver(taken, transaction.result())
            return
        if wait_for is None and not taken:
            taken = take()
        if isinstance(exc, DatabaseTrouble | LockWaitTooLong):
            for waiting in taken:
                self._queue.fail(waiting, exc)
            return
        # Each charge is executed alone, so that only the charge that caused the error fails.
        log.warning(
            "a batch failed; its charges are executed one by one",
            charges=len(taken),
            reason=repr(exc),
        )
        for waiting in taken:
            self._spawn(self._alone(waiting))

    def _deliver(self, taken: Sequence[Waiting], outcomes: Sequence[ChargeOutcome | Held]) -> None:
        back: list[Waiting] = []
        for waiting, outcome in zip(taken, outcomes, strict=True):
            if not isinstance(outcome, Held):
                self._queue.end(waiting, outcome)
                continue
            self._metrics.charges_held.labels(lock=outcome.lock).inc()
            if outcome.lock == "key":
                self._spawn(self._alone(waiting))
                continue
            back.append(waiting)
            if self._queue.hold(outcome):
                self._spawn(self._wait_for(outcome))
        self._queue.put_back(back)

    async def _wait_for(self, held: Held) -> None:
        """Waits for the lock of an account or client on behalf of all charges that need it, then executes them.

        When no slow connection becomes free in time, this gives up, and the fast path tries the lock again.
        """
        deadline_s = asyncio.get_running_loop().time() + self._bounds.patience_s
        try:
            if await self._slow_connection(deadline_s):
                try:
                    await self._together(
                        lambda: self._queue.take(self._bounds.size_max, held), held
                    )
                finally:
                    self._slow.release()
        finally:
            self._queue.release(held)
            self._begin()

    async def _alone(self, waiting: Waiting) -> None:
        """Executes one charge in the single transaction, which waits for the key."""
        try:
            if not await self._slow_connection(waiting.since_s + self._bounds.wait_s):
                self._queue.fail(waiting, QueueFull("Too many charges are waiting for locks."))
                return
            try:
                await self._single(waiting)
            finally:
                self._slow.release()
        finally:
            self._begin()

    async def _single(self, waiting: Waiting) -> None:
        asked = waiting.request
        if waiting.outcome.done():
            self._queue.fail(waiting, QueueFull("The caller has disconnected."))
            return
        transaction = asyncio.create_task(
            billing_service.charge.charge(
                self._pool,
                asked.client,
                asked.sequence_key,
                asked.charge,
                self._decline_body,
                asked.awaited,
            )
        )
        await asyncio.wait((transaction,))
        if (exc := transaction.exception()) is None:
            self._queue.end(waiting, transaction.result())
        else:
            self._queue.fail(waiting, exc)

    async def _slow_connection(self, deadline_s: float) -> bool:
        """Reserves a connection to wait on; false when none is free before the deadline. The caller releases it."""
        try:
            async with asyncio.timeout_at(deadline_s):
                return await self._slow.acquire()
        except TimeoutError:
            return False

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        since_s = self._queue.expire(loop.time() - self._bounds.wait_s)
        self._expiry = (
            None if since_s is None else loop.call_at(since_s + self._bounds.wait_s, self._expire)
        )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
