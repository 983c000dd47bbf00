"""The judge says no when it must."""

import pytest

from chaos.verdict import Measured, Verdict, Witness, effects_computed, judge, worst
from order_service.wire import Delivery

SEEN = (Witness("it struck", seen=True),)


def measured(effects: float, commits: int, witnesses: tuple[Witness, ...] = SEEN) -> Measured:
    return Measured(
        effects=effects,
        arrivals=1,
        commits=commits,
        attempts=1,
        caller_saw="",
        witnesses=witnesses,
    )


@pytest.mark.parametrize(
    ("executed", "answered", "expected"),
    [(True, True, (1, 1, 1)), (True, False, (1, 2, 1)), (False, False, (0, 1, 1))],
)
def test_the_cells_are_computed(
    executed: bool, answered: bool, expected: tuple[int, int, int]
) -> None:
    """From the two middle columns of the table alone."""
    order = (Delivery.AT_MOST_ONCE, Delivery.AT_LEAST_ONCE, Delivery.EXACTLY_ONCE)
    computed = tuple(
        effects_computed(executed=executed, answered=answered, delivery=delivery)
        for delivery in order
    )
    assert computed == expected


def test_agreement_passes() -> None:
    """Witnessed, and the money is as computed."""
    assert judge(1, measured(1, 1)) is Verdict.PASS


@pytest.mark.parametrize(("effects", "commits"), [(2, 2), (0, 0), (1, 2), (2, 1), (0.5, 1)])
def test_money_that_differs_fails(effects: float, commits: int) -> None:
    """Doubled, lost, in part, or explained by another number of withdrawals than was committed."""
    assert judge(1, measured(effects, commits)) is Verdict.FAIL


@pytest.mark.parametrize("witnesses", [(), (Witness("it struck", seen=False),)])
def test_without_a_witness_it_is_unknown(witnesses: tuple[Witness, ...]) -> None:
    """The right money proves nothing when nobody saw the fault strike."""
    assert judge(1, measured(1, 1, witnesses)) is Verdict.UNKNOWN


def test_the_worst_counts() -> None:
    """A broken promise outweighs the unknown; a run that judged nothing is unknown."""
    assert worst([Verdict.PASS, Verdict.UNKNOWN, Verdict.FAIL]) is Verdict.FAIL
    assert worst([Verdict.PASS, Verdict.UNKNOWN]) is Verdict.UNKNOWN
    assert worst([]) is Verdict.UNKNOWN
    assert [verdict.exit_code for verdict in Verdict] == [0, 1, 2]
