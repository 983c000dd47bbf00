"""The batch that looks at each charge: what it holds while it judges, and what happens when it is cut or overtaken."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest

from billing_service import keys, ledger, set_statements
from billing_service.keys import Answer, KeyForgotten
from billing_service.ledger import ChargeOutcome
from billing_service.wire import Charge
from bounded_pool import BoundedPool, Connection, DatabaseTrouble
from tests.billing_service.desk import (
    OPENING_CENTS,
    Desk,
    Owner,
    decline,
    moved,
    statuses,
)

# Nothing is plain here, so that each batch is judged.
pytestmark = [
    pytest.mark.usefixtures("way"),
    pytest.mark.parametrize("way", ["at length"], indirect=True),
]


@pytest.mark.parametrize("committed", [True, False])
async def test_an_ambiguous_commit_of_a_batch(
    pool: BoundedPool, owner: Owner, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    """All its members learn that it could not be found out; the same keys then move the money once."""
    desk = Desk(pool)
    insert_effects = set_statements.insert_effects

    async def lost(connection: Connection, *arguments: Any) -> int:
        claimed = await insert_effects(connection, *arguments)
        if committed:
            await connection.execute("COMMIT")
        await owner.execute("SELECT pg_terminate_backend($1, 10000)", connection.get_server_pid())
        return claimed

    with monkeypatch.context() as patch:
        patch.setattr(set_statements, "insert_effects", lost)
        outcomes = await asyncio.gather(
            *(desk.charge(key) for key in range(1, 6)), return_exceptions=True
        )
    assert [type(outcome) for outcome in outcomes] == [DatabaseTrouble] * 5
    assert await moved(owner) == (50 if committed else 0)
    again = await asyncio.gather(*(desk.charge(key) for key in range(1, 6)))
    assert statuses(again) == [201] * 5
    assert [isinstance(a, Answer) and a.replayed for a in again] == [committed] * 5
    assert await moved(owner) == 50


async def test_the_index_decides(
    desk: Desk, owner: Owner, pool: BoundedPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that is inserted unannounced after the batch has looked: rolled back, and each one is asked again alone."""
    read_known = set_statements.read_known

    async def overtaken(*arguments: Any) -> list[Any]:
        rows = await read_known(*arguments)
        await owner.execute(
            """
            INSERT INTO billing.processed_keys (client, sequence_key, fingerprint, status, body)
            VALUES ('order_service', 2, $1, 402, 'first') ON CONFLICT DO NOTHING
            """,
            ledger.fingerprint(Charge(order_id=UUID(int=2), account="alice", amount_cents=10)),
        )
        return rows

    monkeypatch.setattr(set_statements, "read_known", overtaken)
    outcomes = await asyncio.gather(*(desk.charge(key) for key in (1, 2, 3)))
    assert statuses(outcomes) == [201, 402, 201]
    assert outcomes[1] == Answer(402, "first", replayed=True)
    assert await moved(owner) == 20


@asynccontextmanager
async def a_batch_that_has_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[list["asyncio.Task[ChargeOutcome]"]]:
    """Two charges in a batch that has read what is known of their keys, and goes on after the block."""
    read_known = set_statements.read_known
    has_read, go_on = asyncio.Event(), asyncio.Event()

    async def paused(*arguments: Any) -> list[Any]:
        rows = await read_known(*arguments)
        has_read.set()
        await go_on.wait()
        return rows

    with monkeypatch.context() as patch:
        patch.setattr(set_statements, "read_known", paused)
        late = [desk.begin(1), desk.begin(2)]
        await has_read.wait()
    yield late
    go_on.set()
    await asyncio.wait(late)


async def test_the_race_between_a_batch_and_the_collector(
    desk: Desk, pool: BoundedPool, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The collector waits for the batch that has read the old mark; so does a twin for its key."""
    other = Desk(pool)
    async with a_batch_that_has_read(desk, monkeypatch) as late:
        twin = other.begin(1)
        collecting = asyncio.create_task(keys.forget(pool, "order_service", 3))
        async with asyncio.timeout(10):
            while await owner.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted") < 2:
                pass
        assert not twin.done()
        assert not collecting.done()
    assert statuses([await task for task in late]) == [201, 201]
    assert await collecting == 2
    assert isinstance(await twin, Answer | KeyForgotten)
    assert await moved(owner) == 20
    assert await desk.charge(1) == KeyForgotten(3)


async def test_the_race_without_the_locks(
    desk: Desk, pool: BoundedPool, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: take the batch's locks out, and the same interleaving charges twice."""
    await desk.charge(9)

    async def nothing_is_locked(_: Connection, clients: list[str], __: list[int]) -> list[str]:
        return ["free"] * len(clients)

    monkeypatch.setattr(set_statements, "try_locks", nothing_is_locked)
    async with a_batch_that_has_read(desk, monkeypatch) as late:
        for key in (1, 2):
            assert isinstance(await _alone(pool, key), Answer)
        await keys.forget(pool, "order_service", 3)
    assert statuses([await task for task in late]) == [201, 201]
    assert await moved(owner) == 10 + 2 * 20


async def _alone(pool: BoundedPool, key: int) -> ChargeOutcome:
    charge = Charge(order_id=UUID(int=key), account="bob", amount_cents=10)
    return await ledger.charge(pool, "order_service", key, charge, decline, lambda: True)


async def test_two_batches_at_once_share_no_account(
    desk: Desk, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one is under way another one begins with other accounts; who wants the same ones waits in the queue, not aside."""
    async with a_batch_that_has_read(desk, monkeypatch) as under_way:
        same = [desk.begin(key) for key in (3, 4)]
        other = await asyncio.gather(*(desk.charge(key, account="bob") for key in (5, 6)))
        assert statuses(other) == [201, 201]
        assert not any(task.done() for task in same)
        assert desk.group.queue_length == 2
    assert statuses([await task for task in (*under_way, *same)]) == [201] * 4
    assert desk.aside("account") == 0
    assert await moved(owner) == 60


async def test_the_order_of_arrival_holds_for_an_account(
    desk: Desk, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits because its account is under way is not overtaken by a later one of the same account."""
    async with a_batch_that_has_read(desk, monkeypatch) as under_way:
        later = [desk.begin(3, OPENING_CENTS - 30), desk.begin(4, 20)]
        await desk.charge(5, account="bob")
    assert statuses([await task for task in (*under_way, *later)]) == [201, 201, 201, 402]
    assert await moved(owner) == 20 + OPENING_CENTS - 30 + 10
