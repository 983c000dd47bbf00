"""The environment of each service's process: what Python needs, and the service's own settings.

Guarantee: a service gets no variable of another one, wherever it comes from, so it cannot hold another one's secrets; what
a person sets for a service by its prefix reaches that service.
"""

import json
from collections.abc import Mapping

from pydantic import TypeAdapter, ValidationError

from service_kit.bearer_tokens import OptionalTokens

# The prefix of each service's settings.
PREFIXES = {
    "order_service": "ORDER_",
    "billing_service": "BILLING_",
    "notification_service": "NOTIFICATION_",
}


def without_others(service: str, environ: Mapping[str, str]) -> dict[str, str]:
    """An environment meant for all services, as one of them gets it."""
    others = tuple(prefix for name, prefix in PREFIXES.items() if name != service)
    return {name: value for name, value in environ.items() if not name.startswith(others)}


def settings(
    service: str,
    tokens: Mapping[str, Mapping[str, str]],
    proxies: Mapping[str, str],
    *,
    public_url: str,
) -> dict[str, str]:
    """The tokens and addresses of one service, and no other one's. `tokens` are by the service that accepts them."""
    own = {f"{PREFIXES[service]}PUBLIC_URL": public_url}
    if service in tokens:
        return own | {f"{PREFIXES[service]}TOKENS": json.dumps(tokens[service])}
    return own | {
        "ORDER_BILLING_URL": f"http://{proxies['billing']}",
        "ORDER_BILLING_TOKEN": tokens["billing_service"][service],
        "ORDER_NOTIFICATION_URL": f"http://{proxies['notification']}",
        "ORDER_NOTIFICATION_TOKEN": tokens["notification_service"][service],
    }


def order_tokens(environ: Mapping[str, str]) -> dict[str, str]:
    """A token for each client of order_service, by a person's ORDER_TOKENS; empty when no caller needs one."""
    try:
        clients = TypeAdapter(OptionalTokens).validate_python(environ.get("ORDER_TOKENS", ""))
    except ValidationError:
        # The service itself says what is wrong with it, and does not start.
        return {}
    return {client: tokens[0].get_secret_value() for client, tokens in clients.items()}
