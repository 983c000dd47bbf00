"""The image has every package that its modules import: the tests run with more packages than it has."""

import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions

from tests.architecture import rules
from tests.architecture.rules import HARNESS, OURS, PROJECT, Sources

IN_THE_IMAGE = tuple(name for name in OURS if name not in HARNESS)


def locked() -> set[str]:
    """The packages of requirements-services.lock, which are all that the image installs."""
    text = (PROJECT / "requirements-services.lock").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))


def needed(files: Sources) -> Iterator[tuple[str, str]]:
    """Each module of others that a module of the image imports or takes files from, with the path of that module."""
    image = {path: text for path, text in files.items() if path.partition("/")[0] in IN_THE_IMAGE}
    named = [(found.top, found.path) for found in rules.imports(image)]
    # What importlib.resources is asked for.
    named += [
        (package.partition(".")[0], path)
        for path, text in image.items()
        for package in re.findall(r'\bfiles\("([\w.]+)"\)', text)
    ]
    for top, path in named:
        if top not in (*OURS, *sys.stdlib_module_names):
            yield top, path


def missing(files: Sources) -> list[str]:
    distributions = packages_distributions()
    return [
        f"{path} needs {top}"
        for top, path in needed(files)
        if not {re.sub(r"[-_.]+", "-", each).lower() for each in distributions.get(top, [top])}
        & locked()
    ]


def test_the_image_has_what_its_modules_import() -> None:
    """And at least what each service is made of is found by this test."""
    assert missing(rules.sources()) == []
    tops = {top for top, _ in needed(rules.sources())}
    assert {"fastapi", "asyncpg", "fastapi_swagger", "http_sf"} <= tops


def test_a_package_of_the_tests_is_noticed() -> None:
    """The negative control: imported, or as the home of files."""
    files = {
        "service_kit/a.py": "import rich\nfrom pytest import fixture\n",
        "order_service/b.py": 'from importlib.resources import files\nfiles("playwright") / "x"\n',
        "chaos/c.py": "import rich\n",
    }
    assert missing(files) == [
        "service_kit/a.py needs rich",
        "service_kit/a.py needs pytest",
        "order_service/b.py needs playwright",
    ]
