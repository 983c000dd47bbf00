"""Which tests are played against a mutant, which mutants of all, and what is said of them."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.mutation import __main__ as mutation
from tests.mutation import selection, table
from tests.mutation.choice import Choice
from tests.mutation.mutant import PYTHON, STATEMENT, Mutant
from tests.mutation.net import Cache, Net, files_of_tests
from tests.mutation.selection import SelectionError
from tests.mutation.verdict import EQUIVALENT, KILLED, SURVIVED, UNREACHED, Verdict

PATH = "service_kit/limits.py"
SOURCE = '''"""Limits."""

LIMIT = 3
UNUSED = 4


def within(number: int = 1) -> bool:
    if number > LIMIT:
        return False
    return True


class Settings:
    size: int = 5
'''
FILE = "tests/service_kit/test_limits.py"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with one module and one file of tests."""
    for path, text in (
        (PATH, SOURCE),
        (FILE, "from service_kit import limits\nlimits.Settings().size\n"),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    git = ["git", "-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *arguments], cwd=tmp_path, check=True)
    return tmp_path


def entry(seconds: float, *lines: int, passed: bool = True) -> dict[str, object]:
    return {
        "passed": passed,
        "called": True,
        "seconds": seconds,
        "database": False,
        "lines": {PATH: list(lines)},
    }


def chosen(project: Path, line: int, budget_s: float = 20.0) -> list[str]:
    """The names of the tests, in their order, against a mutant of this line."""
    net = Net()
    net.add(
        {
            "tests": {
                f"{FILE}::test_slow": entry(9.0, 8, 9, 10),
                f"{FILE}::test_large": entry(0.1, 8, 9),
                f"{FILE}::test_small[1]": entry(0.2, 8, 10),
                f"{FILE}::test_small[2]": entry(0.2, 8, 10),
                f"{FILE}::test_red": entry(0.1, 8, passed=False),
            }
        }
    )
    assert net.refused == [f"{FILE}::test_red"]
    mutant = Mutant(PYTHON, PATH, "within", line, "test")
    tests = Choice(project, net, budget_s).tests(mutant)
    return [test.id.partition("::test_")[2] for test in tests]


def test_a_line_of_a_function(project: Path) -> None:
    """Those that execute it, the cheap ones first; one that fails without a mutant takes no part."""
    assert chosen(project, 9) == ["large", "slow"]
    assert chosen(project, 8) == ["large", "small[1]", "small[2]", "slow"]


def test_a_constant(project: Path) -> None:
    """Those that execute a function which uses it."""
    assert set(chosen(project, 3)) == {"large", "slow", "small[1]", "small[2]"}


def test_an_example_stands_alone(project: Path) -> None:
    """What has the same name in another package is not tested by its tests."""
    example = "examples/limits.py"
    (project / "examples").mkdir()
    (project / example).write_text(SOURCE, encoding="utf-8")
    net = Net()
    tests = {name: {**entry(0.1), "lines": {name: [8]}} for name in (PATH, example)}
    net.add({"tests": {f"{FILE}::{name}": each for name, each in tests.items()}})
    found = Choice(project, net).tests(Mutant(PYTHON, example, "<module>", 3, "test"))
    assert [test.id for test in found] == [f"{FILE}::{example}"]


def test_a_line_that_is_executed_at_import(project: Path) -> None:
    """Of a function that is called there: what looks at all modules is asked too."""
    page = "tests/architecture/test_contracts.py"
    (project / page).parent.mkdir(parents=True)
    (project / page).write_text("", encoding="utf-8")
    for imported in ([], [9]):
        net = Net()
        tests = {f"{FILE}::test_a": entry(0.1, 9), f"{page}::test_b": entry(0.1)}
        net.add({"tests": tests, "imported": {PATH: imported}})
        found = Choice(project, net).tests(Mutant(PYTHON, PATH, "within", 9, "test"))
        assert {test.file for test in found} == ({FILE, page} if imported else {FILE})


def test_a_private_constant(project: Path) -> None:
    """What has the same name in another module is something else."""
    path, other = "service_kit/one.py", "service_kit/other.py"
    for each in (path, other):
        (project / each).write_text(SOURCE.replace("LIMIT", "_LIMIT"), encoding="utf-8")
    net = Net()
    tests = {name: {**entry(0.1), "lines": {name: [9]}} for name in (path, other)}
    net.add({"tests": {f"{FILE}::{name}": each for name, each in tests.items()}})
    found = Choice(project, net).tests(Mutant(PYTHON, path, "<module>", 3, "test"))
    assert [test.id for test in found] == [f"{FILE}::{path}"]


def test_a_test_that_only_imports_the_module(project: Path) -> None:
    """Its turn comes after all that execute a use of the constant."""
    net = Net()
    tests = {"test_user": entry(9.0, 9), "test_importer": {**entry(0.5), "lines": {}}}
    net.add({"tests": {f"{FILE}::{name}": each for name, each in tests.items()}})
    mutant = Mutant(PYTHON, PATH, "<module>", 3, "test")
    for budget_s, found in ((9.2, ["user"]), (20.0, ["importer", "user"])):
        chosen = Choice(project, net, budget_s).tests(mutant)
        assert [test.id.partition("::test_")[2] for test in chosen] == found


def test_the_head_of_a_function(project: Path) -> None:
    """Those that execute its body."""
    assert set(chosen(project, 7)) == {"large", "slow", "small[1]", "small[2]"}


def test_the_head_of_a_function_within_a_function(project: Path) -> None:
    """Those that execute the outer one, which decorates it: also when nothing calls the inner one."""
    path = "service_kit/routes.py"
    text = "def install(app):\n    @app.get('/')\n    def front():\n        return 1\n"
    (project / path).write_text(text, encoding="utf-8")
    net = Net()
    net.add({"tests": {f"{FILE}::test_a": {**entry(0.1), "lines": {path: [2, 3]}}}})
    assert len(Choice(project, net).tests(Mutant(PYTHON, path, "install.front", 2, "test"))) == 1
    assert Choice(project, net).tests(Mutant(PYTHON, path, "install.front", 4, "test")) == []


def test_a_field_that_only_tests_use(project: Path) -> None:
    """Those whose file mentions it."""
    assert len(chosen(project, 14)) == 4


def test_the_budget(project: Path) -> None:
    """What is too slow is left out, and one of many parameters before the last test."""
    assert chosen(project, 8, 0.4) == ["large", "small[1]"]


def test_the_parameters_of_a_modules_own_test(project: Path) -> None:
    """They are not left out for those of many other tests: each may be the one of a part of a constant."""
    own = {f"{FILE}::test_own[{number}]": entry(0.01, 8) for number in range(25)}
    other = FILE.replace("limits", "other")
    (project / other).write_text((project / FILE).read_text(encoding="utf-8"), encoding="utf-8")
    others = {f"{other}::test_{number}": entry(0.001, 8) for number in range(200)}
    net = Net()
    net.add({"tests": {**own, **others}})
    tests = Choice(project, net).tests(Mutant(PYTHON, PATH, "within", 8, "test"))
    assert own.keys() <= {test.id for test in tests}


def test_a_test_with_very_many_parameters(project: Path) -> None:
    """It leaves neither another test of the module out, nor those of other modules."""
    own = {f"{FILE}::test_many[{number}]": entry(0.001, 8) for number in range(900)}
    own |= {f"{FILE}::test_few[{number}]": entry(0.01, 8) for number in range(5)}
    other = FILE.replace("limits", "other")
    (project / other).write_text((project / FILE).read_text(encoding="utf-8"), encoding="utf-8")
    others = {f"{other}::test_{number}": entry(0.01, 8) for number in range(200)}
    net = Net()
    net.add({"tests": {**own, **others}})
    found = Choice(project, net).tests(Mutant(PYTHON, PATH, "within", 8, "test"))
    ids = {test.id for test in found}
    assert {f"{FILE}::test_few[{number}]" for number in range(5)} <= ids
    assert others.keys() <= ids
    assert len(ids) < len(own)


def test_a_survivor_counts_against_the_score() -> None:
    """So does what no test executes; an equivalent does not."""
    mutant = Mutant(PYTHON, "billing_service/a.py", "f", 1, "test", added=("x = 2",))
    verdicts = [Verdict(mutant, each) for each in (KILLED, SURVIVED, UNREACHED, EQUIVALENT)]
    assert table.score(verdicts) == pytest.approx(100 / 3)
    assert table.below(verdicts) != []
    assert table.below(verdicts[:1]) == []
    assert "billing_service/a.py:1 in f" in table.survivors(verdicts)
    assert "33.3 %" in table.table(verdicts)


def test_all_of_sql_has_to_be_killed() -> None:
    """One survivor in a hundred is too many."""
    mutant = Mutant(STATEMENT, "billing_service/a.py", "f", 1, "test")
    verdicts = [Verdict(mutant, KILLED)] * 99
    assert table.below(verdicts) == []
    assert table.below([*verdicts, Verdict(mutant, SURVIVED)]) != []


def test_a_sample(project: Path) -> None:
    """The same seed gives the same mutants, another one others; statements are all in it."""
    mutants = [
        Mutant(PYTHON, PATH, "f", number, "test", added=(str(number),)) for number in range(50)
    ]
    statement = Mutant(STATEMENT, PATH, "f", 1, "test")
    one, again, other = (selection.sampled([*mutants, statement], 10, seed) for seed in (1, 1, 2))
    assert one == again
    assert len(one) == 11
    assert set(one) != set(other)
    assert statement in one
    assert len(selection.sampled(mutants, None, 1)) == 50


def test_what_a_change_touches(project: Path) -> None:
    """Mutants of its lines, and of files that Git does not know yet; all of the schema when a migration is new."""
    (project / PATH).write_text(SOURCE.replace("LIMIT = 3", "LIMIT = 2"), encoding="utf-8")
    (project / "service_kit" / "new.py").write_text("X = 1\n", encoding="utf-8")
    touched = selection.changed(project, "main")
    found = [mutant for mutant in selection.in_files(project, []) if touched.has(mutant)]
    assert {(mutant.path, mutant.line) for mutant in found} == {
        (PATH, 3),
        ("service_kit/new.py", 1),
    }


@pytest.mark.parametrize("prefix", ["service_kit/none.py", "stack", ""])
def test_a_package_that_there_is_not(project: Path, prefix: str) -> None:
    """One sentence, and not an empty run."""
    if prefix:
        with pytest.raises(SelectionError, match=prefix):
            selection.in_files(project, [prefix])
    with pytest.raises(SelectionError, match="git merge-base failed"):
        selection.changed(project, "no-such-branch")


def test_what_was_measured_is_kept(project: Path, tmp_path: Path) -> None:
    """Until a file changes on which it rests."""
    folder = tmp_path / "net"
    Cache(project, folder).write(FILE, {"tests": {f"{FILE}::test_a": entry(1.0, 8)}})
    assert Cache(project, folder).read(FILE) is not None
    (project / PATH).write_text(SOURCE + "\n", encoding="utf-8")
    assert Cache(project, folder).read(FILE) is None
    assert Cache(project, folder).read("tests/test_other.py") is None


def test_the_files_of_tests(project: Path) -> None:
    """Those of the products; a prefix chooses among them."""
    assert files_of_tests(project) == [FILE]
    assert files_of_tests(project, ["tests/billing_service"]) == []


@pytest.mark.parametrize(("outcome", "code"), [(KILLED, 0), (SURVIVED, 1)])
def test_the_exit_code_of_a_run(monkeypatch: pytest.MonkeyPatch, outcome: str, code: int) -> None:
    """Too many survivors are no success; that a control failed is said, and is no verdict on the tests."""
    run: Any = object.__new__(mutation.Run)
    mutant = Mutant(PYTHON, "billing_service/a.py", "f", 1, "test", added=("x = 2",))
    run.verdicts = [Verdict(mutant, outcome)]
    run._controls = ["", "a test that failed by itself"]
    monkeypatch.setattr(mutation.Run, "report", lambda _: None)
    assert run._end() == code
