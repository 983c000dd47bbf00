"""The command line as a person meets it: it starts, it stops, it leaves nothing behind, it says what is wrong."""

import asyncio
import json
import os
import re
import select
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from chaos.scenarios.catalogue import SCENARIOS
from chaos.scenarios.table import TABLE
from report.command import CHAOS
from stack import run_directory
from stack.http_client import http_client
from stack.schema import PROJECT
from stack.toxiproxy import VARIABLE
from tests import commands
from tests.chaos.planted import BUGS

pytestmark = pytest.mark.chaos
# The table is played in half a minute on an idle machine.
BOUND_S = 600.0
# What a person's shell may have exported for other programs, and what must not reach a child.
HOSTILE = {
    "PGSSLMODE": "require",
    "PGTARGETSESSIONATTRS": "read-only",
    "PGHOST": "/nowhere",
    "PGPASSFILE": "/nowhere",
    "PGOPTIONS": "-c nonsense=1",
    "PYTHONOPTIMIZE": "2",
    "PYTHONSTARTUP": "/nowhere",
    "PYTHONIOENCODING": "iso-8859-9",
    "SSL_CERT_FILE": "/nowhere",
    "REQUESTS_CA_BUNDLE": "/nowhere",
    "http_proxy": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
    "LC_ALL": "tr_TR.ISO-8859-9",
    "TMPDIR": "/nowhere",
    "GOROOT": "/nowhere",
    "PIP_USER": "1",
    "SECRET_OF_ANOTHER_PROGRAM": "secret",
}

Up = Callable[..., Awaitable[tuple[asyncio.subprocess.Process, dict[str, Any]]]]


async def command(*arguments: str, environ: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Runs `python -m chaos` to its end: exit code, output, errors."""
    own = {**os.environ, **(environ or {})}
    ended = await commands.run("chaos", *arguments, environ=own, bound_s=BOUND_S)
    return ended.code, ended.output, ended.errors


def _as_from_a_terminal() -> None:
    """The tests themselves may have been started to ignore signals, which a child would inherit."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Up]:
    """Starts `python -m chaos up` in a folder of its own and waits until it says that it is up."""
    started: list[asyncio.subprocess.Process] = []

    async def start(
        *arguments: str,
        environ: dict[str, str] | None = None,
        before: Callable[[], object] = _as_from_a_terminal,
    ) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "chaos",
            "up",
            "--run-dir",
            str(tmp_path),
            *arguments,
            cwd=PROJECT,
            env={**os.environ, **(environ or {})},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=before,
        )
        started.append(process)
        assert process.stdout is not None
        said = b""
        async with asyncio.timeout(BOUND_S):
            while b"The stack is up" not in said:
                line = await process.stdout.readline()
                assert line, said.decode()
                said += line
        described = json.loads((tmp_path / "stack.json").read_text(encoding="utf-8"))
        return process, {**described, "said": said.decode()}

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def gone(pids: list[int]) -> None:
    """Returns when all of the processes have ended: told by the kernel, not by a clock."""
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        ended: list[int] = (await asyncio.to_thread(select.select, [handle], [], [], BOUND_S))[0]
        os.close(handle)
        assert ended, f"process {pid} is still there"


def pids(stack: dict[str, Any]) -> list[int]:
    return [process["pid"] for process in stack["processes"]]


async def stops(
    process: asyncio.subprocess.Process,
    stack: dict[str, Any],
    run_dir: Path,
    number: signal.Signals,
) -> None:
    """The stack stops in order at a signal: neither a process nor its description is left."""
    assert len(pids(stack)) == 5
    process.send_signal(number)
    assert await process.wait() == 0
    await gone(pids(stack))
    assert not (run_dir / "stack.json").exists()


async def test_no_process_is_left_when_the_terminal_is_closed(up: Up, tmp_path: Path) -> None:
    """SIGHUP; other tests stop by Ctrl-C and by SIGTERM."""
    await stops(*await up(), tmp_path, signal.SIGHUP)


async def test_no_process_is_left_when_the_parent_is_killed(up: Up, tmp_path: Path) -> None:
    """Every child ends, and the next command says what is left over."""
    process, stack = await up()
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await gone(pids(stack))
    # What is left over from a stack that was killed is not taken for one that runs.
    code, _, errors = await command("audit", "--run-dir", str(tmp_path))
    assert code == 2
    assert "stack.json is left over from a stack that was killed" in errors
    with run_directory.held(tmp_path):
        assert not (tmp_path / "stack.json").exists()


