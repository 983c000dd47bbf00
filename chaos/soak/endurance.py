"""Rounds until the time is up; a round that fails is made small, and its rate is measured.

Guarantee: each trial has services and a database of its own, so that nothing of the failure before is found again; the plan that is
printed has failed in a trial of its own.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from chaos.promises.verdict import Verdict
from chaos.soak.plan import Plan, draw
from chaos.soak.rounds import Round, open_soak, play_round
from chaos.soak.shrink import REPLAYS, TRIALS_MAX, replay, shrink
from stack.servers import LentServers

Show = Callable[[int, Round], None]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Endured:
    """What a soak gave. `smallest` is the plan of the failure made small, `failures` of `replays` trials it failed in."""

    rounds: int
    accepted: int
    attempts: int
    last: Round
    smallest: Plan | None = None
    failures: int = 0
    replays: int = REPLAYS

    @property
    def verdict(self) -> Verdict:
        """That of the last round: every one before has passed."""
        return self.last.verdict


class Endurance:
    """`factories` replaces ASGI factories, for planted bugs; `directory` gets a folder for each stack.

    A failing plan is made small in `trials_max` trials, and the smallest one played `replays` times.
    """

    def __init__(
        self,
        directory: Path,
        say: Say,
        servers: LentServers,
        factories: Mapping[str, str] | None = None,
        *,
        trials_max: int = TRIALS_MAX,
        replays: int = REPLAYS,
    ) -> None:
        self._directory = directory
        self._servers = servers
        self._trials_max = trials_max
        self._replays = replays
        self._say = say
        self._factories = factories
        self._stacks = 0

    async def endure(self, seed: int, duration_s: float, show: Show) -> Endured:
        """Rounds on one stack for so many seconds, or to the first one that does not pass."""
        ends_s = time.monotonic() + duration_s
        rounds = accepted = attempts = 0
        async with open_soak(self._fresh(), self._servers, self._factories) as harness:
            while True:
                played = await play_round(harness, draw(seed, rounds))
                show(rounds, played)
                rounds += 1
                accepted += played.accepted
                attempts += played.attempts
                if played.verdict is not Verdict.PASS or time.monotonic() >= ends_s:
                    break
        smallest, failures = None, 0
        if played.verdict is Verdict.FAIL:
            smallest, failures = await self._made_small(played.plan)
        return Endured(rounds, accepted, attempts, played, smallest, failures, self._replays)

    async def once(self, plan: Plan) -> Round:
        """One plan on a stack of its own."""
        async with open_soak(self._fresh(), self._servers, self._factories) as harness:
            return await play_round(harness, plan)

    async def _made_small(self, plan: Plan) -> tuple[Plan, int]:
        self._say(f"It failed. Looking for a smaller plan than {len(plan.strikes)} strikes …")
        smallest = await shrink(plan, self._fails, self._trials_max)
        self._say(f"Playing the smallest one {self._replays} times …")
        return smallest, await replay(smallest, self._fails, self._replays)

    async def _fails(self, plan: Plan) -> bool:
        return (await self.once(plan)).verdict is Verdict.FAIL

    def _fresh(self) -> Path:
        self._stacks += 1
        return self._directory / f"stack-{self._stacks}"
