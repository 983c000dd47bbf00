"""What one process takes is bounded, and names that come from callers are not kept."""

import pytest

from billing_service.admission import Admission
from billing_service.outcomes import QueueFull


def test_shares() -> None:
    """Refused when there are too many of the account, of the client, or in all; what ends makes room."""
    admission = Admission(4, of_account_max=2, of_client_max=3)
    for account in ("alice", "alice", "bob"):
        admission.enter("one", account)
    for client, account, reason in (
        ("two", "alice", "the account alice"),
        ("one", "carol", "this client"),
    ):
        with pytest.raises(QueueFull, match=reason):
            admission.enter(client, account)
    admission.enter("two", "bob")
    with pytest.raises(QueueFull, match=r"charges are waiting\."):
        admission.enter("three", "x")
    admission.leave("one", "alice")
    admission.enter("two", "alice")
    admission.leave("two", "alice")
    admission.enter("one", "carol")


def test_names_are_not_kept() -> None:
    """Accounts that do not exist cost no memory, and neither do refusals."""
    admission = Admission(10, of_account_max=1, of_client_max=10)
    for number in range(1000):
        admission.enter(f"client{number}", f"account{number}")
        with pytest.raises(QueueFull):
            admission.enter("other", f"account{number}")
        admission.leave(f"client{number}", f"account{number}")
    admission = Admission(10, of_account_max=10, of_client_max=1)
    admission.enter("client", "account")
    for number in range(1000):
        with pytest.raises(QueueFull):
            admission.enter("client", f"account{number}")
    admission.leave("client", "account")
    assert (admission._of_account, admission._of_client) == ({}, {})
