"""The command line as a person meets it: it plays, it is interrupted, it says what is wrong."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from pathlib import Path

import pytest

from chaos.scenarios.catalogue import SCENARIOS
from chaos.scenarios.table import TABLE
from report.command import CHAOS
from stack.schema import PROJECT
from stack.toxiproxy import VARIABLE
from tests import commands
from tests.chaos.planted import BUGS

pytestmark = pytest.mark.chaos
# The table is played in half a minute on an idle machine.
BOUND_S = 600.0


async def command(*arguments: str, environ: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Runs `python -m chaos` to its end: exit code, output, errors."""
    own = {**os.environ, **(environ or {})}
    ended = await commands.run("chaos", *arguments, environ=own, bound_s=BOUND_S)
    return ended.code, ended.output, ended.errors


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
        # One that a service refuses: of each sentence of theirs its own tests see that it is said.
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
