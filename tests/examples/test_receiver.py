"""The receiver of the examples: the model of billing_service is played against it, whole and with one line broken."""

import asyncio
import json
import os
import re
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from tests.billing_service.test_model import (
    OPENING_CENTS,
    Step,
    charge,
    charge_of,
    play_model,
    play_steps,
)
from tests.evidence import seen
from tests.examples.source import Substitution, load, text

# Each is a client's.
TOKENS = '{"t": "order_service", "u": "another_service"}'
STATES = {201: "charged", 402: "declined", 410: "voided"}


class ExampleReceiver:
    """examples/receiver.py on an empty database of its own, with some of its lines replaced."""

    # Charges that arrive together are executed in any order: there are no batches.
    in_batches = False

    def __init__(
        self,
        url: str,
        broken: Iterable[Substitution] = (),
        schema: Iterable[Substitution] = (),
        **names: Any,
    ) -> None:
        self._url = url
        self._schema = text("schema.sql", schema)
        self._module = load("receiver", broken)
        vars(self._module).update(names)

    async def empty(self) -> None:
        owner = await asyncpg.connect(self._url)
        await owner.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        await owner.execute(self._schema)
        await owner.execute("INSERT INTO clients (client) VALUES ('order_service')")
        await owner.execute("INSERT INTO accounts VALUES ('alice', $1)", OPENING_CENTS)
        await owner.close()

    async def start(self) -> None:
        self._exit = AsyncExitStack()
        self._owner = await asyncpg.connect(self._url)
        self._exit.push_async_callback(self._owner.close)
        os.environ.update(DATABASE_URL=self._url, TOKENS=TOKENS)
        app = self._module.app
        await self._exit.enter_async_context(app.router.lifespan_context(app))
        self._client = await self._exit.enter_async_context(
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app),
                base_url="http://receiver",
                headers={"Authorization": "Bearer t"},
            )
        )

    async def stop(self) -> None:
        await self._exit.aclose()

    async def post(self, key: int, payload: tuple[int, int], retry: bool) -> httpx.Response:
        return await self._client.post("/charges", **charge_of(key, payload, retry))

    async def void(self, key: int) -> httpx.Response:
        return await self._client.delete(f"/charges/{key}")

    async def forget(self, mark: int) -> None:
        response = await self._client.delete("/charges", params={"below": mark})
        assert response.status_code == 204

    async def balance(self) -> int:
        return int(await self._ask("SELECT balance_cents FROM accounts WHERE account = 'alice'"))

    async def state(self, key: int) -> str:
        if key < await self._ask("SELECT first_incomplete FROM clients"):
            return "forgotten"
        status = await self._ask("SELECT status FROM processed_keys WHERE sequence_key = $1", key)
        return "never_seen" if status is None else STATES[status]

    async def _ask(self, sql: str, *parameters: Any) -> Any:
        return await self._owner.fetchval(sql, *parameters)


class RolledBack:
    """A transaction that is never committed, whatever is answered afterwards."""

    def __init__(self, connection: Any) -> None:
        self._transaction = connection.transaction()

    async def __aenter__(self) -> None:
        await self._transaction.start()

    async def __aexit__(self, *_: object) -> None:
        await self._transaction.rollback()


def test_the_receiver_is_the_model_of_the_service(database: Any) -> None:
    """The same model, played by the same code: send, repeat, twins, other payload, void, forget, restart."""
    play_model(ExampleReceiver(database.owner))


