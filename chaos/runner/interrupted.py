"""A run that is interrupted: what had been played until then.

Guarantee: what has a verdict keeps it; the run as a whole was not played to its end, and so it never passes.
"""

from contextlib import AbstractContextManager

from chaos.evidence.readings import Witness
from chaos.promises.verdict import judge
from chaos.runner.play import Played
from chaos.runner.run import Progress
from chaos.runner.whole import THE_RUN
from chaos.scenarios.scenario import Scenario


class Recorder:
    """Passes the events of a run on to another watcher, and keeps what was played, in that order."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.played: list[Played] = []

    def shown(self) -> AbstractContextManager[None]:
        """For the length of the run."""
        return self._progress.shown()

    def started(self, scenario: Scenario) -> None:
        """A scenario begins."""
        self._progress.started(scenario)

    def ended(self, played: Played) -> None:
        """A scenario has its verdict."""
        self.played.append(played)
        self._progress.ended(played)


def judge_interrupted() -> Played:
    """The run as a whole: its database is not audited, because something may still be in flight."""
    witnesses = (Witness("the run was played to its end (it was interrupted)", seen=False),)
    return Played(THE_RUN, judge(witnesses, ()), witnesses, (), (), ())
