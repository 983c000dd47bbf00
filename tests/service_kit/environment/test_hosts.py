"""A setting for host names holds what can stand in a Host header, and nothing that would match no request."""

import pytest
from pydantic import TypeAdapter, ValidationError

from service_kit.environment import Hosts

HOSTS: TypeAdapter[tuple[str, ...]] = TypeAdapter(Hosts)


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("", ()),
        (",", ()),
        ("toxiproxy,", ("toxiproxy",)),
        ("Orders.Example.com, order_service", ("orders.example.com", "order_service")),
        ("10.0.0.5", ("10.0.0.5",)),
        ("[2001:DB8::0:1]", ("[2001:db8::1]",)),
        ("2001:db8::1", ("[2001:db8::1]",)),
    ],
)
def test_names_that_are_accepted(text: str, hosts: tuple[str, ...]) -> None:
    """Names and addresses in one spelling; what Compose leaves empty is nothing."""
    assert HOSTS.validate_python(text) == hosts


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "*.example.com",
        ".example.com",
        "http://example.com",
        "example.com:8001",
        "example.com/",
        "a b",
        "a..b",
        "-a",
        "a\nb",
        "u@example.com",
        "caf\u00e9.example",
        "[::1",
        "a" * 254,
    ],
)
def test_names_that_are_refused(text: str) -> None:
    """A pattern, a URL or a port would silently match nothing, or everything."""
    with pytest.raises(ValidationError, match="host names or addresses"):
        HOSTS.validate_python(f"good.example, {text}")