async def test_a_hangup_under_nohup(up: Up, tmp_path: Path) -> None:
    """A command that was started to ignore the hang-up does: the stack stays up, and stops at SIGTERM."""
    process, stack = await up(before=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    (ignored,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:"))
    assert int(ignored, 16) & 1 << (signal.SIGHUP - 1)
    process.send_signal(signal.SIGHUP)
    async with http_client(timeout=BOUND_S) as client:
        assert (await client.get(stack["urls"]["order_service"] + "/readyz")).status_code == 200
    await stops(process, stack, tmp_path, signal.SIGTERM)


async def test_a_shell_with_settings_for_other_programs(up: Up, tmp_path: Path) -> None:
    """The stack starts all the same, and none of its processes has any of them."""
    process, stack = await up(environ={**HOSTILE, "ORDER_LEASE_S": "11"})
    for row in stack["processes"]:
        content = Path(f"/proc/{row['pid']}/environ").read_bytes().decode()
        found = dict(entry.split("=", 1) for entry in content.split("\0") if entry)
        # These two have other values in a child.
        for name in HOSTILE.keys() - {"LC_ALL", "TMPDIR"}:
            assert name not in found, (row["name"], name)
        assert found["LC_ALL"] == "C"
        assert Path(found["TMPDIR"]).is_dir()
        assert not any(name.startswith(("PG", "PIP_", "GO")) for name in found)
        if row["name"] == "order_service":
            assert found["ORDER_LEASE_S"] == "11"
    await stops(process, stack, tmp_path, signal.SIGINT)


async def test_usual_ports_that_are_taken(tmp_path: Path, up: Up) -> None:
    """It says which port is taken and which one is used in its place: curl lines of the README reach another program."""
    with socket.socket() as taken:
        # Another stack on this machine may have the port; that is as good.
        with suppress(OSError):
            taken.bind(("127.0.0.1", 8001))
            taken.listen()
        process, stack = await up()
    port = stack["urls"]["order_service"].rpartition(":")[2]
    assert port != "8001"
    sentence = (
        f"Port 8001 is taken by another program: order_service is at 127.0.0.1:{port} instead."
    )
    assert sentence in stack["said"]
    process.send_signal(signal.SIGINT)
    await process.wait()


async def test_an_interrupted_run_is_written(tmp_path: Path) -> None:
    """What was measured is in the result, which says that it was interrupted and is not a pass; exit code 130."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chaos", "run", "success", "--run-dir", str(tmp_path)),
        cwd=PROJECT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    said = b""
    async with asyncio.timeout(BOUND_S):
        while b" 2/" not in said:
            line = await process.stdout.readline()
            assert line, said.decode()
            said += line
        process.send_signal(signal.SIGINT)
        said += await process.stdout.read()
    assert await process.wait() == 130
    assert b"Traceback" not in said
    (path,) = (tmp_path / "results").glob("latest/result.json")
    result = json.loads(path.read_text(encoding="utf-8"))
    assert (result["interrupted"], result["verdict"]) == (True, "unknown")
    assert 2 <= len(result["scenarios"]) < 15
    assert {row["verdict"] for row in result["scenarios"]} == {"pass"}
    assert (path.parent / "report.html").exists()


async def test_the_description_can_be_used(up: Up) -> None:
    """Replicas, addresses, tokens and databases of stack.json are those that work."""
    process, stack = await up("--replicas", "2")
    names = [(row["name"], row["replica"]) for row in stack["processes"]]
    for service in ("order_service", "billing_service", "notification_service"):
        assert (service, 0) in names
        assert (service, 1) in names
    assert sorted(stack["toxiproxy"]["proxies"]) == [
        "billing",
        "billing-db",
        "notification",
        "notification-db",
        "order-db",
    ]
    assert sorted(stack["databases"]) == ["billing", "notifications", "orders", "owner"]
    token = {"Authorization": f"Bearer {stack['tokens']['curl']}"}
    async with http_client(timeout=BOUND_S) as client:
        placed = await client.post(
            stack["urls"]["order_service"] + "/orders",
            json={"customer": "alice", "amount_cents": 1999, "item": "book"},
        )
        assert placed.status_code == 201
        for account, cents in (("alice", 998_001), ("bob", 1_000_000), ("carol", 1_000_000)):
            url = f"{stack['urls']['billing_service']}/accounts/{account}"
            assert (await client.get(url, headers=token)).json()["balance_cents"] == cents
        boots = {
            (await client.get(row["url"] + "/healthz")).json()["boot_id"]
            for row in stack["processes"]
            if row["name"].endswith("_service")
        }
        assert len(boots) == 6
    process.send_signal(signal.SIGINT)
    await process.wait()
    await gone(pids(stack))


async def test_data_stay_from_run_to_run(up: Up) -> None:
    """What was billed before the stop is billed after the next start, under the same tokens."""
    process, stack = await up()
    async with http_client(timeout=BOUND_S) as client:
        url = stack["urls"]["order_service"] + "/orders"
        order = {"customer": "bob", "amount_cents": 5, "item": "pin"}
        placed = (await client.post(url, json=order)).json()
    # The hardest stop there is: the crash recovery of Postgres is part of the next start.
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await gone(pids(stack))
    process, again = await up()
    async with http_client(timeout=BOUND_S) as client:
        found = await client.get(f"{again['urls']['order_service']}/orders/{placed['order_id']}")
    assert found.json()["status"] == "billed"
    assert again["tokens"] == stack["tokens"]
    process.send_signal(signal.SIGINT)
    await process.wait()


async def test_a_second_stack_in_the_same_folder(up: Up, tmp_path: Path) -> None:
    """One sentence with the process that is in the way, and exit code 2; the first one runs on."""
    process, stack = await up()
    code, _, errors = await command("up", "--run-dir", str(tmp_path))
    assert code == 2
    assert errors.strip() == (
        f"chaos: a stack runs already in {tmp_path} (process {process.pid}); stop it first."
    )
    async with http_client(timeout=BOUND_S) as client:
        assert (await client.get(stack["urls"]["order_service"] + "/readyz")).status_code == 200


async def test_a_named_port_that_is_taken(tmp_path: Path) -> None:
    """A named port is used, or its refusal is a sentence."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, _, errors = await command(
            "up", "--run-dir", str(tmp_path), environ={"BILLING_PORT": port}
        )
    assert code == 2
    assert (
        errors.strip()
        == f"chaos: BILLING_PORT={port}: the port cannot be used: Address already in use."
    )


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"ORDER_PORT": "http"}, "ORDER_PORT=http: a port is a number from 1 to 65535."),
        ({VARIABLE: "/nowhere"}, f"{VARIABLE}=/nowhere: there is no such program."),
        (
            {VARIABLE: sys.executable},
            f"{VARIABLE}={sys.executable}: this is not toxiproxy-server 2.12.0.",
        ),
        ({"ORDER_WAIT_BUDGET_S": "long"}, "ORDER_WAIT_BUDGET_S: Input should be a valid number"),
        (
            {"BILLING_POOL_SIZE_MAX": "0"},
            "BILLING_POOL_SIZE_MAX: Input should be greater than or equal to 1",
        ),
        ({"ORDER_LEASE_S": "1"}, "ORDER_LEASE_S is 1 but must be more than"),
    ],
    ids=str,
)
async def test_a_wrong_setting(tmp_path: Path, environ: dict[str, str], says: str) -> None:
    """The name of the variable, what is wrong with it, exit code 2, and no traceback."""
    code, _, errors = await command("up", "--run-dir", str(tmp_path), environ=environ)
    assert code == 2
    assert says in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["up", "--replicas", "0"],
        ["up", "--replicas", "x"],
        ["matrix", "--seed", "-1"],
    ],
    ids=str,
)
async def test_wrong_arguments(arguments: list[str]) -> None:
    """Usage and one sentence on standard error, exit code 2."""
    code, output, errors = await command(*arguments)
    assert code == 2
    assert output == ""
    assert "error:" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("arguments", [["--help"], ["up", "--help"], ["demo", "--help"]], ids=str)
