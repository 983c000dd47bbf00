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
        "postgresql://billing@[::1]/shop",
        "postgresql://billing@one:1,two,[::1]:65535/shop",
    ],
)
def test_urls_that_are_accepted(text: str) -> None:
    """The counterpart: they stay as they are."""
    assert URL.validate_python(text).get_secret_value() == text


FORM = "must be postgresql://user@host:port/database"


@pytest.mark.parametrize(
    "hosts",
    [
        "database:x",
        "database:",
        "database:65536",
        "database:005432",
        "database:٥٤٣٢",
        "[::1]:x",
        "[::1]x",
        "[::1]:65536",
        "one:5432,two:x",
    ],
)
def test_what_is_no_host_and_port(hosts: str) -> None:
    """It is refused: a wrong port would only be met when the first connection is made."""
    with pytest.raises(ValidationError) as refused:
        URL.validate_python(f"postgresql://billing@{hosts}/shop")
    (error,) = refused.value.errors()
    assert f"{FORM}: this is not a host and port;" in error["msg"]


@pytest.mark.parametrize(
    "text",
    ["mysql://billing@database/shop", "database", "postgresql:database", "postgresql:///shop"],
)
def test_what_names_no_server(text: str) -> None:
    """The form is shown."""
    with pytest.raises(ValidationError) as refused:
        URL.validate_python(text)
    (error,) = refused.value.errors()
    assert error["msg"].endswith(FORM)
