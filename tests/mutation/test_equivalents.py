"""The list of mutants that no test can kill."""

from pathlib import Path

import asyncpg
import pytest

from tests.databases import Database
from tests.mutation import equivalents
from tests.mutation.equivalents import ListError
from tests.mutation.mutant import SCHEMA, Mutant
from tests.mutation.python_mutants import python_mutants
from tests.mutation.schema_mutants import PATH, schema_mutants
from tests.mutation.selection import in_files

PROJECT = Path(__file__).resolve().parent.parent.parent
ENTRIES = equivalents.read(equivalents.LIST.read_text(encoding="utf-8"))
SOURCE = "def f(x):\n    return x - 1\n"
ENTRY = """
[[equivalent]]
path = "a.py"
scope = "f"
removed = "return x - 1"
added = "return x + 1"
reason = "nothing reads it"
"""


@pytest.mark.parametrize(
    "entry", [each for each in ENTRIES.values() if each.path != PATH], ids=lambda each: each.path
)
def test_the_lines_of_an_entry_stand_in_its_file(entry: equivalents.Equivalent) -> None:
    """What it takes away is there: the cheap half of the next test."""
    text = (PROJECT / entry.path).read_text(encoding="utf-8")
    assert {*entry.removed} <= {line.strip() for line in text.splitlines()}


@pytest.mark.mutants
async def test_every_entry_has_a_mutant(database: Database) -> None:
    """Of the list of the project, on the tree as it is. All mutants of the files are made, which takes longer than other tests."""
    paths = sorted({entry.path for entry in ENTRIES.values()} - {PATH})
    mutants = in_files(PROJECT, paths) if paths else []
    connection = await asyncpg.connect(database.owner)
    try:
        mutants += await schema_mutants(connection)
    finally:
        await connection.close()
    assert equivalents.stale(ENTRIES, mutants) == []


def test_an_entry_whose_mutant_is_gone() -> None:
    """It is reported: the negative control."""
    entries = equivalents.read(ENTRY)
    assert equivalents.stale(entries, python_mutants("a.py", SOURCE)) == []
    changed = SOURCE.replace("- 1", "- 2")
    assert [
        entry.scope for entry in equivalents.stale(entries, python_mutants("a.py", changed))
    ] == ["f"]


@pytest.mark.parametrize(
    "text, complaint",
    [
        pytest.param(ENTRY.replace("nothing reads it", " "), "no reason", id="no reason"),
        pytest.param(ENTRY.replace('scope = "f"', ""), "needs path", id="no scope"),
        pytest.param(ENTRY + ENTRY, "twice", id="twice"),
        pytest.param("[[equivalent", "no TOML", id="no TOML"),
        pytest.param(ENTRY.replace('"return x + 1"', "3"), "needs path", id="a number for text"),
    ],
)
def test_a_list_that_cannot_be_used(text: str, complaint: str) -> None:
    """One sentence says why."""
    with pytest.raises(ListError, match=complaint):
        equivalents.read(text)


async def test_the_schema_has_a_mutant_for_each_of_its_parts(database: Database) -> None:
    """A constraint, a default, a trigger, a privilege, one that is missing, and the body of a function."""
    connection = await asyncpg.connect(database.owner)
    try:
        mutants = await schema_mutants(connection)
        for mutant in mutants:
            # Each of them can be applied: none is killed by its own mistake.
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute(mutant.apply_sql)
            await transaction.rollback()
    finally:
        await connection.close()
    texts = {(mutant.rule, *mutant.removed, *mutant.added) for mutant in mutants}
    assert ("no constraint", "accounts_no_overdraft CHECK ((balance_cents >= 0))") in texts
    assert {
        "no trigger",
        "no default",
        "no grant",
        "no revoke",
        "no lock",
        "no order",
        "no not null",
    } <= {mutant.rule for mutant in mutants}
    assert len({mutant.id for mutant in mutants}) == len(mutants)


def test_two_mutants_of_the_schema() -> None:
    """They are told apart by what they change."""
    one = Mutant(SCHEMA, PATH, "billing.accounts", 0, "no constraint", removed=("a",))
    other = Mutant(SCHEMA, PATH, "billing.accounts", 0, "no constraint", removed=("b",))
    assert one.id != other.id
