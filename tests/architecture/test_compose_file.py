"""The compose stack is guarded, closed to the outside, and understood by both versions of Compose."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.architecture import compose_file
from tests.architecture.compose_file import RULES, Definition
from tests.architecture.rules import PROJECT

Rule = Callable[[Definition], list[str]]

# One offence a rule: the path to a value, and the value that must be reported.
OFFENCES: dict[Rule, tuple[tuple[str, ...], Any]] = {
    compose_file.services_are_guarded: (("services", "postgres", "read_only"), False),
    compose_file.ports_are_local: (("services", "postgres", "ports"), ["127.0.0.1:5432:5432"]),
    compose_file.backstage_needs_its_profile: (("services", "backstage", "profiles"), []),
    compose_file.the_inside_is_internal: (("networks", "inside", "internal"), False),
    compose_file.both_versions_understand_it: (("name",), "billed-once"),
    compose_file.who_stays_is_watched: (("services", "toxiproxy", "healthcheck"), None),
    compose_file.gateways_are_bounded: (
        ("services", "gateway", "environment", "GOMEMLIMIT"),
        "300MiB",
    ),
    compose_file.secrets_by_default_are_marked: (
        ("services", "postgres", "environment", "POSTGRES_PASSWORD"),
        "${POSTGRES_PASSWORD:-secret}",
    ),
}
DISGUISES: list[tuple[Rule, tuple[str, ...], Any]] = [
    (compose_file.gateways_are_bounded, ("services", "gateway", "environment"), {}),
    (compose_file.gateways_are_bounded, ("services", "gateway", "ulimits"), None),
    (compose_file.gateways_are_bounded, ("services", "gateway", "ulimits", "nofile", "hard"), 256),
    (compose_file.ports_are_local, ("services", "gateway", "ports"), ["8001:8001"]),
    (compose_file.ports_are_local, ("services", "gateway", "ports"), ["0.0.0.0:8001:8001"]),
    (compose_file.ports_are_local, ("services", "postgres", "networks"), ["edge"]),
    (compose_file.services_are_guarded, ("services", "accounts", "mem_limit"), None),
    (
        compose_file.both_versions_understand_it,
        ("services", "gateway", "depends_on", "accounts", "restart"),
        True,
    ),
    (
        compose_file.both_versions_understand_it,
        ("services", "order_service", "environment", "ORDER_PUBLIC_URL"),
        "${ORDER_PUBLIC_URL:-http://127.0.0.1:${ORDER_PORT:-8001}}",
    ),
]


def with_offence(path: tuple[str, ...], value: Any) -> Definition:
    """docker-compose.yml with one value replaced, or taken away by None."""
    changed = copy.deepcopy(dict(compose_file.definition()))
    place: Any = changed
    for key in path[:-1]:
        # YAML's aliases are one object in several places.
        place[key] = copy.deepcopy(place[key])
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return changed


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_file_keeps_the_rule(rule: Rule) -> None:
    """No service breaks it."""
    assert rule(compose_file.definition()) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_can_say_no(rule: Rule) -> None:
    """The negative control: a planted offence is reported."""
    assert len(rule(with_offence(*OFFENCES[rule]))) == 1


@pytest.mark.parametrize(("rule", "path", "value"), DISGUISES)
def test_the_rule_sees_through_a_disguise(rule: Rule, path: tuple[str, ...], value: Any) -> None:
    """Another form of the same offence is the same."""
    assert len(rule(with_offence(path, value))) == 1


def test_the_example_holds_every_variable() -> None:
    """.env.example and the defaults of docker-compose.yml are the same, so copying it changes nothing."""
    example = compose_file.example((PROJECT / ".env.example").read_text())
    defaults = compose_file.defaults(compose_file.definition())
    optional = {name for name, default in defaults.items() if not default}
    assert {name: text for name, text in example.items() if name not in optional} == {
        name: default for name, default in defaults.items() if name not in optional
    }
    assert optional <= set(example)


def test_the_image_holds_the_services_and_no_chaos() -> None:
    """Every package of ours but the harness is copied, one by one; the build sees nothing else."""
    assert (
        compose_file.of_the_image(
            (PROJECT / "Dockerfile").read_text(), (PROJECT / ".dockerignore").read_text()
        )
        == []
    )


@pytest.mark.parametrize(
    ("line", "ignore"),
    [("COPY chaos /app/chaos", ""), ("COPY . /app", ""), ("", "!chaos"), ("", "!tests/chaos")],
)
def test_chaos_in_the_image_would_be_noticed(line: str, ignore: str) -> None:
    """The negative control, in each form in which it could get in."""
    dockerfile = (PROJECT / "Dockerfile").read_text() + "\n" + line + "\n"
    ignored = (PROJECT / ".dockerignore").read_text() + ignore + "\n"
    assert len(compose_file.of_the_image(dockerfile, ignored)) == 1


def test_the_proxies_are_those_of_the_embedded_stack() -> None:
    """One proxy for each hop, of the same name: a scenario means the same in both."""
    proxies = json.loads((PROJECT / "compose/toxiproxy.json").read_text())
    assert {proxy["name"] for proxy in proxies} == {
        "billing",
        "notification",
        "order-db",
        "billing-db",
        "notification-db",
    }


@pytest.mark.parametrize("name", ["toxiproxy", "gateway", "backstage"])
def test_no_proxy_listens_where_toxics_are_lost(name: str) -> None:
    """Toxiproxy makes a proxy on 0.0.0.0 anew with each populate; one on [::] it leaves alone."""
    for proxy in json.loads((PROJECT / f"compose/{name}.json").read_text()):
        assert proxy["listen"].startswith("[::]:")


def test_every_hop_of_a_service_passes_toxiproxy() -> None:
    """Services know no other address than Toxiproxy's."""
    for name in ("order_service", "billing_service", "notification_service"):
        environment = compose_file.definition()["services"][name]["environment"]
        for variable, value in environment.items():
            if "://" in value and not variable.endswith("_PUBLIC_URL"):
                assert "toxiproxy:" in value.rpartition("@")[2].removeprefix("http://"), variable
