"""Secrets that are public are refused in production, and warned of elsewhere."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

import billing_service.settings
import order_service.settings
from service_kit import environment
from service_kit.environment import secrecy
from stack.schema import PROJECT
from tests import commands

BILLING = {
    "BILLING_DATABASE_URL": "postgresql://billing_service:drawn@127.0.0.1/x",
    "BILLING_TOKENS": '{"curl": "0123456789abcdef"}',
}
# A password is a part of a URL, in which it may be encoded; a service's own tokens are in a map.
PUBLIC = {
    "in a URL": {"BILLING_DATABASE_URL": "postgresql://b:development-only-x@127.0.0.1/x"},
    "in capitals": {"BILLING_DATABASE_URL": "postgresql://b:DEVELOPMENT-ONLY-X@127.0.0.1/x"},
    "percent-encoded": {"BILLING_DATABASE_URL": "postgresql://b:development%2Donly%2dx@h/x"},
    "encoded letter by letter": {
        "BILLING_DATABASE_URL": f"postgresql://b:{''.join(f'%{ord(c):02X}' for c in 'Development-Only')}@h/x"
    },
    "encoded twice": {"BILLING_DATABASE_URL": "postgresql://b:development%252Donly-x@h/x"},
    "as a parameter": {"BILLING_DATABASE_URL": "postgresql://h/x?password=development-only-x"},
    "in the variable of libpq": {"PGPASSWORD": "development-only-password"},
    "in a map of tokens": {
        "BILLING_TOKENS": '{"a": "0123456789abcdef", "curl": "development-only-token"}'
    },
    "as a second token": {
        "BILLING_TOKENS": '{"a": ["0123456789abcdef", "Development-ONLY-token"]}'
    },
}


Start = Callable[[dict[str, str]], tuple[int, str]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Start:
    """Reads billing's settings as a start does, with these variables alone: the exit code and what was said."""

    def read(environ: dict[str, str]) -> tuple[int, str]:
        for name in list(os.environ):
            monkeypatch.delenv(name)
        for name, value in {**BILLING, **environ}.items():
            monkeypatch.setenv(name, value)
        try:
            environment.read(billing_service.settings.Settings)
        except SystemExit as ended:
            return int(ended.code or 0), capsys.readouterr().err
        return 0, capsys.readouterr().err

    return read


@pytest.mark.parametrize("public", PUBLIC.values(), ids=PUBLIC.keys())
def test_production_refuses_a_public_secret(public: dict[str, str], start: Start) -> None:
    """Exit code 2 and the name of the setting; wherever the secret is, and never its value."""
    code, said = start({**public, "ENVIRONMENT": "production"})
    assert code == 2
    assert next(iter(public)) in said
    assert secrecy.MARK not in said.casefold()
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("where", [{}, {"ENVIRONMENT": ""}, {"ENVIRONMENT": "development"}])
@pytest.mark.parametrize("public", PUBLIC.values(), ids=PUBLIC.keys())
def test_development_warns(public: dict[str, str], where: dict[str, str], start: Start) -> None:
    """It starts, and says which setting must not be deployed."""
    code, said = start({**public, **where})
    assert code == 0
    assert "WARNING" in said
    assert next(iter(public)) in said


@pytest.mark.parametrize("where", ["production", "development"])
def test_a_drawn_secret_is_accepted(where: str, start: Start) -> None:
    """The negative control: without a public secret there is neither refusal nor warning."""
    assert start({"ENVIRONMENT": where}) == (0, "")


@pytest.mark.parametrize("where", ["prod", "Production", "staging"])
def test_a_misspelt_environment_is_refused(where: str, start: Start) -> None:
    """A misspelt environment is refused, so no service runs unprotected by mistake."""
    code, said = start({"ENVIRONMENT": where})
    assert code == 2
    assert "ENVIRONMENT: must be development or production" in said


