"""A charge happens once, whatever is sent again."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

import billing_service.charge
from billing_service import forgetting, wire
from billing_service.wire import AMOUNT_CENTS_MAX
from tests.billing_service.conftest import PATIENT
from tests.billing_service.replica import Owner

Charge = Callable[..., Coroutine[Any, Any, httpx.Response]]
Balance = Callable[[], Coroutine[Any, Any, int]]
OPENING_CENTS = 10_000


async def test_the_same_key_again(charge: Charge, balance: Balance) -> None:
    """Same status, same bytes, Idempotency-Replayed: ?1, and the money moves once."""
    first = await charge(1)
    again = await charge(1, retry=True)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "?1"
    assert first.json()["balance_cents"] == OPENING_CENTS - 1999
    assert await balance() == OPENING_CENTS - 1999


async def test_a_charge_in_the_log(charge: Charge) -> None:
    """A line for each request: whose charge it was, under which key and flag, and what became of it."""
    with structlog.testing.capture_logs() as lines:
        await charge(7)
        await charge(7, retry=True)
        await charge(8, OPENING_CENTS, order=2)
    logged = [line for line in lines if line["log_level"] == "info"]
    same = {"event": "charge", "log_level": "info", "client": "order_service"}
    first = {"order_id": str(UUID(int=1)), "sequence_key": 7, "outcome": "charged"}
    assert logged == [
        {**same, **first, "retry": False, "replayed": False},
        {**same, **first, "retry": True, "replayed": True},
        {
            **same,
            "order_id": str(UUID(int=2)),
            "sequence_key": 8,
            "retry": False,
            "outcome": "declined",
            "replayed": False,
        },
    ]


async def test_the_same_payload_written_otherwise(
    billing: httpx.AsyncClient, charge: Charge, balance: Balance
) -> None:
    """A payload is what it means: spaces and the order of its fields do not make another charge of it."""
    first = await charge(1)
    body = '{ "amount_cents" : 1999,\n "account":"alice", "order_id":"00000000-0000-0000-0000-000000000001"}'
    again = await billing.post(
        "/charges",
        content=body,
        headers={"Idempotency-Key": '"1"', "Content-Type": "application/json"},
    )
    assert again.content == first.content
    assert await balance() == OPENING_CENTS - 1999


@pytest.mark.parametrize(
    "other", [{"amount_cents": 2000}, {"account": "bob"}, {"order": 2}], ids=str
)
async def test_the_same_key_with_another_payload(
    charge: Charge, balance: Balance, other: dict[str, Any]
) -> None:
    """422 and nothing moves; the stored answer is not given for a charge that it does not answer."""
    await charge(1)
    response = await charge(1, **other)
    assert response.status_code == 422
    assert response.json()["type"].endswith("/problems/key-reused")
    assert 'rel="describedby"' in response.headers["Link"]
    assert await balance() == OPENING_CENTS - 1999


def test_every_field_of_a_charge_is_told_apart() -> None:
    """The fingerprint of a charge is another one when any of its fields is, also one that is added later."""
    charge = {"order_id": UUID(int=1), "account": "alice", "amount_cents": 1999}
    other = {"order_id": UUID(int=2), "account": "alicf", "amount_cents": 2000}
    assert set(other) == set(wire.Charge.model_fields)
    fingerprint = billing_service.charge.fingerprint(wire.Charge.model_validate(charge))
    for name, value in other.items():
        changed = wire.Charge.model_validate({**charge, name: value})
        assert billing_service.charge.fingerprint(changed) != fingerprint, name


async def test_the_same_number_of_another_client(charge: Charge, balance: Balance) -> None:
    """The token names the client and the client is the namespace: no client can spend or read the key of another."""
    await charge(1)
    other = await charge(1, 500, Authorization="Bearer token-of-client-curl")
    assert other.status_code == 201
    assert "Idempotency-Replayed" not in other.headers
    assert await balance() == OPENING_CENTS - 1999 - 500


async def test_a_lower_key_after_a_higher_one(charge: Charge, balance: Balance) -> None:
    """Keys are a set, not the highest one: a late lower key is a charge of its own."""
    for order, key in enumerate([7, 3, 5], start=1):
        assert (await charge(key, 100, order=order)).status_code == 201
    assert await balance() == OPENING_CENTS - 300


@pytest.mark.parametrize("flags", [(None, None), (True, True), (True, False), (False, True)])
async def test_the_flag_decides_nothing(
    charge: Charge, balance: Balance, flags: tuple[bool | None, bool | None]
) -> None:
    """A wrong flag neither moves money twice nor hides a first charge."""
    first = await charge(1, retry=flags[0])
    again = await charge(1, retry=flags[1])
    assert first.status_code == 201
    assert first.content == again.content
    assert await balance() == OPENING_CENTS - 1999


async def test_a_decline_is_final(charge: Charge, balance: Balance) -> None:
    """402 spends the key and is replayed byte for byte, also when there would be money by then."""
    await charge(1, 9_000)
    declined = await charge(2, 5_000, order=2)
    again = await charge(2, 5_000, order=2, retry=True)
    assert declined.status_code == again.status_code == 402
    assert declined.headers["Content-Type"] == again.headers["Content-Type"]
    assert declined.headers["Content-Type"] == "application/problem+json"
    assert declined.content == again.content
    assert again.headers["Idempotency-Replayed"] == "?1"
    assert declined.json()["balance_cents"] == 1_000
    assert await balance() == 1_000


async def test_the_whole_balance_can_be_spent(charge: Charge, balance: Balance) -> None:
    """The limit is zero, not one cent above it."""
    assert (await charge(1, OPENING_CENTS)).status_code == 201
    assert await balance() == 0


async def test_an_unknown_account_spends_no_key(billing: httpx.AsyncClient, charge: Charge) -> None:
    """404 is not a final answer: the same key works when the account is open."""
    assert (await charge(1, account="dave")).status_code == 404
    state = await billing.get("/charges/1")
    assert state.json()["state"] == "never_seen"
    await billing.put("/accounts/dave", json={"opening_balance_cents": 5_000})
    charged = await charge(1, account="dave")
    assert charged.status_code == 201
    assert "Idempotency-Replayed" not in charged.headers


async def test_fifty_at_once_with_the_first_one_slow(
    database: Any, charge: Charge, balance: Balance
) -> None:
    """While one charge of a key is executed slowly its twins wait or get 409; in the end there is one charge."""
    owner = await asyncpg.connect(database.owner)
    blocked = owner.transaction()
    await blocked.start()
    await owner.execute("SELECT 1 FROM billing.accounts WHERE account = 'alice' FOR UPDATE")
    twins = [asyncio.create_task(charge(1)) for _ in range(50)]
    # The first one holds the key and waits for the account; the lock timeout ends the wait of some twins.
    done, _ = await asyncio.wait(twins, return_when=asyncio.FIRST_COMPLETED)
    await blocked.rollback()
    await owner.close()
    responses = await asyncio.gather(*twins)
    assert done
    statuses = {response.status_code for response in responses}
    assert statuses <= {201, 409, 503}
    final = await charge(1, retry=True)
    assert final.status_code == 201
    assert await balance() == OPENING_CENTS - 1999
    charged = {response.content for response in responses if response.status_code == 201}
    assert charged <= {final.content}


@PATIENT
async def test_fifty_at_once(charge: Charge, balance: Balance) -> None:
    """Undisturbed, all fifty get the one answer."""
    responses = await asyncio.gather(*(charge(1) for _ in range(50)))
    assert {response.status_code for response in responses} == {201}
    assert len({response.content for response in responses}) == 1
    replayed = [response.headers.get("Idempotency-Replayed") for response in responses]
    assert sorted(replayed, key=str) == ["?1"] * 49 + [None]
    assert await balance() == OPENING_CENTS - 1999


async def test_a_key_that_is_held_is_in_flight(database: Any, charge: Charge) -> None:
    """Longer than the lock timeout: 409 with Retry-After, and nothing was executed by this request."""
    owner = await asyncpg.connect(database.owner)
    async with owner.transaction():
        await owner.execute(
            """
            INSERT INTO billing.processed_keys (client, sequence_key, fingerprint)
            VALUES ('order_service', 1, '')
            """
        )
        response = await charge(1)
        assert response.status_code == 409
        assert response.json()["type"].endswith("/problems/key-in-flight")
        assert int(response.headers["Retry-After"]) >= 1
        await owner.execute("DELETE FROM billing.processed_keys")
    await owner.close()
    assert (await charge(1, retry=True)).status_code == 201


async def test_an_account_that_is_held_is_unavailable(
    database: Any, charge: Charge, balance: Balance
) -> None:
    """503, not 409: the key was free. It is not spent, and no transaction is left behind."""
    owner = await asyncpg.connect(database.owner)
    async with owner.transaction():
        await owner.execute("SELECT 1 FROM billing.accounts WHERE account = 'alice' FOR UPDATE")
        response = await charge(1)
        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) >= 1
    await owner.close()
    assert await balance() == OPENING_CENTS
    assert (await charge(1, retry=True)).status_code == 201


@PATIENT
async def test_concurrent_charges_of_one_account(charge: Charge, balance: Balance) -> None:
    """Different keys, one account: no charge overdraws it, and every cent is accounted for."""
    responses = await asyncio.gather(*(charge(key, 300, order=key) for key in range(1, 51)))
    charged = [response for response in responses if response.status_code == 201]
    assert {response.status_code for response in responses} == {201, 402}
    assert len(charged) == OPENING_CENTS // 300
    assert await balance() == OPENING_CENTS - 300 * len(charged)


async def test_a_key_below_the_mark_is_forgotten(
    database: Any, charge: Charge, balance: Balance
) -> None:
    """410 for ever: a forgotten key is never executed again, not even when no row of it is left."""
    await charge(1)
    owner = await asyncpg.connect(database.owner)
    await owner.execute("INSERT INTO billing.clients VALUES ('order_service', 2)")
    await owner.execute("DELETE FROM billing.processed_keys")
    await owner.close()
    response = await charge(1, retry=True)
    assert response.status_code == 410
    assert response.json()["first_incomplete"] == 2
    assert await balance() == OPENING_CENTS - 1999
    assert (await charge(2, order=2)).status_code == 201


async def test_what_a_key_did(billing: httpx.AsyncClient, charge: Charge) -> None:
    """GET /charges/{sequence_key} gives the definite answer, and to its own client only."""
    charged = await charge(1)
    await charge(2, 99_999, order=2)
    states = [(await billing.get(f"/charges/{key}")).json() for key in (1, 2, 3)]
    assert [state["state"] for state in states] == ["charged", "declined", "never_seen"]
    assert states[0]["answer"] == charged.text
    other = await billing.get(
        "/charges/1", headers={"Authorization": "Bearer token-of-client-curl"}
    )
    assert other.json()["state"] == "never_seen"


async def test_the_diagnosis_is_counted(billing: httpx.AsyncClient, charge: Charge) -> None:
    """The retry flag and the key together tell what happened to the request before; the table is in the metrics."""
    await charge(1)
    await charge(1, retry=True)
    await charge(2, order=2, retry=True)
    await charge(2, order=2)
    metrics = (await billing.get("/metrics")).text
    for flag, key in (("no", "new"), ("yes", "known"), ("yes", "new"), ("no", "known")):
        assert f'billing_charges_total{{flag="{flag}",key="{key}"}} 1.0' in metrics


async def test_locks_that_are_never_free_are_counted(
    billing: httpx.AsyncClient, charge: Charge, owner: Owner
) -> None:
    """Each is counted by its kind, so that operators see which lock is slow. Nothing is executed."""
    for hold, status, lock in (
        (forgetting.lock_client_exclusively(owner, "order_service"), 503, "client"),
        (billing_service.charge.insert_key(owner, "order_service", 1, b""), 409, "key"),
        (billing_service.charge.lock_account(owner, "alice"), 503, "account"),
    ):
        await owner.execute("BEGIN")
        await hold
        assert (await charge(1)).status_code == status
        await owner.execute("ROLLBACK")
        metrics = (await billing.get("/metrics")).text
        assert f'billing_lock_waits_too_long_total{{lock="{lock}"}} 1.0' in metrics
    assert (await charge(1)).status_code == 201


async def test_opening_an_account_again(billing: httpx.AsyncClient, charge: Charge) -> None:
    """The same balance changes nothing, another one is refused: idempotent by nature."""
    await charge(1)
    same = await billing.put("/accounts/alice", json={"opening_balance_cents": OPENING_CENTS})
    other = await billing.put("/accounts/alice", json={"opening_balance_cents": 1})
    assert same.status_code == 200
    assert same.json() == {"account": "alice", "balance_cents": OPENING_CENTS - 1999}
    assert other.status_code == 409
    assert other.json()["detail"] == "alice was opened with another balance."


@given(
    order=st.uuids(),
    account=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True),
    amount_cents=st.integers(1, AMOUNT_CENTS_MAX),
)
def test_the_fingerprint_is_canonical_json(order: UUID, account: str, amount_cents: int) -> None:
    """Keys that were stored by an older release are recognised: the text is the JSON with sorted names that it always was."""
    charge = wire.Charge(order_id=order, account=account, amount_cents=amount_cents)
    text = json.dumps(charge.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    assert (
        billing_service.charge.fingerprint(charge)
        == hashlib.sha256(b"POST /charges\n" + text.encode()).digest()
    )
