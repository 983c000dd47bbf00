"""A service with a wrong setting does not start, and says which one it is."""

import asyncio
import os
import re
import sys

import pytest
from pydantic import ValidationError

import billing_service.settings
import notification_service.settings
import order_service.settings
from service_kit import environment
from service_kit.environment import EnvironmentSettings
from stack.schema import PROJECT

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
            {**BILLING, "BILLING_POOL_SIZE_MAX": "0"},
            "BILLING_POOL_SIZE_MAX: Input should be greater than or equal to 1",
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


SETTINGS: tuple[type[EnvironmentSettings], ...] = (
    billing_service.settings.Settings,
    notification_service.settings.Settings,
    order_service.settings.Settings,
)
NONSENSE = "drawn?\x01 secret{"


@pytest.mark.parametrize(
    ("settings", "field"),
    [(settings, field) for settings in SETTINGS for field in settings.model_fields],
    ids=lambda each: each if isinstance(each, str) else each.__module__,
)
def test_no_value_is_repeated(
    settings: type[EnvironmentSettings],
    field: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of no setting: each sentence begins with its variable, and a secret that stands in the wrong one is not printed."""
    prefix = settings.model_config.get("env_prefix", "")
    variable = "ENVIRONMENT" if field == "environment" else (prefix + field).upper()
    monkeypatch.setenv(variable, NONSENSE)
    with pytest.raises(SystemExit) as ended:
        environment.read(settings)
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "secret{" not in said
    assert "drawn" not in said
    # Others are missing, which is said too; any text may be a password.
    named = [line for line in said.splitlines() if line.startswith(f"{variable}: ")]
    assert len(named) == (0 if field == "database_password" else 1)
    assert all(re.match(r"[A-Z_]+: ", line) for line in said.splitlines())


def test_settings_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read stays, whatever becomes of the environment, and cannot be changed."""
    for name, value in BILLING.items():
        monkeypatch.setenv(name, value)
    read = environment.read(billing_service.settings.Settings)
    before = read.model_dump()
    monkeypatch.setenv("BILLING_POOL_SIZE_MAX", "7")
    assert read.model_dump() == before
    with pytest.raises(ValidationError):
        setattr(read, "pool_size_max", 7)  # noqa: B010 - what a type checker would refuse
