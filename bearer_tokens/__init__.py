"""Who calls is known from the bearer token (RFC 6750): a token names a client, and nothing else does.

Guarantee: tokens are compared in constant time, all of them for each request, so that neither a token nor the number
of clients can be measured from outside.
"""

import hmac
from collections.abc import Mapping

from pydantic import SecretStr

__all__ = ["BearerTokens"]


class BearerTokens:
    """The clients of a service: name to token."""

    def __init__(self, tokens: Mapping[str, SecretStr]) -> None:
        self._tokens = [
            (client, token.get_secret_value().encode()) for client, token in tokens.items()
        ]

    def client(self, authorization: str | None) -> str | None:
        """The client that an `Authorization` header names; None when it names nobody."""
        scheme, _, given = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        # Starlette decodes headers as latin-1; going back the same way compares the bytes that were sent.
        credentials = given.strip().encode("latin-1")
        found = None
        for client, token in self._tokens:
            if hmac.compare_digest(credentials, token):
                found = client
        return found
