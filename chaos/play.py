"""Plays one scenario against the running stack and measures what it did.

Guarantee: the fault is armed before the order is placed and read back; the retry is held at a barrier until the fault
is healed, so no step races another; what was committed is read before healing and again when nothing is in flight.
"""

import asyncio
import time
import uuid
from dataclasses import dataclass

import asyncpg
import httpx

from chaos.control import Control, Rule
from chaos.history import History
from chaos.scenarios import Armed, Dies, Scenario
from chaos.stack import Stack
from chaos.verdict import Measured, Verdict, Witness, effects_computed, judge
from order_service.wire import Delivery

OPENING_CENTS = 1_000_000
AMOUNT_CENTS = 1_999
# Far above what any scenario needs, far below anybody's patience: a bound, not a measure.
STEP_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Played:
    """One scenario's result, as it stands in result.json."""

    scenario: Scenario
    verdict: Verdict
    expected: int
    measured: Measured
    seconds: float


class Theatre:
    """The stage of all scenarios of a run: stack, control, history and two clients."""

    def __init__(self, stack: Stack, control: Control, history: History) -> None:
        self.stack = stack
        self.control = control
        self.history = history
        self._client = httpx.AsyncClient(timeout=STEP_TIMEOUT_S, trust_env=False)

    async def close(self) -> None:
        """Closes the harness's own connections."""
        await self._client.aclose()

    async def play(self, scenario: Scenario) -> Played:
        """One scenario from a fresh account and a fresh proxy to its verdict."""
        started_s = time.monotonic()
        async with asyncio.timeout(STEP_TIMEOUT_S * 2):
            await self._fresh_proxy()
            measured = await _Cell(self, scenario).play()
        expected = effects_computed(
            executed=scenario.situation.executed,
            answered=scenario.situation.answered,
            delivery=scenario.delivery,
        )
        return Played(
            scenario,
            judge(expected, measured),
            expected,
            measured,
            round(time.monotonic() - started_s, 3),
        )

    async def _fresh_proxy(self) -> None:
        """A new proxy, and one billed order over it: the caller's pooled connection is a living one."""
        await self.stack.recreate_proxy("billing")
        account = await self.open_account("warm")
        response = await self.place(account, Delivery.EXACTLY_ONCE)
        response.raise_for_status()

    async def open_account(self, prefix: str) -> str:
        """An account of its own, so that its balance tells of this scenario alone."""
        account = f"{prefix}-{uuid.uuid4().hex[:12]}"
        response = await self._client.put(
            f"{self.stack.urls['billing_service']}/accounts/{account}",
            json={"opening_balance_cents": OPENING_CENTS},
            headers={"Authorization": f"Bearer {self.stack.tokens['curl']}"},
        )
        response.raise_for_status()
        return account

    async def place(self, account: str, delivery: Delivery) -> httpx.Response:
        """POST /orders; the stack's wait budget is long enough for the final answer."""
        return await self._client.post(
            f"{self.stack.urls['order_service']}/orders",
            json={
                "customer": account,
                "amount_cents": AMOUNT_CENTS,
                "item": "book",
                "delivery": delivery,
            },
        )

    async def money(self, account: str) -> tuple[float, int]:
        """Effects by the account's balance, and the number of committed withdrawals; read past all proxies."""
        connection = await asyncpg.connect(self.stack.databases["owner"], timeout=STEP_TIMEOUT_S)
        try:
            row = await connection.fetchrow(
                """
                SELECT opening_balance_cents - balance_cents AS moved_cents,
                       (SELECT count(*) FROM billing.ledger WHERE ledger.account = accounts.account) AS commits
                FROM billing.accounts
                WHERE account = $1
                """,
                account,
            )
        finally:
            await connection.close()
        if row is None:
            raise RuntimeError(f"the account {account} is gone")
        return row["moved_cents"] / AMOUNT_CENTS, row["commits"]


