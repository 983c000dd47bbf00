"""Where a name stands in a TOML file: tomllib gives values without their lines."""

import re

_TABLE = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]")
_NAME = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*[.=]""")


def line_of(text: str, table: str, name: str = "") -> int:
    """The line, from 1, of a name in a table; of the table when the name is not found; else 1.

    A name inside of an inline table is found by its own spelling after the table's line.
    """
    inside = False
    table_line = 1
    fallback = 0
    spelled = re.compile(rf"""(?<![\w-])["']?{re.escape(name)}["']?\s*=""") if name else None
    for number, line in enumerate(text.splitlines(), start=1):
        if opened := _TABLE.match(line):
            inside = opened.group(1).strip("\"' ") == table
            table_line = number if inside else table_line
            continue
        found = _NAME.match(line)
        if not name or not found:
            if spelled and inside and not fallback and spelled.search(line):
                fallback = number
            continue
        if (inside or not table) and name in found.groups():
            return number
        if inside and spelled and not fallback and spelled.search(line):
            fallback = number
    return fallback or table_line
