"""Puts a mutant into modules that are loaded already, where it changes nothing but the bodies of functions.

A function object keeps its identity and gets other code, so everything that holds it (a route, a validator, a decorator) runs the mutant.
What a module computes while it is imported cannot be changed so; the caller then has to import it afresh.

Guarantee: either every function that the mutant changes has its new code, or nothing was changed.
"""

import gc
from collections.abc import Iterator
from types import CodeType, FunctionType

# From the documentation of `inspect`: locals are in an array, which is so of functions and of nothing else.
_CO_OPTIMIZED = 1
Key = tuple[str, str, int]


class NotSwappable(Exception):
    """The mutant changes what ran while its module was imported."""


class Functions:
    """The functions of the project that are loaded, by their code. Made once; a fork inherits it."""

    def __init__(self, folder: str) -> None:
        self._of: dict[Key, list[FunctionType]] = {}
        self._files: set[str] = set()
        # What is exempt from garbage collection is not listed.
        gc.unfreeze()
        for each in gc.get_objects():
            if isinstance(each, FunctionType) and each.__code__.co_filename.startswith(folder):
                self._of.setdefault(_key(each.__code__), []).append(each)
                self._files.add(each.__code__.co_filename)

    def swap(self, filename: str, original: str, mutated: str) -> None:
        """Gives the changed functions of this file their new code. Raises `NotSwappable`.

        A file of which no function is loaded is left alone: a test that loads it later finds the mutant in it.
        """
        if filename not in self._files:
            return
        pairs = list(changed(_compiled(filename, original), _compiled(filename, mutated)))
        found = [(self._of.get(_key(old), []), new) for old, new in pairs]
        if not all(functions for functions, _ in found):
            raise NotSwappable
        for functions, new in found:
            for function in functions:
                function.__code__ = new


def changed(old: CodeType, new: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    """The outermost functions that differ, before and after. Raises `NotSwappable` when anything else does."""
    if old == new:
        return
    if old.co_flags & _CO_OPTIMIZED:
        if old.co_freevars != new.co_freevars or not new.co_flags & _CO_OPTIMIZED:
            raise NotSwappable
        yield old, new
        return
    same = (
        old.co_code == new.co_code
        and old.co_names == new.co_names
        and len(old.co_consts) == len(new.co_consts)
    )
    if not same:
        raise NotSwappable
    for one, other in zip(old.co_consts, new.co_consts, strict=True):
        if isinstance(one, CodeType) and isinstance(other, CodeType):
            yield from changed(one, other)
        elif (type(one), one) != (type(other), other):
            raise NotSwappable


def _compiled(filename: str, source: str) -> CodeType:
    return compile(source, filename, "exec", dont_inherit=True)


def _key(code: CodeType) -> Key:
    return code.co_filename, code.co_qualname, code.co_firstlineno
