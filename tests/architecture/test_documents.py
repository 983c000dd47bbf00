"""Documents name only what exists."""

import re
import subprocess
from pathlib import Path

import pytest

from billing_service import problems
from service_kit.http_guard import REFUSALS, Refusal
from service_kit.problem_details.problem import ProblemType
from tests.architecture.rules import PROJECT

DOCUMENTS = (
    "README.md",
    "SECURITY.md",
    "docs/copy.md",
    "docs/protocol.md",
    "docs/decisions.md",
    "docs/running.md",
    "docs/guarantees.md",
)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_test_that_is_named_exists(document: str) -> None:
    """A reference to a test is a promise that somebody can look it up."""
    for path, name in re.findall(
        r"`(tests/[\w/]+\.py)::(\w+)`", (PROJECT / document).read_text(encoding="utf-8")
    ):
        assert f"def {name}(" in (PROJECT / path).read_text(encoding="utf-8"), f"{path}::{name}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_that_is_named_exists(document: str) -> None:
    """Paths in backticks and links lead somewhere."""
    text = (PROJECT / document).read_text(encoding="utf-8")
    named = re.findall(
        r"`((?:tests|chaos|examples|order_service|billing_service|docs)/[\w/.]+)`", text
    )
    linked = re.findall(r"\]\((?!http)([\w/.]+)\)", text)
    base = (PROJECT / document).parent
    for path in named:
        assert (PROJECT / path).exists(), path
    for path in linked:
        assert (base / path).exists(), path


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_target_that_is_named_exists(document: str) -> None:
    """`make x` in a document is a target of the Makefile."""
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(
        r"\bmake ([a-z][a-z-]*)", (PROJECT / document).read_text(encoding="utf-8")
    ):
        if target not in ("it",):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_target_of_the_workflow_exists() -> None:
    """What CI runs is what everybody can run."""
    workflow = (PROJECT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"\bmake ([a-z][a-z-]*)", workflow)
    assert {"check", "test", "compose-test", "soak"} <= set(targets)
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_readme_is_short() -> None:
    """Under 150 lines: who wants to know more finds it in docs."""
    assert len((PROJECT / "README.md").read_text(encoding="utf-8").splitlines()) < 150


@pytest.mark.parametrize("problem", problems.OF_A_CHARGE, ids=lambda problem: problem.slug)
def test_every_answer_to_a_charge_is_on_the_page_of_the_wire(problem: ProblemType) -> None:
    """Who writes a client from docs/protocol.md meets no answer that is not there, with its status."""
    text = (PROJECT / "docs/protocol.md").read_text(encoding="utf-8")
    table = text.partition("| status | problem |")[2].partition("\n\n")[0]
    assert re.search(rf"^\| {problem.status} \|.*`{problem.slug}`", table, re.MULTILINE)


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.slug)
def test_every_refusal_is_on_the_page_of_the_wire(refusal: Refusal) -> None:
    """What is answered in front of the services is there too."""
    text = (PROJECT / "docs/protocol.md").read_text(encoding="utf-8")
    assert re.search(rf"^\| {refusal.status} \| `{refusal.slug}`", text, re.MULTILINE)


def test_the_draft_is_covered() -> None:
    """The table of the draft's requirements names a test in each row."""
    text = (PROJECT / "docs/protocol.md").read_text(encoding="utf-8")
    table = text.partition("## Requirements of draft")[2]
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    assert len(rows) >= 12
    assert all("::test_" in row for row in rows)


def test_the_token_of_the_readme_is_that_of_docker(tmp_path: Path) -> None:
    """Without a stack of `make up` the pasted line yields the token that docker-compose.yml gives to curl."""
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^TOKEN=\$\(.*?\)$", readme, re.MULTILINE | re.DOTALL)
    pasted = subprocess.run(
        ["/bin/bash", "-c", f'{line}\necho "$TOKEN"'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    token = pasted.stdout.strip()
    assert token
    assert f"${{BILLING_TOKEN_OF_CURL:-{token}}}" in (PROJECT / "docker-compose.yml").read_text(
        encoding="utf-8"
    )
