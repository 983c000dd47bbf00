"""A process holds its own secrets and no other's, by what the kernel says of its environment."""

import json
import os
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from chaos.harness.harness import Harness
from stack import environ, service_environ
from stack.embedded import Stack
from stack.http_client import http_client
from stack.service_environ import PREFIXES, order_tokens, without_others

PERSONAL = {
    "ORDER_UNSAFE_DELIVERY": "1",
    "ORDER_TOKENS": "orders",
    "BILLING_QUEUE_MAX": "5",
    "NOTIFICATION_POOL_SIZE_MAX": "3",
    "MIGRATIONS_DATABASE_URL": "owner",
    "POSTGRES_PASSWORD": "owner",
    "PGPASSWORD": "owner",
    "AWS_SECRET_ACCESS_KEY": "cloud",
    "GITHUB_TOKEN": "forge",
    "PATH": "/bin",
    "LC_ALL": "C",
    "ENVIRONMENT": "development",
}


@pytest.mark.parametrize(
    ("service", "own"),
    [
        ("order_service", {"ORDER_UNSAFE_DELIVERY", "ORDER_TOKENS"}),
        ("billing_service", {"BILLING_QUEUE_MAX"}),
        ("notification_service", {"NOTIFICATION_POOL_SIZE_MAX"}),
    ],
)
def test_what_a_person_has_set(
    monkeypatch: pytest.MonkeyPatch, service: str, own: set[str]
) -> None:
    """A service gets its settings and what any process needs: no setting and no secret of anything else."""
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name, value in PERSONAL.items():
        monkeypatch.setenv(name, value)
    given = environ.of_child(inherited=(PREFIXES[service], "HTTP_", "ENVIRONMENT"))
    process = {"PATH", "TMPDIR", "LC_ALL", "PYTHONUTF8", "PYTHONUNBUFFERED", "ENVIRONMENT"}
    assert given.keys() == own | process


def test_what_is_meant_for_all_services() -> None:
    """Its own settings, and what is no service's: the journal of chaos, for one."""
    shared = {"CHAOS_JOURNAL": "j", "ORDER_LEASE_S": "1", "BILLING_QUEUE_MAX": "5"}
    assert without_others("order_service", shared).keys() == {"CHAOS_JOURNAL", "ORDER_LEASE_S"}
    assert without_others("notification_service", shared).keys() == {"CHAOS_JOURNAL"}


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", {}),
        ('{"shop": "token-of-client-shop"}', {"shop": "token-of-client-shop"}),
        (
            '{"shop": ["token-of-client-shop", "token-that-is-new"]}',
            {"shop": "token-of-client-shop"},
        ),
        ('{"shop": "short"}', {}),
        ("nonsense", {}),
    ],
)
def test_the_clients_of_order_service(text: str, tokens: dict[str, str]) -> None:
    """One token each, with which the harness can order; what order_service refuses to start with is left to it."""
    assert order_tokens({"ORDER_TOKENS": text}) == tokens
    assert order_tokens({}) == {}


def secrets_of(stack: Stack, run_dir: Path) -> dict[str, set[str]]:
    """Each secret of the run, with the services that may hold it."""
    found: dict[str, Any] = json.loads((run_dir / "secrets.json").read_text(encoding="utf-8"))
    holders = {found["passwords"][s.removesuffix("_service")]: {s} for s in PREFIXES}
    for receiver, clients in found["tokens"].items():
        for client, token in clients.items():
            holders[token] = {receiver, client} & set(PREFIXES)
    holders[stack.databases["owner"].partition("@")[0].rpartition(":")[2]] = set()
    return holders


@pytest.mark.chaos
def test_the_environment_of_each_process(harness: Harness) -> None:
    """All its own secrets, none of another process, and no variable with another's prefix.

    By /proc/<pid>/environ, and of services, which are forked here, by what they are given.
    """
    stack = harness.stack
    forked = {child.pid: child for service in PREFIXES for child in stack.children(service)}
    holders = secrets_of(stack, stack.children("order_service")[0].log.parent.parent)
    assert len(holders) == 8
    for process in stack.description["processes"]:
        given = Path(f"/proc/{process['pid']}/environ").read_text(encoding="utf-8")
        if process["pid"] in forked:
            given = "\0".join(map("=".join, forked[process["pid"]].environ.items()))
        held = {secret for secret in holders if secret in given}
        name = process["name"]
        assert held == {secret for secret, services in holders.items() if name in services}, name
        own = PREFIXES.get(name)
        names = [line.partition("=")[0] for line in given.split("\0")]
        others = tuple(prefix for prefix in PREFIXES.values() if prefix != own)
        assert [each for each in names if each.startswith(others)] == [], name


@pytest.mark.chaos
async def test_a_token_of_one_service_at_another(harness: Harness) -> None:
    """Notification's tokens do not charge, and billing's show no message: on the running stack, for both clients."""
    described = harness.stack.description
    billing, notification = (
        described["urls"][name] for name in ("billing_service", "notification_service")
    )
    shown = {
        "notification_id": str(UUID(int=1)),
        "order_id": str(UUID(int=2)),
        "customer": "a",
        "text": "b",
    }
    async with http_client(timeout=30) as client:
        for name, here, there in (
            ("tokens", 200, 401),
            ("notification_tokens", 401, 202),
        ):
            assert sorted(described[name]) == ["curl", "order_service"]
            for token in described[name].values():
                headers = {"Authorization": f"Bearer {token}"}
                read = await client.get(f"{billing}/accounts/alice", headers=headers)
                told = await client.post(
                    f"{notification}/notifications", json=shown, headers=headers
                )
                assert (read.status_code, told.status_code) == (here, there)


def test_settings_of_a_service_name_no_other() -> None:
    """Also as they are made: each variable begins with the service's prefix."""
    tokens = {name: {"order_service": f"{name}-o"} for name in PREFIXES if name != "order_service"}
    proxies = {"billing": "127.0.0.1:1", "notification": "127.0.0.1:2"}
    for service, prefix in PREFIXES.items():
        made = service_environ.settings(service, tokens, proxies, public_url="http://127.0.0.1:3")
        assert all(name.startswith(prefix) for name in made)
