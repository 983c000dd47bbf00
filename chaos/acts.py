"""The acts of which scenarios are made: orders, the network, and what must be seen.

Guarantee: an act waits for evidence of the one before it and never for time; an act that cannot be sure that it struck
says so by a witness that was not seen.
"""

import asyncio
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from chaos.barriers import hold_retry
from chaos.control import Seam
from chaos.evidence import CLIENT, Probe
from chaos.scene import ONLY, Scene
from chaos.theatre import AMOUNT_CENTS, BOUND_S
from chaos.toxics import LimitData, Toxic

Needs = frozenset[str]
NOTHING: Needs = frozenset()
WRAPPED: Needs = frozenset({"wrapped services"})
PROCESSES: Needs = frozenset({"wrapped services", "processes"})


class Act(Protocol):
    """One step. `needs` is what a stack that was only described does not have."""

    needs: ClassVar[Needs]

    async def perform(self, scene: Scene) -> None:
        """Does it, and returns when it is done."""


@dataclass(frozen=True)
class Connection:
    """The caller's pooled connection to billing: none, or one that has carried an order before."""

    needs: ClassVar[Needs] = NOTHING
    kind: Literal["fresh", "warm"] = "warm"

    async def perform(self, scene: Scene) -> None:
        if self.kind == "warm":
            await scene.theatre.warm_up()
        else:
            await scene.theatre.cool_down()


@dataclass(frozen=True)
class Arm:
    """A toxic on a proxy, until `Heal` or `LetGo`."""

    needs: ClassVar[Needs] = NOTHING
    proxy: str
    toxic: Toxic

    async def perform(self, scene: Scene) -> None:
        await scene.arm(self.proxy, self.toxic)


@dataclass(frozen=True)
class CutInBody:
    """Lets one direction of billing's proxy pass as far as the middle of the body.

    The length of the head is taken from the journal: that of the order which has warmed the connection up.
    """

    needs: ClassVar[Needs] = WRAPPED
    stream: Literal["upstream", "downstream"]

    async def perform(self, scene: Scene) -> None:
        seam = "arrival" if self.stream == "upstream" else "reply"
        like_it = scene.theatre.history.last("billing_service", seam).fields
        limit = like_it["head_bytes"] + like_it["body_bytes"] // 2
        await scene.arm("billing", LimitData(bytes=limit, stream=self.stream))


@dataclass(frozen=True)
class Refuse:
    """Closes a proxy's listener: the caller gets a definite connect error."""

    needs: ClassVar[Needs] = NOTHING
    proxy: str

    async def perform(self, scene: Scene) -> None:
        await scene.refuse(self.proxy)


@dataclass(frozen=True)
class Heal:
    """Takes every fault of the network away; its toxics must still be armed."""

    needs: ClassVar[Needs] = NOTHING

    async def perform(self, scene: Scene) -> None:
        await scene.heal()


@dataclass(frozen=True)
class LetGo:
    """Takes the toxics of one proxy away (or those of one kind), its connections stay: what was held arrives now."""

    needs: ClassVar[Needs] = NOTHING
    proxy: str
    kind: type[Toxic] = Toxic

    async def perform(self, scene: Scene) -> None:
        await scene.let_go(self.proxy, self.kind)


@dataclass(frozen=True)
class Detour:
    """Attempts from the `nth` on go over a second proxy to the same upstream."""

    needs: ClassVar[Needs] = WRAPPED
    nth: int = 2
    label: str = ONLY

    async def perform(self, scene: Scene) -> None:
        toxiproxy = scene.theatre.toxiproxy
        upstream = (await toxiproxy.proxies())["billing"].upstream
        second = await toxiproxy.create("billing-detour", upstream)
        scene.cleanups.append(lambda: toxiproxy.delete("billing-detour"))
        placed = await scene.order(self.label)
        scene.rules["detour"] = scene.theatre.control.detour(
            placed.account, self.nth, second.listen
        )


@dataclass(frozen=True)
class InvertFlags:
    """The wire carries the opposite of every retry flag."""

    needs: ClassVar[Needs] = WRAPPED
    label: str = ONLY

    async def perform(self, scene: Scene) -> None:
        placed = await scene.order(self.label)
        scene.rules["invert"] = scene.theatre.control.invert(placed.account)


