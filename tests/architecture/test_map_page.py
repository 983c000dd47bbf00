"""The map shows every folder, and its arrows are those of the sources."""

import graphlib
import re

import pytest

from tests.architecture import map_page, rules
from tests.architecture.rules import PROJECT


def _page() -> str:
    return map_page.PAGE.read_text(encoding="utf-8")


def test_the_arrows_are_up_to_date() -> None:
    """`make docs` would change nothing."""
    assert map_page.generated(_page(), rules.sources()) == _page()


def test_a_new_arrow_is_noticed() -> None:
    """The negative control: one import that is not on the page makes it another page."""
    planted = {**rules.sources(), "stack/new.py": "import report.page"}
    assert map_page.generated(_page(), planted) != _page()


def test_a_module_without_a_new_arrow_changes_nothing() -> None:
    """The page shows folders, not modules."""
    planted = {**rules.sources(), "stack/new.py": "import stack.ports"}
    assert map_page.generated(_page(), planted) == _page()


def test_an_arrow_upwards_in_chaos_cannot_be_drawn() -> None:
    """A step that imports the runner would make a cycle."""
    planted = {**rules.sources(), "chaos/steps/new.py": "import chaos.runner.play"}
    with pytest.raises(graphlib.CycleError):
        map_page.generated(_page(), planted)


def test_a_cycle_cannot_be_drawn() -> None:
    """Two folders that import each other have no order."""
    files = {"stack/a.py": "import report.page", "report/b.py": "import stack.ports"}
    with pytest.raises(graphlib.CycleError):
        list(map_page.levels(map_page.between_top_folders(files)))


def test_an_import_of_the_wire_alone_is_marked() -> None:
    """The arrow says so, and no longer when another module is imported, too."""
    wire = {
        "order_service/peers.py": "from billing_service.wire import Charge",
        "billing_service/app.py": "",
    }
    arrows = map_page.between_top_folders(wire)
    assert arrows["order_service"]["billing_service"] == {"billing_service.wire"}
    more = wire | {"order_service/app.py": "from billing_service import ledger"}
    arrows = map_page.between_top_folders(more)
    assert "billing_service.ledger" in arrows["order_service"]["billing_service"]


def test_every_folder_is_on_the_map() -> None:
    """Each top folder and each package of chaos has its row."""
    rows = set(re.findall(r"^\| `([\w/.]+)`", _page(), re.MULTILINE))
    top = {f"{path.parent.name}/" for path in PROJECT.glob("[!.]*/__init__.py")}
    chaos = {f"chaos/{path.parent.name}/" for path in PROJECT.glob("chaos/*/__init__.py")}
    assert {"chaos/steps/"} <= chaos
    assert top | chaos | {"examples/", "migrations/", "deploy/", "docs/"} <= rows
