"""Each guarantee names the tests that fail when it is broken, and the page says so as it is."""

from dataclasses import replace

import pytest

from tests.architecture import guarantees_page
from tests.architecture.guarantees_page import PAGE, PROTOCOL, REGISTRY, Registry
from tests.architecture.rules import Sources, sources

FILES = {
    "billing_service/a.py": '"""Does it.\n\nGuarantee: once\nor never.\n"""',
    "tests/test_a.py": "def test_once() -> None: ...\nasync def test_never() -> None: ...",
}
TABLE = """\
# The protocol

- an item of the introduction

## The wire

| status | when |
|---|---|
| 201 | withdrawn |

1. lock it,
   and read it
"""
COMPLETE = Registry(
    {"billing_service/a.py": ("tests/test_a.py::test_once", "tests/test_a.py::test_never")},
    {
        "The protocol": {"an item": ("tests/test_a.py::test_once",)},
        "The wire": {
            "| 201 |": ("tests/test_a.py::test_once",),
            "and read it": ("tests/test_a.py::test_never",),
        },
    },
)


def test_every_guarantee_is_registered_with_tests_that_exist() -> None:
    """Every module that states one, every row and step of docs/protocol.md; and nothing that is not there."""
    protocol = PROTOCOL.read_text(encoding="utf-8")
    assert guarantees_page.offences(sources(), protocol, REGISTRY) == []


def test_the_page_is_up_to_date() -> None:
    """`make docs` would change nothing."""
    protocol = PROTOCOL.read_text(encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == guarantees_page.page(sources(), protocol, REGISTRY)


def test_a_complete_registry_has_no_offence() -> None:
    """The control of the controls below: what they change is what is reported."""
    assert guarantees_page.offences(FILES, TABLE, COMPLETE) == []


@pytest.mark.parametrize(
    ("files", "protocol", "registry", "reported"),
    [
        pytest.param(
            FILES | {"stack/b.py": '"""Does it.\n\nGuarantee: it ends."""'},
            TABLE,
            COMPLETE,
            "stack/b.py gives a guarantee and is not registered",
            id="a module without an entry",
        ),
        pytest.param(
            FILES | {"billing_service/a.py": '"""Does it."""'},
            TABLE,
            COMPLETE,
            "billing_service/a.py is registered and gives no guarantee",
            id="an entry without its guarantee",
        ),
        pytest.param(
            FILES | {"tests/test_a.py": "def test_once() -> None: ..."},
            TABLE,
            COMPLETE,
            "tests/test_a.py::test_never does not exist",
            id="a test that does not exist",
        ),
        pytest.param(
            FILES,
            TABLE,
            replace(
                COMPLETE, protocol={**COMPLETE.protocol, "The protocol": {"an item": ("nowhere",)}}
            ),
            "nowhere does not exist",
            id="a test of a row that does not exist",
        ),
        pytest.param(
            FILES,
            TABLE,
            replace(COMPLETE, modules={"billing_service/a.py": ()}),
            "billing_service/a.py has no test",
            id="a module without a test",
        ),
        pytest.param(
            FILES,
            TABLE,
            replace(COMPLETE, protocol={**COMPLETE.protocol, "The protocol": {"an item": ()}}),
            "The protocol: an item has no test",
            id="a row without a test",
        ),
        pytest.param(
            FILES,
            TABLE.replace("| 201 | withdrawn |", "| 201 | withdrawn |\n| 402 | declined |"),
            COMPLETE,
            "The wire: | 402 | declined | is registered 0 times",
            id="a row without an entry",
        ),
        pytest.param(
            FILES,
            TABLE + "2. commit\n",
            COMPLETE,
            "The wire: 2. commit is registered 0 times",
            id="a step without an entry",
        ),
        pytest.param(
            FILES,
            TABLE.replace("| 201 | withdrawn |\n", ""),
            COMPLETE,
            "The wire: no row has | 201 |",
            id="an entry without its row",
        ),
        pytest.param(
            FILES,
            TABLE,
            replace(
                COMPLETE,
                protocol={**COMPLETE.protocol, "The wire": {"| 201 |": (), "withdrawn": ()}},
            ),
            "The wire: | 201 | withdrawn | is registered 2 times",
            id="two entries of one row",
        ),
    ],
)
def test_an_offence_is_reported(
    files: Sources, protocol: str, registry: Registry, reported: str
) -> None:
    """The negative controls."""
    assert reported in guarantees_page.offences(files, protocol, registry)


@pytest.mark.parametrize(
    ("files", "protocol"),
    [
        ({**FILES, "billing_service/a.py": '"""A.\n\nGuarantee: twice."""'}, TABLE),
        (FILES, TABLE.replace("withdrawn", "given back")),
    ],
    ids=["a guarantee is reworded", "a row is reworded"],
)
def test_a_stale_page_is_noticed(files: Sources, protocol: str) -> None:
    """The negative control: what was reworded since makes another page, and so does another list of tests."""
    page = guarantees_page.page(FILES, TABLE, COMPLETE)
    assert "| `billing_service/a.py` | once or never. | `tests/test_a.py::test_once`<br>" in page
    assert "| lock it, and read it | `tests/test_a.py::test_never` |" in page
    assert "\n4 guarantees.\n" in page
    assert guarantees_page.page(files, protocol, COMPLETE) != page
    other = replace(COMPLETE, modules={"billing_service/a.py": ("tests/test_a.py::test_once",)})
    assert guarantees_page.page(FILES, TABLE, other) != page