@dataclass(frozen=True)
class HoldRetry:
    """The caller is held before its second attempt, until `Release`."""

    needs: ClassVar[Needs] = NOTHING
    label: str = ONLY

    async def perform(self, scene: Scene) -> None:
        placed = await scene.order(self.label)
        placed.retry = await hold_retry(scene, placed)


@dataclass(frozen=True)
class Hold:
    """Whoever comes to a seam is held there, until `Release` of this name."""

    needs: ClassVar[Needs] = WRAPPED
    name: str
    service: str
    seam: Seam
    nth: int = 1
    label: str = ONLY

    async def perform(self, scene: Scene) -> None:
        placed = await scene.order(self.label)
        scene.rules[self.name] = scene.theatre.control.hold(
            self.service, self.seam, placed.account, self.nth
        )


@dataclass(frozen=True)
class Reached:
    """Until somebody is held at that point."""

    needs: ClassVar[Needs] = WRAPPED
    name: str

    async def perform(self, scene: Scene) -> None:
        rule = scene.rules[self.name]
        async with asyncio.timeout(BOUND_S):
            await rule.reached.wait()


@dataclass(frozen=True)
class Release:
    """Lets go whoever is held: at a named point, or the caller before its retry."""

    needs: ClassVar[Needs] = NOTHING
    name: str = ""
    label: str = ONLY

    async def perform(self, scene: Scene) -> None:
        if self.name:
            scene.rules[self.name].release()
        else:
            barrier = scene.orders[self.label].retry
            if barrier is not None:
                await barrier.release()


@dataclass(frozen=True)
class Place:
    """A shopper sends the order; the scenario goes on meanwhile."""

    needs: ClassVar[Needs] = NOTHING
    label: str = ONLY

    async def perform(self, scene: Scene) -> None:
        await scene.place(self.label)


@dataclass(frozen=True)
class GivenUp:
    """Until the caller has given its first attempt up: it stands before the second one, or has an answer, or ends."""

    needs: ClassVar[Needs] = NOTHING
    label: str = ONLY

    async def perform(self, scene: Scene) -> None:
        placed = scene.orders[self.label]

        async def given_up() -> bool:
            over = placed.placing is not None and placed.placing.done()
            return over or (placed.retry is not None and await placed.retry.reached())

        scene.witness(
            "the caller gave its first attempt up, or had its answer",
            seen=await scene.until(given_up, "the first attempt is over"),
        )


@dataclass(frozen=True)
class Settled:
    """Until the order is settled; the judge says what it means when it is not."""

    needs: ClassVar[Needs] = NOTHING
    label: str = ONLY

    async def perform(self, scene: Scene) -> None:
        await scene.settled(scene.orders[self.label])


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
            )
        if self.effects is not None:
            shot = await scene.snapshot(placed)
            claim = (
                "the money had moved at that moment"
                if self.effects
                else "no money had moved at that moment"
            )
            scene.witness(claim, seen=shot.effects == self.effects)


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
        claim = f"{which} was {self.outcome} to the caller"
        if self.saw:
            claim += f", which saw {self.saw!r}"
        seen = any(
            attempt.outcome == self.outcome and self.saw in attempt.caller_saw
            for attempt in (order.attempts if order else [])
            if self.attempt in (None, attempt.attempt)
        )
        scene.witness(claim, seen=seen)


@dataclass(frozen=True)
class Replay:
    """The harness sends the order's own charge once more, as the network or an attacker might; a promise is tested.

    With `when_collected` it comes after the collector has deleted the key.
    """

    needs: ClassVar[Needs] = NOTHING
    promise: str
    claim: str
    expected: int
    amount_cents: int = AMOUNT_CENTS
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
                lambda: _is_collected(scene, order.sequence_key), "the key is collected"
            )
            scene.witness("the key had been deleted before it was sent again", seen=gone)
        body = {
            "order_id": str(order.order_id),
            "account": placed.account,
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


async def _is_collected(scene: Scene, sequence_key: int) -> bool:
    connection = await scene.connected()
    try:
        return not await connection.fetchval(
            """
            SELECT EXISTS (
              SELECT FROM billing.processed_keys WHERE client = $1 AND sequence_key = $2
            )
            """,
            CLIENT,
            sequence_key,
        )
    finally:
        await connection.close()


def _count(number: int, noun: str) -> str:
    return f"no {noun}" if number == 0 else f"{number} {noun}{'s' if number > 1 else ''}"
