"""What idempotency layers of others get wrong, as regression tests: each is named after what it prevents."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from chaos.harness.harness import BOUND_S, Harness
from chaos.promises.verdict import Verdict
from chaos.runner.play import play
from chaos.scenarios.table import CELLS
from chaos.steps.other_clients import NUMBERS_OF_ORDERS
from tests.billing_service.replica import Owner
from tests.evidence import seen

Charge = Callable[..., Coroutine[Any, Any, httpx.Response]]
Balance = Callable[[], Coroutine[Any, Any, int]]
OPENING_CENTS = 10_000
ORDER = "00000000-0000-0000-0000-000000000001"


class Raw:
    """A client on a bare socket, which can do what no HTTP library lets one do."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str
    ) -> None:
        self.reader, self.writer, self.token = reader, writer, token

    def request(self, key: int, account: str, amount_cents: int, *, retry: bool = False) -> bytes:
        body = json.dumps(
            {"order_id": f"{key:032x}", "account": account, "amount_cents": amount_cents}
        )
        lines = (
            "POST /charges HTTP/1.1",
            "Host: 127.0.0.1",
            f"Authorization: Bearer {self.token}",
            f'Idempotency-Key: "{key}"',
            f"Idempotency-Retry: ?{int(retry)}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        )
        return "\r\n".join((*lines, "", body)).encode()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )
        return int(head.split()[1]), await self.reader.readexactly(length)


@asynccontextmanager
async def raw(harness: Harness) -> AsyncIterator[Raw]:
    address = urlsplit(harness.stack.urls["billing_service"])
    assert address.port is not None
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield Raw(reader, writer, harness.stack.tokens["curl"])
    finally:
        writer.close()


async def key_of_its_own(harness: Harness) -> int:
    """A key that no other test of this stack has used."""
    connection = await asyncpg.connect(harness.stack.databases["owner"])
    try:
        highest = await connection.fetchval(
            """
            SELECT greatest(
              (SELECT first_incomplete FROM billing.clients WHERE client = 'curl'),
              (SELECT max(sequence_key)
               FROM billing.processed_keys
               WHERE client = 'curl' AND sequence_key < 900000000000000)
            )
            """
        )
        return max(int(highest or 0), NUMBERS_OF_ORDERS) + 1
    finally:
        await connection.close()


@pytest.mark.chaos
async def test_1_a_truncated_body_poisons_no_key(harness: Harness) -> None:
    """The caller is cut off in the middle of its body; the whole request under the same key is executed."""
    account = await harness.open_account("raw")
    key = await key_of_its_own(harness)
    async with raw(harness) as cut:
        await cut.send(cut.request(key, account, 7)[:-10])
    async with raw(harness) as whole:
        await whole.send(whole.request(key, account, 7, retry=True))
        status, _ = await whole.answer()
    assert status == 201
    connection = await asyncpg.connect(harness.stack.databases["owner"])
    cents = await connection.fetchval(
        "SELECT opening_balance_cents - balance_cents FROM billing.accounts WHERE account = $1",
        account,
    )
    await connection.close()
    assert cents == 7


async def test_2_a_slow_handler_executes_once(
    database: Any, charge: Charge, balance: Balance
) -> None:
    """While the first request is slow its twin waits or gets 409: no lock expires under it."""
    owner = await asyncpg.connect(database.owner)
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute("SELECT 1 FROM billing.accounts FOR UPDATE")
    slow = asyncio.create_task(charge(1))
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    await seen(lambda: owner.fetchval(waits), "the charge waits for its account")
    twin = asyncio.create_task(charge(1))
    await transaction.rollback()
    await owner.close()
    statuses = {(await slow).status_code, (await twin).status_code}
    assert statuses <= {201, 409, 503}
    assert (await charge(1, retry=True)).status_code == 201
    assert await balance() == OPENING_CENTS - 1999


