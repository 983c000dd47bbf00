"""schemathesis over the three OpenAPI documents: no 5xx, documented answers only, whatever is sent."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI, HTTPException

from chaos.runner.run import open_harness
from stack import ports
from stack.embedded import Stack

pytestmark = pytest.mark.chaos

# For each operation; OPENAPI_EXAMPLES=2000 looks longer.
EXAMPLES = os.environ.get("OPENAPI_EXAMPLES", "25")
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


async def schemathesis(url: str, token: str, directory: Path) -> tuple[int, str]:
    """Runs schemathesis against a service that runs: exit code and report."""
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        f"{url}/openapi.json",
        "--header",
        f"Authorization: Bearer {token}",
        "--checks",
        CHECKS,
        "--max-examples",
        EXAMPLES,
        "--generation-database",
        "none",
        "--no-color",
        cwd=directory,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode(errors="replace")


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack of its own: random requests void keys and settle them, which scenarios would meet."""
    directory = tmp_path_factory.mktemp("openapi")
    async with open_harness(directory, lambda _: None, usual_ports=False) as harness:
        yield harness.stack


@pytest.mark.parametrize("service", ["order_service", "billing_service", "notification_service"])
async def test_documented_answers_only(stack: Stack, tmp_path: Path, service: str) -> None:
    """Every operation, with input that fits its schema, input that does not, and one after the other."""
    receiver = "notification_tokens" if service == "notification_service" else "tokens"
    token = stack.description[receiver]["curl"]
    code, report = await schemathesis(stack.urls[service], token, tmp_path)
    assert code == 0, report
    assert "passed" in report


async def test_an_undocumented_answer_is_found(tmp_path: Path) -> None:
    """The negative control: a service that answers what it has not documented does not pass."""
    app = FastAPI()

    @app.get("/teapot")
    async def teapot(strength: int = 1) -> None:
        raise HTTPException(418)

    listener = ports.listen("", None)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    code, report = await schemathesis(ports.url_of(listener), "t", tmp_path)
    server.should_exit = True
    await serving
    assert code == 1
    assert "418" in report
