"""A model of the receiver, played against the real service and the real Postgres by Hypothesis.

The model is what the protocol promises, in thirty lines: whatever is sent, repeated, changed, voided, forgotten, in
whatever order and with whatever flags, the service answers as the model does and has moved as much money.
"""

import asyncio
from contextlib import AsyncExitStack
from typing import Any
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
from billing_service import keys
from billing_service.settings import Settings

OPENING_CENTS = 100
# Few keys, so that they meet again and again.
KEYS = st.integers(1, 6)
PAYLOADS = st.tuples(st.integers(1, 3), st.integers(1, 60))


class Receiver(RuleBasedStateMachine):
    """One client of one billing_service. `database` and `batch_size_min` are set by the test."""

    database: Any
    # With 1 every charge goes through the batch form, also one alone; with more than ever wait, none does.
    batch_size_min: int

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.balance_cents = OPENING_CENTS
        self.first_incomplete = 1
        self.answers: dict[int, tuple[tuple[int, int], int, bytes]] = {}
        self.voided: set[int] = set()
        self.runner.run(self._empty())
        self.runner.run(self._start())

    def teardown(self) -> None:
        try:
            self._every_key_has_its_state()
        finally:
            self.runner.run(self.exit.aclose())
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

    @precondition(lambda self: self.batch_size_min == 1)
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
        response = self.runner.run(self._request("DELETE", f"/charges/{key}"))
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
        self.runner.run(self._forget(mark))
        self.first_incomplete = max(self.first_incomplete, mark)

    @rule()
    def restart(self) -> None:
        """A new process knows what the old one knew."""
        self.runner.run(self.exit.aclose())
        self.runner.run(self._start())

    @invariant()
    def the_money_is_right(self) -> None:
        """The balance is the model's."""
        response = self.runner.run(self._request("GET", "/accounts/alice"))
        assert response.json()["balance_cents"] == self.balance_cents

    def _every_key_has_its_state(self) -> None:
        """What the service says of each key in the end is what the model says."""
        for key in range(1, 7):
            state = self.runner.run(self._request("GET", f"/charges/{key}")).json()["state"]
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

    async def _empty(self) -> None:
        owner = await asyncpg.connect(self.database.owner)
        await owner.execute(
            "TRUNCATE billing.clients, billing.accounts, billing.processed_keys, billing.ledger"
        )
        await owner.execute("INSERT INTO billing.accounts VALUES ('alice', $1, $1)", OPENING_CENTS)
        await owner.close()

    async def _start(self) -> None:
        self.exit = AsyncExitStack()
        app = billing_service.app.create(
            Settings(
                database_url=SecretStr(self.database.billing),
                tokens={"order_service": (SecretStr("token-of-order_service"),)},
                forget_pause_s=3600,
                hosts=("billing",),
                batch_size_min=self.batch_size_min,
            )
        )
        self.pool = app.state.billing.pool
        await self.exit.enter_async_context(app.router.lifespan_context(app))
        self.client = await self.exit.enter_async_context(
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app),
                base_url="http://billing",
                headers={"Authorization": "Bearer token-of-order_service"},
            )
        )

    async def _request(self, method: str, path: str) -> httpx.Response:
        return await self.client.request(method, path)

    async def _charge(
        self, key: int, payload: tuple[int, int], retry: bool, twins: int
    ) -> list[httpx.Response]:
        return await asyncio.gather(*(self._post(key, payload, retry) for _ in range(twins)))

    async def _charges(self, charges: list[tuple[int, tuple[int, int]]]) -> list[httpx.Response]:
        return await asyncio.gather(*(self._post(key, payload, False) for key, payload in charges))

    async def _post(self, key: int, payload: tuple[int, int], retry: bool) -> httpx.Response:
        order, amount_cents = payload
        body = {"order_id": str(UUID(int=order)), "account": "alice", "amount_cents": amount_cents}
        headers = {"Idempotency-Key": f'"{key}"', "Idempotency-Retry": f"?{int(retry)}"}
        return await self.client.post("/charges", json=body, headers=headers)

    async def _forget(self, mark: int) -> None:
        await keys.forget(self.pool, "order_service", mark)


FORMS = pytest.mark.parametrize(
    ("batch_size_min", "way"),
    [(1, "plain"), (1, "at length"), (1000, "plain")],
    indirect=["way"],
    ids=["plain batches", "batches", "single charges"],
)


@FORMS
def test_the_receiver_is_its_model(database: Any, batch_size_min: int, way: str) -> None:
    """Send, repeat, twins, other payload, out of order, void, forget, restart, flags inverted."""
    Receiver.database, Receiver.batch_size_min = database, batch_size_min
    run_state_machine_as_test(
        Receiver,
        settings=settings(
            max_examples=50,
            # An example that fails is short enough; to shrink it would take minutes of real commits.
            phases=(Phase.generate,),
            stateful_step_count=20,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@FORMS
def test_the_model_can_say_no(
    database: Any, monkeypatch: Any, batch_size_min: int, way: str
) -> None:
    """The negative control: a receiver that compares no payloads is caught."""
    monkeypatch.setattr("billing_service.ledger.fingerprint", lambda _: b"the same")
    Receiver.database, Receiver.batch_size_min = database, batch_size_min
    caught = None
    try:
        run_state_machine_as_test(
            Receiver,
            settings=settings(
                max_examples=100,
                stateful_step_count=20,
                deadline=None,
                database=None,
                print_blob=False,
                # To find it is enough; a smaller example is nothing that anybody would read.
                phases=(Phase.generate,),
                suppress_health_check=list(HealthCheck),
            ),
        )
    except AssertionError as exc:
        caught = exc
    assert caught is not None
