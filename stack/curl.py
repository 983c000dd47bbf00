"""Lines to paste into a terminal, for the stack that runs now."""

from collections.abc import Iterable, Mapping

from rich.console import Console


def print_curl(
    console: Console,
    urls: Mapping[str, str],
    tokens: Mapping[str, str],
    order_tokens: Mapping[str, str],
) -> None:
    """An order, a charge, and what became of them; `order_tokens` are empty while everyone may place orders."""
    order, billing, notification = (
        urls[name] for name in ("order_service", "billing_service", "notification_service")
    )
    token = tokens["curl"]
    client = _client(order_tokens)
    charge = (
        f"curl -i {billing}/charges -H 'Authorization: Bearer {token}' "
        "-H 'Content-Type: application/json' -H 'Idempotency-Key: \"1\"' "
        """-d '{"order_id": "00000000-0000-4000-8000-000000000001", "account": "bob", "amount_cents": 500}'"""
    )
    lines = (
        "The stack is up. Paste these; Ctrl-C stops everything.",
        "",
        "# An order, billed once:",
        f"curl -i {order}/orders {client}-H 'Content-Type: application/json' "
        """-d '{"customer": "alice", "amount_cents": 1999, "item": "book"}'""",
        "# A charge; paste it twice: same answer, Idempotency-Replayed: ?1, the money moves once:",
        charge,
        "# What is left:",
        f"curl {billing}/accounts/bob -H 'Authorization: Bearer {token}'",
        "# What customers were told:",
        f"curl {notification}/notifications",
        "",
    )
    _print(console, lines)


# An order is sent again about fifteen times a second meanwhile, and alice's money is enough for five hundred.
_BROKEN_S = 5


def print_by_hand(
    console: Console, urls: Mapping[str, str], toxiproxy: str, order_tokens: Mapping[str, str]
) -> None:
    """How to cut billing's answers, and what to order meanwhile; `toxiproxy` is the URL of its admin API."""
    toxics = f"{toxiproxy}/proxies/billing/toxics"
    lines = (
        "# Break it by hand: cut billing's answers, and order with a fresh key for each attempt. "
        f"It heals after {_BROKEN_S} s:",
        f"curl {toxics} -d "
        """'{"name": "cut", "type": "limit_data", "attributes": {"bytes": 0}}'""",
        f"(sleep {_BROKEN_S}; curl -X DELETE {toxics}/cut) & "
        f"curl {urls['order_service']}/orders {_client(order_tokens)}-H 'Content-Type: application/json' "
        """-d '{"customer": "alice", "amount_cents": 1999, "item": "book", "delivery": "at_least_once"}'""",
        '# Each attempt in the answer took the money. Again with "delivery": "exactly_once": one key, paid once.',
        "# Or by hand on a page, with every message in sight: make lab",
        "",
    )
    _print(console, lines)


def _client(order_tokens: Mapping[str, str]) -> str:
    return next((f"-H 'Authorization: Bearer {each}' " for each in order_tokens.values()), "")


def _print(console: Console, lines: Iterable[str]) -> None:
    for text in lines:
        console.print(text, highlight=False, soft_wrap=True, markup=False)
