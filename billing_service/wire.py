"""The wire format of billing_service: bodies, header names and problems.

Guarantee: money is an integer number of cents, small enough that sums of it do not overflow. A request with an unknown field is
refused, because ignoring a misspelt field could charge the wrong amount.
"""

from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

# RFC 9651 String with a decimal integer >= 1 (draft-ietf-httpapi-idempotency-key-header).
KEY_HEADER = "Idempotency-Key"
# RFC 9651 Boolean; ?0 when absent.
RETRY_HEADER = "Idempotency-Retry"
# RFC 9651 Integer; all keys below it are settled for this client (RIFL, Lee et al., SOSP 2015).
FIRST_INCOMPLETE_HEADER = "Idempotency-First-Incomplete"
# RFC 9651 Decimal, seconds: how long the caller will wait from now on. Relative, because clocks differ.
TIMEOUT_HEADER = "Request-Timeout"
# RFC 9651 Boolean; ?1 on an answer that was stored before.
REPLAYED_HEADER = "Idempotency-Replayed"

# RFC 9651 Integers have at most 15 digits, and a first-incomplete mark must be able to name every key.
SEQUENCE_KEY_MAX = 999_999_999_999_999
# Ten billion in a currency with cents: above any order, and a million of them still fit into a bigint.
AMOUNT_CENTS_MAX = 1_000_000_000_000

# The last part of a problem's `type` (`/problems/<slug>`), and its only status. A request gets no problem that is not listed
# here for it.
#
# `POST /charges`: the charge was declined. This answer is final.
DECLINES: Final = {"insufficient-funds": 402}
# `POST /charges`: this charge was not executed, and will not be when it is sent again unchanged.
REFUSALS: Final = {
    "key-missing": 400,
    "key-malformed": 400,
    "header-malformed": 400,
    "body-unreadable": 400,
    "token-wrong": 401,
    "account-unknown": 404,
    "key-forgotten": 410,
    "key-voided": 410,
    "body-too-large": 413,
    "media-type-unsupported": 415,
    "key-reused": 422,
    "validation": 422,
}
# Refusals of the connection or its host names, before the service sees the request. Nothing was executed. They concern the hop,
# not the request: once the hop works again, the same request can succeed.
OF_THE_HOP: Final = {
    "request-malformed": 400,
    "origin-foreign": 403,
    "request-incomplete": 408,
    "target-too-long": 414,
    "host-unknown": 421,
    "head-too-large": 431,
    "not-implemented": 501,
    "too-many-connections": 503,
    "http-version-unknown": 505,
}
# `POST /charges`: not a final answer; the caller has to send the charge again with the same key.
NOT_YET: Final = {
    **OF_THE_HOP,
    "key-in-flight": 409,
    # Nothing was executed, but the same request succeeds once the mark lies within reach: a copy of it that the network delays
    # could then charge an order that was called failed.
    "mark-leap": 422,
    "deadline-passed": 503,
    "overloaded": 503,
    "unavailable": 503,
}
# `DELETE /charges/{sequence_key}`: the key was executed; the key was forgotten; and problems that say nothing about the key.
KEY_EXECUTED: Final = {"key-executed": 409}
KEY_FORGOTTEN: Final = {"key-forgotten": 410}
NOT_VOIDED: Final = {
    **OF_THE_HOP,
    "token-wrong": 401,
    "key-in-flight": 409,
    "validation": 422,
    "unavailable": 503,
}

Account = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", examples=["alice"], strict=True)
]
AmountCents = Annotated[int, Field(strict=True, ge=1, le=AMOUNT_CENTS_MAX, examples=[1999])]
# Postgres stores no NUL.
ProblemText = Annotated[str, Field(pattern=r"^[^\x00]*$")]
BalanceCents = Annotated[int, Field(strict=True, ge=0, le=AMOUNT_CENTS_MAX, examples=[1_000_000])]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Charge(_Body):
    """Body of `POST /charges`: withdraw `amount_cents` from `account` for an order."""

    order_id: UUID
    account: Account
    amount_cents: AmountCents


class Charged(_Body):
    """Body of 201: the money was withdrawn for this order; `balance_cents` is what was left then."""

    charge_id: UUID
    order_id: UUID
    account: str
    amount_cents: int
    balance_cents: int


class _Problem(BaseModel):
    """Problem details (RFC 9457, section 3.1). Unknown members are ignored, as section 3.2 requires."""

    model_config = ConfigDict(frozen=True)

    type: str
    title: ProblemText
    status: int
    detail: ProblemText


class Declined(_Problem):
    """Body of 402: nothing was withdrawn for this order, because `balance_cents` was less than `amount_cents`."""

    status: Literal[402]
    order_id: UUID
    account: str
    amount_cents: int
    balance_cents: int


class KeyExecuted(_Problem):
    """Body of 409 `key-executed`: the key cannot be voided, because it was executed for this charge.

    `order_id` is null for a decline that was stored before declines named their order.
    """

    status: Literal[409]
    executed_status: Literal[201, 402]
    answer: str = Field(description="body of the stored answer")
    order_id: UUID | None
    account: str
    amount_cents: int


class KeyState(_Body):
    """Body of `GET` and `DELETE /charges/{sequence_key}`: the definite answer about a key of the caller."""

    sequence_key: int
    state: Literal["never_seen", "charged", "declined", "voided", "forgotten"]
    status: int | None = Field(None, description="HTTP status of the stored answer")
    answer: str | None = Field(None, description="body of the stored answer, byte for byte")


class SettledBelow(_Body):
    """Body of 202 of `DELETE /charges`: all keys below `first_incomplete` are settled for this client."""

    first_incomplete: int


class OpenAccount(_Body):
    """Body of `PUT /accounts/{account}`."""

    opening_balance_cents: BalanceCents


class AccountState(_Body):
    """Body of `GET /accounts/{account}` and of a successful `PUT`."""

    account: str
    balance_cents: int
