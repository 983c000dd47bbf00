"""The waiting charges of one process: which of them may begin, and what the others wait for. It does no I/O.

Guarantee: two charges with the same key are never executed at the same time, and each gets its own outcome. Charges of one
account begin in the order of their arrival, unless one of them has to wait for its key or its client.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

from billing_service.batching.fast_path import Held, Request
from billing_service.charge import Stored, replay
from billing_service.outcomes import (
    Answer,
    ChargeOutcome,
    ClientHeld,
    KeyForgotten,
    KeyInFlight,
    Voided,
)
from service_kit.bounded_pool import LockWaitTooLong
from service_kit.group_commit import Queue, Waiting

WaitingCharge = Waiting[Request, ChargeOutcome]
_Key = tuple[str, int]


class ChargeQueue(Queue[Request, ChargeOutcome]):
    """A queue in which a charge waits for its twins, for its account, and for locks of other transactions.

    A twin is a charge whose key is being executed by another request.
    """

    def __init__(self) -> None:
        super().__init__()
        # The keys that are being executed, and the twins that wait for the outcome of one.
        self._keys: set[_Key] = set()
        self._twins: dict[_Key, list[WaitingCharge]] = {}
        # Accounts of running batches, and locks that other transactions hold.
        self._accounts: Counter[str] = Counter()
        self._held: set[Held] = set()

    def __len__(self) -> int:
        return self.in_line + sum(map(len, self._twins.values()))

    def add(self, waiting: WaitingCharge) -> bool:
        if self._waits_for_twin(waiting):
            return False
        super().add(waiting)
        return not self._is_blocked(waiting.item)

    def take(self, size: int, granted: Held | None = None) -> list[WaitingCharge]:
        """Takes the next charges that nothing blocks, or those that wait for the lock that was just granted."""
        taken: list[WaitingCharge] = []
        passed: list[WaitingCharge] = []
        while len(taken) < size and (first := super().take(1)):
            (waiting,) = first
            if self._waits_for_twin(waiting):
                continue
            if self._is_blocked(waiting.item, granted):
                passed.append(waiting)
            else:
                self._keys.add(_key(waiting))
                taken.append(waiting)
        super().put_back(passed)
        return taken

    def work_on(self, taken: Sequence[WaitingCharge]) -> None:
        """Other charges of these accounts wait: two batches of a process never compete for an account."""
        self._accounts.update(_accounts(taken))

    def done_with(self, taken: Sequence[WaitingCharge]) -> None:
        self._accounts -= Counter(_accounts(taken))

    def end(self, waiting: WaitingCharge, result: ChargeOutcome) -> None:
        """Answers a charge, and each of its twins according to the twin's payload."""
        waiting.gets(result)
        twins = self._free_key(waiting)
        if not twins:
            return
        match result:
            case Answer():
                stored = Stored(waiting.item.digest, replace(result, replayed=True))
                for twin in twins:
                    twin.gets(replay(stored, twin.item.digest))
            case Voided() | KeyForgotten() | KeyInFlight():
                for twin in twins:
                    twin.gets(result)
            case _:
                # This charge did not spend the key, so its twins are executed themselves.
                super().put_back(twins)

    def fail(self, waiting: WaitingCharge, exc: BaseException) -> None:
        """Answers a charge with an exception. Its twins are executed themselves."""
        waiting.fails(exc)
        super().put_back(self._free_key(waiting))

    def put_back(self, waiting: Sequence[WaitingCharge]) -> None:
        """Returns charges that were not executed to their old places, with their twins."""
        super().put_back([*chain.from_iterable((each, *self._free_key(each)) for each in waiting)])

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
        first_s = [super().expire(due_s)]
        for twins in self._twins.values():
            for twin in twins:
                if twin.since_s <= due_s:
                    twin.gets(KeyInFlight())
            twins[:] = [each for each in twins if not each.result.done()]
            first_s += [each.since_s for each in twins]
        return min((each for each in first_s if each is not None), default=None)

    def why_late(self, item: Request) -> Exception:
        """The error of a charge that did not begin in time: it names what the charge waited for."""
        locks = [held.lock for held in self._locks_held(item)]
        if "client" in locks:
            return ClientHeld("the client's mark stayed locked")
        if "account" in locks:
            return LockWaitTooLong("the account stayed locked")
        return super().why_late(item)

    def _waits_for_twin(self, waiting: WaitingCharge) -> bool:
        """Whether the charge's key is being executed. If so, the charge now waits for the outcome."""
        key = _key(waiting)
        if key not in self._keys:
            return False
        self._twins.setdefault(key, []).append(waiting)
        return True

    def _free_key(self, waiting: WaitingCharge) -> Sequence[WaitingCharge]:
        """The charge is no longer being executed. Returns the twins that waited for it."""
        key = _key(waiting)
        self._keys.remove(key)
        return self._twins.pop(key, ())

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


def _key(waiting: WaitingCharge) -> _Key:
    """Sequence keys are unique only within their client."""
    return waiting.item.client, waiting.item.sequence_key


def _accounts(taken: Sequence[WaitingCharge]) -> set[str]:
    return {waiting.item.charge.account for waiting in taken}
