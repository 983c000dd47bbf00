"""A model of the receiver, played against the real service and the real Postgres by Hypothesis.

The model is what the protocol promises, in thirty lines: whatever is sent, repeated, changed, voided, forgotten, in
whatever order and with whatever flags, the service answers as the model does and has moved as much money.
"""

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Any, Protocol
from uuid import UUID

import asyncpg
import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pydantic import SecretStr

import billing_service.app
from billing_service import forgetting
from billing_service.settings import Settings

OPENING_CENTS = 100
# Few keys, so that they meet again and again.
KEYS = st.integers(1, 6)
PAYLOADS = st.tuples(st.integers(1, 3), st.integers(1, 60))


class Driver(Protocol):
    """Drives one receiver with one client and the account alice, for the model and for its negative controls."""

    @property
    def in_batches(self) -> bool:
        """Whether charges that arrive together are executed in the order in which they were sent."""

    async def empty(self) -> None:
        """A database that knows no key, and in which alice has `OPENING_CENTS`."""

    async def start(self) -> None:
        """Starts the receiver."""

    async def stop(self) -> None:
        """Stops it; what it had only in memory is gone."""

    async def post(self, key: int, payload: tuple[int, int], retry: bool) -> httpx.Response:
        """Sends a charge; the payload is the number of the order and the cents."""

    async def void(self, key: int) -> httpx.Response:
        """Takes a key out of use."""

    async def forget(self, mark: int) -> None:
        """Forgets all keys below."""

    async def balance(self) -> int:
        """Alice's cents."""

    async def state(self, key: int) -> str:
        """What the receiver knows of a key."""


class Receiver(RuleBasedStateMachine):
    """One client of one receiver, which the test sets."""

    driver: Driver

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.balance_cents = OPENING_CENTS
        self.first_incomplete = 1
        self.answers: dict[int, tuple[tuple[int, int], int, bytes]] = {}
        self.voided: set[int] = set()
        self.runner.run(self.driver.empty())
        self.runner.run(self.driver.start())

    def teardown(self) -> None:
        try:
            self._every_key_has_its_state()
        finally:
            self.runner.run(self.driver.stop())
            self.runner.close()

    @rule(key=KEYS, payload=PAYLOADS, retry=st.booleans(), twins=st.integers(1, 3))
    def charge(self, key: int, payload: tuple[int, int], retry: bool, twins: int) -> None:
        """A charge, alone or with twins at the same moment."""
        responses = self.runner.run(self._charge(key, payload, retry, twins))
        if key < self.first_incomplete:
            assert {response.status_code for response in responses} == {410}
            return
        if key in self.voided:
            assert {response.status_code for response in responses} == {410}
        elif key not in self.answers:
            self._first_time(key, payload, responses)
        else:
            stored_payload, status, body = self.answers[key]
            for response in responses:
                if payload == stored_payload:
                    assert (response.status_code, response.content) == (status, body)
                    assert response.headers["Idempotency-Replayed"] == "?1"
                else:
                    assert response.status_code == 422

    @precondition(lambda self: self.driver.in_batches)
    @rule(charges=st.lists(st.tuples(KEYS, PAYLOADS), min_size=2, max_size=8))
    def together(self, charges: list[tuple[int, tuple[int, int]]]) -> None:
        """Different charges in one batch: each is answered as if it had come after those before it."""
        for (key, payload), response in zip(
            charges, self.runner.run(self._charges(charges)), strict=True
        ):
            if key < self.first_incomplete or key in self.voided:
                assert response.status_code == 410
            elif key not in self.answers:
                self._first_time(key, payload, [response])
            else:
                stored_payload, status, body = self.answers[key]
                if payload == stored_payload:
                    assert (response.status_code, response.content) == (status, body)
                    assert response.headers["Idempotency-Replayed"] == "?1"
                else:
                    assert response.status_code == 422

    @rule(key=KEYS)
    def void(self, key: int) -> None:
        """Voids a key, or learns that it was executed or is forgotten."""
        response = self.runner.run(self.driver.void(key))
        if key < self.first_incomplete:
            assert response.status_code == 410
        elif key in self.answers:
            assert response.status_code == 409
            assert response.json()["answer"].encode() == self.answers[key][2]
        else:
            assert response.status_code == 200
            self.voided.add(key)

    @rule(mark=KEYS)
    def forget(self, mark: int) -> None:
        """The collector acts on a mark; an old one changes nothing."""
        self.runner.run(self.driver.forget(mark))
        self.first_incomplete = max(self.first_incomplete, mark)

    @rule()
    def restart(self) -> None:
        """A new process knows what the old one knew."""
        self.runner.run(self.driver.stop())
        self.runner.run(self.driver.start())

    @invariant()
    def the_money_is_right(self) -> None:
        """The balance is the model's."""
        assert self.runner.run(self.driver.balance()) == self.balance_cents

    def _every_key_has_its_state(self) -> None:
        """What the service says of each key in the end is what the model says."""
        for key in range(1, 7):
            state = self.runner.run(self.driver.state(key))
            if key < self.first_incomplete:
                assert state == "forgotten"
            elif key in self.voided:
                assert state == "voided"
            elif key in self.answers:
                assert state == {201: "charged", 402: "declined"}[self.answers[key][1]]
            else:
                assert state == "never_seen"

    def _first_time(
        self, key: int, payload: tuple[int, int], responses: list[httpx.Response]
    ) -> None:
        _, amount_cents = payload
        enough = amount_cents <= self.balance_cents
        assert {response.status_code for response in responses} == {201 if enough else 402}
        assert len({response.content for response in responses}) == 1
        replayed = [response.headers.get("Idempotency-Replayed") for response in responses]
        assert replayed.count(None) == 1
        if enough:
            self.balance_cents -= amount_cents
        self.answers[key] = (payload, responses[0].status_code, responses[0].content)

    async def _charge(
        self, key: int, payload: tuple[int, int], retry: bool, twins: int
    ) -> list[httpx.Response]:
        return await asyncio.gather(*(self.driver.post(key, payload, retry) for _ in range(twins)))

    async def _charges(self, charges: list[tuple[int, tuple[int, int]]]) -> list[httpx.Response]:
        return await asyncio.gather(*(self.driver.post(*charge, False) for charge in charges))


