"""The verdicts of `make compose-test` can say no."""

import dataclasses

import pytest

from chaos.compose import lab
from chaos.compose.load import Loaded, Outage
from chaos.compose.situations import judge
from chaos.promises.audit import Audit, Finding
from chaos.promises.verdict import Verdict
from order_service.wire import Delivery

SEEN = {"no money moved": True}
WITNESS = {"claim": "the row was committed", "seen": True}
CLEAN = Audit(orders=10, withdrawals=10, pending=0, harm=0, findings=[])
LOADED = Loaded(
    acknowledged=10,
    billed_once=10,
    moved=10,
    repeats=3,
    outages=(Outage("postgres", 2.0, 4, 5),),
    audit=CLEAN,
    seconds=1.0,
)


@pytest.mark.parametrize(
    ("expected", "measured", "delivery", "verdict"),
    [
        (1, 1, Delivery.EXACTLY_ONCE, Verdict.PASS),
        (1, 2, Delivery.EXACTLY_ONCE, Verdict.FAIL),
        (1, 0, Delivery.EXACTLY_ONCE, Verdict.FAIL),
        (0, 1, Delivery.AT_MOST_ONCE, Verdict.FAIL),
        (2, 1, Delivery.AT_LEAST_ONCE, Verdict.FAIL),
        (1, 2, Delivery.AT_LEAST_ONCE, Verdict.FAIL),
        (2, 3, Delivery.AT_LEAST_ONCE, Verdict.PASS),
    ],
)
def test_the_money_decides(
    expected: int, measured: float, delivery: Delivery, verdict: Verdict
) -> None:
    """Only the duplicates of at_least_once may be more than computed, since nothing holds its retries."""
    assert judge(SEEN, expected, measured, delivery) is verdict


@pytest.mark.parametrize("witnesses", [{}, {"not answered": False}])
def test_without_a_witness_nothing_is_known(witnesses: dict[str, bool]) -> None:
    """The right amount after a fault that did not strike says nothing."""
    assert judge(witnesses, 1, 1, Delivery.EXACTLY_ONCE) is Verdict.UNKNOWN


def test_a_clean_load_passes() -> None:
    """All acknowledged orders billed once, in the middle of an outage, and a clean audit."""
    assert LOADED.verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"billed_once": 9}, Verdict.FAIL),
        ({"moved": 11}, Verdict.FAIL),
        ({"audit": dataclasses.replace(CLEAN, pending=1)}, Verdict.FAIL),
        (
            {"audit": dataclasses.replace(CLEAN, findings=[Finding("lost", "x", "y")])},
            Verdict.FAIL,
        ),
        ({"outages": ()}, Verdict.UNKNOWN),
        ({"outages": (Outage("postgres", 2.0, 0, 5),)}, Verdict.UNKNOWN),
        ({"outages": (Outage("postgres", 2.0, 10, 10),)}, Verdict.UNKNOWN),
    ],
)
def test_a_load_that_shows_less_does_not_pass(change: dict[str, object], verdict: Verdict) -> None:
    """The negative control; an outage after the load shows nothing."""
    assert dataclasses.replace(LOADED, **change).verdict is verdict  # type: ignore[arg-type]


def shown(*effects: float, witness: dict[str, object] | None = None) -> list[dict[str, object]]:
    """The columns of the lab's page, each with one attempt."""
    attempts = [{"witnesses": [witness or WITNESS]}]
    return [{"effects": each, "attempts": attempts} for each in effects]


def test_a_page_that_tells_the_truth() -> None:
    """Page, Postgres and expectation are one, and each fault has its witness."""
    assert lab.judge(shown(1, 2, 1), [1, 2, 1], [1, 2, 1]) == []


@pytest.mark.parametrize(
    ("columns", "measured", "offence"),
    [
        (shown(1, 1, 1), [1, 2, 1], "the page shows 1, Postgres 2"),
        (shown(1, 2, 1), [1, 2, 2], "the page shows 1, Postgres 2"),
        (shown(1, 2, 2), [1, 2, 2], "expected 1, the page shows 2, Postgres 2"),
        (shown(1, 2, 1, witness={**WITNESS, "seen": False}), [1, 2, 1], "not seen: the row"),
        ([{"effects": each, "attempts": []} for each in (1, 2, 1)], [1, 2, 1], "no fault has a"),
    ],
)
def test_a_page_that_does_not(
    columns: list[dict[str, object]], measured: list[float], offence: str
) -> None:
    """A figure that is not Postgres', one that is not expected, and a fault without evidence are told."""
    assert offence in lab.judge(columns, measured, [1, 2, 1])[0]
