"""The examples as modules, also with some of their lines replaced: what is broken, and the two other semantics."""

from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from stack.schema import PROJECT

EXAMPLES = PROJECT / "examples"
Substitution = tuple[str, str]

# The semantics differ in two things: where the key is minted, and whether the caller resends.
_RESENDS = "await asyncio.sleep(random.uniform(0, pause_s))"
AT_LEAST_ONCE: tuple[Substitution, ...] = (
    (_RESENDS, f"{_RESENDS}; key = await mint(self.pool)"),
    ("retry=sent_before)", "retry=False)"),
)
AT_MOST_ONCE: tuple[Substitution, ...] = (
    (
        _RESENDS,
        """return await self.pool.execute("UPDATE orders SET status = 'unknown', answer = '' WHERE order_id = $1", order["order_id"])""",
    ),
)


def text(name: str, substitutions: Iterable[Substitution] = ()) -> str:
    """A file of the examples; each replaced text has to be there once."""
    path: Path = EXAMPLES / name
    source = path.read_text(encoding="utf-8")
    for old, new in substitutions:
        assert source.count(old) == 1, f"{name} has {source.count(old)} times: {old}"
        source = source.replace(old, new)
    return source


def load(name: str, substitutions: Iterable[Substitution] = ()) -> ModuleType:
    """An example as a module of its own."""
    module = ModuleType(name)
    source = text(f"{name}.py", substitutions)
    exec(compile(source, f"examples/{name}.py", "exec"), vars(module))  # noqa: S102 - the project's own file
    return module
