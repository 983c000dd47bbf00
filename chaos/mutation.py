"""Plants bugs into a stack of its own, one at a time, and looks which promise catches each of them.

Guarantee: a bug counts as caught only when a promise that speaks of it was broken; one that merely makes a scenario
unknown is not. The bugs live beside the tests, never in the services.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from chaos.evidence import readings
from chaos.harness.harness import BOUND_S, Harness
from chaos.runner.play import Played, play
from chaos.runner.whole import judge_run
from chaos.scenarios.catalogue import SCENARIOS
from chaos.steps.step import STANDBY

CATALOGUE = "tests.chaos.planted"


class Bug(Protocol):
    """What a planted bug says of itself."""

    @property
    def name(self) -> str:
        """Short, as the function that plants it."""

    @property
    def title(self) -> str:
        """What is wrong, in words."""

    @property
    def factories(self) -> Mapping[str, str]:
        """The ASGI factory of each service that has it."""

    @property
    def migration(self) -> str:
        """What a wrong migration does to the schema; empty where the schema is right."""

    @property
    def scenarios(self) -> Sequence[str]:
        """What provokes it."""

    @property
    def promises(self) -> frozenset[str]:
        """Those that have to catch it: any one is enough."""


@dataclass(frozen=True)
class Hunted:
    """A bug, the scenarios that were played with it, and the promises that were broken."""

    bug: Bug
    played: Sequence[Played]
    broken: Sequence[str]

    @property
    def caught(self) -> bool:
        """Whether a promise that speaks of this bug was broken."""
        return not self.bug.promises.isdisjoint(self.broken)


# Opens the stack with these factories, in which work may take so many seconds to come to its end; with a standby or without.
Open = Callable[[Mapping[str, str], float, bool], AbstractAsyncContextManager[Harness]]
# Promises that are broken by what does not happen. A bug that only they catch is waited for in vain, so not for long: less than half
# a minute can only find the bug sooner. Longer than a lease and the pause of a loop, so that what would heal has healed.
_IN_VAIN = frozenset({"F3", "L1", "L7", "L8", "T"})
_IN_VAIN_BOUND_S = 10.0


def planted() -> Sequence[Bug]:
    """All bugs. Raises `ModuleNotFoundError` where the tests were not delivered."""
    bugs: Sequence[Bug] = importlib.import_module(CATALOGUE).BUGS
    return bugs


async def hunt(bug: Bug, open_with: Open) -> Hunted:
    """Starts a stack with the bug, plays what provokes it, and judges."""
    bound_s = _IN_VAIN_BOUND_S if bug.promises <= _IN_VAIN else BOUND_S
    chosen = [scenario for scenario in SCENARIOS if scenario.name in bug.scenarios]
    with_standby = any(scenario.needs >= STANDBY for scenario in chosen)
    async with open_with(bug.factories, bound_s, with_standby) as harness:
        if bug.migration:
            owner = await readings.connect(harness.target.owner)
            await owner.execute(bug.migration)
            await owner.close()
        played = [await play(harness, scenario) for scenario in chosen]
        played.append(await judge_run(harness, played))
    broken = {f.promise: None for p in played for f in p.findings if not f.kept}
    return Hunted(bug, played, tuple(broken))
