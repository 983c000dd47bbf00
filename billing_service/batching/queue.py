"""The waiting charges of one process: which of them may begin, and what the others wait for. It does no I/O.

Guarantee: two charges with the same key are never executed at the same time, and each gets its own outcome. Charges of one
account begin in the order of their arrival, unless one of them has to wait for its key or its client.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from billing_service.batching.fast_path import Held, Request
from billing_service.charge import Stored, replay
from billing_service.outcomes import (
    Answer,
    ChargeOutcome,
    ClientHeld,
    KeyForgotten,
    KeyInFlight,
    QueueFull,
    Voided,
)
from service_kit.bounded_pool import LockWaitTooLong


@dataclass(eq=False)
class Waiting:
    """One caller that has waited for its outcome since `since_s`."""

    request: Request
    outcome: "asyncio.Future[ChargeOutcome]"
    since_s: float

    def __post_init__(self) -> None:
        # Sequence keys are unique only within their client.
        self.key = (self.request.client, self.request.sequence_key)

    def gets(self, outcome: ChargeOutcome) -> None:
        """Answers the caller, if it still waits."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def fails(self, exc: BaseException) -> None:
        """Answers the caller with an exception, if it still waits."""
        if not self.outcome.done():
            self.outcome.set_exception(exc)


class ChargeQueue:
    """The waiting charges, and what each waits for. A twin is a charge whose key is being executed by another request."""

    def __init__(self) -> None:
        self._queue: deque[Waiting] = deque()
        # For each key that is being executed: the twins that wait for its outcome.
        self._twins: dict[tuple[str, int], list[Waiting]] = {}
        # Accounts of running batches, and locks that other transactions hold.
        self._accounts: Counter[str] = Counter()
        self._held: set[Held] = set()

    def __len__(self) -> int:
        """Charges that wait and have not begun."""
        return len(self._queue) + sum(map(len, self._twins.values()))

    @property
    def in_line(self) -> int:
        """Waiting charges that are not twins."""
        return len(self._queue)

    def add(self, waiting: Waiting) -> bool:
        """Adds a charge; true when it may begin now."""
        twins = self._twins.get(waiting.key)
        if twins is not None:
            twins.append(waiting)
            return False
        self._queue.append(waiting)
        return not self._is_blocked(waiting.request)

    def take(self, size: int, granted: Held | None = None) -> list[Waiting]:
        """Takes the next charges that nothing blocks, or those that wait for the lock that was just granted.

        Each is executing until `end`, `fail` or `put_back`. Charges whose callers have disconnected are dropped.
        """
        taken: list[Waiting] = []
        passed: list[Waiting] = []
        while self._queue and len(taken) < size:
            waiting = self._queue.popleft()
            if waiting.outcome.done():
                continue
            twins = self._twins.get(waiting.key)
            if twins is not None:
                twins.append(waiting)
            elif self._is_blocked(waiting.request, granted):
                passed.append(waiting)
            else:
                self._twins[waiting.key] = []
                taken.append(waiting)
        self._put_first(passed)
        return taken

    def end(self, waiting: Waiting, outcome: ChargeOutcome) -> None:
        """Answers a charge, and each of its twins according to the twin's payload."""
        waiting.gets(outcome)
        twins = self._twins.pop(waiting.key)
        if not twins:
            return
        match outcome:
            case Answer():
                stored = Stored(waiting.request.digest, replace(outcome, replayed=True))
                for twin in twins:
                    twin.gets(replay(stored, twin.request.digest))
            case Voided() | KeyForgotten() | KeyInFlight():
                for twin in twins:
                    twin.gets(outcome)
            case _:
                # This charge did not spend the key, so its twins are executed themselves.
                self._put_first(twins)

    def fail(self, waiting: Waiting, exc: BaseException) -> None:
        """Answers a charge with an exception. Its twins are executed themselves."""
        waiting.fails(exc)
        self._put_first(self._twins.pop(waiting.key))

    def put_back(self, waiting: Sequence[Waiting]) -> None:
        """Returns charges that were not executed to their old places, with their twins."""
        self._put_first(
            [*chain.from_iterable((each, *self._twins.pop(each.key)) for each in waiting)]
        )

    def work_on(self, accounts: Iterable[str]) -> None:
        """Makes other charges of these accounts wait until `done_with`."""
        self._accounts.update(accounts)

    def done_with(self, accounts: Iterable[str]) -> None:
        """The counterpart of `work_on`."""
        self._accounts -= Counter(accounts)

    def hold(self, held: Held) -> bool:
        """Makes charges that need this lock wait until `release`; false when they already do."""
        if held in self._held:
            return False
        self._held.add(held)
        return True

    def release(self, held: Held) -> None:
        """The counterpart of `hold`."""
        self._held.discard(held)

    def expire(self, due_s: float) -> float | None:
        """Fails the charges that arrived at `due_s` or earlier, and returns when the first of the others arrived."""
        for waiting in self._queue:
            if waiting.since_s <= due_s:
                waiting.fails(self._why(waiting.request))
        for twin in chain.from_iterable(self._twins.values()):
            if twin.since_s <= due_s:
                twin.gets(KeyInFlight())
        self._queue = deque(each for each in self._queue if not each.outcome.done())
        for twins in self._twins.values():
            twins[:] = [each for each in twins if not each.outcome.done()]
        return min(
            (each.since_s for each in chain(self._queue, *self._twins.values())), default=None
        )

    def _is_blocked(self, request: Request, granted: Held | None = None) -> bool:
        """Whether the charge has to wait for a running batch, or for a lock other than the one that was just granted."""
        if request.charge.account in self._accounts:
            return True
        held = self._locks_held(request)
        return bool(held) if granted is None else held != [granted]

    def _locks_held(self, request: Request) -> list[Held]:
        """The locks that the charge needs and, as far as known, another transaction holds."""
        if not self._held:
            return []
        needed = Held("client", request.client), Held("account", request.charge.account)
        return [lock for lock in needed if lock in self._held]

    def _why(self, request: Request) -> Exception:
        """The error of a charge that did not begin in time: it names what the charge waited for."""
        locks = [held.lock for held in self._locks_held(request)]
        if "client" in locks:
            return ClientHeld("the client's mark stayed locked")
        if "account" in locks:
            return LockWaitTooLong("the account stayed locked")
        return QueueFull("The charge did not begin in time.")

    def _put_first(self, waiting: Sequence[Waiting]) -> None:
        self._queue.extendleft(reversed(waiting))
