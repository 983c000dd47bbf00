"""The table of settings in docs/running.md, made from the Settings classes: `make docs`.

Guarantee: what the table says of a setting, its default and its bounds, is read from the class that the service reads.
"""

import sys
from collections.abc import Iterator
from typing import Any

from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

import billing_service.settings
import notification_service.settings
import order_service.settings
import service_kit.http_guard.settings
from service_kit.environment.secrecy import VARIABLE
from tests.architecture.rules import PROJECT

PAGE = PROJECT / "docs" / "running.md"
BEGIN = "<!-- settings: made by `make docs`, do not edit -->\n"
END = "<!-- end of settings -->\n"
CLASSES: tuple[type[BaseSettings], ...] = (
    order_service.settings.Settings,
    billing_service.settings.Settings,
    notification_service.settings.Settings,
    service_kit.http_guard.settings.Settings,
)
_SIGNS = {Ge: ("ge", "≥"), Gt: ("gt", ">"), Le: ("le", "≤"), Lt: ("lt", "<")}


def main() -> None:
    """Writes the page."""
    PAGE.write_text(generated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def generated(page: str) -> str:
    """The page with its table made anew; everything else stays."""
    before, found, rest = page.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        sys.exit(f"{PAGE} has no table of settings between its two marks")
    return before + BEGIN + "\n" + table() + "\n" + END + after


def table() -> str:
    """One row for each setting of each service."""
    lines = ["| variable | default | bounds | meaning |", "|---|---|---|---|"]
    for settings in CLASSES:
        lines += _rows(settings)
    return "\n".join(lines) + "\n"


def _rows(settings: type[BaseSettings]) -> Iterator[str]:
    prefix = str(settings.model_config["env_prefix"])
    for name, field in settings.model_fields.items():
        if field.validation_alias == VARIABLE:
            # All of them read it; the text above the table says so.
            continue
        meaning = (field.description or "").replace("|", "\\|")
        yield f"| `{prefix}{name.upper()}` | {_default(field)} | {_bounds(field)} | {meaning} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return "empty" if field.default in ("", (), {}, SecretStr("")) else f"`{_text(field.default)}`"


def _bounds(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {_text(getattr(constraint, attribute))}"
        for constraint in field.metadata
        for kind, (attribute, sign) in _SIGNS.items()
        if isinstance(constraint, kind)
    ]
    return ", ".join(bounds)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
