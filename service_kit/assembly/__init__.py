"""Puts a service together: what every request passes, and what every service shows besides its own routes.

Guarantee: a service has all its borders, or it does not start: the guard of its connections, the bounds of a body, the check of the host,
problems for all errors, probes and metrics, pages for a browser.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from service_kit import environment, http_guard, pages, problem_details, telemetry
from service_kit.direct_route import application, served
from service_kit.environment import ServiceSettings
from service_kit.problem_details import BodyLimit, HostCheck, ProblemCatalogue

Handler = Callable[..., Awaitable[Any]]


class HasRegistry(Protocol):
    """The metrics of one process."""

    @property
    def registry(self) -> CollectorRegistry:
        """What `/metrics` shows."""


class Process(Protocol):
    """What a service holds once in each process. `catalogue` is completed by the problems that all services have."""

    catalogue: ProblemCatalogue

    @property
    def settings(self) -> ServiceSettings:
        """Where it is reached, among others."""

    @property
    def metrics(self) -> HasRegistry:
        """What it counts."""

    async def missing(self) -> str | None:
        """Why it cannot do its work, for `/readyz`; None when it can."""


def assembled(
    process: Process,
    *,
    name: str,
    description: str,
    lifespan: Callable[[Starlette], Any],
    routers: Sequence[APIRouter],
    handlers: Mapping[type[Exception], Handler],
) -> Starlette:
    """The ASGI application of a service; its endpoints find `process` at `request.app.state.process`.

    `handlers` answer the exceptions of its endpoints.
    """
    app: FastAPI = application(
        title=name,
        version="1",
        description=description,
        lifespan=lifespan,
        # Before the pages and probes that are installed below, because routes are tried in order.
        routes=[route for router in routers for route in router.routes],
    )
    app.state.process = process
    process.catalogue = problem_details.install(app, process.catalogue, http_guard.REFUSALS)
    registry = process.metrics.registry
    http_guard.install(app, environment.read, process.catalogue.public_url, registry)
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
    app.add_middleware(BodyLimit, catalogue=lambda: process.catalogue)
    app.add_middleware(
        HostCheck,
        catalogue=lambda: process.catalogue,
        hosts=process.settings.hosts,
        public_url=process.settings.public_url,
        probes=telemetry.PROBES,
    )
    telemetry.install(app, service=name, registry=registry, ready=process.missing)
    pages.install(app)
    return served(app)
