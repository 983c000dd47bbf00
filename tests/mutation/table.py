"""What a person reads of a run: the score of each module, each survivor as a diff, and what counts as enough.

Guarantee: equivalents are counted on their own; a mutant that no test executes counts as a survivor.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from tests.mutation.mutant import PYTHON
from tests.mutation.verdict import EQUIVALENT, HUNG, KILLED, SURVIVED, UNREACHED, Verdict

# Per cent of the mutants that tests have to kill. Money rests on the first two; every SQL mutant has to be killed.
LEAST = {"billing_service": 90.0, "order_service": 90.0}
LEAST_ELSEWHERE = 85.0
LEAST_SQL = 100.0
SQL = "SQL"
_COLUMNS = (KILLED, HUNG, SURVIVED, UNREACHED, EQUIVALENT)


def group(verdict: Verdict) -> str:
    """What a verdict counts for: its package, or SQL."""
    mutant = verdict.mutant
    return mutant.path.partition("/")[0] if mutant.kind == PYTHON else SQL


def score(verdicts: Iterable[Verdict]) -> float:
    """Per cent that was caught, equivalents aside; 100 when there is nothing else."""
    counted = [verdict for verdict in verdicts if verdict.outcome != EQUIVALENT]
    return 100.0 * sum(each.caught for each in counted) / len(counted) if counted else 100.0


def least(name: str) -> float:
    """Per cent that has to be caught of a group."""
    return LEAST_SQL if name == SQL else LEAST.get(name, LEAST_ELSEWHERE)


def below(verdicts: Sequence[Verdict]) -> list[str]:
    """One sentence for each group whose score is too low."""
    groups = _by(verdicts, group)
    return [
        f"{name}: {score(members):.1f} % of its mutants were killed, at least {least(name):.0f} % are needed."
        for name, members in groups.items()
        if score(members) < least(name)
    ]


def table(verdicts: Sequence[Verdict]) -> str:
    """By module and by group."""
    lines = [f"{'':50}{'score':>10}" + "".join(f"{name:>12}" for name in _COLUMNS)]
    for name, members in _by(verdicts, group).items():
        rows = _by(members, lambda verdict: verdict.mutant.module)
        lines += [_row(f"  {module}", those) for module, those in rows.items()]
        lines += [_row(name, members), ""]
    return "\n".join(lines)


def survivors(verdicts: Iterable[Verdict]) -> str:
    """Each with its diff, and why no test has killed it."""
    return "\n\n".join(
        f"{verdict.mutant.diff()}\n  {_why(verdict)}"
        for verdict in sorted(verdicts, key=lambda each: (each.mutant.path, each.mutant.line))
        if verdict.outcome in (SURVIVED, UNREACHED)
    )


def _why(verdict: Verdict) -> str:
    if verdict.outcome == UNREACHED:
        return "no test executes it"
    return f"{verdict.tests} tests execute it and pass [{verdict.mutant.id}]"


def _row(name: str, verdicts: Sequence[Verdict]) -> str:
    counts = Counter(verdict.outcome for verdict in verdicts)
    cells = "".join(f"{counts[column] or '':>12}" for column in _COLUMNS)
    return f"{name[:50]:50}{score(verdicts):8.1f} %{cells}"


def _by(verdicts: Iterable[Verdict], key: object) -> dict[str, list[Verdict]]:
    assert callable(key)
    found: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        found.setdefault(str(key(verdict)), []).append(verdict)
    return dict(sorted(found.items()))
