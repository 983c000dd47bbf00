"""The proxies of the three columns, and the toxics on them.

Guarantee: a toxic counts as armed when Toxiproxy has shown it, and is looked at again before it is removed; each is written
to the journal with the account of the order that it strikes.
"""

import json
from collections.abc import Callable
from contextlib import suppress

from lab.columns import COLUMNS, Column
from lab.setup import Setup
from stack.toxics import (
    DeadlineExceeded,
    Latency,
    ProxyState,
    Refused,
    Timeout,
    Toxic,
    ToxiproxyError,
)

# The caller sees its connection end after this time, while its request is still on the way.
GIVEN_UP_AFTER_MS = 500
# Then its retry is billed before the original arrives; and, with the longer one, the order is settled and its key forgotten.
LATE_MS = 1_800
FORGOTTEN_MS = 6_000

Curl = Callable[[str], None]


class Network:
    """`shell` hears each call of Toxiproxy's API as a line for a shell."""

    def __init__(self, setup: Setup, shell: Curl) -> None:
        self._setup = setup
        self._journal = setup.harness.journal
        self._toxiproxy = setup.harness.toxiproxy
        self._shell = shell
        self._listen: dict[str, str] = {}
        self._late = 0

    async def open(self) -> None:
        """A proxy for each column, to the billing process that is its own."""
        for column in COLUMNS:
            state = await self._create(column.proxy, column)
            self._listen[column.proxy] = state.listen

    def route(self, column: Column) -> str:
        """Where the column's attempts go, host:port."""
        return self._setup.at(self._listen[column.proxy])

    async def arm(self, column: Column, account: str, toxic: Toxic) -> None:
        """Arms a toxic and reads it back. Raises `ToxiproxyError`."""
        await self._toxiproxy.arm(column.proxy, toxic)
        self._shell(self._curl_arm(column.proxy, toxic))
        self._journal.note("armed", account, proxy="billing", toxic=str(toxic))

    async def disarm(self, column: Column, account: str, toxic: Toxic) -> bool:
        """Removes a toxic; whether it was still armed. Raises `ToxiproxyError` when it cannot be removed."""
        try:
            await self._toxiproxy.still_armed(column.proxy, toxic)
            seen = True
        except ToxiproxyError:
            seen = False
        await self._toxiproxy.remove(column.proxy, toxic.name)
        url = f"{self._setup.published.toxiproxy}/proxies/{column.proxy}/toxics/{toxic.name}"
        self._shell(f"curl -X DELETE {url}")
        self._journal.note("healed", account, proxy="billing")
        return seen

    async def open_late(self, column: Column, account: str, late_ms: int) -> tuple[str, str]:
        """A second proxy, on which a request takes long and its caller is cut off soon: its name, and host:port."""
        self._late += 1
        name = f"{column.proxy}-late-{self._late}"
        state = await self._create(name, column)
        for toxic in (
            Latency(latency_ms=late_ms, stream="upstream"),
            Timeout(timeout_ms=GIVEN_UP_AFTER_MS),
        ):
            await self._toxiproxy.arm(name, toxic)
            self._shell(self._curl_arm(name, toxic))
            self._journal.note("armed", account, proxy="billing", toxic=str(toxic))
        return name, self._setup.at(state.listen)

    async def close_late(self, name: str, account: str) -> None:
        """Ends that proxy."""
        await self._toxiproxy.delete(name)
        self._journal.note("healed", account, proxy="billing")

    async def heal(self) -> None:
        """Removes every toxic. A proxy that does not let go of one, or is missing, is made anew, which ends its connections."""
        for column in COLUMNS:
            try:
                for name in await self._toxiproxy.toxics(column.proxy):
                    await self._toxiproxy.remove(column.proxy, name)
            except (Refused, DeadlineExceeded):
                await self._make_anew(column)

    async def _make_anew(self, column: Column) -> None:
        # Refused when Toxiproxy was started again: it knows only the proxies of the stack then.
        with suppress(Refused):
            await self._toxiproxy.delete(column.proxy)
        listen = self._listen[column.proxy]
        await self._toxiproxy.create(column.proxy, self._upstream(column), listen)

    async def has_toxics(self) -> bool:
        """Whether a column's proxy has any, or is missing."""
        try:
            return any([await self._toxiproxy.toxics(column.proxy) for column in COLUMNS])
        except Refused:
            return True

    async def _create(self, name: str, column: Column) -> ProxyState:
        listen = self._setup.proxy_listen
        return await self._toxiproxy.create(name, self._upstream(column), listen)

    def _upstream(self, column: Column) -> str:
        services = self._setup.services
        child = services.children("billing_service")[column.number]
        return services.url_of(child).removeprefix("http://")

    def _curl_arm(self, proxy: str, toxic: Toxic) -> str:
        body = {"type": toxic.type, "stream": toxic.stream, "attributes": toxic.attributes}
        url = f"{self._setup.published.toxiproxy}/proxies/{proxy}/toxics"
        return f"curl {url} -d '{json.dumps(body)}'"
