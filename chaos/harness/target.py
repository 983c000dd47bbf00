"""The stack that is judged: where its services, its databases and its Toxiproxy are.

Guarantee: it says where things are and nothing of how they were started, so any stack that can describe itself as
stack.json does can be judged.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stack.processes import StackError
from stack.run_directory import is_left_over

# Without these nothing can be played; "orders" and the other roles' databases are for people.
_NEEDED = {
    "urls": ("order_service", "billing_service", "notification_service"),
    "toxiproxy": ("url",),
    "databases": ("owner",),
    "tokens": ("order_service", "curl"),
}


@dataclass(frozen=True)
class Target:
    """Addresses: of the services and of Toxiproxy's admin API by HTTP, of Postgres past all proxies as its owner.

    `tokens` are billing's, by client; `order_tokens` those of order_service, empty while it knows no clients.
    """

    urls: Mapping[str, str]
    toxiproxy: str
    owner: str
    tokens: Mapping[str, str]
    order_tokens: Mapping[str, str] = field(default_factory=dict)

    def placing(self) -> dict[str, str]:
        """The header with which the harness places orders and reads them: one client's, if order_service knows any."""
        for token in self.order_tokens.values():
            return {"Authorization": f"Bearer {token}"}
        return {}


def described(description: Mapping[str, Any]) -> Target:
    """From the content of a stack.json. Raises `KeyError` or `TypeError` when something is missing."""
    return Target(
        urls={name: str(description["urls"][name]).rstrip("/") for name in _NEEDED["urls"]},
        toxiproxy=str(description["toxiproxy"]["url"]),
        owner=str(description["databases"]["owner"]),
        tokens={name: str(description["tokens"][name]) for name in _NEEDED["tokens"]},
        order_tokens={**description.get("order_tokens", {})},
    )


def read(path: Path) -> Target:
    """From a stack.json. Raises `StackError` with one sentence when it cannot be used."""
    if is_left_over(path):
        raise StackError(
            f"{path} is left over from a stack that was killed; start the stack again."
        )
    try:
        return described(json.loads(path.read_text(encoding="utf-8")))
    except OSError as exc:
        raise StackError(f"{path} cannot be read ({exc.strerror}); does the stack run?") from exc
    except (ValueError, KeyError, TypeError) as exc:
        needed = ", ".join(f"{key}.{name}" for key, names in _NEEDED.items() for name in names)
        raise StackError(f"{path} does not describe a stack; it needs {needed}.") from exc
