"""What one process takes is bounded, and names that come from callers are not kept."""

from contextlib import ExitStack

import pytest

from billing_service.admission import Admission, QueueFull


def test_shares() -> None:
    """Refused when there are too many of the account, of the client, or in all; what ends makes room."""
    admission = Admission(4, of_account_max=2, of_client_max=3)
    with ExitStack() as first:
        for account in ("alice", "alice", "bob"):
            first.enter_context(admission.admitted("one", account))
        for client, account, reason in (
            ("two", "alice", "the account alice"),
            ("one", "carol", "this client"),
        ):
            with pytest.raises(QueueFull, match=reason), admission.admitted(client, account):
                pass
        with (
            admission.admitted("two", "bob"),
            pytest.raises(QueueFull, match=r"charges wait\."),
            admission.admitted("three", "x"),
        ):
            pass
        with admission.admitted("three", "x"):
            pass
    with admission.admitted("one", "alice"), admission.admitted("one", "alice"):
        pass


def test_names_are_not_kept() -> None:
    """Accounts that do not exist cost no memory, and neither do refusals."""
    admission = Admission(10, of_account_max=1, of_client_max=10)
    for number in range(1000):
        name = f"account{number}"
        with (
            admission.admitted(f"client{number}", name),
            pytest.raises(QueueFull),
            admission.admitted("other", name),
        ):
            pass
    assert (admission._of_account, admission._of_client) == ({}, {})
