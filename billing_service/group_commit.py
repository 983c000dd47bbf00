"""Charges that arrive while a transaction is under way wait together and go into the next one as one batch.

Guarantee: nobody waits when nothing is under way; every charge gets the outcome that it would have got alone; what one
of them has to wait for (a key, an account or a client that another transaction holds) is waited for aside, so that its
neighbours are neither stalled nor failed. The queue is bounded; what does not fit is refused before it is begun.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from billing_service import batch, ledger, plain
from billing_service.batch import AccountBusy, Busy, ClientBusy, KeyBusy, Request
from billing_service.keys import Answer, KeyForgotten, KeyInFlight, Stored, Voided
from billing_service.ledger import Awaited, ChargeOutcome, DeclineBody
from billing_service.metrics import Metrics
from billing_service.wire import Charge
from bounded_pool import BoundedPool, DatabaseTrouble, LockWaitTooLong

log = structlog.get_logger()

# One is in Postgres while the other is read or answered; they never share an account.
_PROMPT_MAX = 2
# Who was sent aside twice goes alone the third time: a single charge waits for all its locks in turn.
_DETOURS_MAX = 2


class QueueFull(Exception):
    """As many charges wait as may. Nothing was executed and the key is not spent."""


@dataclass(frozen=True)
class Bounds:
    """How much may be together, wait, and be under way.

    `size_min`: fewer charges than this go one by one. `size_max`: charges of one batch. `halved_from`: when more than this
    are there, a batch takes half of them. `queue_max`: charges that wait.
    `patience_s`: after so many seconds a batch counts as late and holds the next one up no longer.
    `batches_max`: batches under way, the late ones included. `aside_max`: transactions that wait for a lock aside.
    """

    size_min: int
    size_max: int
    halved_from: int
    queue_max: int
    patience_s: float
    batches_max: int
    aside_max: int


@dataclass(eq=False)
class _Waiting:
    """One caller that waits for its outcome."""

    request: Request
    outcome: "asyncio.Future[ChargeOutcome]"
    detours: int = field(default=0)

    @property
    def key(self) -> KeyBusy:
        return KeyBusy(self.request.client, self.request.sequence_key)

    def gets(self, outcome: ChargeOutcome) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def fails(self, exc: BaseException) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(exc)


_Queue = deque[_Waiting]
_LOCKS: dict[type[Busy], str] = {ClientBusy: "client", KeyBusy: "key", AccountBusy: "account"}


class GroupCommit:
    """The queue before the ledger; one for each process."""

    def __init__(
        self, pool: BoundedPool, decline_body: DeclineBody, bounds: Bounds, metrics: Metrics
    ) -> None:
        self._pool = pool
        self._decline_body = decline_body
        self._bounds = bounds
        self._metrics = metrics
        self._queue: _Queue = deque()
        # Who waits aside, by what for. An entry exists as long as somebody works on it.
        self._aside: dict[Busy, _Queue] = {}
        self._aside_slots = asyncio.Semaphore(bounds.aside_max)
        # Batches under way that are not late, and all of them; and whose accounts they work on.
        self._prompt = 0
        self._batches = 0
        self._accounts: Counter[str] = Counter()
        self._taken_last = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def queue_length(self) -> int:
        """Charges that wait and are not begun."""
        return len(self._queue) + sum(map(len, self._aside.values()))

    async def charge(
        self, client: str, sequence_key: int, charge: Charge, awaited: Awaited
    ) -> ChargeOutcome:
        """As `ledger.charge`, and raises what it raises, and `QueueFull`.

        When the caller is cancelled before its charge is begun it is dropped; later it is finished, with nobody to hear.
        """
        if self._closed or self.queue_length >= self._bounds.queue_max:
            self._metrics.charges_shed.inc()
            raise QueueFull
        outcome: asyncio.Future[ChargeOutcome] = asyncio.get_running_loop().create_future()
        digest = ledger.fingerprint(charge)
        request = Request(
            client, sequence_key, charge, digest, lambda: not outcome.done() and awaited()
        )
        self._queue.append(_Waiting(request, outcome))
        if charge.account not in self._accounts:
            self._begin()
        return await outcome

    async def drain(self) -> None:
        """Takes nothing more and returns when all that was taken has its outcome."""
        self._closed = True
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self) -> None:
        if self._queue and self._prompt < _PROMPT_MAX and self._batches < self._bounds.batches_max:
            self._prompt += 1
            self._batches += 1
            self._spawn(self._next_batch())

    async def _next_batch(self) -> None:
        # Taken only now, when all that have arrived at the same moment are in the queue.
        waiting = self._take_next()
        accounts = {each.request.charge.account for each in waiting}
        self._accounts.update(accounts)
        prompt = True

        def let_pass() -> None:
            nonlocal prompt
            if prompt:
                prompt = False
                self._prompt -= 1
                self._accounts -= Counter(accounts)
                # Whoever was passed by an empty batch waits for the one under way, which calls when it is over.
                if waiting:
                    self._begin()

        late = asyncio.get_running_loop().call_later(self._bounds.patience_s, let_pass)
        try:
            if len(waiting) < self._bounds.size_min:
                await asyncio.gather(*map(self._alone, waiting))
            elif waiting:
                self._metrics.batch_size.observe(len(waiting))
                if rest := await self._plainly(waiting):
                    await self._together(lambda: rest)
        finally:
            self._batches -= 1
            late.cancel()
            let_pass()
            if waiting:
                self._begin()

    def _take_next(self) -> list[_Waiting]:
        """The next batch. Whose key is under way here already waits for that one's outcome instead."""
        taken: list[_Waiting] = []
        size = self._next_size()
        passed: list[_Waiting] = []
        while self._queue and len(taken) < size:
            waiting = self._queue.popleft()
            twins = self._aside.get(waiting.key)
            if twins is not None:
                twins.append(waiting)
            elif waiting.request.charge.account in self._accounts:
                passed.append(waiting)
            elif not waiting.outcome.done():
                taken.append(waiting)
        self._queue.extendleft(reversed(passed))
        self._taken_last = len(taken) or self._taken_last
        return taken

    def _next_size(self) -> int:
        """Half of those who wait and of those who have just been answered, because these will be back.

        If a batch took everybody, this process would have nothing to do while Postgres works, and Postgres nothing while
        this process answers and reads; with halves each works for one of them while the other works for the other.
        """
        present = len(self._queue) + self._taken_last
        return min(self._bounds.size_max, max(self._bounds.halved_from, (present + 1) // 2))

    async def _plainly(self, taken: list[_Waiting]) -> list[_Waiting]:
        """Charges whatever can be charged in one round trip; the others."""
        transaction = asyncio.create_task(
            plain.charge_all(self._pool, [waiting.request for waiting in taken])
        )
        await asyncio.wait((transaction,))
        if exc := transaction.exception():
            self._all_fail(taken, exc)
            return []
        rest: list[_Waiting] = []
        for waiting, outcome in zip(taken, transaction.result(), strict=True):
            if outcome is None:
                rest.append(waiting)
            else:
                self._deliver(waiting, outcome)
        return rest

    async def _together(
        self, take: Callable[[], list[_Waiting]], wait_for: ClientBusy | AccountBusy | None = None
    ) -> None:
        taken: list[_Waiting] = []

        def requests() -> list[Request]:
            taken.extend(take())
            return [waiting.request for waiting in taken]

        transaction = asyncio.create_task(
            batch.charge_all(self._pool, requests, self._decline_body, wait_for)
        )
        await asyncio.wait((transaction,))
        if exc := transaction.exception():
            self._all_fail(taken or take(), exc)
            return
        for waiting, outcome in zip(taken, transaction.result(), strict=True):
            self._deliver(waiting, outcome)

    def _all_fail(self, taken: Sequence[_Waiting], exc: BaseException) -> None:
        if isinstance(exc, DatabaseTrouble | LockWaitTooLong):
            for waiting in taken:
                waiting.fails(exc)
            return
        # Whoever is to blame meets it again, alone.
        log.warning("a batch is taken apart", charges=len(taken), reason=repr(exc))
        for waiting in taken:
            self._step_aside(waiting, waiting.key)

    def _deliver(self, waiting: _Waiting, outcome: ChargeOutcome | Busy) -> None:
        if not isinstance(outcome, Busy):
            waiting.gets(outcome)
            return
        waiting.detours += 1
        self._step_aside(waiting, outcome if waiting.detours <= _DETOURS_MAX else waiting.key)

    def _step_aside(self, waiting: _Waiting, busy: Busy) -> None:
        self._metrics.charges_aside.labels(lock=_LOCKS[type(busy)]).inc()
        queue = self._aside.get(busy)
        if queue is not None:
            queue.append(waiting)
            return
        self._aside[busy] = deque((waiting,))
        self._spawn(self._serve_aside(busy))

    async def _serve_aside(self, busy: Busy) -> None:
        """Serves those who wait for one lock, for as long as there are any."""
        queue = self._aside[busy]

        def take() -> list[_Waiting]:
            taken = [queue.popleft() for _ in range(min(len(queue), self._bounds.size_max))]
            self._metrics.batch_size.observe(len(taken))
            return taken

        try:
            while queue:
                async with self._aside_slots:
                    if isinstance(busy, KeyBusy):
                        await self._one_for_its_twins(queue)
                    else:
                        await self._together(take, busy)
        finally:
            del self._aside[busy]

    async def _alone(self, waiting: _Waiting) -> None:
        """Charges one in its own transaction, as long as no twin of it does."""
        twins = self._aside.setdefault(waiting.key, deque())
        twins.append(waiting)
        if len(twins) > 1:
            return
        try:
            while twins:
                await self._one_for_its_twins(twins)
        finally:
            del self._aside[waiting.key]

    async def _one_for_its_twins(self, twins: _Queue) -> None:
        """The first one asks the database; what it learns of the key is true for all that wait for the same key."""
        first = twins.popleft()
        if first.outcome.done():
            return
        asked = first.request
        transaction = asyncio.create_task(
            ledger.charge(
                self._pool,
                asked.client,
                asked.sequence_key,
                asked.charge,
                self._decline_body,
                asked.awaited,
            )
        )
        await asyncio.wait((transaction,))
        if (exc := transaction.exception()) is not None:
            first.fails(exc)
            while twins and isinstance(exc, DatabaseTrouble | LockWaitTooLong):
                twins.popleft().fails(exc)
            return
        outcome = transaction.result()
        first.gets(outcome)
        match outcome:
            case Answer():
                stored = Stored(asked.digest, replace(outcome, replayed=True))
                while twins:
                    twin = twins.popleft()
                    twin.gets(ledger.replay(stored, twin.request.digest))
            case Voided() | KeyForgotten() | KeyInFlight():
                while twins:
                    twins.popleft().gets(outcome)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
