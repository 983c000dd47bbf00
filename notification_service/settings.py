"""Notification's configuration: typed, and read once from the environment.

Guarantee: a wrong value stops the process before it serves a request.
"""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from service_kit.bearer_tokens import Tokens
from service_kit.environment import ServiceSettings


class Settings(ServiceSettings):
    """Each field is the environment variable `NOTIFICATION_` + its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="NOTIFICATION_")

    tokens: Tokens = Field(
        description="JSON object: client name to bearer token, or to a list of two that are both valid"
    )
    pool_size_max: int = Field(5, ge=1, le=1000, description="connections to Postgres")
    transaction_timeout_s: float = Field(
        2.0, gt=0, le=300, description="hard limit of one database access, waits included"
    )
