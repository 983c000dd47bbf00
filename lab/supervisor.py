"""The first process of a service's container: keeps the wrapped service running, and exchanges it when the lab asks.

Guarantee: only a container that has the lab's folder can command it, because it listens to a Unix socket in there and to no
port; without a lab the service runs all the same.

`python -m lab.supervisor billing_service 8002`
"""

import argparse
import asyncio
import socket
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from chaos.faults.wrapped_services import CONTROL_VARIABLE, JOURNAL_VARIABLE
from chaos.runner.run import WRAPPED
from lab.opening import REPLICAS, SETTINGS
from lab.server import served
from stack import environ, interruption, ports, service_environ
from stack.processes import StackError
from stack.replicas import STOP_GRACE_S, Replicas
from stack.waiting import first_of

RUN_DIR = Path("/run/lab")
JOURNAL = "journal.jsonl"
# Where the lab is asked about each message: its name and port in the network of the containers.
CONTROL_PORT = 8010
_CONTROL = f"lab:{CONTROL_PORT}"
_EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - of a container, in a network without a way in


class ReadyBody(BaseModel):
    """A replica, and how often it has died."""

    name: str
    deaths: int


class ExchangeBody(BaseModel):
    """MODULE:FACTORY of an ASGI application."""

    factory: str


def socket_of(run_dir: Path, service: str) -> Path:
    """Where the supervisor of a service listens."""
    return run_dir / f"{service}.sock"


def main(words: list[str] | None = None) -> int:
    """Runs one service; returns the exit code."""
    environ.settle_own()
    parser = argparse.ArgumentParser(prog="python -m lab.supervisor", description=__doc__)
    parser.add_argument("service", choices=sorted(WRAPPED))
    parser.add_argument("port", type=int, help="shared by all replicas")
    parser.add_argument("--run-dir", type=Path, default=RUN_DIR, help="shared with the lab")
    parser.add_argument("--control", default=_CONTROL, help="host:port of the lab")
    options = parser.parse_args(words)
    try:
        return asyncio.run(interruption.until_signalled(supervise(options)))
    except asyncio.CancelledError:
        return 0
    except (StackError, OSError) as exc:
        sys.stderr.write(f"lab.supervisor: {exc}\n")
        return interruption.UNKNOWN


async def supervise(options: argparse.Namespace) -> int:
    """Until a signal stops it. Raises `StackError` when the service cannot be kept running."""
    async with AsyncExitStack() as exit_stack:
        count = REPLICAS[options.service]
        logs = options.run_dir / "logs"
        logs.mkdir(exist_ok=True)
        # The addresses of the replicas are known to proxies of Toxiproxy, so they are the same after a restart.
        replicas = Replicas(
            options.service,
            WRAPPED[options.service],
            shared=exit_stack.enter_context(ports.listen("", options.port, _EVERY_ADDRESS)),
            own=[
                exit_stack.enter_context(
                    ports.listen("", options.port + 100 * number, _EVERY_ADDRESS)
                )
                for number in range(1, count + 1)
            ],
            environs=[_environ(options)] * count,
            logs=logs,
        )
        for child in replicas.children:
            exit_stack.push_async_callback(child.stop, STOP_GRACE_S)
            await child.start()
        path = socket_of(options.run_dir, options.service)
        # Of a container that was killed.
        path.unlink(missing_ok=True)
        listener = exit_stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(path))
        path.chmod(0o600)
        await exit_stack.enter_async_context(served(create(replicas), listener))
        await first_of([child.failure for child in replicas.children])
    return 0


def create(replicas: Replicas) -> FastAPI:
    """What the lab may ask and command."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.exception_handler(StackError)
    async def failed(_: Request, exc: Exception) -> Response:
        return JSONResponse({"error": str(exc)}, status_code=503)

    @app.get("/")
    async def state() -> dict[str, Any]:
        return {
            "factory": replicas.factory,
            "children": {
                child.name: {
                    "pid": child.pid,
                    "running": child.running,
                    "deaths": [(death.pid, death.return_code) for death in child.deaths],
                    "port": replicas.ports[child.name],
                }
                for child in replicas.children
            },
        }

    @app.post("/ready", status_code=204)
    async def ready(body: ReadyBody) -> None:
        (child,) = (each for each in replicas.children if each.name == body.name)
        await child.running_after(body.deaths)
        await replicas.ready_one(child)

    @app.post("/exchange", status_code=204)
    async def exchange(body: ExchangeBody) -> None:
        await replicas.exchange(body.factory)

    return app


def _environ(options: argparse.Namespace) -> dict[str, str]:
    prefix = service_environ.PREFIXES[options.service]
    return {
        **environ.of_child(inherited=(prefix, "HTTP_", "ENVIRONMENT")),
        **service_environ.without_others(options.service, SETTINGS),
        JOURNAL_VARIABLE: str(options.run_dir / JOURNAL),
        CONTROL_VARIABLE: options.control,
    }


if __name__ == "__main__":
    interruption.exit_with(main)
