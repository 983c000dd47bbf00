"""The checks of concurrent charges: each kind of error is found, and a correct round raises nothing."""

from typing import Any

import httpx
import pytest

from chaos.harness.harness import OPENING_CENTS
from chaos.steps.concurrent_charges import _TOO_MUCH_CENTS, _broken_chain, _Copy, _judged


def answered(
    key: int, amount_cents: int, status: int = 201, charge: str = "", left: int = 0
) -> _Copy:
    body = {
        "charge_id": charge or f"charge-{key}",
        "amount_cents": amount_cents,
        "balance_cents": left,
    }
    return _Copy(key, amount_cents, httpx.Response(status, json=body))


ONE, TWO = OPENING_CENTS - 7, OPENING_CENTS - 18
GOOD = [
    answered(1, 7, left=ONE),
    answered(1, 7, left=ONE),
    answered(1, 11, 422),
    answered(2, 11, left=TWO),
    answered(2, 7, 422),
    answered(2, 7, 422),
    answered(3, _TOO_MUCH_CENTS, 402),
]
LEDGER: list[dict[str, Any]] = [
    {"sequence_key": 1, "amount_cents": 7},
    {"sequence_key": 2, "amount_cents": 11},
]


def wrong(copies: list[_Copy], ledger: list[dict[str, Any]], moved_cents: int) -> list[str]:
    return [promise for promise, _, detail in _judged(copies, ledger, moved_cents) if detail]  # type: ignore[arg-type]


def test_a_correct_round() -> None:
    """Whichever payload of a key came first."""
    assert wrong(GOOD, LEDGER, 18) == []


@pytest.mark.parametrize(
    ("copies", "ledger", "moved_cents", "promise"),
    [
        (GOOD, [*LEDGER, LEDGER[0]], 25, "X1"),
        (GOOD, LEDGER[:1], 7, "X1"),
        ([*GOOD[:1], answered(1, 7, charge="another", left=ONE), *GOOD[2:]], LEDGER, 18, "X4"),
        ([*GOOD[:1], answered(1, 7, 422), *GOOD[2:]], LEDGER, 18, "X4"),
        ([*GOOD[:2], answered(1, 11, left=ONE), *GOOD[3:]], LEDGER, 18, "X7"),
        (GOOD, LEDGER, 11, "X5"),
        ([*GOOD[:-1], answered(3, _TOO_MUCH_CENTS, 503)], LEDGER, 18, "X1c"),
        (GOOD, [*LEDGER, {"sequence_key": 3, "amount_cents": 0}], 18, "X1"),
        ([*GOOD, answered(4, 7, 402)], LEDGER, 18, "X1"),
    ],
)
def test_what_is_wrong(
    copies: list[_Copy], ledger: list[dict[str, Any]], moved_cents: int, promise: str
) -> None:
    """Executed twice or not at all, different answers, another payload that is accepted, money that is not explained,
    a charge above the balance that is not declined, or is executed, and a covered one that is declined."""
    assert promise in wrong(copies, ledger, moved_cents)


def test_answers_that_overwrite_each_other() -> None:
    """Two answers that both say what is left of the same balance: one of the updates was lost."""
    told = [copy.response.json() for copy in (answered(1, 7, left=ONE), answered(2, 7, left=ONE))]
    assert _broken_chain(told)
