"""Many charges in one transaction: what `ledger.charge` does for one, in five round trips for all of them.

Guarantee: each charge gets the outcome that it would have got alone, in the order of arrival; all of them are committed
or none is. A batch waits for nobody: what another transaction holds is left out and named, and does no harm to the rest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from billing_service import keys, ledger, set_statements
from billing_service.keys import CHARGED, DECLINED, Answer, KeyForgotten, Stored
from billing_service.ledger import AccountUnknown, Awaited, ChargeOutcome, DeclineBody, TooLate
from billing_service.set_statements import Effect
from billing_service.wire import Charge, Charged
from bounded_pool import BoundedPool, Connection, LockWaitTooLong, translated


@dataclass(frozen=True)
class Request:
    """One charge on its way: whose, under which key, what, and whether its caller still waits."""

    client: str
    sequence_key: int
    charge: Charge
    digest: bytes
    awaited: Awaited


@dataclass(frozen=True)
class ClientBusy:
    """The client's mark is being moved. Nothing was executed by this batch."""

    client: str


@dataclass(frozen=True)
class KeyBusy:
    """Another transaction has the key. Nothing was executed by this batch."""

    client: str
    sequence_key: int


@dataclass(frozen=True)
class AccountBusy:
    """Another transaction has the account. The key is not spent by this batch."""

    account: str


Busy = ClientBusy | KeyBusy | AccountBusy


class Obstructed(Exception):
    """A key was inserted by somebody who had not announced it. Nothing was executed: the batch is rolled back."""


async def charge_all(
    pool: BoundedPool,
    take: Callable[[], Sequence[Request]],
    decline_body: DeclineBody,
    wait_for: ClientBusy | AccountBusy | None = None,
) -> list[ChargeOutcome | Busy]:
    """The outcome of each charge that `take` gives, in the same order.

    `take` is called when the transaction has begun and, with `wait_for`, when what was busy is free: so the batch holds
    all that have arrived by then. Raises `DatabaseTrouble` when it could not be found out, for all of them;
    `LockWaitTooLong` when `wait_for` stayed busy; and `Obstructed`.
    """
    async with pool.transaction() as connection:
        await _wait_for(connection, wait_for)
        requests = take()
        slots = {(each.client, each.sequence_key): _Slot() for each in requests}
        await _reserve(connection, slots)
        accounts = await _look_up(connection, requests, slots)
        judge = _Judge(slots, accounts, decline_body)
        outcomes = [judge.outcome(each) for each in requests]
        await _record(connection, judge)
        return outcomes


# What a key that is not looked up (it is busy) would be charged as: it is not charged.
_NOBODY = UUID(int=0)


@dataclass
class _Slot:
    """What is known of one key."""

    busy: ClientBusy | KeyBusy | AccountBusy | None = None
    first_incomplete: int = 1
    stored: Stored | None = None
    # The charge's identity, should the key be charged now.
    charge_id: UUID = _NOBODY

    def learn(self, row: Any) -> None:
        """Takes over what the database knows; `row` is one of `set_statements.read_known`."""
        self.first_incomplete = row["first_incomplete"]
        self.charge_id = row["charge_id"]
        if row["status"] is not None:
            self.stored = keys.stored_as(row["fingerprint"], row["status"], row["body"])

    def is_new(self, sequence_key: int) -> bool:
        """Whether this key may be executed."""
        return self.stored is None and sequence_key >= self.first_incomplete


