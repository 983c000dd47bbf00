"""Billing's configuration: read once from the environment, typed, and refused when it is wrong."""

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from bearer_tokens import Tokens
from environment import EnvironmentSettings, Hosts


class Settings(EnvironmentSettings):
    """Each field is the environment variable `BILLING_` + its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="BILLING_", frozen=True)

    database_url: SecretStr = Field(description="postgresql:// URL of the role billing_service")
    tokens: Tokens = Field(
        description="JSON object: client name to bearer token, or to a list of two that are both valid"
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
    pool_size_max: int = Field(10, ge=1, le=1000, description="connections to Postgres")
    # Longer than a commit on a busy disk, shorter than a caller's attempt.
    lock_timeout_s: float = Field(
        1.0, gt=0, le=60, description="wait for a lock; then 409 for a key, 503 for an account"
    )
    transaction_timeout_s: float = Field(
        3.0, gt=0, le=300, description="hard limit of one transaction, waits included"
    )
    idle_in_transaction_timeout_s: float = Field(
        2.0, gt=0, le=300, description="Postgres ends a transaction whose client has gone silent"
    )
    batch_size_min: int = Field(
        1, ge=1, le=1000, description="fewer waiting charges than this go one by one"
    )
    # More would hold locks for longer and gain little: a commit costs the same for a hundred.
    batch_size_max: int = Field(100, ge=1, le=500, description="charges of one transaction")
    # A third of a second's work on two cores; who waits longer is served better by coming back.
    queue_max: int = Field(
        1000, ge=1, le=100_000, description="charges that wait; then 503 and nothing is begun"
    )
    # Several times an ordinary commit.
    batch_patience_s: float = Field(
        0.02, gt=0, le=60, description="a batch under way for longer does not hold the next one up"
    )
    # Soon enough that the table stays small, seldom enough that charges do not wait for it.
    forget_pause_s: float = Field(
        1.0, gt=0, le=3600, description="pause between two rounds that delete settled keys"
    )
