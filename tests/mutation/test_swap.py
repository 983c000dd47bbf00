"""A mutant in a module that is loaded already."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.mutation.swap import Functions, NotSwappable

SOURCE = '''"""A module."""

import functools

LIMIT = 3


def keep(function):
    @functools.wraps(function)
    def wrapper(*arguments):
        return function(*arguments)
    return wrapper


@keep
def within(number, most=LIMIT):
    return number < most


class Range:
    size = 5

    @property
    def half(self):
        return self.size // 2

    def halves(self):
        return [each // 2 for each in range(self.size)]


REGISTERED = {"within": within, "later": lambda number: number + 1}
'''


@pytest.fixture
def module(tmp_path: Path) -> ModuleType:
    """Loaded from a file of its own."""
    loaded = ModuleType("swapped")
    exec(compile(SOURCE, str(tmp_path / "swapped.py"), "exec", dont_inherit=True), vars(loaded))  # noqa: S102 - the source above
    return loaded


Swap = Callable[[str, str], None]


@pytest.fixture
def swap(module: ModuleType, tmp_path: Path) -> Swap:
    """Puts one text in the place of another one in it."""
    functions = Functions(str(tmp_path))

    def change(old: str, new: str) -> None:
        assert SOURCE.count(old) == 1
        functions.swap(str(tmp_path / "swapped.py"), SOURCE, SOURCE.replace(old, new))

    return change


def test_what_holds_a_function_already(module: ModuleType, swap: Swap) -> None:
    """It runs the mutant: a decorator, a table, an instance that is there."""
    registered, instance = module.REGISTERED["within"], module.Range()
    assert not registered(3)
    swap("number < most", "number <= most")
    assert registered(3)
    swap("self.size // 2", "self.size // 1")
    assert instance.half == 5


def test_functions_inside_of_functions(module: ModuleType, swap: Swap) -> None:
    """Also those that are made later, and those of a table."""
    swap("each // 2", "each // 1")
    assert module.Range().halves() == [0, 1, 2, 3, 4]
    swap("number + 1", "number - 1")
    assert module.REGISTERED["later"](1) == 0


@pytest.mark.parametrize(
    "old, new",
    [
        pytest.param("LIMIT = 3", "LIMIT = 4", id="a constant"),
        pytest.param("most=LIMIT", "most=None", id="a default"),
        pytest.param("size = 5", "size = 6", id="a field of a class"),
        pytest.param("@keep\n", "", id="a decorator"),
        pytest.param('{"within": within, ', "{", id="a table"),
    ],
)
def test_what_ran_while_the_module_was_imported(
    module: ModuleType, swap: Swap, old: str, new: str
) -> None:
    """It has to be imported afresh, and nothing was changed."""
    with pytest.raises(NotSwappable):
        swap(old, new)
    assert not module.within(3)


def test_a_file_that_is_not_loaded(module: ModuleType, swap: Swap, tmp_path: Path) -> None:
    """There is nothing to change."""
    Functions(str(tmp_path)).swap(str(tmp_path / "other.py"), "x = 1", "x = 2")
