"""Takes a protection away: the services that hold it are started again with a planted bug, and later without.

Guarantee: what the bug needs switched off in the schema is off for as long as it is planted, and on otherwise, also after a lab
that was killed.
"""

from contextlib import suppress

import asyncpg

from chaos.runner.run import WRAPPED
from lab import challenge
from lab.repair import Repair
from lab.setup import Setup


class Planting:
    """`bug` is what is planted now; empty when nothing is."""

    def __init__(self, setup: Setup, repair: Repair) -> None:
        self.bug = ""
        self._owner = setup.harness.target.owner
        self._services = setup.services
        self._repair = repair

    async def open(self) -> None:
        """A lab that was killed in the middle of a challenge may have left the schema changed."""
        await challenge.set_second_net(self._owner, on=True)

    async def close(self) -> None:
        """The database outlives the lab in a compose project. One that is gone already is repaired by the next lab."""
        with suppress(OSError, TimeoutError, asyncpg.PostgresError):
            await challenge.set_second_net(self._owner, on=True)

    async def plant(self, bug: str) -> None:
        """Restarts what has to be restarted; returns when it is ready. Raises `NotPossible`."""
        has = challenge.factories(bug) if bug else {}
        had = challenge.factories(self.bug) if self.bug else {}
        net = not (bug and challenge.BY_BUG[bug].second_net)
        await self._repair.attempt(challenge.set_second_net(self._owner, on=net))
        for service in {**had, **has}:
            factory = has.get(service, WRAPPED[service])
            await self._repair.attempt(self._services.exchange(service, factory))
        self.bug = bug
