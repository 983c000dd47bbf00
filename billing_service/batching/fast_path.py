"""The fast path: a batch of charges in one round trip, by the function `billing.charge_batch` of the schema.

Guarantee: each charge gets the outcome that the single transaction (`billing_service/charge.py`) would give it, in the order
of arrival and under the same locks. All charges of a batch are committed, or none is. The function waits for no lock: when
another transaction holds one, it names that lock and does not execute the charges that need it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from uuid import UUID

import billing_service.charge
from billing_service.charge import Awaited, DeclineBody, stored_as
from billing_service.outcomes import (
    CHARGED,
    DECLINED,
    AccountUnknown,
    Answer,
    ChargeOutcome,
    KeyForgotten,
    TooLate,
)
from billing_service.wire import Charge
from service_kit.bounded_pool import BoundedPool, Connection, LockWaitTooLong, translated


@dataclass(frozen=True)
class Request:
    """One charge to execute: its client, key and payload, and whether its caller still waits."""

    client: str
    sequence_key: int
    charge: Charge
    digest: bytes
    awaited: Awaited


class Held(NamedTuple):
    """Did not happen: another transaction holds a lock that the charge needs. `name` is the client or the account."""

    lock: Literal["client", "key", "account"]
    name: str


class Obstructed(Exception):
    """Did not happen: another transaction inserted a key without its advisory lock, so the whole batch was rolled back."""


@dataclass(frozen=True)
class Bodies:
    """Templates of the two answers for format() in Postgres: charge id, order, account, amount, balance."""

    charged: str
    declined: str

    @classmethod
    def of(cls, decline_body: DeclineBody) -> "Bodies":
        """Built from the functions that render the answers of a single charge, so that both paths answer alike."""
        return cls(
            _template(billing_service.charge.charged_body(_ANY_CHARGE, _ANY_ID, _ANY_BALANCE)),
            _template(decline_body(_ANY_CHARGE, _ANY_BALANCE)),
        )


# Values that no charge has, so that they can be found in a rendered body.
_ANY_ID, _ANY_BALANCE = UUID(int=2**128 - 1), 10**18 + 1
_ANY_CHARGE = Charge.model_construct(
    order_id=UUID(int=2**128 - 2), account="@account", amount_cents=10**18 + 2
)


def _template(body: str) -> str:
    values = (
        _ANY_ID,
        _ANY_CHARGE.order_id,
        _ANY_CHARGE.account,
        _ANY_CHARGE.amount_cents,
        _ANY_BALANCE,
    )
    template = body.replace("%", "%%")
    for position, value in enumerate(values, start=1):
        template = template.replace(str(value), f"%{position}$s")
    return template


async def charge_all(
    pool: BoundedPool,
    take: Callable[[], Sequence[Request]],
    bodies: Bodies,
    wait_for: Held | None = None,
) -> list[ChargeOutcome | Held]:
    """The outcomes of the charges that `take` returns, in the same order. No two of them may have the same key.

    `take` is called once a connection is available and, with `wait_for`, once that lock is granted. So the batch contains all
    charges that have arrived by then. Raises `DatabaseTrouble` when the outcome of the whole batch is unknown,
    `LockWaitTooLong` when another transaction kept the lock `wait_for`, and `Obstructed`.
    """
    if wait_for is None:
        async with pool.connection() as connection:
            return await _charge(connection, take(), bodies)
    async with pool.transaction() as connection:
        # This transaction holds no other lock yet, so no two transactions can wait for each other.
        if wait_for.lock == "client":
            await billing_service.charge.share_lock_client(connection, wait_for.name)
        else:
            await billing_service.charge.lock_account(connection, wait_for.name)
        return await _charge(connection, take(), bodies)


async def _charge(
    connection: Connection, requests: Sequence[Request], bodies: Bodies
) -> list[ChargeOutcome | Held]:
    if not requests:
        return []
    try:
        with translated():
            rows = await charge_batch(connection, requests, bodies)
    except LockWaitTooLong as exc:
        raise Obstructed from exc
    return [_outcome(each, row) for each, row in zip(requests, rows, strict=True)]


async def charge_batch(
    connection: Connection, requests: Sequence[Request], bodies: Bodies
) -> list[Any]:
    """Executes the charges and returns a verdict for each.

    It is a function of the schema (migration 0010): each of its statements needs its own snapshot, but not its own round trip.
    """
    return await connection.fetch(
        """
        SELECT batch.*,
               -- What another transaction committed is told only when it is replicated, as in `charge.seal`.
               CASE WHEN batch.verdict IN ('known', 'forgotten') THEN billing.sealed() END AS sealed
        FROM billing.charge_batch($1, $2, $3, $4, $5, $6, $7, $8, $9) AS batch
        """,
        [each.client for each in requests],
        [each.sequence_key for each in requests],
        [each.digest for each in requests],
        [each.charge.account for each in requests],
        [each.charge.amount_cents for each in requests],
        [each.charge.order_id for each in requests],
        [each.awaited() for each in requests],
        bodies.charged,
        bodies.declined,
    )


def _outcome(request: Request, row: Any) -> ChargeOutcome | Held:
    match row["verdict"]:
        case "charged":
            return Answer(CHARGED, row["body"])
        case "declined":
            return Answer(DECLINED, row["body"])
        case "known":
            stored = stored_as(row["fingerprint"], row["status"], row["body"])
            return billing_service.charge.replay(stored, request.digest)
        case "forgotten":
            return KeyForgotten(row["first_incomplete"])
        case "too late":
            return TooLate()
        case "account unknown":
            return AccountUnknown()
        case "client held":
            return Held("client", request.client)
        case "key held":
            return Held("key", request.client)
        case "account held":
            return Held("account", request.charge.account)
        case verdict:
            raise ValueError(f"billing.charge_batch gave the verdict {verdict!r}")