async def test_help(arguments: list[str]) -> None:
    """Every command explains itself."""
    code, output, _ = await command(*arguments)
    assert code == 0
    assert f"usage: {CHAOS}" in output


async def test_the_list() -> None:
    """Every scenario of the catalogue, a line each."""
    code, output, _ = await command("list")
    assert code == 0
    assert [line.split()[0] for line in output.splitlines()] == [s.name for s in SCENARIOS]


async def test_a_name_that_is_a_part_of_another() -> None:
    """A printed command plays the scenario that it names, and no other."""
    code, output, _ = await command("list", "commit/late")
    assert code == 0
    assert [line.split()[0] for line in output.splitlines()] == ["commit/late"]


async def test_the_list_of_bugs() -> None:
    """Every planted bug, a line each."""
    code, output, _ = await command("mutants", "--list")
    assert code == 0
    assert [line.split()[0] for line in output.splitlines()] == [bug.name for bug in BUGS]


async def test_the_demo_without_a_terminal(tmp_path: Path) -> None:
    """It plays the table, writes result.json, stops by itself, and its exit code is the verdict."""
    code, output, errors = await command("demo", "--run-dir", str(tmp_path), "--seed", "7")
    assert code == 0, errors
    assert "15 pass, 0 fail, 0 unknown" in output
    rows_told = re.findall(r"^(\d) [a-z ,]+: ", output, re.MULTILINE)
    assert rows_told == ["1", "2", "3", "4", "5"]
    paid = re.findall(r"the caller .*  (\d) (paid \w+|lost)$", output, re.MULTILINE)
    assert [int(figure) for figure, _ in paid] == [cell.effects for cell in TABLE]
    (report,) = re.findall(r"^Report: file://(.*)$", output, re.MULTILINE)
    assert Path(report).samefile(tmp_path / "results" / "latest" / "report.html")
    (path,) = (tmp_path / "results").glob("latest/result.json")
    result = json.loads(path.read_text(encoding="utf-8"))
    assert (result["seed"], result["verdict"]) == (7, "pass")
    assert result["versions"]["toxiproxy"] == "2.12.0"
    assert result["versions"]["postgres"].startswith("18")
    rows = {(row["situation"], row["delivery"]): row for row in result["scenarios"]}
    assert len(rows) == 15
    for row in rows.values():
        assert row["effects_measured"] == row["effects_expected"]
        assert all(witness["seen"] for witness in row["witnesses"])
    assert len({row["caller_saw"] for (name, _), row in rows.items() if name != "success"}) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "no/such"], "there is no scenario no/such"),
        (["run", "slow/respnse"], "Do you mean slow/response"),
        (["run", "disconect"], "Do you mean disconnect?"),
        (["list", "slow/respnse"], "Do you mean slow/response"),
        (["run", "--target", "missing.json"], "missing.json cannot be read"),
        (["run", "--seed", "-1"], "the seed is a whole number"),
        (["mutants", "no_such_bug"], f"'{CHAOS} mutants --list' names them all"),
        (["mutants", "no_uniqu"], "there is no planted bug no_uniqu. Do you mean no_unique"),
        (["soak", "--duration", "0"], "the duration is a number of seconds"),
        (["soak", "--plan", "missing.json"], "missing.json cannot be read"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
async def test_a_wrong_argument_of_the_chaos_commands(
    tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    """One sentence and exit code 2; nothing was started."""
    code, _, errors = await command(*arguments, "--run-dir", str(tmp_path))
    assert code == 2
    assert sentence in errors
    assert "Traceback" not in errors


async def test_a_plan_that_is_none(tmp_path: Path) -> None:
    """Valid JSON is not yet a plan."""
    plan = tmp_path / "plan.json"
    plan.write_text('{"seed": 1}', encoding="utf-8")
    code, _, errors = await command("soak", "--plan", str(plan), "--run-dir", str(tmp_path))
    assert code == 2
    assert "is no plan of a soak" in errors


async def test_a_stack_json_that_is_none(tmp_path: Path) -> None:
    """It says what is needed."""
    target = tmp_path / "stack.json"
    target.write_text('{"urls": {}}', encoding="utf-8")
    code, _, errors = await command("run", "--target", str(target), "--run-dir", str(tmp_path))
    assert code == 2
    assert "it needs urls.order_service" in errors


@pytest.mark.chaos
async def test_a_run_leaves_a_report(tmp_path: Path) -> None:
    """One scenario by name: the page, the JUnit file and the history are there, and the exit code is the verdict."""
    code, output, errors = await command("run", "slow/response", "--run-dir", str(tmp_path))
    assert code == 0, output + errors
    link, folder = sorted((tmp_path / "results").iterdir(), key=lambda path: not path.is_symlink())
    assert (link.name, link.resolve()) == ("latest", folder.resolve())
    assert {path.name for path in folder.iterdir()} == {
        "result.json",
        "history.jsonl",
        "junit.xml",
        "report.html",
    }
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in result["scenarios"]] == ["slow/response"]
    assert all(promise["kept"] for promise in result["scenarios"][0]["promises"])
    events = [
        json.loads(line)
        for line in (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert {"armed", "attempt", "arrival", "healed", "observed"} <= {e["seam"] for e in events}
    assert "slow/response" in (folder / "junit.xml").read_text(encoding="utf-8")
