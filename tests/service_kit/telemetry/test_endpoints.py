"""What a probe learns of a process."""

import httpx
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from service_kit import telemetry


def made() -> FastAPI:
    """An application as each process makes one."""
    app = FastAPI()

    async def ready() -> str | None:
        return None

    telemetry.install(app, service="s", registry=CollectorRegistry(), ready=ready)
    return app


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
