"""What a probe learns of a process."""

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter

from service_kit import telemetry


def made(missing: str | None = None) -> FastAPI:
    """An application as each process makes one, with one count."""
    app = FastAPI()
    registry = CollectorRegistry()
    Counter("cups", "Cups of tea", registry=registry).inc()

    async def ready() -> str | None:
        return missing

    telemetry.install(app, service="s", registry=registry, ready=ready)
    return app


async def asked(app: FastAPI, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://s") as client:
        return await client.get(path)


@pytest.mark.parametrize("missing", [None, "the database: it is away"])
async def test_what_a_probe_is_told(missing: str | None) -> None:
    """The process is up, whatever is missing; the service is ready, or says what is missing and when to ask again."""
    app = made(missing)
    up, ready = await asked(app, "/healthz"), await asked(app, "/readyz")
    body = {"service": "s", "boot_id": up.json()["boot_id"]}
    assert (up.status_code, up.json()) == (200, {"status": "ok", **body})
    if missing is None:
        assert (ready.status_code, ready.json()) == (200, {"status": "ok", **body})
        assert "Retry-After" not in ready.headers
    else:
        expected = {"status": "unavailable", "missing": missing, **body}
        assert (ready.status_code, ready.json()) == (503, expected)
        assert ready.headers["Retry-After"] == "1"


async def test_what_monitoring_reads() -> None:
    """All counts of the registry, in the format of Prometheus."""
    response = await asked(made(), "/metrics")
    assert "cups_total 1.0" in response.text.splitlines()
    assert response.headers["Content-Type"] == CONTENT_TYPE_LATEST


async def boot_ids(app: FastAPI) -> list[str]:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://s") as client:
        return [
            (await client.get(path)).json()["boot_id"]
            for path in ("/healthz", "/readyz", "/healthz")
        ]


async def test_the_boot_id_is_that_of_the_process() -> None:
    """It stays as long as the application lives, and each application that is made has another one."""
    first, second = [set(await boot_ids(made())) for _ in range(2)]
    assert len(first) == len(second) == 1
    assert first != second
