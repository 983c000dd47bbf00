"""The real Prometheus watches a real stack: it finds every process, every query has data, and an alert fires when billing stops."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
import promql_parser
import pytest
from prometheus_client.parser import text_string_to_metric_families

from stack.embedded import FACTORIES, Stack
from stack.waiting import until
from tests.deploy import queries
from tests.deploy.prometheus import BOUND_S, Prometheus, configuration, needed, prometheus
from tests.deploy.queries import Query

pytestmark = [pytest.mark.chaos, needed]

REPLICAS = {"order_service": 1, "billing_service": 2, "notification_service": 1}
OF_PROMETHEUS = ("up", "ALERTS")
# What Prometheus adds to each series of a process.
ADDED = {"job", "instance", "replica"}
Series = tuple[str, dict[str, str]]


@dataclass(frozen=True)
class Watched:
    """A stack that has done some work, and the Prometheus that watches it."""

    stack: Stack
    prometheus: Prometheus


async def work(stack: Stack) -> None:
    """A bit of everything that has figures of its own: an order, a repeated charge, a connection that the guard ends."""
    urls = stack.urls
    async with httpx.AsyncClient(trust_env=False, timeout=BOUND_S) as client:
        order = {"customer": "alice", "amount_cents": 1, "item": "book"}
        assert (await client.post(f"{urls['order_service']}/orders", json=order)).status_code == 201
        charge = {
            "order_id": "00000000-0000-4000-8000-000000000001",
            "account": "bob",
            "amount_cents": 1,
        }
        headers = {"Authorization": f"Bearer {stack.tokens['curl']}", "Idempotency-Key": '"1"'}
        for _ in range(2):
            url = f"{urls['billing_service']}/charges"
            assert (await client.post(url, json=charge, headers=headers)).status_code == 201
        for url in urls.values():
            # Cut off in the middle of its head, the client may not see the answer.
            with suppress(httpx.TransportError):
                await client.get(url, headers={"X-Long": "x" * 20_000})


@pytest.fixture(scope="module")
async def watched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    """As `make up REPLICAS=…` starts it, with a Prometheus beside it."""
    run_dir, own = (tmp_path_factory.mktemp(name) for name in ("stack", "prometheus"))
    async with (
        Stack(run_dir, replicas=REPLICAS, usual_ports=False) as stack,
        prometheus(own, configuration(own, run_dir)) as server,
    ):
        await work(stack)
        yield Watched(stack, server)


async def targets(server: Prometheus) -> list[tuple[str, str, str]]:
    """Job, address and health of each process that Prometheus asks."""
    found = (await server.api("targets"))["activeTargets"]
    return sorted(
        (each["labels"]["job"], urlsplit(each["scrapeUrl"]).netloc, each["health"])
        for each in found
    )


async def test_every_process_is_found(watched: Watched) -> None:
    """All replicas, each by its own address, and nothing else; all are up."""
    wanted = sorted(
        (service, urlsplit(watched.stack.url_of(child)).netloc, "up")
        for service in FACTORIES
        for child in watched.stack.children(service)
    )
    assert len(wanted) == sum(REPLICAS.values())

    async def all_are_up() -> bool:
        return await targets(watched.prometheus) == wanted

    await until(all_are_up, BOUND_S, "all targets are up")


@pytest.fixture(scope="module")
async def real(watched: Watched) -> list[Series]:
    """Every time series of the processes' own /metrics."""
    async with httpx.AsyncClient(trust_env=False, timeout=BOUND_S) as client:
        texts = [
            (await client.get(f"{watched.stack.url_of(child)}/metrics")).text
            for service in FACTORIES
            for child in watched.stack.children(service)
        ]
    return [
        (sample.name, sample.labels)
        for text in texts
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


def missing(query: Query, real: list[Series]) -> list[str]:
    """What a query selects and no process has: a metric, or a label with such a value."""
    return [
        str(selector)
        for selector in query.selectors
        if selector.name not in OF_PROMETHEUS
        and not any(
            name == selector.name
            and all(_fits(matcher, labels) for matcher in selector.matchers.matchers)
            for name, labels in real
        )
    ]


def _fits(matcher: promql_parser.Matcher, labels: dict[str, str]) -> bool:
    value = labels.get(matcher.name, "")
    equal = matcher.op in (promql_parser.MatchOp.Equal, promql_parser.MatchOp.NotEqual)
    hit = value == matcher.value if equal else bool(re.fullmatch(matcher.value, value))
    return hit == (matcher.op in (promql_parser.MatchOp.Equal, promql_parser.MatchOp.Re))


async def test_every_query_names_real_metrics(real: list[Series]) -> None:
    """Each selector of the dashboard and of the alerts has a series in a real /metrics, with the labels that it names."""
    for query in (*queries.dashboard(), *queries.alerts()):
        assert query.selectors, query.place
        assert missing(query, real) == [], query.place


@pytest.mark.parametrize(
    "expr",
    [
        "rate(billing_chargess_total[1m])",
        'sum(rate(billing_charges_total{flag="maybe"}[1m]))',
        'max(order_alarms_total{alert="key_reused"}) > 0 or up',
        'rate(order_takeover_rounds_total{end=~"don|fail"}[1m])',
    ],
)
async def test_a_wrong_name_is_noticed(real: list[Series], expr: str) -> None:
    """The negative control: a metric, a label, a value that no process has."""
    assert len(missing(Query("wrong", expr), real)) == 1


async def test_every_query_has_data(watched: Watched) -> None:
    """Each panel shows something on a stack that has worked, and its legend names labels that the result has."""
    for query in queries.dashboard():
        if "ALERTS" in query.expr:
            # Nothing fires on a stack that works; the test below looks at it when something does.
            await watched.prometheus.query(query.expr)
            continue

        async def data(expr: str = query.expr) -> list[dict[str, str]]:
            return [series["metric"] for series in await watched.prometheus.query(expr)]

        shown = await until(data, BOUND_S, f"{query.place} has data")
        for label in re.findall(r"\{\{(\w+)\}\}", query.legend):
            assert all(label in labels for labels in shown), (query.place, label)


async def test_the_sums_of_the_dashboard_lose_no_label_by_accident(real: list[Series]) -> None:
    """What a query groups by is a label of the metric, or one that Prometheus adds."""
    known = {label for _, labels in real for label in labels} | ADDED | {"alertname"}
    for query in (*queries.dashboard(), *queries.alerts()):
        for names in re.findall(r"\bby \(([^)]*)\)", query.expr):
            assert set(names.replace(" ", "").split(",")) <= known, query.place


async def test_every_alert_is_evaluated(watched: Watched) -> None:
    """Without an error, and none of them fires on a stack that works, but for what `work` has done: a repeated charge."""

    async def evaluated() -> bool:
        groups = (await watched.prometheus.api("rules"))["groups"]
        return all(rule["health"] == "ok" for group in groups for rule in group["rules"])

    await until(evaluated, BOUND_S, "all rules are evaluated")

    async def quiet() -> bool:
        return {each["alertname"] for each in await watched.prometheus.firing()} <= {
            "ChargeRepeatedWithoutFlag"
        }

    await until(quiet, BOUND_S, "no other alert fires")


async def test_an_alert_fires_when_billing_is_stopped(watched: Watched) -> None:
    """For each of its processes and no other; an order that is placed meanwhile waits, and the dashboard shows the alert."""
    stack, server = watched.stack, watched.prometheus
    billing = stack.children("billing_service")
    await asyncio.gather(*(child.stop(BOUND_S) for child in billing))
    wanted = {urlsplit(stack.url_of(child)).netloc for child in billing}

    async def down() -> bool:
        firing = await server.firing()
        return {each["instance"] for each in firing if each["alertname"] == "ProcessDown"} == wanted

    await until(down, BOUND_S, "ProcessDown fires for billing's processes")
    async with httpx.AsyncClient(trust_env=False, timeout=BOUND_S) as client:
        order = {"customer": "alice", "amount_cents": 1, "item": "book"}
        placed = await client.post(f"{stack.urls['order_service']}/orders", json=order)
    assert placed.status_code == 202

    async def waits() -> bool:
        (oldest,) = await server.query("max(order_oldest_unsettled_seconds)")
        return float(oldest["value"][1]) > 0

    await until(waits, BOUND_S, "the waiting order is seen")
    (panel,) = [query for query in queries.dashboard() if "ALERTS" in query.expr]

    async def shown() -> bool:
        return "ProcessDown" in {
            series["metric"]["alertname"] for series in await server.query(panel.expr)
        }

    await until(shown, BOUND_S, "the dashboard shows the alert")
