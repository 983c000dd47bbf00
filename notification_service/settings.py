"""Notification's configuration: read once from the environment, typed, and refused when it is wrong."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from environment.database_url import DatabaseUrl


class Settings(BaseSettings):
    """Each field is the environment variable `NOTIFICATION_` + its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="NOTIFICATION_", frozen=True)

    database_url: DatabaseUrl = Field(
        description="postgresql:// URL of the role notification_service"
    )
    database_password: SecretStr = Field(
        SecretStr(""), description="the role's password, when it is not in the URL"
    )
    tokens: dict[str, SecretStr] = Field(
        min_length=1, description="JSON object: client name to bearer token"
    )
    public_url: str = Field(
        "",
        pattern=r"^(https?://[^/\s]+/?)?$",
        description="where callers reach the service; prefix of problem types",
    )
    pool_size_max: int = Field(5, ge=1, le=1000, description="connections to Postgres")
    transaction_timeout_s: float = Field(
        2.0, gt=0, le=300, description="hard limit of one database access, waits included"
    )
