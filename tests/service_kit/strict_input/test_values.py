"""A number and a UUID have one spelling each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from service_kit.strict_input import CanonicalInteger, CanonicalUUID
from tests.service_kit.strict_input.spellings import OF_42, OF_A_UUID, UUID_TEXT

INTEGER: TypeAdapter[int] = TypeAdapter(CanonicalInteger)
UUIDS = TypeAdapter(CanonicalUUID)


@given(st.integers(0, 10**15 - 1))
def test_the_one_spelling_of_an_integer(number: int) -> None:
    """What Python writes of a number from 0 on is read as that number."""
    assert INTEGER.validate_python(str(number)) == number


@pytest.mark.parametrize("text", OF_42)
def test_another_spelling_of_an_integer(text: str) -> None:
    """A lenient parser reads 42 in most of them."""
    with pytest.raises(ValidationError):
        INTEGER.validate_python(text)


@given(st.text("0123456789_+-. e٤²", max_size=17))
def test_no_two_texts_are_one_integer(text: str) -> None:
    """Whatever is accepted is what Python writes of the number."""
    try:
        number = INTEGER.validate_python(text)
    except ValidationError:
        return
    assert str(number) == text


def test_the_one_spelling_of_a_uuid() -> None:
    """Lower case, four hyphens."""
    assert str(UUIDS.validate_python(UUID_TEXT)) == UUID_TEXT


@pytest.mark.parametrize("text", OF_A_UUID)
def test_another_spelling_of_a_uuid(text: str) -> None:
    """Python's UUID reads the same value in most of them."""
    with pytest.raises(ValidationError):
        UUIDS.validate_python(text)


def test_what_is_wrong_is_said() -> None:
    """How the value is written, as the caller of a service reads it."""
    with pytest.raises(ValidationError) as integer:
        INTEGER.validate_python("007")
    with pytest.raises(ValidationError) as uuid:
        UUIDS.validate_python("x")
    errors = (*integer.value.errors(), *uuid.value.errors())
    assert [(each["type"], each["msg"]) for each in errors] == [
        (
            "integer_spelling",
            "Must be a decimal integer of at most 15 digits, without sign or leading zeros",
        ),
        (
            "uuid_spelling",
            "Must be a UUID in lower case with hyphens, as RFC 9562 writes it",
        ),
    ]
