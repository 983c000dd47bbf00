"""`make patroni-test` without its cluster: what is missing, what a strike shows, and when a cluster is ready for one.

The cluster itself is played where etcd is installed.
"""

import asyncio
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml
from rich.console import Console

import chaos.patroni.__main__ as command
from chaos.patroni import cluster as clusters
from chaos.patroni import programs
from chaos.patroni.cluster import Cluster, Node
from chaos.patroni.deployment import Deployment
from chaos.promises.audit import Audit, Finding
from stack import environ
from stack.processes import Child, Command, StackError
from stack.waiting import NotSeen, until
from tests.architecture.rules import PROJECT

RUNNING_PAGE = PROJECT / "docs" / "running.md"


def test_etcd_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence and exit code 2, before anything is installed or started."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delattr(programs, "python_with_patroni")
    assert command.main([]) == 2
    error = capsys.readouterr().err
    assert error.startswith("patroni-test: etcd is missing")
    assert error.count("\n") == 1


async def test_patroni_cannot_be_installed(tmp_path: Path) -> None:
    """One sentence that names it; the reason comes apart."""
    (tmp_path / "cache").touch()
    said: list[str] = []
    with pytest.raises(StackError) as raised:
        await programs.python_with_patroni(said.append, tmp_path / "cache" / "patroni")
    assert str(raised.value).startswith("Patroni is missing, and requirements-patroni.lock could")
    assert "cache" in said[0]


