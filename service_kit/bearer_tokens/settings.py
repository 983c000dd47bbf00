"""Bearer tokens as settings: one token to send, or the clients of a service with one or two tokens each.

Guarantee: what is accepted here can be sent in a header and names one client. Refused are tokens that are empty, short or
no b64token of RFC 6750, a token that two clients share, a client that is named twice, and more than two tokens of one
client. A message gives the position of the fault, never a name or a value: a token may have been put where the name belongs.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

# RFC 6750, section 2.1.
B64TOKEN = r"[A-Za-z0-9\-._~+/]+=*"
# 16 hexadecimal digits are 64 bits, which cannot be guessed over a network.
LENGTH_MIN = 16
# Far longer than any generated token, far shorter than the bound on a request's head.
LENGTH_MAX = 1024
# The token in use and the one that replaces it.
TOKENS_OF_A_CLIENT_MAX = 2
# A client's name appears in logs, in Postgres and in the names of variables.
_CLIENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as it was written, repeated names included."""


def _checked(token: SecretStr) -> SecretStr:
    """Raises `ValueError` for a token that must not be used."""
    if fault := _fault(token.get_secret_value()):
        raise ValueError(f"this token {fault}")
    return token


def _clients(value: object) -> dict[str, tuple[SecretStr, ...]]:
    """Clients with their tokens, from JSON text or a mapping. Raises `ValueError`."""
    pairs = _pairs(value)
    if not pairs:
        raise ValueError("there must be at least one client")
    clients: dict[str, tuple[SecretStr, ...]] = {}
    owners: dict[str, int] = {}
    for number, (name, given) in enumerate(pairs, 1):
        if not _CLIENT.fullmatch(name):
            raise ValueError(
                f"the name of client {number} must be 1 to 64 letters, digits, dots, hyphens and underscores, "
                "and begin with a letter or a digit"
            )
        if name in clients:
            raise ValueError(f"client {number} has the name of another one")
        tokens = list(_tokens(given, number))
        for token in tokens:
            if token in owners:
                whose = "twice" if owners[token] == number else f"and client {owners[token]} has it"
                raise ValueError(f"client {number} has a token {whose}")
            owners[token] = number
        clients[name] = tuple(map(SecretStr, tokens))
    return clients


def _optional_clients(value: object) -> dict[str, tuple[SecretStr, ...]]:
    # Compose passes an unset variable on as an empty text. The JSON text of an empty object is still a mistake.
    return {} if value in ("", {}) else _clients(value)


def _pairs(value: object) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [(str(name), given) for name, given in value.items()]
    try:
        parsed = json.loads(str(value), object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as exc:
        raise ValueError("this setting must be JSON") from exc
    if not isinstance(parsed, _Pairs):
        raise ValueError(
            "this setting must be a JSON object: client name to token, or to two tokens"
        )
    return parsed


def _tokens(given: object, number: int) -> Iterable[str]:
    several = isinstance(given, list | tuple) and not isinstance(given, _Pairs)
    tokens: list[object] = list(given) if several else [given]  # type: ignore[call-overload]
    if not 1 <= len(tokens) <= TOKENS_OF_A_CLIENT_MAX:
        raise ValueError(f"client {number} must have one token or a list of two")
    for token in tokens:
        text = token.get_secret_value() if isinstance(token, SecretStr) else token
        if not isinstance(text, str):
            raise ValueError(f"a token of client {number} is no string")
        if fault := _fault(text):
            raise ValueError(f"a token of client {number} {fault}")
        yield text


def _fault(token: str) -> str:
    """What is wrong with a token; empty when nothing is."""
    if not token.strip():
        return "is empty"
    if not re.fullmatch(B64TOKEN, token):
        return "has characters that no bearer token may have (RFC 6750: letters, digits, -._~+/ and = at its end)"
    if len(token) < LENGTH_MIN:
        return f"has fewer than {LENGTH_MIN} characters"
    if len(token) > LENGTH_MAX:
        return f"has more than {LENGTH_MAX} characters"
    return ""


# A token to send.
Token = Annotated[SecretStr, AfterValidator(_checked)]
# The clients that may call: JSON in the environment, parsed here because the default parser silently keeps the last of two equal names.
Tokens = Annotated[dict[str, tuple[SecretStr, ...]], NoDecode, BeforeValidator(_clients)]
# The same, but an empty text is allowed and means that there are no clients.
OptionalTokens = Annotated[
    dict[str, tuple[SecretStr, ...]], NoDecode, BeforeValidator(_optional_clients)
]
