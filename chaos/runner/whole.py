"""What only the whole of a run can show: the audit of the database, and what all callers saw.

Guarantee: it is judged like a scenario, with witnesses of its own: a run in which nothing was ambiguous shows nothing.
What the database of a target had to answer for before the run is not held against the run. A run may be shared out among several
stacks: the verdict is on all that they played and on each of their databases.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from chaos.evidence.readings import Witness
from chaos.harness.harness import Harness
from chaos.promises.audit import Finding as Row
from chaos.promises.audit import audit
from chaos.promises.catalogue import Finding, Kind
from chaos.promises.verdict import Verdict, judge
from chaos.runner.play import Played
from chaos.scenarios.scenario import Scenario

_AGREE = "orders, withdrawals, keys and balances of the whole database agree; keys have no gaps"
_NOT_STUCK = "no order of the whole database is stuck"
THE_RUN = Scenario("run/whole", "the whole database after the run", (), effects=None)


@dataclass(frozen=True)
class Share:
    """What one stack did of a run: what it played, what the audit found that is new, and why it could not go on, if so."""

    played: Sequence[Played]
    audited: Sequence[Row]
    beyond_repair: str
    seconds: float


async def share(harness: Harness, played: Sequence[Played]) -> Share:
    """Audits what the stack leaves. Raises `OSError` or `asyncpg.PostgresError` when its database is gone."""
    started_s = time.monotonic()
    audited = [
        row for each in harness.all_opened for row in (await audit(each.target.owner)).findings
    ]
    return Share(
        played,
        [row for row in audited if (row.kind, row.subject) not in harness.found_before],
        harness.background.beyond_repair,
        round(time.monotonic() - started_s, 3),
    )


def judge_shares(shares: Sequence[Share]) -> Played:
    """The verdict on a run that several stacks have played."""
    played = [cell for each in shares for cell in each.played]
    witnesses = (
        *_ambiguity(played),
        *(witness for each in shares for witness in _played_to_its_end(each.beyond_repair)),
    )
    found = [
        *findings_of_audit([row for each in shares for row in each.audited]),
        *_same_to_the_caller(played),
    ]
    seconds = sum(each.seconds for each in shares)
    return Played(THE_RUN, judge(witnesses, found), witnesses, found, (), (), 0, seconds)


async def judge_run(harness: Harness, played: Sequence[Played]) -> Played:
    """The verdict on a run of one stack. Raises `OSError` or `asyncpg.PostgresError` when its database is gone."""
    return judge_shares([await share(harness, played)])


def findings_of_audit(rows: Sequence[Row]) -> list[Finding]:
    """What the audit found, as promises: money that does not agree is wrong; an order that is stuck is late.

    An order is also stuck when a fault could not be ended, so that alone shows nothing when no fault was witnessed.
    """
    stuck = [row for row in rows if row.kind == "stuck"]
    wrong = [row for row in rows if row.kind != "stuck"]
    return [
        Finding("X6", _AGREE, Kind.SAFETY, not wrong, _listed(wrong)),
        Finding("L1", _NOT_STUCK, Kind.LIVENESS, not stuck, _listed(stuck)),
    ]


def _listed(rows: Sequence[Row]) -> str:
    return "; ".join(f"{row.kind} {row.subject}: {row.detail}" for row in rows)


def _ambiguity(played: Sequence[Played]) -> tuple[Witness, ...]:
    """Of what was played without an answer, some had been executed and some had not: a run of one kind shows nothing.

    A run of scenarios of one kind alone was asked for as such.
    """
    judged = Witness("scenarios were judged", bool(played))
    unanswered = [
        (p.scenario.situation.executed, p.verdict is Verdict.PASS)
        for p in played
        if p.scenario.situation is not None and not p.scenario.situation.answered
    ]
    if {executed for executed, _ in unanswered} != {True, False}:
        return (judged,)
    return (
        judged,
        Witness("an attempt without an answer had been executed", (True, True) in unanswered),
        Witness("an attempt without an answer had not been executed", (False, True) in unanswered),
    )


def _played_to_its_end(beyond_repair: str) -> tuple[Witness, ...]:
    if not beyond_repair:
        return ()
    reason, *_ = beyond_repair.splitlines()
    return (Witness(f"all scenarios could be played ({reason})", seen=False),)


def _same_to_the_caller(played: Sequence[Played]) -> list[Finding]:
    """In each family, for each kind of connection: what callers saw in situations 2 to 5."""
    saw: defaultdict[str, set[str]] = defaultdict(set)
    for p in played:
        situation = p.scenario.situation
        if situation is not None and not situation.answered and p.verdict is Verdict.PASS:
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
