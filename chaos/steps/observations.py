"""Steps that observe: what must be seen, and copies of charges that billing must refuse or answer again.

Guarantee: no step here changes the fault; what is not seen becomes a missing witness and never an exception.

Long because it is a list of small steps: each is a few lines beside its dataclass.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from chaos.evidence.readings import CLIENT, Probe, read_notifications
from chaos.harness.context import ONLY, Context
from chaos.harness.harness import AMOUNT_CENTS
from chaos.steps.step import NOTHING, PROCESSES, WRAPPED, Needs
from order_service.wire import Fate
from report.numbers import often


@dataclass(frozen=True)
class Observe:
    """Witnesses how many requests have arrived by now, and how many effects the account shows (None: not checked).

    Arrivals are known only where the services are wrapped.
    """

    needs: ClassVar[Needs] = NOTHING
    arrivals: int | None = None
    effects: int | None = None
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = await context.order(self.label)
        if self.arrivals is not None and context.harness.wrapped:
            arrived = len(context.journal.arrivals("billing_service", placed.account))
            context.witness(
                f"{_count(self.arrivals, 'arrival')} in the journal at that moment",
                seen=arrived == self.arrivals,
                instead=_count(arrived, "arrival"),
            )
        if self.effects is not None:
            shot = await context.snapshot(placed)
            claim = (
                "the money had moved at that moment"
                if self.effects
                else "no money had moved at that moment"
            )
            moved = f"it had moved {often(shot.effects)}"
            context.witness(claim, seen=shot.effects == self.effects, instead=moved)


@dataclass(frozen=True)
class AwaitMoneyMoved:
    """Waits until a charge that was on its way to Postgres has moved the money, while the caller is still held."""

    needs: ClassVar[Needs] = NOTHING
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = await context.order(self.label)

        async def moved() -> bool:
            return (await context.snapshot(placed)).effects == 1

        seen = await context.until(moved, "the late charge is committed")
        context.witness("the money had moved before the next attempt", seen=seen)


@dataclass(frozen=True)
class AwaitArrivals:
    """Waits until `times` complete requests of the order have reached a service and, with `answered`, it has replied."""

    needs: ClassVar[Needs] = WRAPPED
    times: int
    service: str = "billing_service"
    answered: bool = True
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        account = context.orders[self.label].account
        seam = "reply" if self.answered else "arrival"

        async def there() -> bool:
            events = context.journal.of_account(account)
            return (
                len([e for e in events if (e.service, e.seam) == (self.service, seam)])
                >= self.times
            )

        claim = f"{_count(self.times, 'request')} arrived at {self.service}"
        context.witness(
            claim + (" and got an answer there" if self.answered else ""),
            seen=await context.until(there, "the requests arrive"),
        )


@dataclass(frozen=True)
class AwaitTruncatedRequest:
    """Waits for a request that breaks off: the service saw its caller disconnect."""

    needs: ClassVar[Needs] = WRAPPED
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        await context.order(self.label)

        async def seen() -> bool:
            return context.journal.has_broken_arrival("billing_service", context.since_ns)

        context.witness(
            "half a request in the journal",
            seen=await context.until(seen, "half a request arrives"),
        )


@dataclass(frozen=True)
class ExpectOutcome:
    """Witnesses how an attempt (None: any attempt) ended for the caller, as the order itself records it.

    `saw` is a part of what the caller saw; it tells faults with the same outcome apart.
    """

    needs: ClassVar[Needs] = NOTHING
    outcome: Literal["acknowledged", "refused", "unknown"]
    saw: str = ""
    attempt: int | None = 1
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        order = await context.settled(context.orders[self.label])
        which = "an attempt" if self.attempt is None else f"attempt {self.attempt}"
        claim = f"the caller recorded {which} as {self.outcome}"
        if self.saw:
            claim += f", and saw {self.saw!r}"
        meant = [
            attempt
            for attempt in (order.attempts if order else [])
            if self.attempt in (None, attempt.attempt)
        ]
        seen = any(a.outcome == self.outcome and self.saw in a.caller_saw for a in meant)
        instead = "; ".join(f"{a.outcome}, and saw {a.caller_saw!r}" for a in meant)
        context.witness(claim, seen=seen, instead=instead or "not on record")


@dataclass(frozen=True)
class ExpectNotification:
    """Witnesses the fate of the notification at its sender, and whether the notification service stored it."""

    needs: ClassVar[Needs] = NOTHING
    fate: Fate
    shown: bool
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = context.orders[self.label]
        order = await context.settled(placed)
        context.witness(
            f"the fate of the notification was {self.fate} to the order service",
            seen=order is not None and order.notification is self.fate,
            instead=(order and order.notification) or "none",
        )
        connection = await context.database.connect()
        try:
            times = await read_notifications(connection, placed.account)
        finally:
            await connection.close()
        context.witness(
            "the customer was told" if self.shown else "the customer was not told",
            seen=bool(times) == self.shown,
        )


@dataclass(frozen=True)
class AwaitNotificationStored:
    """Waits until the notification is stored, while the fault lasts."""

    needs: ClassVar[Needs] = NOTHING
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = context.orders[self.label]
        connection = await context.database.connect()

        async def stored() -> bool:
            return await read_notifications(connection, placed.account) > 0

        try:
            seen = await context.until(stored, "the notification is stored")
        finally:
            await connection.close()
        context.witness("the notification was stored while the fault lasted", seen=seen)


@dataclass(frozen=True)
class ExpectRetryFlags:
    """Witnesses the retry flags of the requests that arrived, in order of arrival."""

    needs: ClassVar[Needs] = WRAPPED
    flags: tuple[str, ...]
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = context.orders[self.label]
        await context.settled(placed)
        arrived = context.journal.arrivals("billing_service", placed.account)
        context.witness(
            f"the requests arrived with the retry flags {', '.join(self.flags)}",
            seen=tuple(event.fields["retry"] for event in arrived) == self.flags,
            instead=", ".join(event.fields["retry"] for event in arrived) or "no request at all",
        )


@dataclass(frozen=True)
class SendCopy:
    """The harness sends the order's own charge once more, as the network or an attacker might, and judges the answer.

    With `amount_cents`, `order_id` or `account` it is another charge under the same key. With `when_collected` it is
    sent after the collector has deleted the key.
    """

    needs: ClassVar[Needs] = NOTHING
    promise: str
    claim: str
    expected: int
    amount_cents: int = AMOUNT_CENTS
    order_id: str = ""
    account: str = ""
    retry: str = "?0"
    when_collected: bool = False
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = context.orders[self.label]
        order = await context.settled(placed)
        if order is None:
            context.witness("there is an order to be sent again", seen=False)
            return
        key = f'"{order.sequence_key}"'
        if self.when_collected:
            gone = await context.until(
                lambda: is_collected(context, order.sequence_key), "the key is collected"
            )
            context.witness("the key had been deleted before it was sent again", seen=gone)
        body = {
            "order_id": self.order_id or str(order.order_id),
            "account": self.account or placed.account,
            "amount_cents": self.amount_cents,
        }
        before = await context.snapshot(placed)
        context.journal.note(
            "sent", placed.account, sequence_key=key, retry=self.retry, peer="charges"
        )
        response = await context.harness.charge(body, key, "order_service", self.retry)
        after = await context.snapshot(placed)
        moved = (before.effects, before.commits) != (after.effects, after.commits)
        status = response.status_code
        context.probes.append(Probe(self.promise, self.claim, status, self.expected, moved))


@dataclass(frozen=True)
class AwaitOpenOrdersCounted:
    """Waits until the order service has counted this many open orders: what it declares afterwards rests on that count."""

    needs: ClassVar[Needs] = PROCESSES
    orders: int

    async def perform(self, context: Context) -> None:
        async def counted() -> bool:
            return await context.harness.open_orders_counted() == {self.orders}

        context.witness(
            f"the order service saw {_count(self.orders, 'open order')}",
            seen=await context.until(counted, "the order service counts"),
        )


@dataclass(frozen=True)
class CountFailedTakeoverRounds:
    """Remembers how many takeover rounds have failed so far, so that this scenario counts only its own."""

    needs: ClassVar[Needs] = PROCESSES

    async def perform(self, context: Context) -> None:
        context.failed_takeover_rounds = await context.harness.failed_takeover_rounds()


@dataclass(frozen=True)
class AwaitFailedTakeoverRounds:
    """Waits until the takeover loop of every order service process has met the fault."""

    needs: ClassVar[Needs] = PROCESSES

    async def perform(self, context: Context) -> None:
        async def failed() -> bool:
            now = await context.harness.failed_takeover_rounds()
            return all(
                now[name] > rounds for name, rounds in context.failed_takeover_rounds.items()
            )

        context.witness(
            "a takeover round failed in every process",
            seen=await context.until(failed, "takeover rounds fail"),
        )


@dataclass(frozen=True)
class AwaitCollectorRounds:
    """Waits until the collector of every billing process has finished one more round: what may be forgotten is gone."""

    needs: ClassVar[Needs] = PROCESSES

    async def perform(self, context: Context) -> None:
        before = await context.harness.collector_rounds()

        async def finished() -> bool:
            now = await context.harness.collector_rounds()
            # The round under way may have begun before the previous step ended, so two must finish.
            return all(now[name] >= rounds + 2 for name, rounds in before.items())

        seen = await context.until(finished, "the collectors finish a round")
        context.witness("every collector has finished a round since", seen=seen)


async def is_collected(context: Context, sequence_key: int) -> bool:
    """Whether billing does not remember this key of the order service any more."""
    return not await context.database.value(
        "SELECT EXISTS (SELECT FROM billing.processed_keys WHERE client = $1 AND sequence_key = $2)",
        CLIENT,
        sequence_key,
    )


def _count(number: int, noun: str) -> str:
    return f"no {noun}" if number == 0 else f"{number} {noun}{'s' if number > 1 else ''}"
