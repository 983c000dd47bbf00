"""The fast path: a batch of charges in one round trip, by the function `billing.charge_batch` of the schema.

Guarantee: each charge gets the outcome that `ledger.charge` would have given it, in the order of arrival and under the
same locks. All charges of a batch are committed or none is. The function waits for no lock: it names the lock that
another transaction holds, and executes nothing of a charge that needs it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from uuid import UUID

from billing_service import keys, ledger
from billing_service.keys import CHARGED, DECLINED, Answer, KeyForgotten, stored_as
from billing_service.ledger import AccountUnknown, Awaited, ChargeOutcome, DeclineBody, TooLate
from billing_service.wire import Charge
from service_kit.bounded_pool import BoundedPool, Connection, LockWaitTooLong, translated


@dataclass(frozen=True)
class Request:
    """One charge on its way: whose, under which key, what, and whether its caller still waits."""

    client: str
    sequence_key: int
    charge: Charge
    digest: bytes
    awaited: Awaited


class Held(NamedTuple):
    """Another transaction holds a lock that the charge needs. Nothing was executed. `name` is the client or the account."""

    lock: Literal["client", "key", "account"]
    name: str


class Obstructed(Exception):
    """Another transaction inserted a key without announcing it. Nothing was executed: the batch is rolled back."""


@dataclass(frozen=True)
class Bodies:
    """Templates of the two answers, for Postgres's format(): charge id, order, account, amount, balance."""

    charged: str
    declined: str

    @classmethod
    def of(cls, decline_body: DeclineBody) -> "Bodies":
        """From the functions that render the answers of a single charge, so that both forms answer alike."""
        return cls(
            _template(ledger.charged_body(_ANY_CHARGE, _ANY_ID, _ANY_BALANCE)),
            _template(decline_body(_ANY_CHARGE, _ANY_BALANCE)),
        )


# Values that no charge has, to be found again in a rendered body.
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
    """The outcome of each charge that `take` gives, in the same order. No two of them may have the same key.

    `take` is called when there is a connection and, with `wait_for`, when that lock is granted: so the batch holds all
    charges that have arrived by then. Raises `DatabaseTrouble` when the outcome is unknown, for all of them;
    `LockWaitTooLong` when another transaction kept `wait_for`; and `Obstructed`.
    """
    if wait_for is None:
        async with pool.connection() as connection:
            return await _charge(connection, take(), bodies)
    async with pool.transaction() as connection:
        # Before this transaction holds anything else, so that no two transactions wait for each other.
        if wait_for.lock == "client":
            await keys.share_lock_client(connection, wait_for.name)
        else:
            await ledger.lock_account(connection, wait_for.name)
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
    """Executes the charges, and says what became of each.

    A function of the schema (migration 0010), because its statements need a snapshot each and should not need a round trip
    each.
    """
    return await connection.fetch(
        "SELECT * FROM billing.charge_batch($1, $2, $3, $4, $5, $6, $7, $8, $9)",
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
            return ledger.replay(stored, request.digest)
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