TRANSACTION = "connection, connection.transaction():"
AGAIN = [charge(1), charge(1, retry=True)]
# Each takes one protection away, and plays what meets the gap every time.
BROKEN: dict[str, tuple[dict[str, Any], list[Step]]] = {
    "the key is not unique": (
        {"schema": [("PRIMARY KEY (client, sequence_key)", "CHECK (sequence_key > 0)")]},
        AGAIN,
    ),
    "the mark is not checked": (
        {"broken": [("mark is None or key < mark", "mark is None")]},
        [charge(1), ("forget", {"mark": 2}), charge(1)],
    ),
    "fingerprints are not compared": (
        {"broken": [("known != fingerprint(charge)", "False")]},
        [charge(1, order=1), charge(1, order=2)],
    ),
    "the answer is given without a commit": (
        {
            "broken": [(TRANSACTION, "connection, RolledBack(connection):")],
            "RolledBack": RolledBack,
        },
        [charge(1)],
    ),
    "the answer is not stored": (
        {"broken": [("SET status = $3, body = $4", "SET status = 0 * $3, body = left($4, 0)")]},
        AGAIN,
    ),
    "a replay is not marked": ({"broken": [("body, not new)", "body, False)")]}, AGAIN),
    "the balance is not looked at": (
        {"broken": [(" AND balance_cents >= $2", "")]},
        [charge(1, amount_cents=60), charge(2, amount_cents=60)],
    ),
    "a voided key is taken for an executed one": (
        {"broken": [("charge and (status, body) != VOIDED and known", "charge and known")]},
        [("void", {"key": 1}), charge(1)],
    ),
    "the mark goes back": (
        {"broken": [("greatest(first_incomplete, $2)", "$2")]},
        [charge(1), ("forget", {"mark": 3}), ("forget", {"mark": 1}), charge(1)],
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_receiver_without_one_of_its_protections(database: Any, name: str) -> None:
    """The negative controls: the model catches what is missing, by steps that the whole receiver passes."""
    broken, steps = BROKEN[name]
    play_steps(ExampleReceiver(database.owner), steps)
    with pytest.raises((AssertionError, ExceptionGroup, KeyError)):
        play_steps(ExampleReceiver(database.owner, **broken), steps)


async def statuses_around_a_crash(receiver: ExampleReceiver, url: str) -> tuple[int, int, int]:
    """A connection dies between claim and effect, and the caller asks again: both answers, and the cents that moved."""
    await receiver.empty()
    await receiver.start()
    holder, watcher = await asyncpg.connect(url), await asyncpg.connect(url)
    try:
        transaction = holder.transaction()
        await transaction.start()
        # The charge comes as far as its withdrawal, and waits there.
        await holder.execute("SELECT FROM accounts FOR UPDATE")
        first = asyncio.create_task(receiver.post(1, (1, 10), retry=False))

        async def ended() -> bool:
            # On a busy machine the charge's own lock timeout may come first: the same rollback.
            return await watcher.fetchval(CRASH) is not None or first.done()

        await seen(ended, "the charge waits for its account")
        before = (await first).status_code
        assert (await first).json() == {"type": "/problems/unknown"}
        assert (await first).headers["Content-Type"] == "application/problem+json"
        await transaction.rollback()
        after = (await receiver.post(1, (1, 10), retry=True)).status_code
        return before, after, OPENING_CENTS - await receiver.balance()
    finally:
        await holder.close()
        await watcher.close()
        await receiver.stop()


CRASH = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'UPDATE accounts%'"""


async def test_claim_and_effect_are_one_transaction(
    database: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A crash between them leaves nothing but a line in the log; as two transactions, the key would be spent and no money moved."""
    whole = ExampleReceiver(database.owner)
    assert await statuses_around_a_crash(whole, database.owner) == (503, 201, 10)
    (line,) = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert re.match(r"key 1: \w+Error\(", line)
    broken = ExampleReceiver(database.owner, [(TRANSACTION, "connection:")])
    _, after, moved_cents = await statuses_around_a_crash(broken, database.owner)
    assert after != 201
    assert moved_cents == 0


async def duplicate_between_mark_and_claim(receiver: ExampleReceiver, url: str) -> int:
    """How often the money moved when a late duplicate has read the mark, and its key is to be forgotten just then."""
    await receiver.empty()
    await receiver.start()
    owner = await asyncpg.connect(url)
    try:
        assert (await receiver.post(1, (1, 10), retry=False)).status_code == 201
        transaction = owner.transaction()
        await transaction.start()
        # Reads of other tables go on, so the duplicate comes as far as its claim.
        await owner.execute("LOCK TABLE processed_keys IN EXCLUSIVE MODE")
        late = asyncio.create_task(receiver.post(1, (1, 10), retry=False))
        claims = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'processed_keys'::regclass AND NOT granted)"
        await seen(lambda: owner.fetchval(claims), "the duplicate comes to its claim")
        try:
            async with owner.transaction():
                await owner.execute("SET LOCAL lock_timeout = '100ms'")
                await owner.execute("UPDATE clients SET first_incomplete = 2")
                await owner.execute("DELETE FROM processed_keys WHERE sequence_key < 2")
        except asyncpg.LockNotAvailableError:
            pass
        await transaction.commit()
        await late
        return (OPENING_CENTS - await receiver.balance()) // 10
    finally:
        await owner.close()
        await receiver.stop()


async def test_the_mark_cannot_move_between_reading_it_and_the_claim(database: Any) -> None:
    """The lock on the client's row closes the race; without it a late duplicate is executed again."""
    whole = ExampleReceiver(database.owner)
    assert await duplicate_between_mark_and_claim(whole, database.owner) == 1
    broken = ExampleReceiver(database.owner, [("WHERE client = $1 FOR SHARE", "WHERE client = $1")])
    assert await duplicate_between_mark_and_claim(broken, database.owner) == 2


async def test_the_mark_comes_before_the_keys_go(database: Any) -> None:
    """A duplicate that has read the old mark holds the new one up, and still finds its key."""
    receiver = ExampleReceiver(database.owner)
    await receiver.empty()
    await receiver.start()
    duplicate = await asyncpg.connect(database.owner)
    try:
        assert (await receiver.post(1, (1, 10), retry=False)).status_code == 201
        async with duplicate.transaction():
            await duplicate.execute("SELECT FROM clients FOR SHARE")
            forgetting = asyncio.create_task(receiver.forget(2))
            waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
            await seen(lambda: receiver._ask(waits), "the mark waits")
            assert await receiver._ask("SELECT count(*) FROM processed_keys") == 1
        await forgetting
        assert await receiver._ask("SELECT count(*) FROM processed_keys") == 0
    finally:
        await duplicate.close()
        await receiver.stop()


async def test_each_answer(database: Any) -> None:
    """Its status, its type, its media type, whether it is a replay; and what it leaves in the database."""
    receiver = ExampleReceiver(database.owner)
    await receiver.empty()
    await receiver.start()

    def said(response: httpx.Response) -> tuple[int, str, str, str | None]:
        return (
            response.status_code,
            response.json().get("type", "").removeprefix("/problems/"),
            response.headers["Content-Type"].removeprefix("application/"),
            response.headers.get("Idempotency-Replayed"),
        )

    problem, plain = "problem+json", "json"
    try:
        charged = await receiver.post(1, (1, 10), retry=False)
        assert said(charged) == (201, "", plain, None)
        ledger = await receiver._ask("SELECT charge_id FROM ledger")
        assert charged.json() == {
            "charge_id": str(ledger),
            "order_id": "00000000-0000-0000-0000-000000000001",
            "account": "alice",
            "amount_cents": 10,
        }
        again = await receiver.post(1, (1, 10), retry=True)
        assert (said(again), again.content) == ((201, "", plain, "?1"), charged.content)
        assert said(await receiver.post(1, (2, 10), False)) == (422, "key-reused", problem, None)
        declined = await receiver.post(2, (2, 999), retry=False)
        assert said(declined) == (402, "insufficient-funds", problem, None)
        executed = await receiver.void(1)
        assert said(executed) == (409, "key-executed", problem, None)
        assert executed.json()["answer"] == charged.text
        assert said(await receiver.void(3)) == (200, "key-voided", plain, None)
        assert said(await receiver.post(3, (3, 10), False)) == (410, "key-voided", problem, "?1")
        await receiver.forget(3)
        assert said(await receiver.post(2, (2, 10), True)) == (410, "key-forgotten", problem, None)
        assert await receiver._ask("SELECT array_agg(sequence_key) FROM processed_keys") == [3]
    finally:
        await receiver.stop()


async def test_two_clients(database: Any) -> None:
    """Both count their keys from 1: neither reaches the other one's answers, mark or money."""
    receiver = ExampleReceiver(database.owner)
    await receiver.empty()
    await receiver.start()
    await receiver._ask("INSERT INTO clients (client) VALUES ('another_service')")
    await receiver._ask("INSERT INTO accounts VALUES ('bob', $1)", OPENING_CENTS)
    theirs: dict[str, Any] = {
        "json": {"order_id": str(UUID(int=9)), "account": "bob", "amount_cents": 30},
        "headers": {"Idempotency-Key": '"1"', "Authorization": "Bearer u"},
    }
    try:
        mine = [await receiver.post(key, (key, 10), retry=False) for key in (1, 2)]
        charged = await receiver._client.post("/charges", **theirs)
        assert [each.status_code for each in (*mine, charged)] == [201] * 3
        again = [await receiver.post(key, (key, 10), retry=True) for key in (1, 2)]
        assert [each.content for each in again] == [each.content for each in mine]
        replayed = await receiver._client.post("/charges", **theirs)
        assert (replayed.content, replayed.status_code) == (charged.content, 201)
        await receiver.forget(3)
        assert (await receiver._client.post("/charges", **theirs)).content == charged.content
        balances = "SELECT json_object_agg(account, balance_cents) FROM accounts"
        left = {"alice": OPENING_CENTS - 20, "bob": OPENING_CENTS - 30}
        assert json.loads(await receiver._ask(balances)) == left
    finally:
        await receiver.stop()


async def test_the_last_cent(database: Any) -> None:
    """An account may be emptied, and not overdrawn."""
    receiver = ExampleReceiver(database.owner)
    await receiver.empty()
    await receiver.start()
    try:
        assert (await receiver.post(1, (1, OPENING_CENTS), retry=False)).status_code == 201
        assert (await receiver.post(2, (2, 1), retry=False)).status_code == 402
        assert await receiver.balance() == 0
    finally:
        await receiver.stop()


async def test_who_asks(database: Any) -> None:
    """A request without a token, or with a wrong one, is refused before anything is read."""
    receiver = ExampleReceiver(database.owner)
    await receiver.empty()
    await receiver.start()
    try:
        for headers in ({"Authorization": ""}, {"Authorization": "Bearer x"}):
            receiver._client.headers.update(headers)
            response = await receiver.void(1)
            assert (response.status_code, response.json()) == (401, {"detail": "unknown token"})
        del receiver._client.headers["Authorization"]
        assert (await receiver.void(1)).status_code == 401
    finally:
        await receiver.stop()


async def test_its_connections(database: Any) -> None:
    """One at the start, more when they are needed; every wait of each one ends."""
    receiver = ExampleReceiver(database.owner)
    await receiver.empty()
    await receiver.start()
    try:
        pool = receiver._module.app.state.pool
        assert pool.get_size() == 1
        for name, value in (
            ("lock_timeout", "2s"),
            ("statement_timeout", "3s"),
            ("idle_in_transaction_session_timeout", "3s"),
        ):
            assert await pool.fetchval("SELECT current_setting($1)", name) == value
    finally:
        await receiver.stop()


async def test_what_it_writes_down(database: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Each request with its key and flag: a retry of a key that is new means that a request was lost."""
    caplog.set_level("INFO")
    receiver = ExampleReceiver(database.owner)
    await receiver.empty()
    await receiver.start()
    try:
        for retry in (False, True):
            await receiver.post(7, (1, 10), retry)
    finally:
        await receiver.stop()
    lines = [each.getMessage() for each in caplog.records if each.name == "root"]
    assert lines == ['charge "7", retry ?0', 'charge "7", retry ?1']


async def test_answers_name_their_order(database: Any) -> None:
    """A caller can tell its own answer from another order's: charged, declined, and told so when it voids the key."""
    receiver = ExampleReceiver(database.owner)
    await receiver.empty()
    await receiver.start()
    try:
        charged = (await receiver.post(1, (1, 10), retry=False)).json()
        declined = (await receiver.post(2, (2, 999), retry=False)).json()
        assert charged["order_id"] == "00000000-0000-0000-0000-000000000001"
        assert declined["order_id"] == "00000000-0000-0000-0000-000000000002"
        assert declined["type"] == "/problems/insufficient-funds"
        assert charged["order_id"] in (await receiver.void(1)).json()["answer"]
    finally:
        await receiver.stop()
