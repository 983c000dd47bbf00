"""The catalogue in parts, so that several test processes play it at the same time, each on a stack of its own.

Guarantee: the process that ends last judges what all of them have played, and no other does.
"""

import pickle
from pathlib import Path
from typing import Any

from chaos.runner.run import drawn
from chaos.runner.whole import Share
from chaos.scenarios.catalogue import SCENARIOS
from chaos.scenarios.scenario import Scenario
from chaos.steps.step import STANDBY

PARTS = 3
# The order of `chaos run` with this seed, which the report names.
SEED = 0
IN_ORDER = drawn(SCENARIOS, SEED)
_BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def part_of(name: str) -> int:
    """The part in which a scenario is played, by its name, or which a number names; what is neither is in the first."""
    return int(name) if name.isdecimal() else _PART.get(name, 0)


def _shared_out() -> dict[str, int]:
    """They are dealt out like cards, but those that need a second stack, with a standby, are all in the first part."""
    standby = {scenario.name for scenario in IN_ORDER if scenario.needs >= STANDBY}
    others = [scenario.name for scenario in IN_ORDER if scenario.name not in standby]
    return dict.fromkeys(standby, 0) | {
        name: number % PARTS for number, name in enumerate(others, start=1)
    }


_PART = _shared_out()


class Meeting:
    """Where the processes of one run of the tests meet: a folder that all of them reach."""

    def __init__(self, folder: Path, expected: int) -> None:
        self._folder = folder
        self._expected = expected

    def hand_in(self, part: int, share: Share) -> list[Share] | None:
        """The shares of all parts, in their order, for the one process that is the last; None for the others."""
        self._folder.mkdir(exist_ok=True)
        draft = self._folder / f"{part}.draft"
        with draft.open("wb") as file:
            _Pickler(file).dump(share)
        draft.replace(self._folder / f"{part}.share")
        paths = sorted(self._folder.glob("*.share"))
        if len(paths) < self._expected:
            return None
        try:
            # Two that end at the same moment both see all shares.
            (self._folder / "judged").touch(exist_ok=False)
        except FileExistsError:
            return None
        return [_read(path) for path in paths]


def _read(path: Path) -> Share:
    with path.open("rb") as file:
        share: Share = _Unpickler(file).load()
    return share


class _Pickler(pickle.Pickler):
    """A scenario is written as its name: the steps of some cannot be written."""

    def persistent_id(self, obj: Any) -> str | None:
        return obj.name if isinstance(obj, Scenario) else None


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, pid: Any) -> Scenario:
        return _BY_NAME[pid]
