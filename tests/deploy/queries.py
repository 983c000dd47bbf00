"""Every query of the dashboard and of the alerts, and the time series that it selects."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser
import yaml

from stack.schema import PROJECT

DASHBOARD = PROJECT / "deploy/grafana/dashboards/billed-once.json"
ALERTS = PROJECT / "deploy/prometheus/alerts.yml"
# What Grafana puts in for its variable depends on the zoom; a window must hold two scrapes.
WINDOW = "1m"


@dataclass(frozen=True)
class Query:
    """An expression of PromQL, where it stands, and the labels that its legend shows."""

    place: str
    expr: str
    legend: str = ""

    @property
    def selectors(self) -> list[Any]:
        """What it selects, each a `VectorSelector` of promql_parser."""
        return list(_selectors(promql_parser.parse(self.expr)))


def dashboard() -> list[Query]:
    """The queries of all panels."""
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return [
        Query(
            f"{panel['title']} ({target['refId']})",
            target["expr"].replace("$__rate_interval", WINDOW),
            target["legendFormat"],
        )
        for panel in board["panels"]
        for target in panel.get("targets", ())
    ]


def rules() -> list[dict[str, Any]]:
    """The alerts, as they stand in the file."""
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> list[Query]:
    """The expressions of all alerts."""
    return [Query(rule["alert"], rule["expr"]) for rule in rules()]


def _selectors(expr: Any) -> Iterator[Any]:
    found: list[Any] = []

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        elif isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)

    promql_parser.walk(expr, visit)
    # The walk may or may not enter a range.
    yield from {str(each): each for each in found}.values()