@pytest.mark.parametrize(
    "failure", [StackError("etcd does not answer."), NotSeen("ready: not within 1 s"), OSError()]
)
def test_a_piece_that_does_not_start(
    failure: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and a sentence, without a traceback."""

    async def run(*_: object) -> int:
        raise failure

    monkeypatch.setattr(command, "run", run)
    assert command.main([]) == 2
    assert capsys.readouterr().err == f"patroni-test: {failure}\n"


def test_a_strike_that_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and the names that there are."""
    with pytest.raises(SystemExit) as ended:
        command.main(["--only", "everything"])
    assert ended.value.code == 2
    assert "leader-killed" in capsys.readouterr().err


async def survived(*_: object) -> float:
    return 1.0


async def played(
    monkeypatch: pytest.MonkeyPatch,
    strike: Callable[..., Awaitable[float]],
    *,
    lost: tuple[str, ...] = (),
    findings: tuple[Finding, ...] = (),
) -> int:
    """The exit code of two strikes, of which the first is this one, on a cluster that answers at once."""

    async def answers(*_: object) -> list[str]:
        return list(lost)

    async def audited(_: object) -> Audit:
        return Audit(0, 0, 0, 0, findings)

    monkeypatch.setattr(command, "STRIKES", {"first": strike, "second": survived})
    monkeypatch.setattr(command, "audit", audited)
    cluster = SimpleNamespace(whole=answers, log_ends=lambda: "the end of a log")
    deployment = SimpleNamespace(
        billed_after=answers, settled=answers, lost=answers, billed_at_s={}, owner_url=""
    )
    return await command.play(
        ["first", "second"],
        cast(Cluster, cluster),
        cast(Deployment, deployment),
        Console(width=40),
    )


async def test_a_strike_that_is_survived(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 0, and one line for each strike, with its seconds."""
    assert await played(monkeypatch, survived) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("PASS first: the first order was billed after 1.0 s; 0 told")
    assert second.startswith("PASS second")


@pytest.mark.parametrize(
    ("wrong", "shown"),
    [
        ({"lost": ("42",)}, "order 42 was told as billed, and is lost"),
        ({"findings": (Finding("double", "42", "twice"),)}, "double 42: twice"),
    ],
)
async def test_what_was_told_is_lost(
    wrong: Any,
    shown: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 1, by the lookup or by the audit; the next strike is played."""
    assert await played(monkeypatch, survived, **wrong) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("FAIL first")
    assert lines[1].strip() == shown
    assert lines[2].startswith("FAIL second")


@pytest.mark.parametrize(
    "failure",
    [
        NotSeen("1 orders are billed: not within 180 s"),
        StackError("no leader"),
        ConnectionRefusedError("refused"),
        command.Broken("orders were billed while no node may lead."),
    ],
)
async def test_a_cluster_that_does_not_come_back(
    failure: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 with the logs, and no strike follows: a failed recovery is a finding, not a missing piece."""

    async def strike(*_: object) -> float:
        raise failure

    assert await played(monkeypatch, strike) == 1
    assert capsys.readouterr().out.splitlines() == [f"FAIL first: {failure}", "the end of a log"]


def member(role: str, state: str = "streaming", timeline: int = 2) -> dict[str, Any]:
    return {"role": role, "state": state, "timeline": timeline}


LEADER = member("leader", "running")
SYNC, REPLICA = member("sync_standby"), member("replica")


def test_a_cluster_that_is_whole() -> None:
    """A leader, a synchronous standby by name, and a third node that follows."""
    assert clusters.complete([SYNC, LEADER, REPLICA])


@pytest.mark.parametrize(
    "members",
    [
        [LEADER, REPLICA, REPLICA],
        [LEADER, SYNC],
        [SYNC, REPLICA, REPLICA],
        [LEADER, SYNC, member("replica", "running")],
        [LEADER, SYNC, member("replica", timeline=1)],
        [LEADER, member("sync_standby", "stopped"), REPLICA],
        [member("leader", "stopped"), SYNC, REPLICA],
        [],
    ],
    ids=[
        "no synchronous standby in etcd",
        "a node is away",
        "no leader",
        "a node that is killed does not follow yet",
        "a node that woke up is on its old timeline",
        "the synchronous standby is stopped",
        "the leader is stopped",
        "nothing is known",
    ],
)
def test_a_cluster_in_which_a_leader_has_no_successor(members: list[dict[str, Any]]) -> None:
    """It is not whole, so no strike comes: after most of them no node might lead."""
    assert not clusters.complete(members)


def state_of(pid: int) -> str:
    """One letter: T is stopped, Z is ended, - is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2][0]
    except OSError:
        return "-"


async def test_a_node_that_is_killed_or_paused(tmp_path: Path) -> None:
    """Its Patroni, its Postgres and each process of that Postgres: all stop, go on, and end."""
    node = Node("node-1", tmp_path, 0, 0)
    sleep = "import time; time.sleep(600)"
    command_of_child = Command([sys.executable, "-c", sleep], environ.of_child(), tmp_path)
    patroni = node.child = Child("patroni", command_of_child, tmp_path / "log")
    await patroni.start()
    forks = f"import os; os.fork(); {sleep}"
    postgres = await asyncio.create_subprocess_exec(sys.executable, "-c", forks)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "postmaster.pid").write_text(f"{postgres.pid}\n", encoding="utf-8")
    children = Path(f"/proc/{postgres.pid}/task/{postgres.pid}/children")
    cluster = Cluster(tmp_path, Path(sys.executable))

    async def forked() -> str:
        return children.read_text(encoding="utf-8").strip()

    pids = [patroni.pid, postgres.pid, int(await until(forked, 60.0, "Postgres has a child"))]

    async def until_all(states: str, what: str) -> None:
        async def found() -> bool:
            return all(state_of(pid) in states for pid in pids)

        await until(found, 60.0, what)

    try:
        cluster.pause(node)
        await until_all("T", "all are stopped")
        cluster.resume(node)
        await until_all("RSD", "all go on")
        await cluster.kill(node)
        await until_all("Z-", "all have ended")
        assert node.child is None
    finally:
        with suppress(ProcessLookupError):
            postgres.kill()
        await postgres.wait()
        await patroni.end(signal.SIGKILL)
        await cluster.stop()


def test_the_page_shows_the_file_that_is_used() -> None:
    """docs/running.md has deploy/patroni/patroni.yml word for word, and it asks for strict synchronous replication."""
    text = clusters.CONFIG.read_text(encoding="utf-8")
    assert f"```yaml\n{text}```" in RUNNING_PAGE.read_text(encoding="utf-8")
    dcs = yaml.safe_load(text)["bootstrap"]["dcs"]
    assert (dcs["synchronous_mode"], dcs["synchronous_mode_strict"]) == (True, True)


async def test_the_page_shows_the_variables_that_are_used(tmp_path: Path) -> None:
    """docs/running.md names each variable of a node, and no other."""
    cluster = Cluster(tmp_path, Path(sys.executable))
    used = {name for name in cluster.environ_of(cluster.nodes[0]) if name.startswith("PATRONI_")}
    shown = re.findall(r"^(PATRONI_\w+)=", RUNNING_PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(shown) == len(used)
    assert set(shown) == used
    await cluster.stop()
