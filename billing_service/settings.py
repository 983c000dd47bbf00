"""The configuration of billing_service, read once from the environment.

Guarantee: a missing or invalid setting stops the process at its start.
"""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from service_kit.bearer_tokens import Tokens
from service_kit.environment import ServiceSettings


class Settings(ServiceSettings):
    """Each field is the environment variable `BILLING_` + its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="BILLING_")

    tokens: Tokens = Field(
        description="JSON object: client name to bearer token, or to a list of two that are both valid"
    )
    pool_size_max: int = Field(10, ge=1, le=1000, description="connections to Postgres")
    # Longer than a commit on a busy disk, shorter than a caller's attempt.
    lock_timeout_s: float = Field(
        1.0,
        gt=0,
        le=60,
        description="longest wait for a lock or a transaction; then 409 for a key, 503 for an account",
    )
    transaction_timeout_s: float = Field(
        3.0, gt=0, le=300, description="hard limit of one transaction, waits included"
    )
    idle_in_transaction_timeout_s: float = Field(
        2.0,
        gt=0,
        le=300,
        description="Postgres ends a transaction whose process sends nothing for so long",
    )
    group_commit: bool = Field(True, description="0: each charge has a transaction of its own")
    # A larger batch would hold locks longer and gain little: a commit costs the same for a hundred charges as for one.
    batch_size_max: int = Field(100, ge=1, le=500, description="charges of one transaction")
    # About a third of a second of work on two cores. A caller that would wait longer should retry instead.
    queue_max: int = Field(
        1000,
        ge=1,
        le=100_000,
        description="charges that wait for an outcome, at most half of them of one client and a quarter of one account; more get 503 and execute nothing",
    )
    # Several times an ordinary commit.
    batch_patience_s: float = Field(
        0.02, gt=0, le=60, description="a batch that takes longer no longer delays the next one"
    )
    # A client's keys are a counter: a million is a day of 12 orders a second that billing never received, and far below
    # the mark that a wrong digit or an overflow would produce.
    mark_leap_max: int = Field(
        1_000_000,
        ge=1,
        le=999_999_999_999_999,
        description="how far a first incomplete key may lie above the highest known key of its client",
    )
    # Often enough that the table stays small, seldom enough that charges do not wait for the collector.
    forget_pause_s: float = Field(
        1.0, gt=0, le=3600, description="pause between two rounds that delete settled keys"
    )
