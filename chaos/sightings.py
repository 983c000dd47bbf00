"""The acts that look: what must be seen, and copies of charges that must be refused.

Guarantee: they change nothing of the fault; what is not seen becomes a missing witness and never an exception.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from chaos.acts import NOTHING, PROCESSES, WRAPPED, Needs
from chaos.evidence import CLIENT, Probe, read_notifications
from chaos.numerals import often
from chaos.scene import ONLY, Scene
from chaos.theatre import AMOUNT_CENTS
from order_service.wire import Fate


@dataclass(frozen=True)
class Saw:
    """A witness, at this moment: requests that arrived, and effects that are there (None: not asked).

    Arrivals are known only where the services are wrapped.
    """

    needs: ClassVar[Needs] = NOTHING
    arrivals: int | None = None
    effects: int | None = None
    label: str = ONLY

    async def perform(self, scene: Scene) -> None:
        placed = await scene.order(self.label)
        if self.arrivals is not None and scene.theatre.wrapped:
            arrived = len(scene.theatre.history.arrivals("billing_service", placed.account))
            scene.witness(
                f"{_count(self.arrivals, 'arrival')} in the journal at that moment",
                seen=arrived == self.arrivals,
                instead=_count(arrived, "arrival"),
            )
        if self.effects is not None:
            shot = await scene.snapshot(placed)
            claim = (
                "the money had moved at that moment"
                if self.effects
                else "no money had moved at that moment"
            )
            moved = f"it had moved {often(shot.effects)}"
            scene.witness(claim, seen=shot.effects == self.effects, instead=moved)


@dataclass(frozen=True)
class Landed:
    """Until the money has moved: a charge that was on its way to Postgres has landed, while the caller still stands."""

    needs: ClassVar[Needs] = NOTHING
    label: str = ONLY

    async def perform(self, scene: Scene) -> None:
        placed = await scene.order(self.label)

        async def moved() -> bool:
            return (await scene.snapshot(placed)).effects == 1

        seen = await scene.until(moved, "the late charge lands")
        scene.witness("the money had moved before the next attempt", seen=seen)


@dataclass(frozen=True)
class Arrived:
    """Until so many complete requests of the order have reached a service, and (if so asked) were answered there."""

    needs: ClassVar[Needs] = WRAPPED
    times: int
    service: str = "billing_service"
    answered: bool = True
    label: str = ONLY

    async def perform(self, scene: Scene) -> None:
        account = scene.orders[self.label].account
        seam = "reply" if self.answered else "arrival"

        async def there() -> bool:
            events = scene.theatre.history.of_account(account)
            return (
                len([e for e in events if (e.service, e.seam) == (self.service, seam)])
                >= self.times
            )

        claim = f"{_count(self.times, 'request')} arrived at {self.service}"
        scene.witness(
            claim + (" and got an answer there" if self.answered else ""),
            seen=await scene.until(there, "the requests arrive"),
        )


@dataclass(frozen=True)
class CutShort:
    """A witness: a request came in half, and the service saw its caller go."""

    needs: ClassVar[Needs] = WRAPPED
    label: str = ONLY

    async def perform(self, scene: Scene) -> None:
        await scene.order(self.label)

        async def seen() -> bool:
            return scene.theatre.history.has_broken_arrival("billing_service", scene.since_ns)

        scene.witness(
            "half a request in the journal", seen=await scene.until(seen, "half a request arrives")
        )


@dataclass(frozen=True)
class Outcome:
    """A witness: how an attempt (None: any of them) ended for the caller, by the order itself.

    `saw` is a part of what the caller saw; it tells faults of one outcome apart.
    """

    needs: ClassVar[Needs] = NOTHING
    outcome: Literal["acknowledged", "refused", "unknown"]
    saw: str = ""
    attempt: int | None = 1
    label: str = ONLY

    async def perform(self, scene: Scene) -> None:
        order = await scene.settled(scene.orders[self.label])
        which = "an attempt" if self.attempt is None else f"attempt {self.attempt}"
        claim = f"the caller took {which} for {self.outcome}"
        if self.saw:
            claim += f", and saw {self.saw!r}"
        meant = [
            attempt
            for attempt in (order.attempts if order else [])
            if self.attempt in (None, attempt.attempt)
        ]
        seen = any(a.outcome == self.outcome and self.saw in a.caller_saw for a in meant)
        instead = "; ".join(f"{a.outcome}, and saw {a.caller_saw!r}" for a in meant)
        scene.witness(claim, seen=seen, instead=instead or "not on record")


@dataclass(frozen=True)
class Notified:
    """A witness: what became of the one notification for its sender, and whether it was shown to the customer."""

    needs: ClassVar[Needs] = NOTHING
    fate: Fate
    shown: bool
    label: str = ONLY

    async def perform(self, scene: Scene) -> None:
        placed = scene.orders[self.label]
        order = await scene.settled(placed)
        scene.witness(
            f"the fate of the notification was {self.fate} to the order service",
            seen=order is not None and order.notification is self.fate,
            instead=(order and order.notification) or "none",
        )
        connection = await scene.connected()
        try:
            times = await read_notifications(connection, placed.account)
        finally:
            await connection.close()
        scene.witness(
            "the customer was told" if self.shown else "the customer was not told",
            seen=bool(times) == self.shown,
        )


@dataclass(frozen=True)
class Shown:
    """Until the notification is stored, while the fault lasts."""

    needs: ClassVar[Needs] = NOTHING
    label: str = ONLY

    async def perform(self, scene: Scene) -> None:
        placed = scene.orders[self.label]
        connection = await scene.connected()

        async def stored() -> bool:
            return await read_notifications(connection, placed.account) > 0

        try:
            seen = await scene.until(stored, "the notification is stored")
        finally:
            await connection.close()
        scene.witness("the notification was stored while the fault lasted", seen=seen)


@dataclass(frozen=True)
class FlagsCame:
    """A witness: the retry flags with which the requests arrived, in their order."""

    needs: ClassVar[Needs] = WRAPPED
    flags: tuple[str, ...]
    label: str = ONLY

    async def perform(self, scene: Scene) -> None:
        placed = scene.orders[self.label]
        await scene.settled(placed)
        arrived = scene.theatre.history.arrivals("billing_service", placed.account)
        scene.witness(
            f"the requests arrived with the retry flags {', '.join(self.flags)}",
            seen=tuple(event.fields["retry"] for event in arrived) == self.flags,
            instead=", ".join(event.fields["retry"] for event in arrived) or "no request at all",
        )


@dataclass(frozen=True)
class Replay:
    """The harness sends the order's own charge once more, as the network or an attacker might; a promise is tested.

    With `amount_cents`, `order_id` or `account` it is another charge under the same key. With `when_collected` it comes after the collector has deleted the key.
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

    async def perform(self, scene: Scene) -> None:
        placed = scene.orders[self.label]
        order = await scene.settled(placed)
        if order is None:
            scene.witness("there is an order to be sent again", seen=False)
            return
        key = f'"{order.sequence_key}"'
        if self.when_collected:
            gone = await scene.until(
                lambda: is_collected(scene, order.sequence_key), "the key is collected"
            )
            scene.witness("the key had been deleted before it was sent again", seen=gone)
        body = {
            "order_id": self.order_id or str(order.order_id),
            "account": self.account or placed.account,
            "amount_cents": self.amount_cents,
        }
        before = await scene.snapshot(placed)
        scene.theatre.history.note(
            "sent", placed.account, sequence_key=key, retry=self.retry, peer="charges"
        )
        response = await scene.theatre.charge(body, key, "order_service", self.retry)
        after = await scene.snapshot(placed)
        moved = (before.effects, before.commits) != (after.effects, after.commits)
        status = response.status_code
        scene.probes.append(Probe(self.promise, self.claim, status, self.expected, moved))


