"""Configuration from the environment, read once into a typed Settings class.

Guarantee: a wrong or missing value ends the process with exit code 2 and one sentence per variable on standard error,
without a traceback and without the value itself, which may be a secret. Published secrets are refused in production and
cause a warning elsewhere.
"""

import sys
from typing import Annotated, TypeVar

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from service_kit.environment import secrecy
from service_kit.environment.database_url import DatabaseUrl
from service_kit.environment.hosts import Hosts
from service_kit.environment.passwords import Password

__all__ = ["EnvironmentSettings", "Hosts", "Password", "ServiceSettings", "read"]


def _known(environment: object) -> object:
    # Compose passes an unset variable on as an empty text.
    if environment == "":
        return secrecy.DEVELOPMENT
    if environment not in (secrecy.DEVELOPMENT, secrecy.PRODUCTION):
        raise ValueError(f"must be {secrecy.DEVELOPMENT} or {secrecy.PRODUCTION}")
    return environment


class EnvironmentSettings(BaseSettings):
    """The base of all Settings. They share the variable `ENVIRONMENT`, which has no prefix.

    Any other value of it is refused: a misspelt one would run without the protection of production.
    """

    model_config = SettingsConfigDict(frozen=True, populate_by_name=True)

    environment: Annotated[str, BeforeValidator(_known)] = Field(
        secrecy.DEVELOPMENT,
        validation_alias=secrecy.VARIABLE,
        description="development, or production, which refuses public secrets and callers without a token",
    )

    @property
    def in_production(self) -> bool:
        """Whether settings that are only safe on a development machine are refused."""
        return self.environment == secrecy.PRODUCTION


class ServiceSettings(EnvironmentSettings):
    """The settings that every service has: its database, and where it is reached."""

    database_url: DatabaseUrl = Field(description="postgresql:// URL of the service's own role")
    database_password: SecretStr = Field(
        SecretStr(""), description="the role's password, when it is not in the URL"
    )
    public_url: str = Field(
        "",
        pattern=r"^(https?://[^/\s?#@]+/?)?$",
        description="where callers reach the service; prefix of problem types",
    )
    hosts: Hosts = Field(
        (),
        description="further host names under which the service may be asked, separated by commas",
    )


S = TypeVar("S", bound=BaseSettings)


def read(settings: type[S]) -> S:
    """The settings. Ends the process (`SystemExit(2)`) when they are wrong."""
    prefix = str(settings.model_config.get("env_prefix", ""))
    try:
        found = settings.model_validate({})
        # A package whose settings do not know the environment holds no secrets.
        production = isinstance(found, EnvironmentSettings) and found.in_production
        if warning := secrecy.warning(found, prefix, production=production):
            print(warning, file=sys.stderr)
        return found
    except ValidationError as exc:
        for error in exc.errors():
            print(_sentence(prefix, error), file=sys.stderr)
    except secrecy.Refused as exc:
        print(exc, file=sys.stderr)
    raise SystemExit(2)


def _sentence(prefix: str, error: ErrorDetails) -> str:
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        # A rule about several settings names them in its message.
        return message
    name = ".".join(str(part) for part in error["loc"])
    variable = name if name == secrecy.VARIABLE else (prefix + name).upper()
    return f"{variable}: {'this setting is missing' if error['type'] == 'missing' else message}"