class Service:
    """billing_service as the model's receiver.

    With `group_commit` every charge goes through a batch, also one alone; without it, none does.
    """

    def __init__(self, database: Any, group_commit: bool) -> None:
        self._database = database
        self._group_commit = group_commit

    @property
    def in_batches(self) -> bool:
        return self._group_commit

    async def empty(self) -> None:
        owner = await asyncpg.connect(self._database.owner)
        await owner.execute(
            "TRUNCATE billing.clients, billing.accounts, billing.processed_keys, billing.ledger"
        )
        await owner.execute("INSERT INTO billing.accounts VALUES ('alice', $1, $1)", OPENING_CENTS)
        await owner.close()

    async def start(self) -> None:
        self._exit = AsyncExitStack()
        app = billing_service.app.create(
            Settings(
                database_url=SecretStr(self._database.billing),
                tokens={"order_service": (SecretStr("token-of-order_service"),)},
                forget_pause_s=3600,
                hosts=("billing",),
                group_commit=self._group_commit,
            )
        )
        self._pool = app.state.process.pool
        await self._exit.enter_async_context(app.router.lifespan_context(app))
        self._client = await self._exit.enter_async_context(
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app),
                base_url="http://billing",
                headers={"Authorization": "Bearer token-of-order_service"},
            )
        )

    async def stop(self) -> None:
        await self._exit.aclose()

    async def post(self, key: int, payload: tuple[int, int], retry: bool) -> httpx.Response:
        return await self._client.post("/charges", **charge_of(key, payload, retry))

    async def void(self, key: int) -> httpx.Response:
        return await self._client.delete(f"/charges/{key}")

    async def forget(self, mark: int) -> None:
        await forgetting.forget(self._pool, "order_service", mark)

    async def balance(self) -> int:
        response = await self._client.get("/accounts/alice")
        return int(response.json()["balance_cents"])

    async def state(self, key: int) -> str:
        response = await self._client.get(f"/charges/{key}")
        return str(response.json()["state"])


def charge_of(key: int, payload: tuple[int, int], retry: bool) -> dict[str, Any]:
    """Body and headers of a charge, as arguments of httpx."""
    order, amount_cents = payload
    return {
        "json": {
            "order_id": str(UUID(int=order)),
            "account": "alice",
            "amount_cents": amount_cents,
        },
        "headers": {"Idempotency-Key": f'"{key}"', "Idempotency-Retry": f"?{int(retry)}"},
    }


def play_model(driver: Driver) -> None:
    """Plays the model against a receiver. Raises `AssertionError` where they differ."""
    Receiver.driver = driver
    run_state_machine_as_test(
        Receiver,
        settings=settings(
            max_examples=50,
            # An example that fails is short enough; to shrink it would take minutes of real commits.
            phases=(Phase.generate,),
            stateful_step_count=20,
            deadline=None,
            database=None,
            print_blob=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


Step = tuple[str, dict[str, Any]]


def play_steps(driver: Driver, steps: Iterable[Step]) -> None:
    """Plays these rules of the model in this order. Raises `AssertionError` where receiver and model differ.

    For negative controls: they must meet what is missing every time, not when random examples happen to.
    """
    Receiver.driver = driver
    receiver = Receiver()
    try:
        for name, arguments in steps:
            getattr(receiver, name)(**arguments)
            receiver.the_money_is_right()
    finally:
        receiver.teardown()


def charge(key: int, order: int = 1, amount_cents: int = 10, retry: bool = False) -> Step:
    """One charge, alone."""
    payload = (order, amount_cents)
    return ("charge", {"key": key, "payload": payload, "retry": retry, "twins": 1})


FORMS = pytest.mark.parametrize("group_commit", [True, False], ids=["in batches", "one by one"])


@FORMS
def test_the_receiver_is_its_model(database: Any, group_commit: bool) -> None:
    """Send, repeat, twins, other payload, out of order, void, forget, restart, flags inverted."""
    play_model(Service(database, group_commit))


@FORMS
def test_the_model_can_say_no(database: Any, monkeypatch: Any, group_commit: bool) -> None:
    """The negative control: a receiver that compares no payloads is caught."""
    steps = [charge(1, order=1), charge(1, order=2)]
    play_steps(Service(database, group_commit), steps)
    monkeypatch.setattr("billing_service.charge.fingerprint", lambda _: b"the same")
    with pytest.raises(AssertionError):
        play_steps(Service(database, group_commit), steps)
