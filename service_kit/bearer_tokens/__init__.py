"""Identifies the client by its bearer token (RFC 6750), and by nothing else.

Guarantee: a request that carries exactly one `Authorization` header with the scheme Bearer and a token of a client is a
request of that client; every other request names no client. Tokens are compared in constant time, all of them for each
request, so that response times reveal neither a token nor which client it belongs to.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence

from pydantic import SecretStr

from service_kit.bearer_tokens.settings import B64TOKEN, OptionalTokens, Token, Tokens

__all__ = ["BearerTokens", "OptionalTokens", "Token", "Tokens"]

# RFC 9110, section 11.4: the scheme in any case, at least one space, the credentials.
_CREDENTIALS = re.compile(rf"(?i:bearer) +({B64TOKEN})")


class BearerTokens:
    """The clients of a service: name to tokens."""

    def __init__(self, tokens: Mapping[str, Sequence[SecretStr]]) -> None:
        # Digests have one length, so the comparison does not reveal a token's length either.
        self._digests = [
            (client, _digest(token.get_secret_value()))
            for client, each in tokens.items()
            for token in each
        ]

    def client(self, authorization: Sequence[str]) -> str | None:
        """The client that the lines of the `Authorization` header identify; None when they identify none."""
        # Two lines are two claims about the client, and no rule says which one counts.
        match = _CREDENTIALS.fullmatch(authorization[0]) if len(authorization) == 1 else None
        # A malformed header is compared too, so it takes as long as a wrong token. No token is empty, so it never matches.
        digest = _digest(match[1] if match else "")
        found = None
        for client, known in self._digests:
            if hmac.compare_digest(digest, known):
                found = client
        return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
