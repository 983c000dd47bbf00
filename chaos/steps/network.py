"""Steps that strike the network: toxics, closed proxies, other routes to billing.

Guarantee: a toxic counts only when Toxiproxy showed it both after arming and before healing.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from chaos.harness.context import ONLY, Context
from chaos.steps.step import NOTHING, PROCESSES, WRAPPED, Needs
from stack.toxics import LimitData, Toxic


@dataclass(frozen=True)
class Arm:
    """Arms a toxic on a proxy, until `Heal` or `RemoveToxics`."""

    needs: ClassVar[Needs] = NOTHING
    proxy: str
    toxic: Toxic

    async def perform(self, context: Context) -> None:
        await context.arm(self.proxy, self.toxic)


@dataclass(frozen=True)
class CutInBody:
    """Cuts one direction of billing's proxy in the middle of the body.

    The journal gives the length of the head: that of the order which warmed the connection up.
    """

    needs: ClassVar[Needs] = WRAPPED
    stream: Literal["upstream", "downstream"]

    async def perform(self, context: Context) -> None:
        seam = "arrival" if self.stream == "upstream" else "reply"
        warm_up = context.journal.last("billing_service", seam).fields
        limit = warm_up["head_bytes"] + warm_up["body_bytes"] // 2
        await context.arm("billing", LimitData(bytes=limit, stream=self.stream))


@dataclass(frozen=True)
class RefuseConnections:
    """Closes a proxy's listener: the caller gets a definite connect error."""

    needs: ClassVar[Needs] = NOTHING
    proxy: str

    async def perform(self, context: Context) -> None:
        await context.refuse(self.proxy)


@dataclass(frozen=True)
class Heal:
    """Removes every fault of the network; its toxics must still be armed."""

    needs: ClassVar[Needs] = NOTHING

    async def perform(self, context: Context) -> None:
        await context.heal()


@dataclass(frozen=True)
class RemoveToxics:
    """Removes the toxics of one proxy (or those of one kind) and keeps its connections: what they held back arrives now."""

    needs: ClassVar[Needs] = NOTHING
    proxy: str
    kind: type[Toxic] = Toxic

    async def perform(self, context: Context) -> None:
        await context.remove_toxics(self.proxy, self.kind)


@dataclass(frozen=True)
class Detour:
    """Sends the retry over a second proxy to the same upstream."""

    needs: ClassVar[Needs] = WRAPPED
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        toxiproxy = context.network
        upstream = (await toxiproxy.proxies())["billing"].upstream
        second = await toxiproxy.create("billing-detour", upstream)
        context.cleanups.append(lambda: toxiproxy.delete("billing-detour"))
        placed = await context.order(self.label)
        context.rules["detour"] = context.control.detour(placed.account, 2, second.listen)


@dataclass(frozen=True)
class DetourToAnotherProcess:
    """Sends the retry to a billing process that does not have the original."""

    needs: ClassVar[Needs] = PROCESSES
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = await context.order(self.label)
        pid = context.journal.arrivals("billing_service", placed.account)[0].pid
        stack = context.services
        other = next(c for c in stack.children("billing_service") if c.pid != pid)
        via = stack.url_of(other).removeprefix("http://")
        context.rules["detour"] = context.control.detour(placed.account, 2, via)


@dataclass(frozen=True)
class DetourToWrongService:
    """Sends attempts to a service without charges, as a load balancer with a wrong entry would: its 404 is not billing's."""

    needs: ClassVar[Needs] = PROCESSES
    first: int = 2
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = await context.order(self.label)
        stack = context.services
        via = stack.url_of(stack.children("order_service")[0]).removeprefix("http://")
        context.rules["detour"] = context.control.detour(placed.account, self.first, via)
        context.journal.note(
            "detour", placed.account, text="from here on, attempts reach a service without charges"
        )


@dataclass(frozen=True)
class WrongToken:
    """Gives the retry a token that billing does not know, as in the middle of a rotation: a definite 401."""

    needs: ClassVar[Needs] = WRAPPED
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = await context.order(self.label)
        context.rules["token"] = context.control.use_token(placed.account, 2, "unknown-token")


@dataclass(frozen=True)
class InvertFlags:
    """Inverts every retry flag on the wire."""

    needs: ClassVar[Needs] = WRAPPED
    label: str = ONLY

    async def perform(self, context: Context) -> None:
        placed = await context.order(self.label)
        context.rules["invert"] = context.control.invert(placed.account)
