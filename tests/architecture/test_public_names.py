"""What a package of the kit offers is what others take from it."""

import ast
import importlib
from types import ModuleType

from tests.architecture.rules import KIT, PROJECT, imports, sources

FILES = {path: source for path, source in sources().items() if KIT in source}
PACKAGES = sorted(
    path.parent.name
    for path in (PROJECT / KIT).glob("*/__init__.py")
    if "__all__" in path.read_text(encoding="utf-8")
)


def taken(package: str) -> set[str]:
    """The names that other files import from the package, or write behind its name; its modules are none."""
    module = importlib.import_module(f"{KIT}.{package}")
    own = f"{KIT}/{package}/"
    found = [each for each in imports(FILES) if not each.path.startswith(own)]
    names = {name for each in found if each.module == f"{KIT}.{package}" for name in each.names}
    for path in {each.path for each in found if each.module == KIT and package in each.names}:
        names |= {
            node.attr
            for node in ast.walk(ast.parse(FILES[path]))
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == package
        }
    # A name that the package does not have was written behind a variable of the same name.
    values = {each: getattr(module, each) for each in names if hasattr(module, each)}
    return {name for name, value in values.items() if not isinstance(value, ModuleType)}


def test_a_package_names_what_it_offers() -> None:
    """`__all__` has each name that is taken from it, and no other."""
    offered = {each: importlib.import_module(f"{KIT}.{each}").__all__ for each in PACKAGES}
    assert {each: sorted(names) for each, names in offered.items()} == {
        each: sorted(taken(each)) for each in PACKAGES
    }


def test_packages_are_found() -> None:
    """A rule over nothing would be kept for ever."""
    assert "BoundedPool" in taken("bounded_pool")
    assert "bounded_pool" in PACKAGES
