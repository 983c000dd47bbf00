"""The acts of which scenarios are made: orders, the network, and who is held where.

Guarantee: an act waits for evidence of the one before it and never for time; an act that cannot be sure that it struck
says so by a witness that was not seen.
"""

import asyncio
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from chaos.barriers import hold_retry
from chaos.control import Seam
from chaos.evidence import Check
from chaos.scene import ONLY, Scene
from chaos.theatre import BOUND_S
from chaos.toxics import LimitData, Toxic
from order_service.wire import Status

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
    """The retry goes another way: over a second proxy to the same upstream."""

    needs: ClassVar[Needs] = WRAPPED
    label: str = ONLY

    async def perform(self, scene: Scene) -> None:
        toxiproxy = scene.theatre.toxiproxy
        upstream = (await toxiproxy.proxies())["billing"].upstream
        second = await toxiproxy.create("billing-detour", upstream)
        scene.cleanups.append(lambda: toxiproxy.delete("billing-detour"))
        placed = await scene.order(self.label)
        scene.rules["detour"] = scene.theatre.control.detour(placed.account, 2, second.listen)


@dataclass(frozen=True)
class DetourToAnotherProcess:
    """The retry goes to a billing process that does not have the original."""

    needs: ClassVar[Needs] = PROCESSES
    label: str = ONLY

    async def perform(self, scene: Scene) -> None:
        placed = await scene.order(self.label)
        pid = scene.theatre.history.arrivals("billing_service", placed.account)[0].pid
        stack = scene.theatre.stack
        other = next(c for c in stack.children("billing_service") if c.pid != pid)
        via = stack.url_of(other).removeprefix("http://")
        scene.rules["detour"] = scene.theatre.control.detour(placed.account, 2, via)


@dataclass(frozen=True)
class DetourToAStranger:
    """Attempts go to a service that knows no charges, as behind a balancer with a wrong entry: a 404, and not billing's."""

    needs: ClassVar[Needs] = PROCESSES
    first: int = 2
    label: str = ONLY

    async def perform(self, scene: Scene) -> None:
        placed = await scene.order(self.label)
        stack = scene.theatre.stack
        via = stack.url_of(stack.children("order_service")[0]).removeprefix("http://")
        scene.rules["detour"] = scene.theatre.control.detour(placed.account, self.first, via)
        scene.theatre.history.note(
            "detour", placed.account, text="from here on, attempts go where nobody knows charges"
        )


@dataclass(frozen=True)
class WrongToken:
    """The retry carries a token that billing does not know, as in the middle of a rotation: a definite 401."""

    needs: ClassVar[Needs] = WRAPPED
    label: str = ONLY

    async def perform(self, scene: Scene) -> None:
        placed = await scene.order(self.label)
        scene.rules["token"] = scene.theatre.control.use_token(placed.account, 2, "unknown-token")


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
        placed = scene.orders[self.label]
        order = await scene.settled(placed)
        if order is not None:
            placed.overdue = order.status is Status.PENDING
            # At this moment: what the harness takes away at the end of the scenario is no help that a user would have.
            scene.checks.append(
                Check(
                    "L1",
                    "the order was settled by the stack itself, without the harness's help",
                    order.status is not Status.PENDING,
                    f"{self.label} was still pending after {BOUND_S:g} s, and {len(order.attempts)} attempts were over",
                    liveness=True,
                )
            )
