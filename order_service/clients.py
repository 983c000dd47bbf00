"""Names the client that places an order: by its bearer token, or as anonymous when ORDER_TOKENS is empty.

Guarantee: when ORDER_TOKENS is set, a request without a valid token gets 401 before its path, headers or body are read; an
endpoint shows and changes only the orders of the client that it is given.
"""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security.base import SecurityBase

from order_service import problems
from service_kit.bearer_tokens import BearerTokens
from service_kit.problem_details import Problem

# No client can have this name: a name is not empty.
ANONYMOUS = ""


def client_of(request: Request) -> str:
    """Raises `Problem` (401) when the service knows its clients and the request names none of them."""
    tokens: BearerTokens | None = request.app.state.process.tokens
    if tokens is None:
        return ANONYMOUS
    client = tokens.client(request.headers.getlist("authorization"))
    if client is None:
        raise Problem(
            problems.TOKEN_WRONG,
            "Send the header Authorization: Bearer <token>.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return client


class _Bearer(SecurityBase):
    """Gives an endpoint the name of its caller, and the OpenAPI document the scheme."""

    def __init__(self) -> None:
        self.model = HTTPBearerModel()
        self.scheme_name = "HTTPBearer"

    async def __call__(self, request: Request) -> str:
        return client_of(request)


Client = Annotated[str, Depends(_Bearer())]
