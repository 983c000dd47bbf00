"""Numbers as a person reads them."""

import pytest

from report.numbers import often, was


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "never"),
        (1, "once"),
        (2.0, "twice"),
        (3, "3 times"),
        (0.123456789, "0.123457 times"),
        (1234567, "1.23457e+06 times"),
    ],
)
def test_a_number_without_a_word(number: float, said: str) -> None:
    """It has six digits and no more; the smallest ones have a word."""
    assert often(number) == said


def test_what_was_never_done() -> None:
    """The sentence says no, and not how often."""
    assert was("withdrawn", 0) == "was never withdrawn"
    assert was("withdrawn", 3) == "was withdrawn 3 times"