class _Cell:
    """One order on its way through one fault."""

    def __init__(self, theatre: Theatre, scenario: Scenario) -> None:
        self.theatre = theatre
        self.scenario = scenario
        self.witnesses: list[Witness] = []
        self.deaths_before = 0

    async def play(self) -> Measured:
        account = await self.theatre.open_account("cell")
        barrier = self.theatre.control.hold("order_service", "attempt", account, nth=2)
        crash = await self._arm(account)
        placing = asyncio.create_task(self.theatre.place(account, self.scenario.delivery))
        try:
            await self._until_given_up(barrier, placing)
            await self._witness_first_attempt(account)
            await self._heal(crash)
        finally:
            barrier.release()
        order = (await placing).json()
        order = order.get("order", order)
        attempts = order["attempts"]
        effects, commits = await self.theatre.money(account)
        self._witness_answer(attempts)
        return Measured(
            effects=effects,
            arrivals=len(self.theatre.history.arrivals("billing_service", account)),
            commits=commits,
            attempts=len(attempts),
            caller_saw=attempts[0]["caller_saw"] if attempts else "nothing",
            witnesses=tuple(self.witnesses),
        )

    async def _arm(self, account: str) -> Rule | None:
        match self.scenario.fault:
            case Armed(proxy, toxic):
                await self.theatre.stack.toxiproxy.arm(proxy, toxic)
                self._witness(f"{toxic} read back from proxy {proxy}", seen=True)
            case Dies(seam):
                self.deaths_before = len(self.theatre.stack.children("billing_service")[0].deaths)
                return self.theatre.control.die("billing_service", seam, account, nth=1)
            case None:
                pass
        return None

    async def _until_given_up(self, barrier: Rule, placing: "asyncio.Task[httpx.Response]") -> None:
        """Until the caller stands before its second attempt, or has its answer, or will not try again."""
        reached = asyncio.create_task(barrier.reached.wait())
        done, _ = await asyncio.wait(
            (reached, placing), timeout=STEP_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
        )
        reached.cancel()
        if not done:
            raise TimeoutError("the caller neither gave the first attempt up nor got an answer")

    async def _witness_first_attempt(self, account: str) -> None:
        """Before healing: did the request arrive, and was it executed?"""
        situation = self.scenario.situation
        arrivals = self.theatre.history.arrivals("billing_service", account)
        effects, _ = await self.theatre.money(account)
        if situation.name == "request_lost":
            self._witness("no arrival in the journal before healing", seen=not arrivals)
        else:
            self._witness("one arrival in the journal before healing", seen=len(arrivals) == 1)
        if situation.executed:
            self._witness("the money had moved before healing", seen=effects == 1)
        else:
            self._witness("no money had moved before healing", seen=effects == 0)

    async def _heal(self, crash: Rule | None) -> None:
        match self.scenario.fault:
            case Armed(proxy, _):
                await self.theatre.stack.recreate_proxy(proxy)
            case Dies(seam):
                child = self.theatre.stack.children("billing_service")[0]
                struck = crash is not None and crash.reached.is_set()
                if struck:
                    await self.theatre.stack.ready_after(child, deaths=self.deaths_before + 1)
                died = any(
                    event.fields.get("died")
                    for event in self.theatre.history.of_account(self._account_of(crash))
                )
                self._witness(f"the process died of it, at its {seam}", seen=struck and died)
            case None:
                pass

    def _witness_answer(self, attempts: list[dict[str, object]]) -> None:
        answered = bool(attempts) and attempts[0]["outcome"] == "acknowledged"
        claim = "answered" if self.scenario.situation.answered else "not answered"
        self._witness(
            f"the first attempt was {claim}", seen=answered == self.scenario.situation.answered
        )

    def _account_of(self, crash: Rule | None) -> str:
        return crash.account if crash is not None else ""

    def _witness(self, claim: str, *, seen: bool) -> None:
        self.witnesses.append(Witness(claim, seen))