@dataclass(frozen=True)
class SawOpen:
    """Until the order service has seen that so many orders are open: what it declares from then on comes from that look."""

    needs: ClassVar[Needs] = PROCESSES
    orders: int

    async def perform(self, scene: Scene) -> None:
        async def looked() -> bool:
            return await scene.theatre.unsettled_seen() == {self.orders}

        scene.witness(
            f"the order service saw {_count(self.orders, 'open order')}",
            seen=await scene.until(looked, "the order service looks"),
        )


@dataclass(frozen=True)
class LooksWatched:
    """From here on it is known which failed looks for orders of dead processes are this scenario's own."""

    needs: ClassVar[Needs] = PROCESSES

    async def perform(self, scene: Scene) -> None:
        scene.failed_looks = await scene.theatre.failed_looks()


@dataclass(frozen=True)
class LooksFailed:
    """Until the loop of every process that takes orders over has met the fault."""

    needs: ClassVar[Needs] = PROCESSES

    async def perform(self, scene: Scene) -> None:
        async def failed() -> bool:
            now = await scene.theatre.failed_looks()
            return all(now[name] > looks for name, looks in scene.failed_looks.items())

        scene.witness(
            "every process failed to look for orders of dead processes",
            seen=await scene.until(failed, "the looks fail"),
        )


@dataclass(frozen=True)
class Collected:
    """Until the collector of every billing process has been round once more: what may be forgotten is."""

    needs: ClassVar[Needs] = PROCESSES

    async def perform(self, scene: Scene) -> None:
        before = await scene.theatre.collector_rounds()

        async def been_round() -> bool:
            now = await scene.theatre.collector_rounds()
            # The round that was under way may have begun too early to count.
            return all(now[name] >= rounds + 2 for name, rounds in before.items())

        seen = await scene.until(been_round, "the collectors go round")
        scene.witness("every collector has been round since", seen=seen)


async def is_collected(scene: Scene, sequence_key: int) -> bool:
    """Whether billing does not remember this key of the order service any more."""
    return not await scene.ask(
        "SELECT EXISTS (SELECT FROM billing.processed_keys WHERE client = $1 AND sequence_key = $2)",
        CLIENT,
        sequence_key,
    )


def _count(number: int, noun: str) -> str:
    return f"no {noun}" if number == 0 else f"{number} {noun}{'s' if number > 1 else ''}"
