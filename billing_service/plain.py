"""The plain case of a batch, in one round trip: new keys that nobody holds, on accounts that are free and have enough.

Guarantee: a plain charge gets the outcome that `batch.charge_all` would have given it, under the same locks; nothing is
executed of a charge that is not plain.
"""

from collections.abc import Sequence
from typing import Any

from billing_service import ledger, set_statements
from billing_service.batch import Busy, ClientBusy, KeyBusy, Obstructed, Request
from billing_service.keys import CHARGED, Answer, KeyForgotten, stored_as
from billing_service.ledger import ChargeOutcome
from bounded_pool import BoundedPool, LockWaitTooLong


async def charge_all(
    pool: BoundedPool, requests: Sequence[Request]
) -> list[ChargeOutcome | Busy | None]:
    """The outcome of each charge that is plain, known, forgotten or busy, in the same order; None for any other.

    All of them are committed or none is. Raises `DatabaseTrouble` when it could not be found out; and `Obstructed`.
    """
    nothing: list[ChargeOutcome | Busy | None] = [None] * len(requests)
    # The second of two twins is judged by what became of the first, and who has gone has nothing executed: not plain. A
    # neighbour that came later must not take the money of either, so then nobody is.
    if _has_twins(requests):
        return nothing
    try:
        async with pool.connection() as connection:
            # Asked after the wait for a connection; nothing below waits.
            if not all(each.awaited() for each in requests):
                return nothing
            rows = await set_statements.charge_plain(
                connection,
                [each.client for each in requests],
                [each.sequence_key for each in requests],
                [each.digest for each in requests],
                [each.charge for each in requests],
            )
    except LockWaitTooLong as exc:
        raise Obstructed from exc
    return [_outcome(each, row) for each, row in zip(requests, rows, strict=True)]


def _has_twins(requests: Sequence[Request]) -> bool:
    return len({(each.client, each.sequence_key) for each in requests}) < len(requests)


def _outcome(request: Request, row: Any) -> ChargeOutcome | Busy | None:
    match row["verdict"]:
        case "charged":
            return Answer(CHARGED, row["body"])
        case "known":
            stored = stored_as(row["fingerprint"], row["status"], row["body"])
            return ledger.replay(stored, request.digest)
        case "forgotten":
            return KeyForgotten(row["first_incomplete"])
        case "client":
            return ClientBusy(request.client)
        case "key":
            return KeyBusy(request.client, request.sequence_key)
        case _:
            return None
