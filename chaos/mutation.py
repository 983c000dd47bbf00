"""Plants bugs into a stack of its own, one at a time, and looks which promise catches each of them.

Guarantee: a bug counts as caught only when a promise that speaks of it was broken; one that merely makes a scenario
unknown is not. The bugs live beside the tests, never in the services.
"""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from chaos.evidence import readings
from chaos.harness.harness import BOUND_S
from chaos.runner.play import Played, play
from chaos.runner.run import ENVIRONMENT, WRAPPED, open_harness
from chaos.runner.whole import judge_run
from chaos.scenarios.catalogue import SCENARIOS
from chaos.steps.step import STANDBY
from stack.servers import LentServers

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


# Promises that are broken by what does not happen. A bug that only they catch is waited for in vain, so not for long: less than half
# a minute can only find the bug sooner. Longer than a lease and the pause of a loop, so that what would heal has healed. The same holds
# with a standby, where each deadline is two seconds at most.
_IN_VAIN = frozenset({"F3", "L1", "L7", "L8", "T"})
_IN_VAIN_BOUND_S = 10.0


def planted() -> Sequence[Bug]:
    """All bugs. Raises `ModuleNotFoundError` where the tests were not delivered."""
    bugs: Sequence[Bug] = importlib.import_module(CATALOGUE).BUGS
    return bugs


async def hunt(bug: Bug, run_dir: Path, servers: LentServers) -> Hunted:
    """Starts a stack with the bug in `run_dir`, plays what provokes it, and judges. Raises `StackError`."""
    chosen = [scenario for scenario in SCENARIOS if scenario.name in bug.scenarios]
    with_standby = any(scenario.needs >= STANDBY for scenario in chosen)
    in_vain = with_standby or bug.promises <= _IN_VAIN
    bound_s = _IN_VAIN_BOUND_S if in_vain else BOUND_S
    async with open_harness(
        run_dir,
        lambda _: None,
        usual_ports=False,
        factories={**WRAPPED, **bug.factories},
        # An order that is never settled is not waited for any longer.
        environ={**ENVIRONMENT, "ORDER_WAIT_BUDGET_S": f"{bound_s:g}"},
        servers=servers,
        bound_s=bound_s,
        with_standby=with_standby,
    ) as harness:
        if bug.migration:
            owner = await readings.connect(harness.target.owner)
            await owner.execute(bug.migration)
            await owner.close()
        played = [await play(harness, scenario) for scenario in chosen]
        played.append(await judge_run(harness, played))
    broken = {f.promise: None for p in played for f in p.findings if not f.kept}
    return Hunted(bug, played, tuple(broken))
