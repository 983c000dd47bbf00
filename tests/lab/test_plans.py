"""A plan is text that is read as it was written, or refused with one sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import plans
from lab.plans import Action, Decision, NotAPlan, Plant

_points = [
    (seam, action)
    for seam, actions in plans.POSSIBLE.items()
    for action in actions
    if action is not Action.PASS
]
_decisions = st.builds(
    lambda column, attempt, point: Decision(column, point[0], attempt, point[1]),
    st.sampled_from("mlk*"),
    st.integers(1, 999),
    st.sampled_from(_points),
)
_entries = st.one_of(
    st.lists(_decisions, max_size=6).map(tuple),
    st.builds(Plant, st.sampled_from(["", "dedupe_in_memory"])),
)


@given(st.lists(_entries, min_size=1, max_size=8))
def test_what_was_written_is_read_again(entries: list[plans.Entry]) -> None:
    """With the same meaning for every message of every column."""
    read = plans.read(plans.write(entries))
    assert len(read) == len(entries)
    for before, after in zip(entries, read, strict=True):
        if isinstance(before, Plant) or isinstance(after, Plant):
            assert before == after
        else:
            # Of two decisions about one point the later one counts; writing groups them by what is done.
            assert {
                (column, seam, attempt) for (column, seam, attempt) in plans.of_columns(before)
            } == {(column, seam, attempt) for (column, seam, attempt) in plans.of_columns(after)}


def test_all_three_columns_are_written_once() -> None:
    """A star stands for all of them."""
    (entry,) = plans.read("mr1l.lr1l.kr1l")
    assert plans.write([entry]) == "*r1l"


@pytest.mark.parametrize("text", plans.SITUATIONS.values())
def test_a_situation_is_a_plan(text: str) -> None:
    """Each of them is read and written as it is."""
    assert plans.write(plans.read(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ";;",
        "x",
        "*r1",
        "*q1l",
        "*r0l",
        "*r1000l",
        "*a1l",
        "*s1p",
        "!Bad",
        "-" * 5_000,
        ";".join("-" * 41),
    ],
)
def test_what_is_no_plan_is_refused(text: str) -> None:
    """With one sentence, whatever it is."""
    with pytest.raises(NotAPlan) as refused:
        plans.read(text)
    assert str(refused.value).endswith(".")