async def test_3_an_exception_strands_no_key(
    billing: httpx.AsyncClient, charge: Charge, balance: Balance, owner: Owner
) -> None:
    """A defect in the middle of a charge rolls everything back; the key is free at once."""
    await owner.execute(
        """
        CREATE FUNCTION billing.defect() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION USING ERRCODE = '22012'; END $$;
        CREATE TRIGGER defect AFTER INSERT ON billing.ledger
        FOR EACH ROW EXECUTE FUNCTION billing.defect();
        """
    )
    failed = await charge(1)
    await owner.execute("DROP FUNCTION billing.defect CASCADE")
    assert failed.status_code == 500
    assert failed.headers["Content-Type"] == "application/problem+json"
    assert "DivisionByZero" not in failed.text
    assert (await billing.get("/charges/1")).json()["state"] == "never_seen"
    assert (await charge(1, retry=True)).status_code == 201
    assert await balance() == OPENING_CENTS - 1999


async def test_4_there_is_no_ghost_success(
    billing: httpx.AsyncClient, charge: Charge, balance: Balance, owner: Owner
) -> None:
    """A commit that fails leaves no answer that could be replayed for a charge that does not exist."""
    # The session ends between the last statement and the commit.
    await owner.execute(
        """
        CREATE FUNCTION billing.die() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER die AFTER INSERT ON billing.ledger
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing.die();
        """
    )
    failed = await charge(1)
    await owner.execute("DROP FUNCTION billing.die CASCADE")
    assert failed.status_code == 503
    assert (await billing.get("/charges/1")).json()["state"] == "never_seen"
    assert await balance() == OPENING_CENTS
    assert (await charge(1, retry=True)).status_code == 201


async def test_5_a_reaped_key_is_not_charged_again(
    database: Any, charge: Charge, balance: Balance
) -> None:
    """No age of a key makes it new: it is replayed until its client settles it, and refused from then on."""
    first = await charge(1)
    owner = await asyncpg.connect(database.owner)
    await owner.execute("UPDATE billing.ledger SET created_at = now() - interval '10 years'")
    assert (await charge(1, retry=True)).content == first.content
    await owner.execute("INSERT INTO billing.clients VALUES ('order_service', 2)")
    await owner.execute("DELETE FROM billing.processed_keys")
    await owner.close()
    assert (await charge(1, retry=True)).status_code == 410
    assert await balance() == OPENING_CENTS - 1999


async def test_6_no_zombie_completes_anothers_record(database: Any, charge: Charge) -> None:
    """An owner whose transaction was ended cannot finish it: its late statements reach nothing."""
    zombie = await asyncpg.connect(database.billing)
    transaction = zombie.transaction()
    await transaction.start()
    await zombie.execute(
        "INSERT INTO billing.processed_keys (client, sequence_key, fingerprint) VALUES ('order_service', 1, '')"
    )
    owner = await asyncpg.connect(database.owner)
    await owner.execute("SELECT pg_terminate_backend($1)", zombie.get_server_pid())
    charged = await charge(1)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError)):
        await zombie.execute("UPDATE billing.processed_keys SET status = 402, body = 'zombie'")
    stored = await owner.fetchval("SELECT body FROM billing.processed_keys")
    await owner.close()
    assert charged.status_code == 201
    assert stored == charged.text


@pytest.mark.parametrize(
    "changes", [{"amount_cents": 2_000}, {"account": "bob"}, {"order": 2}], ids=str
)
async def test_7_no_payload_is_swapped_silently(
    charge: Charge, balance: Balance, changes: dict[str, Any]
) -> None:
    """The old answer is never given for another amount, account or order."""
    await charge(1)
    assert (await charge(1, **changes)).status_code == 422
    assert await balance() == OPENING_CENTS - 1999


async def test_8_no_ambiguity_is_stored_as_a_fact(
    database: Any, billing: httpx.AsyncClient, charge: Charge
) -> None:
    """A 503 is not an answer of the key: what comes next under it is executed, or replayed if it had been."""
    owner = await asyncpg.connect(database.owner)
    async with owner.transaction():
        await owner.execute("SELECT 1 FROM billing.accounts FOR UPDATE")
        assert (await charge(1)).status_code == 503
    await owner.close()
    assert (await billing.get("/charges/1")).json()["state"] == "never_seen"
    charged = await charge(1, retry=True)
    assert charged.status_code == 201
    assert "Idempotency-Replayed" not in charged.headers


