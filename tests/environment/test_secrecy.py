"""Secrets that are public are refused in production, and warned of elsewhere."""

import os
import subprocess
import sys

import pytest

from chaos.schema import PROJECT
from environment import secrecy

BILLING = {
    "BILLING_DATABASE_URL": "postgresql://billing_service:drawn@127.0.0.1/x",
    "BILLING_TOKENS": '{"curl": "drawn"}',
}
PUBLIC = {
    "in a URL": {"BILLING_DATABASE_URL": "postgresql://b:development-only-x@127.0.0.1/x"},
    "in a map of tokens": {"BILLING_TOKENS": '{"a": "drawn", "curl": "development-only-token"}'},
}


def start(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Reads billing's settings in a process of its own, as a start does."""
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "import environment; from billing_service.settings import Settings; environment.read(Settings)",
        ],
        cwd=PROJECT,
        env={"PATH": os.defpath, **BILLING, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("public", PUBLIC.values(), ids=PUBLIC.keys())
def test_production_refuses_a_public_secret(public: dict[str, str]) -> None:
    """Exit code 2 and the name of the setting; wherever the secret stands, and never its value."""
    started = start({**public, "ENVIRONMENT": "production"})
    assert started.returncode == 2
    assert next(iter(public)) in started.stderr
    assert secrecy.MARK not in started.stderr
    assert "Traceback" not in started.stderr


@pytest.mark.parametrize("where", [{}, {"ENVIRONMENT": ""}, {"ENVIRONMENT": "development"}])
@pytest.mark.parametrize("public", PUBLIC.values(), ids=PUBLIC.keys())
def test_development_warns(public: dict[str, str], where: dict[str, str]) -> None:
    """It starts, and says which setting must not be deployed."""
    started = start({**public, **where})
    assert started.returncode == 0
    assert "WARNING" in started.stderr
    assert next(iter(public)) in started.stderr


@pytest.mark.parametrize("where", ["production", "development"])
def test_a_drawn_secret_is_accepted(where: str) -> None:
    """The negative control: without a public secret there is neither refusal nor warning."""
    started = start({"ENVIRONMENT": where})
    assert (started.returncode, started.stderr) == (0, "")


@pytest.mark.parametrize("where", ["prod", "Production", "staging"])
def test_a_misspelt_environment_is_refused(where: str) -> None:
    """Nobody believes to be protected who is not."""
    started = start({"ENVIRONMENT": where})
    assert started.returncode == 2
    assert "ENVIRONMENT: must be development or production" in started.stderr
