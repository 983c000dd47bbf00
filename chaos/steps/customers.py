"""The acts of customers beyond placing an order: with too little money, cancelling, waiting; and what they were told.

Guarantee: a customer uses the services' own interface; only money that comes to an account from outside is written past it.
"""

from dataclasses import dataclass
from typing import ClassVar

import httpx

from chaos.evidence.readings import Check
from chaos.harness.context import ONLY, Context, Placed
from chaos.harness.harness import AMOUNT_CENTS, BOUND_S
from chaos.steps.step import NOTHING, WRAPPED, Needs
from order_service.wire import Status


@dataclass(frozen=True)
class OpenUnderfundedAccount:
    """The customer has less money than the order costs: it has to be declined."""

    needs: ClassVar[Needs] = NOTHING
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        account = await context.harness.open_account("poor", AMOUNT_CENTS - 1)
        placed = Placed(self.label, account, context.delivery, ending=Status.DECLINED)
        context.orders[self.label] = placed


@dataclass(frozen=True)
class DepositMoney:
    """Money comes to the account, enough for the order: what was declined stays declined all the same."""

    needs: ClassVar[Needs] = NOTHING
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = await context.order(self.label)
        connection = await context.database.connect()
        try:
            # The opening balance as well: what has moved is reckoned from it.
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
            "enriched", placed.account, text=f"{10 * AMOUNT_CENTS} cents come to the account"
        )


@dataclass(frozen=True)
class SetCustomerKey:
    """The customer gives the order a key of its own, under which it can come back."""

    needs: ClassVar[Needs] = NOTHING
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = await context.order(self.label)
        placed.customer_key = placed.account


@dataclass(frozen=True)
class PlaceAgain:
    """The customer, who has no answer, sends the order again under its key; it is still in the hands of a dead process."""

    needs: ClassVar[Needs] = NOTHING
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = context.orders[self.label]
        leased = await context.database.value(
            "SELECT lease_until > now() FROM orders.orders WHERE customer = $1 AND status = 'pending'",
            placed.account,
        )
        context.witness("the order was leased when its customer came back", seen=bool(leased))
        await context.place(self.label)


@dataclass(frozen=True)
class Cancel:
    """The customer cancels, and is told that the order is cancelled (200), settled already (409), or that nobody knows (503)."""

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

        # Whoever is to learn that nobody knows asks once; anybody else until there is an answer.
        if self.told < httpx.codes.INTERNAL_SERVER_ERROR and not await context.until(
            told, "the customer learns what became of it"
        ):
            context.witness("the customer was told what became of it", seen=False)
            return
        # To cancel what is cancelled changes nothing and says so again.
        response = await context.harness.cancel(order.order_id)
        context.journal.note(
            "cancelled", placed.account, text=f"is told {response.status_code} on cancelling"
        )
        context.witness(
            f"the customer who cancelled was answered {self.told}",
            seen=response.status_code == self.told,
            instead=f"{response.status_code}",
        )
        # Whoever is told so can rely on it: nothing may move from then on.
        if response.status_code == httpx.codes.OK:
            placed.ending = Status.CANCELLED


@dataclass(frozen=True)
class AwaitServerError:
    """Until the customer was told that nobody knows whether the order was recorded, in a way that it can act on."""

    needs: ClassVar[Needs] = NOTHING
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = context.orders[self.label]

        async def told() -> bool:
            return placed.status_code is not None

        await context.until(told, "the customer is answered")
        status = placed.status_code or 0
        turned_away = status >= httpx.codes.INTERNAL_SERVER_ERROR
        context.witness(
            "the customer was turned away", seen=turned_away, instead=f"answered {status}"
        )
        if turned_away:
            context.checks.append(
                Check(
                    "L7",
                    "whom a fault turns away, is answered 503",
                    status == httpx.codes.SERVICE_UNAVAILABLE,
                    f"{self.label}: its customer was answered {status}",
                )
            )


@dataclass(frozen=True)
class AwaitAnswers:
    """All these customers are answered while the fault lasts, whatever the answers are."""

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
                f"no answer after {BOUND_S:g} s: {', '.join(waiting())}",
                liveness=True,
            )
        )


@dataclass(frozen=True)
class ExpectOrderRecorded:
    """A witness, at this moment: the order is there, whatever its customer was told, and it is open."""

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
    """Until so many attempts have begun while the fault lasts."""

    needs: ClassVar[Needs] = WRAPPED
    times: int
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = context.orders[self.label]

        async def tried() -> bool:
            return len([e for e in context.events_of(placed) if e.seam == "attempt"]) >= self.times

        context.witness(
            f"{self.times} attempts were begun while the fault lasted",
            seen=await context.until(tried, f"{self.times} attempts begin"),
        )


@dataclass(frozen=True)
class ExpectAnswerBeforeNotification:
    """The customer was answered before the notification had its fate: an order does not wait for its notification."""

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