async def test_9_a_guessed_key_leaks_no_answer(billing: httpx.AsyncClient, charge: Charge) -> None:
    """Sequence keys are easy to guess, so they are bound to the token: another client sees nothing of them."""
    mine = await charge(1)
    other = {"Authorization": "Bearer token-of-client-curl"}
    assert (await billing.get("/charges/1", headers=other)).json()["state"] == "never_seen"
    theirs = await charge(1, **other)
    assert theirs.json()["charge_id"] != mine.json()["charge_id"]
    assert (await billing.delete("/charges/2", headers=other)).status_code == 200
    assert (await charge(2, order=2)).status_code == 201


@pytest.mark.parametrize(("value", "status"), [('"5"', 201), ("5", 400), ('"8e03978e-40d5"', 400)])
async def test_10_a_quoted_key_is_parsed(
    billing: httpx.AsyncClient, value: str, status: int
) -> None:
    """The draft's own syntax is understood; the bare number and a UUID are told what is wrong with them."""
    body = {"order_id": ORDER, "account": "alice", "amount_cents": 1}
    response = await billing.post("/charges", json=body, headers={"Idempotency-Key": value})
    assert response.status_code == status
    if status == 201:
        assert (await billing.get("/charges/5")).json()["state"] == "charged"


@pytest.mark.chaos
async def test_11_a_test_that_cannot_fail(harness: Harness) -> None:
    """The same fault under the unprotected semantics moves the money twice: the tests above would notice."""
    name = "disconnect/crash_after_execution/at_least_once/warm"
    played = await play(harness, next(cell for cell in CELLS if cell.name == name))
    assert played.verdict is Verdict.PASS
    assert played.effects == 2


@pytest.mark.chaos
async def test_one_key_over_two_connections_and_pipelined(harness: Harness) -> None:
    """Two sockets at once, and the same request three times in a row without waiting: one charge, equal answers."""
    account = await harness.open_account("raw")
    key = await key_of_its_own(harness)
    async with raw(harness) as one, raw(harness) as two:
        request = one.request(key, account, 7)
        await asyncio.gather(one.send(request * 3), two.send(request * 3))
        answers = [await one.answer() for _ in range(3)] + [await two.answer() for _ in range(3)]
    assert {status for status, _ in answers} == {201}
    assert len({body for _, body in answers}) == 1


@pytest.mark.chaos
async def test_many_keys_in_random_order_with_duplicates(harness: Harness) -> None:
    """A thousand requests of 400 keys, shuffled, duplicated, with any flag: each key moved its cents once."""

    chance = random.Random(20)
    account = await harness.open_account("raw")
    first = await key_of_its_own(harness)
    keys = [first + n for n in range(400)]
    requests = [*keys, *chance.choices(keys, k=600)]
    chance.shuffle(requests)
    answers: dict[int, set[tuple[int, bytes]]] = {}
    transient: list[tuple[int, bytes]] = []

    async def one_connection(mine: list[int]) -> None:
        async with raw(harness) as connection:
            for key in mine:
                retry = chance.random() < 0.5
                request = connection.request(key, account, 1 + key % 5, retry=retry)
                await connection.send(request)
                # A busy machine may let a deadline pass. That is no answer of the key: it is asked again.
                while (answer := await connection.answer())[0] in (409, 503):
                    transient.append(answer)
                    await connection.send(request)
                answers.setdefault(key, set()).add(answer)

    async with asyncio.timeout(4 * BOUND_S):
        await asyncio.gather(*(one_connection(requests[n::8]) for n in range(8)))
    assert {key: seen for key, seen in answers.items() if len(seen) != 1} == {}
    assert {status for seen in answers.values() for status, _ in seen} == {201}
    assert len(transient) < len(requests) / 20, transient
    connection = await asyncpg.connect(harness.stack.databases["owner"])
    moved = await connection.fetchval(
        "SELECT opening_balance_cents - balance_cents FROM billing.accounts WHERE account = $1",
        account,
    )
    await connection.close()
    assert moved == sum(1 + key % 5 for key in keys)
