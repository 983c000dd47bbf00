"""The judge says no when it must."""

from dataclasses import replace

import pytest

from chaos.evidence.readings import Check, Evidence, Probe, Witness
from chaos.promises.catalogue import Finding, Kind
from chaos.promises.verdict import Verdict, findings, judge, worst
from chaos.scenarios.effects import effects_computed
from order_service.wire import Delivery

SEEN = (Witness("it struck", seen=True),)
MISSING = (Witness("it struck", seen=False),)


def finding(kind: Kind, *, kept: bool) -> Finding:
    return Finding("X", "a promise", kind, kept)


@pytest.mark.parametrize(
    ("executed", "answered", "expected"),
    [(True, True, (1, 1, 1)), (True, False, (1, 2, 1)), (False, False, (0, 1, 1))],
)
def test_the_cells_are_computed(
    executed: bool, answered: bool, expected: tuple[int, int, int]
) -> None:
    """From the two middle columns of the table alone."""
    order = (Delivery.AT_MOST_ONCE, Delivery.AT_LEAST_ONCE, Delivery.EXACTLY_ONCE)
    computed = tuple(
        effects_computed(executed=executed, answered=answered, delivery=delivery)
        for delivery in order
    )
    assert computed == expected


def test_what_was_witnessed_and_kept_passes() -> None:
    """The only way to pass."""
    assert judge(SEEN, [finding(Kind.SAFETY, kept=True)]) is Verdict.PASS


@pytest.mark.parametrize("kind", list(Kind))
def test_a_broken_promise_fails(kind: Kind) -> None:
    """Whichever kind it is of."""
    assert judge(SEEN, [finding(kind, kept=False)]) is Verdict.FAIL


@pytest.mark.parametrize("witnesses", [(), MISSING, SEEN + MISSING])
def test_without_a_witness_it_is_unknown(witnesses: tuple[Witness, ...]) -> None:
    """The right balance proves nothing without a witness that the fault struck."""
    assert judge(witnesses, [finding(Kind.SAFETY, kept=True)]) is Verdict.UNKNOWN


def test_nothing_judged_is_unknown() -> None:
    """A fault without a promise that was put to the test proves nothing."""
    assert judge(SEEN, []) is Verdict.UNKNOWN


def test_money_lost_is_wrong_whatever_struck() -> None:
    """Safety needs no witness; a cell of the table and an order that is still pending do."""
    assert judge(MISSING, [finding(Kind.SAFETY, kept=False)]) is Verdict.FAIL
    assert judge(MISSING, [finding(Kind.COMPUTED, kept=False)]) is Verdict.UNKNOWN
    assert judge(MISSING, [finding(Kind.LIVENESS, kept=False)]) is Verdict.UNKNOWN


def test_what_has_evidence_of_its_own_is_wrong_whatever_struck() -> None:
    """A loop that goes round no more was seen to do so: no fault has to be witnessed for that."""
    stopped = replace(finding(Kind.LIVENESS, kept=False), whatever_struck=True)
    assert judge(MISSING, [stopped]) is Verdict.FAIL
    assert judge(MISSING, [replace(stopped, kept=True)]) is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("status", "moved", "kept"), [(410, False, True), (201, False, False), (410, True, False)]
)
def test_a_probe_is_judged(status: int, moved: bool, kept: bool) -> None:
    """By its answer and by the money: a refusal that moves money is none."""
    probe = Probe("X10", "a forgotten key is refused", status, 410, moved)
    found = findings(Evidence((), SEEN, (probe,)), None)
    assert [f.kept for f in found] == [kept]


@pytest.mark.parametrize(
    ("liveness", "witnesses", "verdict"),
    [
        (False, "SEEN", Verdict.FAIL),
        (False, "MISSING", Verdict.FAIL),
        (True, "SEEN", Verdict.FAIL),
        (True, "MISSING", Verdict.UNKNOWN),
    ],
)
def test_a_check_is_judged(liveness: bool, witnesses: str, verdict: Verdict) -> None:
    """As a promise of its kind: what is wrong is wrong, what is late is late only when the fault was seen."""
    seen = {"SEEN": SEEN, "MISSING": MISSING}[witnesses]
    check = Check("L1", "the order was settled", kept=False, detail="pending", liveness=liveness)
    found = findings(Evidence((), seen, checks=(check,)), None)
    assert [f.detail for f in found] == ["pending"]
    assert judge(seen, found) is verdict
    kept = findings(Evidence((), seen, checks=(replace(check, kept=True),)), None)
    assert [(f.kept, f.detail) for f in kept] == [(True, "")]


def test_the_worst_counts() -> None:
    """A broken promise outweighs the unknown; a run that judged nothing is unknown."""
    assert worst([Verdict.PASS, Verdict.UNKNOWN, Verdict.FAIL]) is Verdict.FAIL
    assert worst([Verdict.PASS, Verdict.UNKNOWN]) is Verdict.UNKNOWN
    assert worst([]) is Verdict.UNKNOWN
    assert [verdict.exit_code for verdict in Verdict] == [0, 1, 2]
