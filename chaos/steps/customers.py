"""Steps of customers beyond placing an order: too little money, an order placed again, a cancellation, a long wait.

Guarantee: a customer uses only the public interface of the services; only a deposit is written to the database directly.
"""

from dataclasses import dataclass
from typing import ClassVar

import httpx

from chaos.evidence.readings import Check
from chaos.harness.context import ONLY, Context, Placed
from chaos.harness.harness import AMOUNT_CENTS
from chaos.steps.step import NOTHING, WRAPPED, Needs
from order_service.wire import Status


@dataclass(frozen=True)
class OpenUnderfundedAccount:
    """Gives the customer less money than the order costs: billing must decline it."""

    needs: ClassVar[Needs] = NOTHING
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        account = await context.harness.open_account("underfunded", AMOUNT_CENTS - 1)
        placed = Placed(self.label, account, context.delivery, ending=Status.DECLINED)
        context.orders[self.label] = placed


@dataclass(frozen=True)
class DepositMoney:
    """Deposits enough money for the order: a declined charge must stay declined."""

    needs: ClassVar[Needs] = NOTHING
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = await context.order(self.label)
        connection = await context.database.connect()
        try:
            # The opening balance as well: the effects are computed from the difference.
            await connection.execute(
                """
                UPDATE billing.accounts
                SET balance_cents = balance_cents + $2, opening_balance_cents = opening_balance_cents + $2
                WHERE account = $1
                """,
                placed.account,
                10 * AMOUNT_CENTS,
            )
        finally:
            await connection.close()
        context.journal.note(
            "deposit", placed.account, text=f"{10 * AMOUNT_CENTS} cents are deposited"
        )


@dataclass(frozen=True)
class SetCustomerKey:
    """Gives the order an idempotency key of the customer's, under which the customer can place it again."""

    needs: ClassVar[Needs] = NOTHING
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = await context.order(self.label)
        placed.customer_key = placed.account


@dataclass(frozen=True)
class PlaceAgain:
    """The customer, who got no answer, places the order again under its key while a dead process still leases it."""

    needs: ClassVar[Needs] = NOTHING
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = context.orders[self.label]
        leased = await context.database.value(
            "SELECT lease_until > now() FROM orders.orders WHERE customer = $1 AND status = 'pending'",
            placed.account,
        )
        context.witness("the order was leased when its customer placed it again", seen=bool(leased))
        await context.place(self.label)


@dataclass(frozen=True)
class Cancel:
    """The customer cancels and gets `told`: cancelled (200), settled already (409), or outcome unknown (503)."""

    needs: ClassVar[Needs] = NOTHING
    told: int = httpx.codes.OK
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = context.orders[self.label]
        order = await context.read(placed)
        if order is None:
            context.witness("there is an order to be cancelled", seen=False)
            return
        context.journal.note("cancels", placed.account, text="cancels the order")

        async def told() -> bool:
            response = await context.harness.cancel(order.order_id)
            return response.status_code < httpx.codes.INTERNAL_SERVER_ERROR

        # A 503 is expected from the first request; any other answer may take several.
        if self.told < httpx.codes.INTERNAL_SERVER_ERROR and not await context.until(
            told, "the cancellation is answered"
        ):
            context.witness("the cancellation was answered", seen=False)
            return
        # Cancelling a cancelled order changes nothing and gets the same answer.
        response = await context.harness.cancel(order.order_id)
        context.journal.note(
            "cancelled", placed.account, text=f"is told {response.status_code} on cancelling"
        )
        context.witness(
            f"the customer who cancelled was answered {self.told}",
            seen=response.status_code == self.told,
            instead=f"{response.status_code}",
        )
        # After a 200 the customer relies on it: no money may move from then on.
        if response.status_code == httpx.codes.OK:
            placed.ending = Status.CANCELLED


@dataclass(frozen=True)
class AwaitServerError:
    """Waits until the customer gets a server error, and checks that it is a 503: it is unknown whether the order was recorded."""

    needs: ClassVar[Needs] = NOTHING
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = context.orders[self.label]

        async def told() -> bool:
            return placed.status_code is not None

        await context.until(told, "the customer is answered")
        status = placed.status_code or 0
        failed = status >= httpx.codes.INTERNAL_SERVER_ERROR
        context.witness(
            "the customer got a server error", seen=failed, instead=f"answered {status}"
        )
        if failed:
            context.checks.append(
                Check(
                    "L7",
                    "a customer whose order a fault prevents is answered 503",
                    status == httpx.codes.SERVICE_UNAVAILABLE,
                    f"{self.label}: its customer was answered {status}",
                )
            )


@dataclass(frozen=True)
class AwaitAnswers:
    """Checks that all these customers are answered while the fault lasts, whatever the answers are."""

    needs: ClassVar[Needs] = NOTHING
    labels: tuple[str, ...]

    async def perform(self, context: Context) -> None:
        def waiting() -> list[str]:
            return [label for label in self.labels if context.orders[label].status_code is None]

        async def all_told() -> bool:
            return not waiting()

        await context.until(all_told, "the customers are answered")
        context.checks.append(
            Check(
                "L1",
                "a customer is answered, however slow the database is",
                not waiting(),
                f"no answer after {context.harness.bound_s:g} s: {', '.join(waiting())}",
                liveness=True,
            )
        )


@dataclass(frozen=True)
class ExpectOrderRecorded:
    """Witnesses that the order is recorded and open by now, whatever its customer was told."""

    needs: ClassVar[Needs] = NOTHING
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = context.orders[self.label]
        status = await context.database.value(
            "SELECT status FROM orders.orders WHERE customer = $1", placed.account
        )
        context.witness("the order was recorded, and is open", seen=status == Status.PENDING)


@dataclass(frozen=True)
class AwaitAttempts:
    """Waits until `times` attempts have begun while the fault lasts, or the order is settled and no more can come."""

    needs: ClassVar[Needs] = WRAPPED
    times: int
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = context.orders[self.label]

        def tried() -> bool:
            return len([e for e in context.events_of(placed) if e.seam == "attempt"]) >= self.times

        async def tried_or_over() -> bool:
            order = await context.read(placed)
            # In this order: an attempt that began before the order was settled is counted.
            return (order is not None and order.status is not Status.PENDING) or tried()

        await context.until(tried_or_over, f"{self.times} attempts begin")
        context.witness(f"{self.times} attempts were begun while the fault lasted", seen=tried())


@dataclass(frozen=True)
class ExpectAnswerBeforeNotification:
    """Checks that the customer was answered before the fate of the notification was known."""

    needs: ClassVar[Needs] = WRAPPED
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = context.orders[self.label]
        await context.settled(placed)
        events = context.events_of(placed)
        told = [e.at_ns for e in events if e.seam == "customer was answered"]
        ended = [
            e.at_ns
            for e in events
            if e.seam in ("answer", "no answer") and e.fields.get("peer") == "notifications"
        ]
        context.witness("both ends are in the journal", seen=bool(told and ended))
        if told and ended:
            context.checks.append(
                Check(
                    "M4",
                    "an order does not wait for its notification",
                    told[0] < ended[0],
                    f"the customer was answered {(told[0] - ended[0]) / 1e9:.1f} s after the notification had its fate",
                )
            )