def test_a_public_secret_ends_the_process() -> None:
    """A real process: its exit code, one sentence, and no traceback."""
    reading = "from service_kit import environment; from billing_service.settings import Settings; environment.read(Settings)"
    ended = subprocess.run(
        [sys.executable, "-c", reading],
        cwd=PROJECT,
        env={"PATH": os.defpath, **BILLING, **PUBLIC["in a URL"], "ENVIRONMENT": "production"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1), ended.stderr


MIGRATIONS = {
    "MIGRATIONS_DATABASE_URL": "postgresql://owner:drawn@127.0.0.1:1/x",
    "MIGRATIONS_ORDER_PASSWORD": "drawn-o",
    "MIGRATIONS_BILLING_PASSWORD": "drawn-b",
    "MIGRATIONS_NOTIFICATION_PASSWORD": "drawn-n",
}
ORDER = {
    "ORDER_DATABASE_URL": "postgresql://o:drawn@127.0.0.1/x",
    "ORDER_BILLING_URL": "http://127.0.0.1:1",
    "ORDER_BILLING_TOKEN": "order-at-billing-1",
    "ORDER_NOTIFICATION_URL": "http://127.0.0.1:1",
    "ORDER_NOTIFICATION_TOKEN": "order-at-notification-1",
    "ORDER_TOKENS": '{"shop": "a-good-token-0001"}',
}


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        *(
            (name, drawn.replace("drawn", "Development%2Donly-x"), ": a development secret")
            for name, drawn in MIGRATIONS.items()
        ),
        ("MIGRATIONS_BILLING_PASSWORD", "", ": this password is empty"),
        ("MIGRATIONS_ORDER_PASSWORD", " ", ": this password is empty"),
        ("MIGRATIONS_NOTIFICATION_PASSWORD", "drawn\n", ": this password has control characters"),
    ],
)
async def test_the_migrations_refuse_a_bad_secret(variable: str, value: str, says: str) -> None:
    """The owner's URL and the password of each role, in one sentence, before the database is asked for."""
    own = {"PATH": os.defpath, **MIGRATIONS, variable: value, "ENVIRONMENT": "production"}
    migrating = await commands.run("alembic", "upgrade", "head", environ=own)
    assert (migrating.code, len(migrating.errors.splitlines())) == (2, 1), migrating.errors
    assert migrating.errors.startswith(variable + says)


@pytest.mark.parametrize(
    ("variable", "public"),
    [
        ("ORDER_DATABASE_URL", "postgresql://o:DEVELOPMENT-only-x@127.0.0.1/x"),
        ("ORDER_BILLING_TOKEN", "Development-Only-token"),
        ("ORDER_NOTIFICATION_TOKEN", "DEVELOPMENT-ONLY-TOKEN"),
        ("ORDER_TOKENS", '{"shop": ["a-good-token-0001", "Development-Only-token"]}'),
    ],
)
def test_order_service_refuses_a_public_secret(
    variable: str,
    public: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also a token that is only sent, and one of a client."""
    for name, value in {**ORDER, variable: public, "ENVIRONMENT": "production"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        environment.read(order_service.settings.Settings)
    said = capsys.readouterr().err
    assert (ended.value.code, len(said.splitlines())) == (2, 1)
    assert said.startswith(f"{variable}: a development secret")


@pytest.mark.parametrize("url", ["http://u:p@h", "http://u@h", "http://h?x", "http://", "ftp://h"])
@pytest.mark.parametrize("variable", ["ORDER_BILLING_URL", "ORDER_NOTIFICATION_URL"])
def test_the_address_of_a_peer_holds_no_secret(
    variable: str, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A password in it would not be sent, and would be in no field that is watched for public secrets."""
    for name, value in {**ORDER, variable: url}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        environment.read(order_service.settings.Settings)
    assert capsys.readouterr().err.startswith(f"{variable}: ")


@pytest.mark.parametrize(("times", "public"), [(1, True), (2, True), (3, True), (4, False)])
def test_a_secret_that_is_encoded_often(times: int, public: bool) -> None:
    """Three times at most: what is encoded more often reaches Postgres as another password."""
    secret = "development-only-x"
    for _ in range(times):
        secret = secret.replace("%", "%25").replace("-", "%2D")
    assert secrecy._is_public(secret) is public
