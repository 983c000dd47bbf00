"""The compose stack is guarded, closed to the outside, and understood by both versions of Compose."""

import copy
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

import billing_service.settings
import notification_service.settings
import order_service.settings
import service_kit.environment.secrecy
from service_kit import environment
from service_kit.bearer_tokens import BearerTokens
from service_kit.environment import EnvironmentSettings
from tests.architecture import compose_file
from tests.architecture.compose_file import RULES, Definition
from tests.architecture.rules import PROJECT

Rule = Callable[[Definition], list[str]]

# One offence a rule: the path to a value, and the value that must be reported.
OFFENCES: dict[Rule, tuple[tuple[str, ...], Any]] = {
    compose_file.services_are_guarded: (("services", "postgres", "read_only"), False),
    compose_file.who_is_stopped_may_finish: (
        ("services", "order_service", "stop_grace_period"),
        "14s",
    ),
    compose_file.ports_are_local: (("services", "postgres", "ports"), ["127.0.0.1:5432:5432"]),
    compose_file.inspect_needs_its_profile: (("services", "inspect", "profiles"), []),
    compose_file.the_inside_is_internal: (("networks", "inside", "internal"), False),
    compose_file.both_versions_understand_it: (("name",), "billed-once"),
    compose_file.who_stays_is_watched: (("services", "toxiproxy", "healthcheck"), None),
    compose_file.gateways_are_bounded: (
        ("services", "gateway", "environment", "GOMEMLIMIT"),
        "300MiB",
    ),
    compose_file.images_are_pinned: (("services", "grafana", "image"), "grafana/grafana:latest"),
    compose_file.secrets_by_default_are_marked: (
        ("services", "postgres", "environment", "POSTGRES_PASSWORD"),
        "${POSTGRES_PASSWORD:-secret}",
    ),
}
OFFENCES[compose_file.secrets_stay_with_their_service] = (
    ("services", "notification_service", "environment", "NOTIFICATION_HOSTS"),
    "${BILLING_TOKEN_OF_CURL:-development-only-billing-token-of-curl}",
)
DISGUISES: list[tuple[Rule, tuple[str, ...], Any]] = [
    (
        compose_file.secrets_by_default_are_marked,
        ("services", "order_service", "environment", "ORDER_BILLING_TOKEN"),
        "${BILLING_TOKEN_OF_ORDER_SERVICE:-drawn-but-written-down}",
    ),
    (
        compose_file.secrets_stay_with_their_service,
        ("services", "billing_service", "environment", "ORDER_DATABASE_URL"),
        "postgresql://order_service@toxiproxy/x",
    ),
    (
        compose_file.secrets_stay_with_their_service,
        ("services", "order_service", "environment", "ORDER_HOSTS"),
        "${BILLING_TOKEN_OF_CURL:-}",
    ),
    (compose_file.gateways_are_bounded, ("services", "gateway", "environment"), {}),
    (compose_file.gateways_are_bounded, ("services", "gateway", "ulimits"), None),
    (compose_file.gateways_are_bounded, ("services", "gateway", "ulimits", "nofile", "hard"), 256),
    (compose_file.ports_are_local, ("services", "gateway", "ports"), ["8001:8001"]),
    (compose_file.ports_are_local, ("services", "gateway", "ports"), ["0.0.0.0:8001:8001"]),
    (compose_file.ports_are_local, ("services", "postgres", "networks"), ["edge"]),
    (compose_file.ports_are_local, ("services", "grafana", "ports"), ["3000:3000"]),
    (compose_file.images_are_pinned, ("services", "prometheus", "image"), "prom/prometheus"),
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
    """No service breaks it, with the lab on top or without."""
    assert rule(compose_file.definition()) == []
    assert rule(compose_file.with_lab()) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_can_say_no(rule: Rule) -> None:
    """The negative control: a planted offence is reported."""
    assert len(rule(with_offence(*OFFENCES[rule]))) == 1


@pytest.mark.parametrize(("rule", "path", "value"), DISGUISES)
def test_the_rule_sees_through_a_disguise(rule: Rule, path: tuple[str, ...], value: Any) -> None:
    """Another form of the same offence is the same."""
    assert len(rule(with_offence(path, value))) == 1


def test_the_example_holds_every_variable() -> None:
    """.env.example and the defaults of the compose files are the same, so copying it changes nothing."""
    example = compose_file.example((PROJECT / ".env.example").read_text(encoding="utf-8"))
    defaults = compose_file.defaults(compose_file.with_lab())
    optional = {name for name, default in defaults.items() if not default}
    assert {name: text for name, text in example.items() if name not in optional} == {
        name: default for name, default in defaults.items() if name not in optional
    }
    assert optional <= set(example)


def test_the_image_holds_the_services_and_no_chaos() -> None:
    """Every package of ours but the harness is copied, one by one; the build sees nothing else."""
    assert (
        compose_file.of_the_image(
            (PROJECT / "Dockerfile").read_text(encoding="utf-8"),
            (PROJECT / ".dockerignore").read_text(encoding="utf-8"),
        )
        == []
    )


@pytest.mark.parametrize(
    ("line", "ignore"),
    [
        ("COPY chaos /app/chaos", ""),
        ("COPY . /app", ""),
        ("COPY --from=lab /lab/chaos /app/chaos", ""),
        ("FROM lab AS last", ""),
        ("", "!bench"),
        ("", "!tests/chaos"),
    ],
)
def test_chaos_in_the_image_would_be_noticed(line: str, ignore: str) -> None:
    """The negative control, in each form in which it could get in."""
    dockerfile = (PROJECT / "Dockerfile").read_text(encoding="utf-8") + "\n" + line + "\n"
    ignored = (PROJECT / ".dockerignore").read_text(encoding="utf-8") + ignore + "\n"
    assert len(compose_file.of_the_image(dockerfile, ignored)) == 1


def test_the_lab_takes_no_way_in_away() -> None:
    """The gateway of the lab leads where that of the stack leads, and to Toxiproxy."""
    gateway, of_the_lab = (
        json.loads((PROJECT / f"deploy/{name}.json").read_text(encoding="utf-8"))
        for name in ("gateway", "lab-gateway")
    )
    assert of_the_lab[:-1] == gateway
    assert of_the_lab[-1]["upstream"] == "toxiproxy:8474"


def test_the_proxies_are_those_of_the_embedded_stack() -> None:
    """One proxy for each hop, of the same name: a scenario means the same in both."""
    proxies = json.loads((PROJECT / "deploy/toxiproxy.json").read_text(encoding="utf-8"))
    assert {proxy["name"] for proxy in proxies} == {
        "billing",
        "notification",
        "order-db",
        "billing-db",
        "notification-db",
    }


@pytest.mark.parametrize("name", ["toxiproxy", "gateway", "lab-gateway", "inspect"])
def test_no_proxy_listens_where_toxics_are_lost(name: str) -> None:
    """Toxiproxy makes a proxy on 0.0.0.0 anew with each populate; one on [::] it leaves alone."""
    for proxy in json.loads((PROJECT / f"deploy/{name}.json").read_text(encoding="utf-8")):
        assert proxy["listen"].startswith("[::]:")


def test_every_hop_of_a_service_passes_toxiproxy() -> None:
    """Services know no other address than Toxiproxy's."""
    for name in ("order_service", "billing_service", "notification_service"):
        environment = compose_file.definition()["services"][name]["environment"]
        for variable, value in environment.items():
            if "://" in value and not variable.endswith("_PUBLIC_URL"):
                assert "toxiproxy:" in value.rpartition("@")[2].removeprefix("http://"), variable


SETTINGS: dict[str, type[EnvironmentSettings]] = {
    "order_service": order_service.settings.Settings,
    "billing_service": billing_service.settings.Settings,
    "notification_service": notification_service.settings.Settings,
}


def settings_of(
    name: str, monkeypatch: pytest.MonkeyPatch, **variables: str
) -> EnvironmentSettings:
    """What a service of docker-compose.yml reads, with the defaults of the file but for some variables."""
    for variable, text in compose_file.definition()["services"][name]["environment"].items():
        value = re.sub(
            r"\$\{(\w+):-([^}]*)\}", lambda found: variables.get(found[1], found[2]), text
        )
        monkeypatch.setenv(variable, value)
    return environment.read(SETTINGS[name])


@pytest.mark.parametrize("name", SETTINGS)
def test_a_service_starts_with_the_defaults(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`docker compose up` works at once: tokens, hosts and URLs of the file are such as the service accepts."""
    assert not settings_of(name, monkeypatch).in_production


@pytest.mark.parametrize("name", SETTINGS)
def test_production_does_not_start_with_the_defaults(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ENVIRONMENT alone no secret has been replaced yet."""
    with pytest.raises(SystemExit):
        settings_of(name, monkeypatch, ENVIRONMENT="production")


def test_the_tokens_of_the_file_fit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """What order_service sends names it at billing and at notification, and neither is known to the other one."""
    order: Any = settings_of("order_service", monkeypatch)
    receivers: list[Any] = [
        settings_of(name, monkeypatch) for name in ("billing_service", "notification_service")
    ]
    for sent, knows, does_not in (
        (order.billing_token, *receivers),
        (order.notification_token, *receivers[::-1]),
    ):
        header = [f"Bearer {sent.get_secret_value()}"]
        assert BearerTokens(knows.tokens).client(header) == "order_service"
        assert BearerTokens(does_not.tokens).client(header) is None
    # The hop's name in the URL is the Host that the receiver meets.
    for url, receiver in zip((order.billing_url, order.notification_url), receivers, strict=True):
        assert urlsplit(url).hostname in receiver.hosts


def test_the_example_of_clients_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line of .env.example that is commented out can be used as it stands, but in production."""
    line = compose_file.example((PROJECT / ".env.example").read_text(encoding="utf-8"))[
        "ORDER_TOKENS"
    ]
    clients = line.strip("'")
    order: Any = settings_of("order_service", monkeypatch, ORDER_TOKENS=clients)
    assert list(order.tokens) == ["shop"]
    assert service_kit.environment.secrecy.public_secrets(order).count("tokens") == 1
