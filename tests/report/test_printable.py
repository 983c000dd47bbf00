"""Text from outside is shown, and does nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from report.printable import printable, shortened


@given(st.text(st.characters(exclude_categories=[])))
def test_nothing_unprintable_is_left(text: str) -> None:
    """Any text, lone surrogates too: what comes out can be seen and encoded."""
    shown = printable(text)
    assert shown.replace("\n", "").isprintable()
    shown.encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ä, 金", "plain, ä, 金"),
        ("two\nlines", "two\nlines"),
        ("\x00", "\\x00"),
        ("\t", "\\t"),
        ("\ud800", "\\ud800"),
        ("\u202e", "\\u202e"),
    ],
)
def test_what_cannot_be_seen_is_written_out(text: str, shown: str) -> None:
    """A reader finds out that it was there; what can be seen stays as it is."""
    assert printable(text) == shown


@given(st.text(), st.integers(1, 50))
def test_a_label_is_one_short_line(text: str, length_max: int) -> None:
    """Whatever the text, a diagram's label has its place."""
    assert len(shortened(text, length_max)) <= length_max
    assert "\n" not in shortened(text, length_max)


def test_what_is_left_out_is_marked() -> None:
    """A shortened label says that it is one; a short one is whole."""
    assert shortened("abcdef", 4) == "abc…"
    assert shortened("abcd", 4) == "abcd"
