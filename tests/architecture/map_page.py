"""The import arrows in docs/map.md, drawn from the sources: `make docs`.

Guarantee: an arrow is drawn if, and only if, a module of one folder imports a module of the other; a cycle between folders
cannot be drawn and ends the command.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter

from tests.architecture import rules
from tests.architecture.rules import PROJECT, Import, Sources

PAGE = PROJECT / "docs" / "map.md"
BEGIN = "<!-- arrows: made by `make docs`, do not edit -->\n"
END = "<!-- end of arrows -->\n"
# They import every folder that they test, so their arrows would hide the others.
_LEFT_OUT = "tests"

# Each folder to the folders that it imports, and to the modules that it takes from each.
Arrows = Mapping[str, Mapping[str, set[str]]]


def main() -> None:
    """Writes the page."""
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(generated(page, rules.sources()), encoding="utf-8")


def generated(page: str, files: Sources) -> str:
    """The page with its diagrams drawn from these sources; everything else stays."""
    before, found, rest = page.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        sys.exit(f"{PAGE} has no arrows between its two marks")
    return before + BEGIN + "\n" + _diagrams(files) + "\n" + END + after


def between_top_folders(files: Sources) -> Arrows:
    """The arrows between the top folders, tests left out."""
    arrows: dict[str, dict[str, set[str]]] = {}
    for path in files:
        if rules.package(path) != _LEFT_OUT:
            arrows.setdefault(rules.package(path), defaultdict(set))
    for found in rules.imports(files):
        folder = rules.package(found.path)
        if folder in arrows and found.top in rules.OURS and found.top != folder:
            arrows[folder][found.top].update(_modules(found))
    return arrows


def between_chaos_packages(files: Sources) -> Arrows:
    """The arrows between the packages and modules that lie directly in chaos."""
    arrows: dict[str, dict[str, set[str]]] = {}
    for path in files:
        if rules.package(path) == "chaos" and (name := _in_chaos(path)) != "__init__":
            arrows.setdefault(name, defaultdict(set))
    for found in rules.imports(files):
        if rules.package(found.path) != "chaos" or found.top != "chaos":
            continue
        for module in _modules(found):
            imported, importing = module.split(".")[1], _in_chaos(found.path)
            if imported != importing:
                arrows[importing][imported].add(module)
    return arrows


def levels(arrows: Arrows) -> Iterator[list[str]]:
    """The folders from the ground up: each imports only folders of levels before its own. Raises `CycleError`."""
    sorter = TopologicalSorter({name: sorted(imported) for name, imported in arrows.items()})
    sorter.prepare()
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        yield ready
        sorter.done(*ready)


def _diagrams(files: Sources) -> str:
    return f"""\
Between the top folders (`tests/` imports all of them and is left out). An arrow leads from the folder that imports; `wire` says that only
the other service's wire module is imported.

```mermaid
flowchart TD
{_mermaid(between_top_folders(files))}
```

Between the packages of chaos, from the ground up: each line imports only lines above it.

```
{_lines(between_chaos_packages(files))}
```
"""


def _mermaid(arrows: Arrows) -> str:
    lines = []
    # An entry of the diagram stands above what it imports.
    for level in reversed(list(levels(arrows))):
        for name in level:
            lines += [f"    {name}"] if not arrows[name] else []
            lines += [
                f"    {name} -->{'|wire|' if modules == {f'{imported}.wire'} else ''} {imported}"
                for imported, modules in sorted(arrows[name].items())
            ]
    return "\n".join(lines)


def _lines(arrows: Arrows) -> str:
    width = max(map(len, arrows))
    return "\n".join(
        f"{name:{width}}  imports {', '.join(sorted(arrows[name]))}" if arrows[name] else name
        for level in levels(arrows)
        for name in level
    )


def _in_chaos(path: str) -> str:
    return path.split("/")[1].removesuffix(".py")


def _modules(found: Import) -> list[str]:
    """`from package import module` names the module in its second half."""
    if "." in found.module:
        return [found.module]
    return [f"{found.module}.{name}" for name in found.names] or [found.module]


if __name__ == "__main__":
    main()
