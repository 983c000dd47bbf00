"""Bounds the charges that one process has accepted and not yet answered: in total, per account and per client.

Guarantee: a locked account or a busy client uses up its own share and no more. A charge that is refused here was not begun.
"""

from billing_service.outcomes import QueueFull


class Admission:
    """Counts charges from their arrival to their outcome."""

    def __init__(self, charges_max: int, *, of_account_max: int, of_client_max: int) -> None:
        self._charges_max = charges_max
        self._of_account_max = of_account_max
        self._of_client_max = of_client_max
        self._charges = 0
        # A name is kept only while it has charges: callers choose the names, and their number is unbounded.
        self._of_account: dict[str, int] = {}
        self._of_client: dict[str, int] = {}

    def enter(self, client: str, account: str) -> None:
        """Counts one charge until `leave`. Raises `QueueFull`."""
        if self._charges >= self._charges_max:
            raise QueueFull("Too many charges are waiting.")
        if self._of_account.get(account, 0) >= self._of_account_max:
            raise QueueFull(f"Too many charges of the account {account} are waiting.")
        if self._of_client.get(client, 0) >= self._of_client_max:
            raise QueueFull("Too many charges of this client are waiting.")
        self._charges += 1
        self._of_account[account] = self._of_account.get(account, 0) + 1
        self._of_client[client] = self._of_client.get(client, 0) + 1

    def leave(self, client: str, account: str) -> None:
        """The charge has its outcome, or its caller has disconnected."""
        self._charges -= 1
        _take_one(self._of_account, account)
        _take_one(self._of_client, client)


def _take_one(counts: dict[str, int], name: str) -> None:
    count = counts[name] - 1
    if count:
        counts[name] = count
    else:
        del counts[name]
