"""A service is made without touching anything outside."""

import socket
from typing import Any

import pytest
from pydantic import SecretStr

import billing_service.app
import billing_service.settings
import notification_service.app
import notification_service.settings
import order_service.app
import order_service.settings
from tests.behind import fastapi_behind

DATABASE = {"database_url": SecretStr("postgresql://nobody@database.invalid/shop")}
TOKENS = {"tokens": {"order_service": SecretStr("token-of-order_service")}}
PEERS = {
    "billing_url": "http://billing.invalid",
    "billing_token": SecretStr("token-of-order_service"),
    "notification_url": "http://notification.invalid",
    "notification_token": SecretStr("token-for-notification"),
}
SERVICES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "order_service": (order_service.app, order_service.settings, DATABASE | PEERS),
    "billing_service": (billing_service.app, billing_service.settings, DATABASE | TOKENS),
    "notification_service": (
        notification_service.app,
        notification_service.settings,
        DATABASE | TOKENS,
    ),
}


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_outside_is_touched(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a socket is opened nor a name looked up: a service is made before its database and its peers are there."""

    def touched(*_: object, **__: object) -> None:
        raise AssertionError("something outside was touched")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, touched)
    app, settings, values = SERVICES[service]
    assert fastapi_behind(app.create(settings.Settings(**values))).title == service
