"""The catalogue in parts: each scenario is played once, and one process judges what all of them have played."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chaos.promises.audit import Finding as Row
from chaos.promises.verdict import Verdict
from chaos.runner.play import Played
from chaos.runner.whole import Share, judge_shares
from chaos.scenarios.catalogue import SCENARIOS
from chaos.scenarios.table import TABLE
from chaos.steps.step import STANDBY
from tests.chaos.parts import IN_ORDER, PARTS, Meeting, part_of

UNANSWERED = [each for each in TABLE if each.situation is not None and not each.situation.answered]
NOTHING = Share((), (), "", 0.0)


def played(place: int, saw: str = "no answer") -> Played:
    """A scenario of the table that passed, and what its caller saw."""
    order: Any = SimpleNamespace(order=SimpleNamespace(attempts=[SimpleNamespace(caller_saw=saw)]))
    return Played(UNANSWERED[place], Verdict.PASS, (), (), (order,), ())


def share(*cells: Played, **fields: Any) -> Share:
    return Share(**{**vars(NOTHING), "played": cells, **fields})


def test_every_scenario_is_in_one_part() -> None:
    """They are about as many in each, and what needs a standby is together."""
    assert sorted(each.name for each in IN_ORDER) == sorted(each.name for each in SCENARIOS)
    sizes = Counter(part_of(each.name) for each in SCENARIOS)
    assert set(sizes) == set(range(PARTS))
    assert min(sizes.values()) > len(SCENARIOS) // (PARTS + 1)
    assert len({part_of(each.name) for each in SCENARIOS if each.needs >= STANDBY}) == 1
    assert [part_of(str(part)) for part in range(PARTS)] == list(range(PARTS))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_the_last_process_has_the_shares_of_all(tmp_path: Path, order: tuple[int, ...]) -> None:
    """No other has them, and a scenario comes back as itself."""
    *first, last = order
    for part in first:
        assert Meeting(tmp_path / "parts", 3).hand_in(part, share(played(part))) is None
    shares = Meeting(tmp_path / "parts", 3).hand_in(last, share(played(last), beyond_repair="no"))
    assert shares is not None
    assert [each.played[0].scenario for each in shares] == UNANSWERED[:3]
    assert [each.beyond_repair for each in shares].count("no") == 1
    # A process that ended at the same moment sees all shares as well.
    assert Meeting(tmp_path / "parts", 3).hand_in(first[0], NOTHING) is None


def test_a_run_of_several_stacks() -> None:
    """It passes when all of them agree: the control of what follows."""
    whole = judge_shares([share(played(place)) for place in range(len(UNANSWERED))])
    assert whole.verdict is Verdict.PASS
    assert [finding.promise for finding in whole.findings] == ["X6", "L1", "S"]


def test_callers_of_two_stacks_that_saw_different_things() -> None:
    """No stack alone shows it; the whole run does."""
    shares = [share(played(place)) for place in range(len(UNANSWERED) - 1)]
    shares.append(share(played(-1, "an answer of its own")))
    whole = judge_shares(shares)
    assert [finding.promise for finding in whole.findings if not finding.kept] == ["S"]
    assert whole.verdict is Verdict.FAIL


@pytest.mark.parametrize("place", [0, 1])
def test_the_database_of_any_stack_fails_the_run(place: int) -> None:
    """Whichever of them it is."""
    shares = [share(*(played(each) for each in range(len(UNANSWERED)))), NOTHING]
    shares[place] = share(*shares[place].played, audited=[Row("double", "an order", "")])
    whole = judge_shares(shares)
    assert [finding.promise for finding in whole.findings if not finding.kept] == ["X6"]
    assert whole.verdict is Verdict.FAIL


def test_a_stack_that_could_not_go_on() -> None:
    """The run is unknown, whatever the other stacks have shown."""
    shares = [share(*(played(each) for each in range(len(UNANSWERED))))]
    whole = judge_shares([*shares, share(beyond_repair="billing_service-0 does not start\nmore")])
    assert whole.verdict is Verdict.UNKNOWN
    assert [witness.claim for witness in whole.witnesses if not witness.seen] == [
        "all scenarios could be played (billing_service-0 does not start)"
    ]
