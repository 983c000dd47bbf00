"""The type of a setting that is the URL of a database.

Guarantee: a URL whose password has a character that would end the host is refused with a sentence that names the remedy; it
is never parsed into a wrong host or port.
"""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

_FORM = "must be postgresql://user@host:port/database"
_WAY_OUT = (
    "this is not a host and port; is there a / ? # or [ in the password? Leave the password out of the URL and put it "
    "into the variable that ends in DATABASE_PASSWORD"
)
_PORT_MAX = 65535


def checked(url: SecretStr) -> SecretStr:
    """The URL itself. Raises `ValueError` when it is not a URL of Postgres."""
    text = url.get_secret_value()
    scheme, separator, _ = text.partition("://")
    if not separator or scheme not in ("postgresql", "postgres"):
        raise ValueError(_FORM)
    try:
        parts = urlsplit(text)
    except ValueError as exc:
        # It has an opening bracket outside an address.
        raise ValueError(f"{_FORM}: {_WAY_OUT}") from exc
    hosts = parts.netloc.rpartition("@")[2]
    strays = "@" in parts.path + parts.query + parts.fragment and "@" not in parts.netloc
    if strays or not all(_is_host(host) for host in hosts.split(",")):
        raise ValueError(f"{_FORM}: {_WAY_OUT}")
    # Without a host, the query must name one: a folder with a socket.
    if not hosts and "host=" not in parts.query:
        raise ValueError(_FORM)
    return url


def _is_host(text: str) -> bool:
    """`host`, `host:port`, `[address]:port`, or nothing."""
    if text.startswith("["):
        _, _, rest = text.partition("]")
        port = rest.removeprefix(":") if rest.startswith(":") else rest or "0"
    else:
        _, separator, port = text.partition(":")
        port = port if separator else "0"
    return port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= _PORT_MAX


DatabaseUrl = Annotated[SecretStr, AfterValidator(checked)]
