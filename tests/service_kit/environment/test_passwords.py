"""A role gets a password with which it can log in."""

import pytest
from pydantic import SecretStr, TypeAdapter, ValidationError

from service_kit.environment import Password

PASSWORD: TypeAdapter[SecretStr] = TypeAdapter(Password)


@pytest.mark.parametrize("text", ["", " ", "\n", "drawn\x00", "drawn\n", "drawn\x7f"])
def test_passwords_that_are_refused(text: str) -> None:
    """Postgres stores no empty password, and a URL carries no control character; the message repeats neither."""
    with pytest.raises(ValidationError) as refused:
        PASSWORD.validate_python(text)
    assert [error["msg"] for error in refused.value.errors()] in (
        ["Value error, this password is empty"],
        ["Value error, this password has control characters"],
    )


@pytest.mark.parametrize("text", ["o", "a b", "p@ss/word%", "p\u00e4ssword"])
def test_passwords_that_are_accepted(text: str) -> None:
    """The counterpart."""
    assert PASSWORD.validate_python(text).get_secret_value() == text
