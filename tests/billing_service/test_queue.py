"""Which charges may begin: not one whose account is in a running batch, and none that needs a lock that is held."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from billing_service.batching.fast_path import Held, Request
from billing_service.batching.queue import ChargeQueue
from billing_service.charge import fingerprint
from billing_service.outcomes import (
    AccountUnknown,
    Answer,
    ClientHeld,
    KeyForgotten,
    KeyInFlight,
    KeyReused,
    Voided,
)
from billing_service.wire import Charge
from service_kit.bounded_pool import LockWaitTooLong
from service_kit.group_commit.queue import Waiting

ALICE, BOB = Held("account", "alice"), Held("account", "bob")
CLIENT = Held("client", "c")


def waiting(
    key: int, account: str = "alice", client: str = "c", cents: int = 5, since_s: float = 0.0
) -> Any:
    """One charge, and its caller."""
    charge = Charge(order_id=UUID(int=key), account=account, amount_cents=cents)
    request = Request(client, key, charge, fingerprint(charge), lambda: True)
    return Waiting(request, asyncio.get_running_loop().create_future(), since_s)


def keys(taken: list[Any]) -> list[int]:
    return [each.item.sequence_key for each in taken]


async def test_the_order_of_arrival() -> None:
    """So many as are wanted, the first ones first; what was put back comes first again."""
    queue = ChargeQueue()
    for key in (3, 1, 2):
        assert queue.add(waiting(key))
    taken = queue.take(2)
    assert keys(taken) == [3, 1]
    assert len(queue) == 1
    queue.put_back(taken)
    assert keys(queue.take(5)) == [3, 1, 2]


async def test_an_account_of_a_running_batch() -> None:
    """Its charges wait until the batch is done, and those of other accounts do not."""
    queue = ChargeQueue()
    queue.add(waiting(1))
    running = queue.take(1)
    queue.work_on(running)
    assert not queue.add(waiting(2))
    assert queue.add(waiting(3, "bob"))
    assert keys(queue.take(5)) == [3]
    queue.done_with(running)
    assert keys(queue.take(5)) == [2]


async def test_an_account_of_two_batches() -> None:
    """It is free when both are done: a charge of a lock that was granted may have begun beside the batch."""
    queue = ChargeQueue()
    one, other = [waiting(1)], [waiting(2)]
    queue.work_on(one)
    queue.work_on(other)
    queue.add(waiting(3))
    queue.done_with(one)
    assert queue.take(5) == []
    queue.done_with(other)
    assert keys(queue.take(5)) == [3]


@pytest.mark.parametrize("held", [ALICE, CLIENT], ids=["account", "client"])
async def test_a_lock_that_is_held(held: Held) -> None:
    """What needs it waits; what does not goes past; the one for which the lock was granted, and those with it, begin first."""
    queue = ChargeQueue()
    assert queue.hold(held)
    assert not queue.hold(held)
    assert not queue.add(waiting(1))
    assert queue.add(waiting(2, "bob", "d"))
    assert keys(queue.take(5)) == [2]
    assert keys(queue.take(5, granted=held)) == [1]


async def test_a_lock_that_was_granted_brings_only_its_own() -> None:
    """A charge that needs another held lock too, and one that needs none, are left."""
    queue = ChargeQueue()
    queue.hold(ALICE)
    queue.hold(CLIENT)
    queue.add(waiting(1))
    queue.add(waiting(2, "alice", "d"))
    queue.add(waiting(3, "bob", "d"))
    assert keys(queue.take(5, granted=ALICE)) == [2]
    queue.release(CLIENT)
    assert keys(queue.take(5, granted=ALICE)) == [1]
    assert keys(queue.take(5)) == [3]


async def test_a_lock_that_is_released() -> None:
    """Everything goes on; another lock stays held."""
    queue = ChargeQueue()
    queue.hold(ALICE)
    queue.hold(BOB)
    queue.add(waiting(1))
    queue.add(waiting(2, "bob"))
    queue.release(ALICE)
    assert keys(queue.take(5)) == [1]


async def test_a_twin_waits_for_the_outcome() -> None:
    """It counts as waiting, shares no batch, and gets a replay or, for another payload, a refusal."""
    queue = ChargeQueue()
    first, twin, other = waiting(1), waiting(1), waiting(1, cents=6)
    for each in (first, twin, other):
        queue.add(each)
    assert keys(queue.take(5)) == [1]
    late = waiting(1)
    assert not queue.add(late)
    assert len(queue) == 3
    queue.end(first, Answer(201, "{}"))
    assert first.result.result() == Answer(201, "{}")
    assert twin.result.result() == late.result.result() == Answer(201, "{}", True)
    assert other.result.result() == KeyReused()
    assert len(queue) == 0


@pytest.mark.parametrize("result", [Voided(), KeyForgotten(5), KeyInFlight()], ids=str)
async def test_a_twin_of_what_is_refused(result: Any) -> None:
    """The key's refusal is the twin's as well, whatever its payload."""
    queue = ChargeQueue()
    first, twin = waiting(1), waiting(1, cents=6)
    queue.add(first)
    queue.take(1)
    queue.add(twin)
    queue.end(first, result)
    assert twin.result.result() == result
    assert queue.take(5) == []


async def test_twins_of_what_spent_no_key() -> None:
    """They are executed themselves, before what came later."""
    queue = ChargeQueue()
    first, twin = waiting(1, "unknown"), waiting(1)
    queue.add(first)
    queue.take(1)
    queue.add(waiting(2))
    queue.add(twin)
    queue.end(first, AccountUnknown())
    assert not twin.result.done()
    assert keys(queue.take(5)) == [1, 2]


async def test_twins_of_what_failed() -> None:
    """The failure is that of its own caller alone."""
    queue = ChargeQueue()
    first, twin = waiting(1), waiting(1)
    queue.add(first)
    queue.take(1)
    queue.add(twin)
    queue.fail(first, ConnectionError("gone"))
    assert isinstance(first.result.exception(), ConnectionError)
    assert keys(queue.take(5)) == [1]


async def test_a_twin_that_has_waited_too_long() -> None:
    """It learns that its key is in flight; one that came later still waits, and when it is due is told."""
    queue = ChargeQueue()
    first, early, late = waiting(1), waiting(1, since_s=1.0), waiting(1, since_s=3.0)
    queue.add(first)
    queue.take(1)
    queue.add(early)
    queue.add(late)
    assert queue.expire(1.0) == 3.0
    assert early.result.result() == KeyInFlight()
    assert not late.result.done()
    assert len(queue) == 1


@pytest.mark.parametrize(
    "held, error, reason",
    [
        ((CLIENT, ALICE), ClientHeld, "the client's mark stayed locked"),
        ((ALICE,), LockWaitTooLong, "the account stayed locked"),
    ],
)
async def test_why_a_charge_did_not_begin(
    held: tuple[Held, ...], error: type[Exception], reason: str
) -> None:
    """The error names the lock, the client's first."""
    queue = ChargeQueue()
    for each in held:
        queue.hold(each)
    late = queue.why_late(waiting(1).item)
    assert type(late) is error
    assert str(late) == reason
