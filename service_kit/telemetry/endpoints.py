"""Adds `/healthz`, `/readyz`, `/metrics` and the trace of each request to a FastAPI application.

Guarantee: each process has another boot id, so a new boot id proves a restart.
"""

import uuid
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from service_kit.telemetry.trace import TraceContext

# Probes call these on one instance, by its address.
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
# Monitoring polls, so a probe that finds the service not ready should retry soon.
_READY_RETRY_AFTER_S = 1


def install(
    app: FastAPI,
    *,
    service: str,
    registry: CollectorRegistry,
    ready: Callable[[], Awaitable[str | None]],
) -> None:
    """`ready` returns None when the service can do its job, else one sentence that says what is missing."""
    boot_id = str(uuid.uuid4())
    app.add_middleware(TraceContext)

    @app.get("/healthz", tags=["operation"], summary="The process is up")
    async def healthz() -> dict[str, str]:
        return {"status": "ok", "service": service, "boot_id": boot_id}

    @app.get(
        "/readyz",
        tags=["operation"],
        summary="The service can do its job",
        responses={503: {"description": "Something that the service needs is missing"}},
    )
    async def readyz() -> JSONResponse:
        missing = await ready()
        body = {"service": service, "boot_id": boot_id}
        if missing is None:
            return JSONResponse({"status": "ok", **body})
        return JSONResponse(
            {"status": "unavailable", "missing": missing, **body},
            status_code=503,
            headers={"Retry-After": str(_READY_RETRY_AFTER_S)},
        )

    @app.get("/metrics", tags=["operation"], summary="Prometheus metrics", response_class=Response)
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
