"""The settings of order_service, read once from the environment.

Guarantee: a process with a missing or wrong setting does not start.
"""

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from service_kit.bearer_tokens import OptionalTokens, Token
from service_kit.environment import ServiceSettings

# Without a user and a password: the transport would not send them.
_PEER_URL = r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$"


class Settings(ServiceSettings):
    """Each field is the environment variable `ORDER_` + its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="ORDER_")

    billing_url: str = Field(pattern=_PEER_URL, description="base URL of billing_service")
    billing_token: Token = Field(description="bearer token that names this client at billing")
    notification_url: str = Field(pattern=_PEER_URL, description="base URL of notification_service")
    notification_token: Token = Field(
        description="bearer token for notification_service, another one than at billing"
    )
    tokens: OptionalTokens = Field(
        {},
        description="clients that may place orders, as for billing; empty: everyone may, and production does not start",
    )
    unsafe_delivery: bool = Field(
        False, description="allow at_least_once and at_most_once, which exist to show the harm"
    )
    pool_size_max: int = Field(10, ge=1, le=1000, description="connections to Postgres")
    transaction_timeout_s: float = Field(
        3.0, gt=0, le=300, description="hard limit of one database access, waits included"
    )
    # A customer waits a few seconds; after that 202 with a Location is the better answer.
    wait_budget_s: float = Field(
        5.0, gt=0, le=300, description="POST /orders waits so long for billing, then answers 202"
    )
    attempt_timeout_s: float = Field(
        2.0, gt=0, le=300, description="hard total limit of one attempt, from first to last byte"
    )
    attempts_in_flight_max: int = Field(64, ge=1, le=10_000, description="attempts at one time")
    backoff_base_s: float = Field(0.1, gt=0, le=60, description="upper bound of the first pause")
    backoff_cap_s: float = Field(2.0, gt=0, le=600, description="upper bound of every pause")
    retry_after_max_s: float = Field(
        30.0, gt=0, le=3600, description="a longer Retry-After of billing is cut to this"
    )
    # A burst of retries that billing can bear after a short outage; beyond it, only the refill until billing answers again.
    retry_budget: int = Field(
        100, ge=1, le=1_000_000, description="retries in a row without an answer"
    )
    retry_refill_per_s: float = Field(
        10.0, gt=0, le=100_000, description="further retries a second while nothing is answered"
    )
    # As many can be delivered within a minute or two once billing is back.
    window_max: int = Field(
        10_000, ge=1, le=10_000_000, description="unsettled orders; then POST /orders answers 503"
    )
    # Twice what one round of the loop can take, so that a slow process does not lose its orders while it lives.
    lease_s: float = Field(
        10.0, gt=0, le=3600, description="orders of a process that is silent so long are taken over"
    )
    takeover_poll_s: float = Field(
        1.0, gt=0, le=600, description="how often to look for orders of dead processes"
    )

    @model_validator(mode="after")
    def _production_knows_its_callers(self) -> "Settings":
        if self.in_production and not self.tokens:
            raise ValueError(
                "ORDER_TOKENS: this setting is missing, and ENVIRONMENT is production, in which only clients with a "
                "token place orders"
            )
        return self

    @model_validator(mode="after")
    def _each_token_has_one_use(self) -> "Settings":
        billing, notification = self.billing_token, self.notification_token
        if billing == notification:
            raise ValueError(
                "ORDER_NOTIFICATION_TOKEN is the token of ORDER_BILLING_TOKEN too: notification_service "
                "could charge with it"
            )
        if {billing, notification} & {token for each in self.tokens.values() for token in each}:
            raise ValueError(
                "ORDER_TOKENS holds a token that is sent to another service: a client that places orders could "
                "charge with it"
            )
        return self

    @model_validator(mode="after")
    def _lease_outlasts_a_round(self) -> "Settings":
        round_s = (
            self.attempt_timeout_s
            + self.backoff_cap_s
            + self.transaction_timeout_s
            + self.takeover_poll_s
        )
        if self.lease_s <= round_s:
            raise ValueError(
                f"ORDER_LEASE_S is {self.lease_s:g} but must be more than {round_s:g}, the sum of ORDER_ATTEMPT_TIMEOUT_S, "
                "ORDER_BACKOFF_CAP_S, ORDER_TRANSACTION_TIMEOUT_S and ORDER_TAKEOVER_POLL_S"
            )
        return self
