"""What only the whole of a run can show: the audit of the database, and what all callers saw.

Guarantee: it is judged like a scenario, with witnesses of its own: a run in which nothing was ambiguous shows nothing.
"""

import time
from collections import defaultdict
from collections.abc import Sequence

from chaos.audit import audit
from chaos.evidence import Witness
from chaos.play import Played
from chaos.promises import Finding, Kind
from chaos.scenario import Scenario
from chaos.target import Target
from chaos.verdict import judge

THE_RUN = Scenario("run/whole", "the whole database after the run", (), effects=None)


async def judge_run(target: Target, played: Sequence[Played]) -> Played:
    """The verdict on the run as a whole. Raises `OSError` or `asyncpg.PostgresError` when the database is gone."""
    started_s = time.monotonic()
    witnesses = _ambiguity(played)
    found = [*await _audited(target), *_same_to_the_caller(played)]
    return Played(
        THE_RUN,
        judge(witnesses, found),
        witnesses,
        found,
        (),
        (),
        0,
        round(time.monotonic() - started_s, 3),
    )


async def _audited(target: Target) -> list[Finding]:
    found = await audit(target.owner)
    rows = "; ".join(f"{row.kind} {row.subject}: {row.detail}" for row in found.findings)
    claim = "orders, withdrawals, keys and balances of the whole database agree; keys have no gaps"
    return [Finding("X6", claim, Kind.SAFETY, not found.findings, rows)]


def _ambiguity(played: Sequence[Played]) -> tuple[Witness, ...]:
    """A run in which no unknown attempt had been executed, or each one had, would pass without any protection."""
    cells = [p for p in played if p.scenario.situation is not None and p.verdict == "pass"]
    lost = [p.scenario.situation for p in cells if p.scenario.situation]
    unanswered = [situation for situation in lost if not situation.answered]
    if not unanswered:
        return (Witness("scenarios were judged", bool(played)),)
    return (
        Witness(
            "an attempt without an answer had been executed", any(s.executed for s in unanswered)
        ),
        Witness("an attempt without an answer had not", not all(s.executed for s in unanswered)),
    )


def _same_to_the_caller(played: Sequence[Played]) -> list[Finding]:
    """In each family, for each kind of connection: what callers saw in situations 2 to 5."""
    saw: defaultdict[str, set[str]] = defaultdict(set)
    for p in played:
        situation = p.scenario.situation
        if situation is not None and not situation.answered and p.verdict == "pass":
            saw[f"{p.scenario.family}, {p.scenario.connection}"].add(p.caller_saw)
    return [
        Finding(
            "S",
            f"situations 2 to 5 look the same to the caller ({where})",
            Kind.COMPUTED,
            len(texts) == 1,
            "" if len(texts) == 1 else " | ".join(sorted(texts)),
        )
        for where, texts in saw.items()
    ]
