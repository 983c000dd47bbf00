"""The URL of a database is what it was meant to be, or it is refused."""

import pytest
from pydantic import SecretStr, TypeAdapter, ValidationError

from service_kit.environment.database_url import DatabaseUrl

URL: TypeAdapter[SecretStr] = TypeAdapter(DatabaseUrl)


@pytest.mark.parametrize("character", ["/", "?", "#", "["])
def test_a_password_that_ends_the_host(character: str) -> None:
    """It would become another host or port; the message names the way out and does not repeat the password."""
    with pytest.raises(ValidationError) as refused:
        URL.validate_python(f"postgresql://billing:pass{character}word@database:5432/shop")
    (error,) = refused.value.errors()
    assert "DATABASE_PASSWORD" in error["msg"]
    assert "word@" not in error["msg"]


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://billing@database/shop",
        "postgres://billing:drawn%2F@database:5432/shop",
        "postgresql://billing@[::1]:5432/shop",
        "postgresql://billing@/shop?host=/run/postgresql",
    ],
)
def test_urls_that_are_accepted(text: str) -> None:
    """The counterpart: they stay as they are."""
    assert URL.validate_python(text).get_secret_value() == text
