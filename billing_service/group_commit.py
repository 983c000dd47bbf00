"""The queue before the fast path: charges that arrive while a batch is under way wait, and share the next one.

Guarantee: a charge that finds nothing under way is begun at once, and each charge gets the outcome that it would have got
alone. A charge that needs a lock of another transaction waits for it apart, with the charges that need the same lock: the
others are neither delayed nor failed by it. No charge waits here for longer than `Bounds.wait_s`.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import structlog

from billing_service import ledger, plain
from billing_service.admission import QueueFull
from billing_service.keys import Answer, ClientHeld, KeyForgotten, KeyInFlight, Stored, Voided
from billing_service.ledger import Awaited, ChargeOutcome, DeclineBody
from billing_service.metrics import Metrics
from billing_service.plain import Bodies, Held, Request
from billing_service.wire import Charge
from bounded_pool import BoundedPool, DatabaseTrouble, LockWaitTooLong

log = structlog.get_logger()

# One is in Postgres while the other is read or answered; they never share an account.
_PROMPT_MAX = 2


@dataclass(frozen=True)
class Bounds:
    """How much may be together, wait, and be under way.

    `size_max`: charges of one batch. `halved_from`: when more than this are there, a batch takes half of them.
    `wait_s`: after so many seconds a charge that is not begun ends. `patience_s`: after so many seconds a batch counts as
    late and holds the next one up no longer. `batches_max`: batches under way, the late ones included. `slow_max`:
    connections on which charges wait for locks.
    """

    size_max: int
    halved_from: int
    wait_s: float
    patience_s: float
    batches_max: int
    slow_max: int


@dataclass(eq=False)
class _Waiting:
    """One caller that waits for its outcome."""

    request: Request
    outcome: "asyncio.Future[ChargeOutcome]"
    since_s: float

    @property
    def key(self) -> tuple[str, int]:
        return self.request.client, self.request.sequence_key

    def gets(self, outcome: ChargeOutcome) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def fails(self, exc: BaseException) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(exc)


class GroupCommit:
    """The queue; one for each process."""

    def __init__(
        self, pool: BoundedPool, decline_body: DeclineBody, bounds: Bounds, metrics: Metrics
    ) -> None:
        self._pool = pool
        self._decline_body = decline_body
        self._bodies = Bodies.of(decline_body)
        self._bounds = bounds
        self._metrics = metrics
        self._queue: deque[_Waiting] = deque()
        # Of each key that is under way: the charges that wait for its outcome.
        self._twins: dict[tuple[str, int], list[_Waiting]] = {}
        # Accounts of batches that are not late; and names of which a task waits for the lock of another transaction.
        self._accounts: Counter[str] = Counter()
        self._held: dict[str, set[str]] = {"client": set(), "account": set()}
        self._slow = asyncio.Semaphore(bounds.slow_max)
        # Batches under way that are not late, and all of them.
        self._prompt = 0
        self._batches = 0
        self._taken_last = 0
        self._expiry: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def queue_length(self) -> int:
        """Charges that wait and are not begun."""
        return len(self._queue) + sum(map(len, self._twins.values()))

    async def charge(
        self, client: str, sequence_key: int, charge: Charge, awaited: Awaited
    ) -> ChargeOutcome:
        """As `ledger.charge`, and raises what it raises, and `QueueFull` when it was not begun in time.

        When the caller is cancelled before its charge is begun the charge is dropped; later it is finished, unheard.
        """
        if self._closed:
            raise QueueFull("This process is stopping.")
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[ChargeOutcome] = loop.create_future()
        request = Request(
            client,
            sequence_key,
            charge,
            ledger.fingerprint(charge),
            lambda: not outcome.done() and awaited(),
        )
        waiting = _Waiting(request, outcome, loop.time())
        if self._expiry is None:
            self._expiry = loop.call_later(self._bounds.wait_s, self._expire)
        if (twins := self._twins.get(waiting.key)) is not None:
            twins.append(waiting)
        else:
            self._queue.append(waiting)
            if not self._is_blocked(request):
                self._begin()
        return await outcome

    async def drain(self) -> None:
        """Takes nothing more and returns when all that was taken has its outcome."""
        self._closed = True
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._expiry is not None:
            self._expiry.cancel()

    def _begin(self) -> None:
        if self._queue and self._prompt < _PROMPT_MAX and self._batches < self._bounds.batches_max:
            self._prompt += 1
            self._batches += 1
            self._spawn(self._next_batch())

    async def _next_batch(self) -> None:
        # Taken only now, when all that have arrived at the same moment are in the queue.
        taken = self._take(self._next_size())
        self._taken_last = len(taken) or self._taken_last
        accounts = Counter({waiting.request.charge.account for waiting in taken})
        self._accounts += accounts
        prompt = True

        def let_pass() -> None:
            nonlocal prompt
            if prompt:
                prompt = False
                self._prompt -= 1
                self._accounts -= accounts
                # After an empty batch all that wait are blocked, and what blocks them calls when it is over.
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
        """Half of those that wait and of those that were just answered, because these will be back.

        If a batch took all of them, this process would have nothing to do while Postgres works, and Postgres nothing while
        this process answers and reads; with halves each works for one of them while the other works for the other.
        """
        present = len(self._queue) + self._taken_last
        return min(self._bounds.size_max, max(self._bounds.halved_from, (present + 1) // 2))

    def _take(self, size: int, held: Held | None = None) -> list[_Waiting]:
        """The next charges that nothing blocks; or those that wait for `held`, which is granted now.

        The second of two twins is not taken: it waits for the outcome of the first.
        """
        taken: list[_Waiting] = []
        passed: list[_Waiting] = []
        while self._queue and len(taken) < size:
            waiting = self._queue.popleft()
            if waiting.outcome.done():
                continue
            twins = self._twins.get(waiting.key)
            if twins is not None:
                twins.append(waiting)
            elif self._is_blocked(waiting.request, held):
                passed.append(waiting)
            else:
                self._twins[waiting.key] = []
                taken.append(waiting)
        self._queue.extendleft(reversed(passed))
        return taken

    def _is_blocked(self, request: Request, granted: Held | None = None) -> bool:
        """Whether the charge has to wait for a batch under way, or for a lock other than the one that is granted now."""
        if request.charge.account in self._accounts:
            return True
        locks = self._locks_held(request)
        if granted is None:
            return bool(locks)
        name = request.client if granted.lock == "client" else request.charge.account
        return name != granted.name or locks != [granted.lock]

    def _locks_held(self, request: Request) -> list[str]:
        """Which locks that the charge needs another transaction holds, as far as that is known."""
        needed = (("client", request.client), ("account", request.charge.account))
        return [lock for lock, name in needed if name in self._held[lock]]

    async def _together(
        self, take: Callable[[], list[_Waiting]], wait_for: Held | None = None
    ) -> None:
        taken: list[_Waiting] = []

        def requests() -> list[Request]:
            taken.extend(take())
            return [waiting.request for waiting in taken]

        transaction = asyncio.create_task(
            plain.charge_all(self._pool, requests, self._bodies, wait_for)
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
                self._fail(waiting, exc)
            return
        # The charge that is to blame meets it again, alone.
        log.warning("a batch is taken apart", charges=len(taken), reason=repr(exc))
        for waiting in taken:
            self._spawn(self._alone(waiting))

    def _deliver(self, taken: Sequence[_Waiting], outcomes: Sequence[ChargeOutcome | Held]) -> None:
        back: list[_Waiting] = []
        for waiting, outcome in zip(taken, outcomes, strict=True):
            if not isinstance(outcome, Held):
                self._end(waiting, outcome)
                continue
            self._metrics.charges_held.labels(lock=outcome.lock).inc()
            if outcome.lock == "key":
                self._spawn(self._alone(waiting))
                continue
            back += (waiting, *self._twins.pop(waiting.key))
            if outcome.name not in self._held[outcome.lock]:
                self._held[outcome.lock].add(outcome.name)
                self._spawn(self._wait_for(outcome))
        self._queue.extendleft(reversed(back))

    async def _wait_for(self, held: Held) -> None:
        """Waits for an account or a client on behalf of all charges that need it, and begins with them.

        Where all slow connections are taken the wait is given up soon, and the fast path tries the lock again.
        """
        deadline_s = asyncio.get_running_loop().time() + self._bounds.patience_s
        try:
            if await self._slow_connection(deadline_s):
                try:
                    await self._together(lambda: self._take(self._bounds.size_max, held), held)
                finally:
                    self._slow.release()
        finally:
            self._held[held.lock].discard(held.name)
            self._begin()

    async def _alone(self, waiting: _Waiting) -> None:
        """Charges one in the single transaction, which waits for its key."""
        try:
            if not await self._slow_connection(waiting.since_s + self._bounds.wait_s):
                self._fail(waiting, QueueFull("Too many charges wait for locks."))
                return
            try:
                await self._single(waiting)
            finally:
                self._slow.release()
        finally:
            self._begin()

    async def _single(self, waiting: _Waiting) -> None:
        if waiting.outcome.done():
            self._put_twins_back(waiting)
            return
        asked = waiting.request
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
        if (exc := transaction.exception()) is None:
            self._end(waiting, transaction.result())
        else:
            self._fail(waiting, exc)

    async def _slow_connection(self, deadline_s: float) -> bool:
        """Whether a connection to wait on is there before the deadline; the caller releases it."""
        try:
            async with asyncio.timeout_at(deadline_s):
                return await self._slow.acquire()
        except TimeoutError:
            return False

    def _end(self, waiting: _Waiting, outcome: ChargeOutcome) -> None:
        """Answers a charge and the twins that waited for it, each by its own payload."""
        waiting.gets(outcome)
        match outcome:
            case Answer():
                stored = Stored(waiting.request.digest, replace(outcome, replayed=True))
                for twin in self._twins.pop(waiting.key):
                    twin.gets(ledger.replay(stored, twin.request.digest))
            case Voided() | KeyForgotten() | KeyInFlight():
                for twin in self._twins.pop(waiting.key):
                    twin.gets(outcome)
            case _:
                self._put_twins_back(waiting)

    def _fail(self, waiting: _Waiting, exc: BaseException) -> None:
        waiting.fails(exc)
        self._put_twins_back(waiting)

    def _put_twins_back(self, waiting: _Waiting) -> None:
        """The first one has spent no key, or it is not known whether it has: its twins ask for themselves."""
        self._queue.extendleft(reversed(self._twins.pop(waiting.key)))

    def _expire(self) -> None:
        """Ends the charges that have waited for as long as they may. One timer serves all of them."""
        loop = asyncio.get_running_loop()
        due_s = loop.time() - self._bounds.wait_s
        for waiting in self._queue:
            if waiting.since_s <= due_s:
                waiting.fails(self._why(waiting.request))
        for twin in chain.from_iterable(self._twins.values()):
            if twin.since_s <= due_s:
                twin.gets(KeyInFlight())
        self._queue = deque(each for each in self._queue if not each.outcome.done())
        for twins in self._twins.values():
            twins[:] = [each for each in twins if not each.outcome.done()]
        waiting_since_s = [each.since_s for each in chain(self._queue, *self._twins.values())]
        self._expiry = None
        if waiting_since_s:
            self._expiry = loop.call_at(min(waiting_since_s) + self._bounds.wait_s, self._expire)

    def _why(self, request: Request) -> Exception:
        """What a charge that was not begun in time has waited for."""
        locks = self._locks_held(request)
        if "client" in locks:
            return ClientHeld("the client's mark stayed locked")
        if "account" in locks:
            return LockWaitTooLong("the account stayed locked")
        return QueueFull("The charge was not begun in time.")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
