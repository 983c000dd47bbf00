"""All answers are cut while a button is pressed.

Guarantee: a page that has gone, or forgot to let go, cuts nothing for longer than `LEASE_S`.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from lab.columns import COLUMNS, Column
from lab.held import NotPossible
from lab.network import Network
from lab.repair import Repair
from lab.strikes import ANSWERS_CUT
from stack.toxics import ToxiproxyError

# The page says every 1.5 s that its button is still pressed.
LEASE_S = 5.0


class Cutting:
    """`account` names the order of a column in whose diagram the toxic is shown; `changed` hears of each change."""

    def __init__(
        self,
        network: Network,
        repair: Repair,
        account: Callable[[Column], str],
        changed: Callable[[bool], None],
    ) -> None:
        self.on = False
        self._network = network
        self._repair = repair
        self._account = account
        self._changed = changed
        self._lease: asyncio.TimerHandle | None = None
        self._letting_go: set[asyncio.Task[None]] = set()

    async def begin(self) -> bool:
        """Arms the toxics and says whether they were not armed before. Raises `NotPossible`."""
        self._renew()
        if self.on:
            return False
        await self._repair.start_clean()
        for column in COLUMNS:
            arming = self._network.arm(column, self._account(column), ANSWERS_CUT)
            await self._repair.attempt(arming)
        self.on = True
        self._changed(True)
        return True

    async def end(self) -> None:
        """Removes the toxics; each must still be armed. Raises `NotPossible`."""
        self.forget()
        for column in COLUMNS:
            try:
                await self._network.disarm(column, self._account(column), ANSWERS_CUT)
            except ToxiproxyError:
                await self._repair.attempt(self._network.heal())
        self._changed(False)

    def forget(self) -> None:
        """Nothing is cut any more: the toxics are gone, or are being removed."""
        self.on = False
        if self._lease is not None:
            self._lease.cancel()
            self._lease = None

    async def close(self) -> None:
        """Ends what is still being removed."""
        self.forget()
        for task in self._letting_go:
            task.cancel()
        await asyncio.gather(*self._letting_go, return_exceptions=True)

    def _renew(self) -> None:
        if self._lease is not None:
            self._lease.cancel()
        self._lease = asyncio.get_running_loop().call_later(LEASE_S, self._run_out)

    def _run_out(self) -> None:
        task = asyncio.create_task(self._let_go())
        self._letting_go.add(task)
        task.add_done_callback(self._letting_go.discard)

    async def _let_go(self) -> None:
        # What could not be done was said on the page.
        with suppress(NotPossible):
            await self.end()
