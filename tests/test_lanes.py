"""The lanes: what is listed exists, and a test that is in no list is in `make quick`."""

import pytest

from stack.schema import PROJECT
from tests import lanes
from tests.chaos.planted import BUGS


@pytest.mark.parametrize("prefix", lanes.SLOW)
def test_what_is_slow_exists(prefix: str) -> None:
    """A test that is renamed does not leave its lane."""
    path, _, name = prefix.partition("::")
    assert (PROJECT / path).exists()
    if name:
        assert f"def {name}(" in (PROJECT / path).read_text(encoding="utf-8")


def test_the_sample_has_the_bug_that_fewest_promises_catch() -> None:
    """A bug that several promises catch may be caught by another one than the one that it is to try."""
    many = next(bug for bug in BUGS if len(bug.promises) > 1)
    for promise in many.promises:
        alone = next((bug for bug in BUGS if bug.promises == {promise}), None)
        if alone is not None:
            assert alone in lanes.sample([many, alone])
    assert lanes.sample([many]) == [many]


def test_markers(request: pytest.FixtureRequest) -> None:
    """This test is in every lane."""
    markers = {marker.name for marker in request.node.iter_markers()}
    assert not markers & {"chaos", "slow", "mutants"}
