"""What each service promises the programs that call it and those that watch it: docs/contracts/, made by `make docs`.

Guarantee: a file holds the OpenAPI document and the metrics that the service itself gives; a change of either is seen as a change of
the file.
"""

import importlib
import json
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from pydantic import BaseModel, SecretStr
from starlette.applications import Starlette

import billing_service.app
import billing_service.settings
import notification_service.app
import notification_service.settings
import order_service.app
import order_service.settings
from service_kit.problem_details import ProblemCatalogue
from tests.architecture.rules import PROJECT
from tests.behind import fastapi_behind

FOLDER = PROJECT / "docs" / "contracts"
# Never connected to.
_DATABASE = SecretStr("postgresql://x:drawn@127.0.0.1:9/x")
_TOKENS = {"curl": (SecretStr("token-of-client-curl"),)}


def _order() -> Starlette:
    return order_service.app.create(
        order_service.settings.Settings(
            database_url=_DATABASE,
            billing_url="http://127.0.0.1:9",
            billing_token=SecretStr("token-for-billing-01"),
            notification_url="http://127.0.0.1:9",
            notification_token=SecretStr("token-for-notification"),
        )
    )


def _billing() -> Starlette:
    return billing_service.app.create(
        billing_service.settings.Settings(database_url=_DATABASE, tokens=_TOKENS)
    )


def _notification() -> Starlette:
    return notification_service.app.create(
        notification_service.settings.Settings(database_url=_DATABASE, tokens=_TOKENS)
    )


SERVICES: dict[str, Callable[[], Starlette]] = {
    "order_service": _order,
    "billing_service": _billing,
    "notification_service": _notification,
}


def main() -> None:
    """Writes the files."""
    FOLDER.mkdir(exist_ok=True)
    for name in SERVICES:
        place(name).write_text(contract(name), encoding="utf-8")


def place(name: str) -> Path:
    """The file of a service."""
    return FOLDER / f"{name}.json"


def contract(name: str) -> str:
    """Its text."""
    app = fastapi_behind(SERVICES[name]())
    process = app.state.process
    openapi = app.openapi()
    content = {
        "openapi": openapi,
        "metrics": metrics(process.metrics.registry),
        "problems": problems(process.catalogue),
        "wire": wire(name),
        "models": models(name, openapi["components"]["schemas"]),
    }
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def problems(catalogue: ProblemCatalogue) -> dict[str, Any]:
    """All that the service can answer with, by the last part of their URL: its own, and those of what it is built from."""
    return {
        slug: {"status": kind.status, "title": kind.title, "explanation": kind.explanation}
        for slug, kind in catalogue.types.items()
    }


def wire(name: str) -> dict[str, Any]:
    """The constants that a caller shares: names of headers, bounds, and which problems an answer may have."""
    shared = vars(importlib.import_module(f"{name}.wire"))
    return {
        each: shared[each]
        for each in sorted(shared)
        if each.isupper() and isinstance(shared[each], dict | int | str)
    }


def models(name: str, described: Container[str]) -> dict[str, Any]:
    """The JSON schemas of the bodies that a caller knows of the wire module alone, because OpenAPI does not describe them."""
    shared = vars(importlib.import_module(f"{name}.wire"))
    return {
        each.__name__: each.model_json_schema()
        for each in shared.values()
        if isinstance(each, type) and issubclass(each, BaseModel) and each is not BaseModel
        if not each.__name__.startswith("_") and each.__name__ not in described
    }


def metrics(registry: CollectorRegistry) -> dict[str, Any]:
    """By name: kind, help, labels, and the bounds of a histogram's buckets."""
    found: dict[str, Any] = {}
    for collector in list(registry._collector_to_names):
        described: Any = collector
        found[described._name] = {
            "type": described._type,
            "help": described._documentation,
            "labels": list(described._labelnames),
            "buckets": [str(each) for each in getattr(described, "_upper_bounds", ())],
        }
    return found


if __name__ == "__main__":
    main()
