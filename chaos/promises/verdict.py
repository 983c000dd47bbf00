"""The verdict of a scenario and of a run.

Guarantee: a promise that was broken fails, whether or not the fault was witnessed; without a witness nothing passes,
and what depends on the fault is unknown; safety and liveness are told apart.
"""

from collections.abc import Sequence
from enum import StrEnum

from chaos.evidence.readings import Check, Evidence, Probe, Witness
from chaos.promises.catalogue import PROMISES, Finding, Kind
from report.numbers import was


class Verdict(StrEnum):
    """The exit code of a run is that of its worst verdict."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    UNKNOWN = "unknown"

    @property
    def exit_code(self) -> int:
        """0 all as computed, 1 a promise was broken, 2 unknown."""
        return {"pass": 0, "fail": 1, "unknown": 2}[self.value]


def findings(evidence: Evidence, expected: int | None) -> list[Finding]:
    """Every promise that was put to the test, and the computed effects of the first order when there are any."""
    found = [
        finding
        for promise in PROMISES
        for order in evidence.orders
        if (finding := promise.put_to(order)) is not None
    ]
    found += [_of_probe(probe) for probe in evidence.probes]
    found += [_of_check(check) for check in evidence.checks]
    if expected is not None and evidence.orders:
        last = evidence.orders[0].last
        kept = last.effects == expected and last.commits == expected
        detail = f"the amount {was('withdrawn', last.effects)}, in {last.commits} withdrawals"
        found.append(
            Finding(
                "T",
                f"money withdrawn ÷ amount = {expected}",
                Kind.COMPUTED,
                kept,
                "" if kept else detail,
            )
        )
    return found


def judge(witnesses: Sequence[Witness], found: Sequence[Finding]) -> Verdict:
    """Pass, fail or unknown.

    Money that moved twice is wrong whatever struck, and so is a loop that goes round no more; but a cell of the table, or
    an order that is still pending, says nothing when the fault did not strike as it should.
    """
    broken = [finding for finding in found if not finding.kept]
    if any(finding.kind is Kind.SAFETY or finding.whatever_struck for finding in broken):
        return Verdict.FAIL
    if not witnesses or not all(witness.seen for witness in witnesses) or not found:
        return Verdict.UNKNOWN
    return Verdict.FAIL if broken else Verdict.PASS


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict of a run: a broken promise outweighs the unknown; nothing judged is unknown."""
    for verdict in (Verdict.FAIL, Verdict.UNKNOWN):
        if verdict in verdicts:
            return verdict
    return Verdict.PASS if verdicts else Verdict.UNKNOWN


def _of_probe(probe: Probe) -> Finding:
    kept = probe.status == probe.expected and not probe.moved
    moved = "and money moved" if probe.moved else "and nothing moved"
    detail = "" if kept else f"it was answered {probe.status}, not {probe.expected}, {moved}"
    return Finding(probe.promise, probe.claim, Kind.SAFETY, kept, detail)


def _of_check(check: Check) -> Finding:
    kind = Kind.LIVENESS if check.liveness else Kind.SAFETY
    return Finding(check.promise, check.claim, kind, check.kept, "" if check.kept else check.detail)
