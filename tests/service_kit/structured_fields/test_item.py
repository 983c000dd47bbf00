"""The fast path for the usual values returns what the parser returns."""

import http_sf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_kit.structured_fields import MalformedItem, item


def parsed(text: str) -> object:
    try:
        value = http_sf.parse(text.encode("latin-1"), tltype="item")
    except http_sf.StructuredFieldError:
        return MalformedItem
    return value[0] if isinstance(value, tuple) else MalformedItem


def read(text: str) -> object:
    try:
        return item([text])
    except MalformedItem:
        return MalformedItem


@given(
    st.one_of(
        st.text("0123456789", max_size=18),
        st.text("?01 -.;", max_size=4),
        st.text("²٣1", max_size=3),
    )
)
def test_the_short_way_is_the_parsers(text: str) -> None:
    """Booleans, integers, and what only looks like one, digits of other scripts among them."""
    latin = text.encode("latin-1", "ignore").decode("latin-1")
    ours, theirs = read(latin), parsed(latin)
    assert ours == theirs
    assert type(ours) is type(theirs)


@pytest.mark.parametrize(
    "text", ["?0", "?1", "0", "42", "007", "9" * 15, "9" * 16, "", "1.5", '"1"']
)
def test_the_edges(text: str) -> None:
    """The longest integer, one digit more, leading zeros."""
    ours = read(text)
    assert ours == parsed(text)
    assert type(ours) is type(parsed(text))


def test_several_lines_are_no_item() -> None:
    """Two lines are a list, whichever way."""
    with pytest.raises(MalformedItem):
        item(["1", "2"])
    assert item([]) is None


def test_a_field_that_is_too_long() -> None:
    """It is refused before it is parsed, in one line or in many; a String of 255 escaped characters is not."""
    escaped = '"' + '\\"' * 255 + '"'
    assert item([escaped]) == '"' * 255
    for lines in (["1" + ";a" * 1000], ["1"] + [";a"] * 1000):
        with pytest.raises(MalformedItem, match="longer than 1024"):
            item(lines)


def test_the_longest_field() -> None:
    """To the character, parameters included."""
    longest = "1" + ";a" * 511
    assert item([longest + " "]) == 1
    with pytest.raises(MalformedItem):
        item([longest + "  "])


def test_what_is_wrong_is_said() -> None:
    """In the parser's own words."""
    with pytest.raises(http_sf.StructuredFieldError) as parsers:
        http_sf.parse(b"'x'", tltype="item")
    with pytest.raises(MalformedItem) as ours:
        item(["'x'"])
    assert str(ours.value) == str(parsers.value) != ""
