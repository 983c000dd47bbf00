"""What billing_service promises on the wire: bodies and header names.

Guarantee: money is an integer number of cents in a range that every sum of it survives; an unknown field is refused,
because a misspelt one would be ignored money.
"""

from typing import Annotated, Literal
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

Account = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", examples=["alice"], strict=True)
]
AmountCents = Annotated[int, Field(strict=True, ge=1, le=AMOUNT_CENTS_MAX, examples=[1999])]
BalanceCents = Annotated[int, Field(strict=True, ge=0, le=AMOUNT_CENTS_MAX, examples=[1_000_000])]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Charge(_Body):
    """Body of `POST /charges`: withdraw `amount_cents` from `account` for an order."""

    order_id: UUID
    account: Account
    amount_cents: AmountCents


class Charged(_Body):
    """Body of 201: the money was withdrawn; `balance_cents` is what was left then."""

    charge_id: UUID
    account: str
    amount_cents: int
    balance_cents: int


class KeyState(_Body):
    """Body of `GET` and `DELETE /charges/{sequence_key}`: the definite answer about a key of the caller."""

    sequence_key: int
    state: Literal["never_seen", "charged", "declined", "voided", "forgotten"]
    status: int | None = Field(None, description="HTTP status of the stored answer")
    answer: str | None = Field(None, description="body of the stored answer, byte for byte")


class OpenAccount(_Body):
    """Body of `PUT /accounts/{account}`."""

    opening_balance_cents: BalanceCents


class AccountState(_Body):
    """Body of `GET /accounts/{account}` and of a successful `PUT`."""

    account: str
    balance_cents: int