class _Judge:
    """Gives each request its outcome; the next one sees what the one before has done."""

    def __init__(
        self,
        slots: dict[tuple[str, int], _Slot],
        accounts: dict[str, int | AccountBusy],
        decline_body: DeclineBody,
    ) -> None:
        self._slots = slots
        self._accounts = accounts
        self._decline_body = decline_body
        self.effects: list[Effect] = []
        self.withdrawn_cents: dict[str, int] = {}

    def outcome(self, request: Request) -> ChargeOutcome | Busy:
        """In the order of `ledger.charge`: the mark, the key, the caller's patience, the account."""
        slot = self._slots[request.client, request.sequence_key]
        if slot.busy is not None:
            return slot.busy
        if request.sequence_key < slot.first_incomplete:
            return KeyForgotten(slot.first_incomplete)
        if slot.stored is not None:
            return ledger.replay(slot.stored, request.digest)
        if not request.awaited():
            return TooLate()
        balance_cents = self._accounts.get(request.charge.account)
        if balance_cents is None:
            return AccountUnknown()
        if isinstance(balance_cents, AccountBusy):
            # Twins of this key that come later in the batch go the same way, or one could overtake the other.
            slot.busy = balance_cents
            return balance_cents
        answer = self._execute(request, slot.charge_id, balance_cents)
        slot.stored = Stored(request.digest, replace(answer, replayed=True))
        return answer

    def _execute(self, request: Request, charge_id: UUID, before_cents: int) -> Answer:
        charge = request.charge
        after_cents = before_cents - charge.amount_cents
        if after_cents < 0:
            answer = Answer(DECLINED, self._decline_body(charge, before_cents))
        else:
            charged = Charged(
                charge_id=charge_id,
                order_id=charge.order_id,
                account=charge.account,
                amount_cents=charge.amount_cents,
                balance_cents=after_cents,
            )
            answer = Answer(CHARGED, charged.model_dump_json())
            self._accounts[charge.account] = after_cents
            taken_cents = self.withdrawn_cents.get(charge.account, 0)
            self.withdrawn_cents[charge.account] = taken_cents + charge.amount_cents
        self.effects.append(
            Effect(
                request.client,
                request.sequence_key,
                request.digest,
                answer,
                charge,
                charge_id,
                after_cents,
            )
        )
        return answer


async def _wait_for(connection: Connection, busy: ClientBusy | AccountBusy | None) -> None:
    """Waits as a single charge would, before the batch holds anything else: so nobody can wait for it in a circle."""
    match busy:
        case ClientBusy(client):
            await keys.share_lock_client(connection, client)
        case AccountBusy(account):
            await ledger.lock_account(connection, account)


async def _reserve(connection: Connection, slots: dict[tuple[str, int], _Slot]) -> None:
    """Marks what is busy; the rest is this transaction's until it ends."""
    ordered = sorted(slots)
    holds = await set_statements.try_locks(
        connection, [client for client, _ in ordered], [key for _, key in ordered]
    )
    for (client, sequence_key), hold in zip(ordered, holds, strict=True):
        if hold == "client":
            slots[client, sequence_key].busy = ClientBusy(client)
        elif hold == "key":
            slots[client, sequence_key].busy = KeyBusy(client, sequence_key)


async def _look_up(
    connection: Connection, requests: Sequence[Request], slots: dict[tuple[str, int], _Slot]
) -> dict[str, int | AccountBusy]:
    """What is known of each free key; and the balance of each account that a new one names, or that it is busy."""
    free = {
        (each.client, each.sequence_key, each.charge.account)
        for each in requests
        if slots[each.client, each.sequence_key].busy is None
    }
    if not free:
        return {}
    clients, sequence_keys, names = zip(*free, strict=True)
    accounts: dict[str, int | AccountBusy] = {}
    missing: set[str] = set()
    for row in await set_statements.read_known(
        connection, list(clients), list(sequence_keys), list(names)
    ):
        slot = slots[row["client"], row["sequence_key"]]
        slot.learn(row)
        if row["balance_cents"] is not None:
            accounts[row["account"]] = row["balance_cents"]
        elif slot.is_new(row["sequence_key"]):
            missing.add(row["account"])
    if missing:
        existing = await set_statements.read_existing(connection, sorted(missing))
        accounts |= {account: AccountBusy(account) for account in existing}
    return accounts


async def _record(connection: Connection, judge: _Judge) -> None:
    if not judge.effects:
        return
    try:
        with translated():
            claimed = await set_statements.insert_effects(
                connection, judge.effects, judge.withdrawn_cents
            )
    except LockWaitTooLong as exc:
        raise Obstructed from exc
    if claimed != len(judge.effects):
        raise Obstructed
