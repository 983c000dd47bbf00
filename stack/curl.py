"""Lines to paste into a terminal, for the stack that runs now."""

from collections.abc import Mapping

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
    client = next((f"-H 'Authorization: Bearer {each}' " for each in order_tokens.values()), "")
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
    for text in lines:
        console.print(text, highlight=False, soft_wrap=True, markup=False)
