"""The run as a whole: what its database has to answer for, and what it has not."""

import argparse
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from chaos import __main__ as command
from chaos.evidence import readings
from chaos.evidence.readings import Witness
from chaos.harness.harness import Harness
from chaos.promises.audit import Audit
from chaos.promises.audit import Finding as Row
from chaos.promises.verdict import Verdict, judge
from chaos.results.lines import line
from chaos.runner import whole as whole_module
from chaos.runner.run import visit
from chaos.runner.whole import findings_of_audit, judge_run

MISSING = (Witness("it struck", seen=False),)
SEEN = (Witness("it struck", seen=True),)


@pytest.mark.parametrize(
    ("kind", "broken", "unwitnessed"),
    [
        ("double", "X6", Verdict.FAIL),
        ("balance", "X6", Verdict.FAIL),
        ("key gap", "X6", Verdict.FAIL),
        ("stuck", "L1", Verdict.UNKNOWN),
    ],
)
def test_what_the_audit_found(kind: str, broken: str, unwitnessed: Verdict) -> None:
    """Wrong money fails whatever struck; an order that is stuck fails only where a fault was witnessed."""
    found = findings_of_audit([Row(kind, "an order", "of 1,999 cents")])
    assert [finding.promise for finding in found if not finding.kept] == [broken]
    assert judge(SEEN, found) is Verdict.FAIL
    assert judge(MISSING, found) is unwitnessed
    assert judge(SEEN, findings_of_audit([])) is Verdict.PASS


@pytest.mark.chaos
async def test_a_target_with_a_past(harness: Harness) -> None:
    """What its database had to answer for before the run is not the run's; what came with the run is."""
    account = await harness.open_account("past")
    owner = await readings.connect(harness.target.owner)
    take = "UPDATE billing.accounts SET balance_cents = balance_cents + $2 WHERE account = $1"
    try:
        await owner.execute(take, account, -1)
        async with visit(harness.target) as visited:
            whole = await judge_run(visited, [])
            assert all(finding.kept for finding in whole.findings), line(whole)
        await owner.execute(take, account, 1)
        async with visit(harness.target) as visited:
            await owner.execute(take, account, -1)
            whole = await judge_run(visited, [])
            assert whole.verdict is Verdict.FAIL, line(whole)
            assert [f.promise for f in whole.findings if not f.kept] == ["X6"]
    finally:
        await owner.execute(
            "UPDATE billing.accounts SET balance_cents = opening_balance_cents WHERE account = $1",
            account,
        )
        await owner.close()


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.FAIL])
async def test_the_whole_counts_for_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdict: Verdict
) -> None:
    """A run whose scenarios all passed has failed when the audit of its database finds something."""

    async def said(answer: Any) -> Any:
        return answer

    whole = SimpleNamespace(verdict=verdict)
    harness = SimpleNamespace(target=None, toxiproxy=None)
    monkeypatch.setattr(command, "play_all", lambda *_, **__: said([]))
    monkeypatch.setattr(command, "judge_run", lambda *_: said(whole))
    monkeypatch.setattr(command, "server_versions", lambda *_: said({}))
    monkeypatch.setattr(command, "_conclude", lambda *_, **__: None)
    monkeypatch.setattr(command, "_own_harness", lambda *_: nullcontext(harness))
    options = argparse.Namespace(seed=1, run_dir=tmp_path, command=None, names=[], target=None)
    assert await command.run(options, Console(quiet=True)) == verdict.exit_code


async def test_each_database_of_a_run_is_audited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also that of the second stack, which has the standby."""

    async def audit(owner: str) -> Any:
        return SimpleNamespace(findings=[Row("double", f"an order of {owner}", "twice")])

    monkeypatch.setattr(whole_module, "audit", audit)
    opened = [SimpleNamespace(target=SimpleNamespace(owner=name)) for name in ("one", "other")]
    harness: Any = SimpleNamespace(
        all_opened=opened,
        target=opened[0].target,
        found_before={("double", "an order of one")},
        background=SimpleNamespace(beyond_repair=""),
    )
    shared = await whole_module.share(harness, [])
    assert [row.subject for row in shared.audited] == ["an order of other"]


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.FAIL])
async def test_the_exit_code_of_an_audit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdict: Verdict, as_json: bool
) -> None:
    """That of its verdict, for people and for machines."""
    findings = [Row("double", "an order", "twice")] if verdict is Verdict.FAIL else []

    async def audit(*_: Any) -> Audit:
        return Audit(1, 1, 0, 0, findings)

    monkeypatch.setattr(command, "audit", audit)
    monkeypatch.setattr(command, "read", lambda _: SimpleNamespace(owner=""))
    options = argparse.Namespace(run_dir=tmp_path, target=None, stuck_after=1.0, json=as_json)
    assert await command.reconcile(options, Console(quiet=True)) == verdict.exit_code
