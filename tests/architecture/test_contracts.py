"""The contracts of the services do not change unseen."""

import json

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram

from tests.architecture.contracts import SERVICES, contract, metrics, place


@pytest.mark.parametrize("name", SERVICES)
def test_the_contract_is_up_to_date(name: str) -> None:
    """Paths, headers, bodies, answers and metrics are those of docs/contracts; `make docs` writes them anew."""
    assert json.loads(contract(name)) == json.loads(place(name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", SERVICES)
def test_something_is_promised(name: str) -> None:
    """The files are not empty."""
    written = json.loads(place(name).read_text(encoding="utf-8"))
    assert written["openapi"]["paths"]
    assert written["metrics"]


def test_metrics_are_described() -> None:
    """A metric with other labels, another help or other bounds is another one."""
    registry = CollectorRegistry()
    Counter("a", "counts", ["x"], registry=registry)
    Histogram("b", "measures", registry=registry, buckets=(1, 2))
    assert metrics(registry) == {
        "a": {"type": "counter", "help": "counts", "labels": ["x"], "buckets": []},
        "b": {
            "type": "histogram",
            "help": "measures",
            "labels": [],
            "buckets": ["1.0", "2.0", "inf"],
        },
    }
