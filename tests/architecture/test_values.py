"""What is passed from one part of the products to another does not change on its way."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from service_kit.group_commit import Waiting
from tests.architecture.rules import EXAMPLES, KIT, PROJECT, SERVICES

# They have state: a delivery moves the mark, and a waiting caller is known by its identity.
_MUTABLE = {
    "order_service.context.DeliveryContext",
    "service_kit.group_commit.queue.Waiting",
}


def _modules() -> Iterator[str]:
    for package in (*SERVICES, KIT, EXAMPLES):
        yield package
        folder = Path(PROJECT / package)
        yield from (each.name for each in pkgutil.walk_packages([str(folder)], f"{package}."))


def _classes() -> dict[str, type]:
    return {
        f"{name}.{each.__name__}": each
        for name in _modules()
        for each in vars(importlib.import_module(name)).values()
        if isinstance(each, type) and each.__module__ == name
    }


CLASSES = _classes()
DATACLASSES = sorted(name for name, each in CLASSES.items() if dataclasses.is_dataclass(each))
# What is sent and stored, and what the operator has set.
MODELS = sorted(
    name
    for name, each in CLASSES.items()
    if issubclass(each, BaseModel)
    and each.__module__.endswith((".wire", ".settings", ".environment"))
)


def test_a_value_stays_as_it_was_made() -> None:
    """Every dataclass is frozen, apart from the few that have state."""
    params = {name: vars(CLASSES[name])["__dataclass_params__"] for name in DATACLASSES}
    assert {name for name, each in params.items() if not each.frozen} == _MUTABLE


def test_a_message_stays_as_it_was_read() -> None:
    """Every model of a message or of the settings is frozen."""
    configs = {name: vars(CLASSES[name])["model_config"] for name in MODELS}
    assert [name for name, each in configs.items() if not each.get("frozen")] == []


def test_a_waiting_caller_is_known_by_its_identity() -> None:
    """Two callers that wait for the same are two."""
    assert Waiting.__eq__ is object.__eq__


def test_values_are_found() -> None:
    """A rule over nothing would be kept for ever; what is an exception exists."""
    assert {*_MUTABLE, "billing_service.outcomes.Answer"} < {*DATACLASSES}
    assert {"billing_service.wire.Charge", "order_service.settings.Settings"} < {*MODELS}
