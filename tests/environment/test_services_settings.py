"""A service with a wrong setting does not start, and says which one it is."""

import asyncio
import os
import sys

import pytest

from chaos.schema import PROJECT

BILLING = {"BILLING_DATABASE_URL": "postgresql://x", "BILLING_TOKENS": '{"a": "0123456789abcdef"}'}


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({}, "BILLING_DATABASE_URL: this setting is missing"),
        (
            {**BILLING, "BILLING_TOKENS": "{}"},
            "BILLING_TOKENS: there must be at least one client",
        ),
        (
            {**BILLING, "BILLING_TOKENS": "secret-token"},
            "BILLING_TOKENS: this setting must be JSON",
        ),
        (
            {**BILLING, "BILLING_LOCK_TIMEOUT_S": "soon"},
            "BILLING_LOCK_TIMEOUT_S: Input should be a valid number",
        ),
        (
            {**BILLING, "BILLING_PUBLIC_URL": "nonsense"},
            "BILLING_PUBLIC_URL: String should match pattern",
        ),
    ],
    ids=str,
)
async def test_a_wrong_setting(environ: dict[str, str], says: str) -> None:
    """Exit code 2 and a sentence; neither a traceback nor the value, which may be a secret."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "uvicorn",
        "billing_service.app:create",
        "--factory",
        cwd=PROJECT,
        env={"PATH": os.defpath, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert says in errors.decode()
    assert b"Traceback" not in errors
    assert b"secret-token" not in errors
