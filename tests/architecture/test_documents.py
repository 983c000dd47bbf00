"""Documents name only what exists."""

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

from billing_service import problems
from service_kit.http_guard import REFUSALS, Refusal
from service_kit.problem_details.problem import ProblemType
from tests.architecture.rules import OURS, PROJECT

DOCUMENTS = tuple(
    str(path.relative_to(PROJECT))
    for path in (
        PROJECT / "README.md",
        PROJECT / "SECURITY.md",
        *sorted((PROJECT / "docs").glob("*.md")),
    )
)
# Every file that is named in backticks and lies in a folder of the project, wherever in a document it stands.
_TOP_FOLDERS = "|".join(sorted(path.name for path in PROJECT.glob("[!.]*/") if path.is_dir()))
_PATH = re.compile(rf"(?<![\w/.…-])((?:{_TOP_FOLDERS})/[\w./-]*\w/?)")
# `python -m x.y`, and what uvicorn is given: `x.y:name`.
_PROGRAM = re.compile(r"python3?(?: -\w+)* -m ([a-z_][\w.]*\w)")
_FACTORY = re.compile(r"\b([a-z_]\w*(?:\.\w+)+):(\w+)")
_TARGET = re.compile(r"\bmake ([a-z][a-z-]*)")
_LINK = re.compile(r"\]\((?!https?:|<)([^)\s]*)\)")
_NAMED_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
# The head of an example that is a new file: it is not there yet.
_NEW_FILE = re.compile(r"^```python\n# [\w/]+\.py$", re.MULTILINE)
# In a sentence, "make" is a verb.
_CODE = re.compile(r"```.*?```|`[^`]+`", re.DOTALL)


def wrong_names(text: str, base: Path) -> list[str]:
    """What a document that lies in `base` names and the project does not have: files, modules, targets, links, tests."""
    return [
        *(path for path in _PATH.findall(_NEW_FILE.sub("", text)) if not (PROJECT / path).exists()),
        *(module for module in _PROGRAM.findall(text) if not _is_module(module)),
        *(
            f"{module}:{name}"
            for module, name in _FACTORY.findall(text)
            if module.partition(".")[0] in OURS and not _defines(module, name)
        ),
        *(
            f"make {target}"
            for code in _CODE.findall(text)
            for target in _TARGET.findall(code)
            if not _is_target(target)
        ),
        *(link for link in _LINK.findall(text) if not _leads_somewhere(link, text, base)),
        *(
            f"{path}::{name}"
            for path, name in _NAMED_TEST.findall(text)
            if f"def {name}(" not in _text(PROJECT / path)
        ),
    ]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _is_module(name: str) -> bool:
    """A program of ours has a file; one of the virtual environment (pytest) can be found."""
    path = PROJECT / name.replace(".", "/")
    if name.partition(".")[0] in OURS:
        return path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()
    return importlib.util.find_spec(name.partition(".")[0]) is not None


def _defines(module: str, name: str) -> bool:
    path = PROJECT / module.replace(".", "/")
    source = _text(path.with_suffix(".py")) + _text(path / "__init__.py")
    return re.search(rf"\b{name}\b", source) is not None


def _is_target(name: str) -> bool:
    makefile = _text(PROJECT / "Makefile")
    return re.search(rf"^{name}:", makefile, re.MULTILINE) is not None


def _leads_somewhere(link: str, text: str, base: Path) -> bool:
    path, _, heading = link.partition("#")
    if path and not (base / path).exists():
        return False
    return not heading or heading in _headings(_text(base / path) if path else text)


def _headings(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    return {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }


@pytest.mark.parametrize("document", DOCUMENTS)
def test_everything_that_is_named_exists(document: str) -> None:
    """Paths, programs, factories, targets, links and tests lead somewhere."""
    path = PROJECT / document
    assert wrong_names(path.read_text(encoding="utf-8"), path.parent) == []


@pytest.mark.parametrize(
    "text",
    [
        "`billing_service/no_such_file.py`",
        "service_kit/no_such_package/ in a sentence",
        "`chaos/steps/acts.py`, `deploy/x.json`",
        "`.venv/bin/python -m chaos.no_such_module`",
        "python3 -E -m no_such_program",
        "`uvicorn billing_service.app:no_such_factory --factory`",
        "`make no-such-target`",
        "```\nmake no-such-target    # what it does\n```",
        "[a page](no_such_page.md)",
        "[a heading](copy.md#no-such-heading), [another](#no-such-heading)",
        "`tests/architecture/test_documents.py::test_that_is_not_there`",
    ],
)
def test_a_wrong_name_is_noticed(text: str) -> None:
    """The negative control: each kind of reference to something that is not there is reported."""
    assert wrong_names(text, PROJECT / "docs")


@pytest.mark.parametrize(
    "text",
    [
        "`billing_service/app.py`, docs/copy.md, `chaos/steps/`",
        "`.venv/bin/python -m pytest tests/chaos`, `python -m chaos run`, `python -m report RUN_DIR`",
        "`uvicorn billing_service.app:create --factory`",
        "`make demo` and `make compose-test` make no sound",
        "[a heading](copy.md#when-not-to-use-it), [a site](https://example.com/x)",
        "`tests/architecture/test_documents.py::test_a_true_name_is_accepted`",
    ],
)
def test_a_true_name_is_accepted(text: str) -> None:
    """The positive control."""
    assert wrong_names(text, PROJECT / "docs") == []


def test_all_documents_are_covered() -> None:
    """A new page is checked without being listed."""
    assert {"README.md", "SECURITY.md", "docs/chaos.md", "docs/map.md"} <= set(DOCUMENTS)


def test_every_target_of_the_workflow_exists() -> None:
    """What CI runs can be run by hand."""
    workflow = (PROJECT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"\bmake ([a-z][a-z-]*)", workflow)
    assert {"check", "test", "compose-test", "soak"} <= set(targets)
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_readme_is_short() -> None:
    """Under 150 lines: everything else is in docs."""
    assert len((PROJECT / "README.md").read_text(encoding="utf-8").splitlines()) < 150


@pytest.mark.parametrize("problem", problems.OF_A_CHARGE, ids=lambda problem: problem.slug)
def test_every_answer_to_a_charge_is_on_the_page_of_the_wire(problem: ProblemType) -> None:
    """A client that is written from docs/protocol.md meets no answer that the page does not have."""
    text = (PROJECT / "docs/protocol.md").read_text(encoding="utf-8")
    table = text.partition("| status | problem |")[2].partition("\n\n")[0]
    assert re.search(rf"^\| {problem.status} \|.*`{problem.slug}`", table, re.MULTILINE)


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.slug)
def test_every_refusal_is_on_the_page_of_the_wire(refusal: Refusal) -> None:
    """The page has the answers of the HTTP guard, too."""
    text = (PROJECT / "docs/protocol.md").read_text(encoding="utf-8")
    assert re.search(rf"^\| {refusal.status} \| `{refusal.slug}`", text, re.MULTILINE)


def test_the_draft_is_covered() -> None:
    """The table of the draft's requirements names a test in each row."""
    text = (PROJECT / "docs/protocol.md").read_text(encoding="utf-8")
    table = text.partition("## Requirements of draft")[2]
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    assert len(rows) >= 12
    assert all("::test_" in row for row in rows)


def test_the_token_of_the_curl_lines_is_that_of_docker(tmp_path: Path) -> None:
    """Without a stack of `make up` the pasted line yields the token that docker-compose.yml gives to curl."""
    page = (PROJECT / "docs/running.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^TOKEN=\$\(.*?\)$", page, re.MULTILINE | re.DOTALL)
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
