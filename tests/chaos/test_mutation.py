"""What counts as catching a planted bug."""

import pytest

from chaos.mutation import Hunted
from tests.chaos.planted import BUGS

BUG = BUGS[0]


@pytest.mark.parametrize(
    ("broken", "caught"),
    [
        ((), False),
        (("a promise about something else",), False),
        (("a promise about something else", *sorted(BUG.promises)), True),
    ],
    ids=["none is broken", "another one is broken", "its own is broken"],
)
def test_a_bug_is_caught_by_its_own_promise(broken: tuple[str, ...], caught: bool) -> None:
    """A scenario that is unknown breaks no promise, and so catches nothing; nor does a promise that speaks of something else."""
    assert Hunted(BUG, (), broken).caught is caught
