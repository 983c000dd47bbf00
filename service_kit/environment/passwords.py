"""The password of a database role, as a setting.

Guarantee: it is not empty (Postgres would store none, and the role could not log in) and has no control characters,
which a URL could not carry.
"""

from typing import Annotated

from pydantic import AfterValidator, SecretStr


def _checked(password: SecretStr) -> SecretStr:
    """Raises `ValueError`."""
    text = password.get_secret_value()
    if not text.strip():
        raise ValueError("this password is empty")
    if not text.isprintable():
        raise ValueError("this password has control characters")
    return password


Password = Annotated[SecretStr, AfterValidator(_checked)]
