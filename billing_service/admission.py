"""Bounds how many charges one process has taken and not yet answered: in all, for each account and for each client.

Guarantee: a held account or a busy client fills its own share and no more; a charge that is refused here is not begun.
"""


class QueueFull(Exception):
    """As many charges wait as may. Nothing was executed and the key is not spent."""


class Admission:
    """Counts charges from their arrival to their outcome."""

    def __init__(self, charges_max: int, *, of_account_max: int, of_client_max: int) -> None:
        self._charges_max = charges_max
        self._of_account_max = of_account_max
        self._of_client_max = of_client_max
        self._charges = 0
        # A name is kept only while it has charges: names come from callers and are without bound.
        self._of_account: dict[str, int] = {}
        self._of_client: dict[str, int] = {}

    def enter(self, client: str, account: str) -> None:
        """Counts one charge until `leave`. Raises `QueueFull`."""
        if self._charges >= self._charges_max:
            raise QueueFull("Too many charges wait.")
        if self._of_account.get(account, 0) >= self._of_account_max:
            raise QueueFull(f"Too many charges of the account {account} wait.")
        if self._of_client.get(client, 0) >= self._of_client_max:
            raise QueueFull("Too many charges of this client wait.")
        self._charges += 1
        self._of_account[account] = self._of_account.get(account, 0) + 1
        self._of_client[client] = self._of_client.get(client, 0) + 1

    def leave(self, client: str, account: str) -> None:
        """The charge has its outcome, or its caller has gone."""
        self._charges -= 1
        _take_one(self._of_account, account)
        _take_one(self._of_client, client)


def _take_one(counts: dict[str, int], name: str) -> None:
    count = counts[name] - 1
    if count:
        counts[name] = count
    else:
        del counts[name]
