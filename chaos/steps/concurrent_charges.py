"""Many concurrent charges of one account at two billing processes: duplicates, reused keys, charges above the balance.

Guarantee: all charges of a round are held on arrival until the last one has arrived; then the services run at full speed.
"""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import asyncpg
import httpx

from chaos.evidence.readings import Check
from chaos.faults.account_lock import AccountLock
from chaos.harness.context import Context
from chaos.harness.harness import BOUND_S, OPENING_CENTS
from chaos.steps.other_clients import NUMBERS_OF_ORDERS
from chaos.steps.step import PROCESSES, Needs
from report.numbers import was

_CLIENT = "curl"
# The amount of a charge, and that of another charge under the same key.
_CENTS, _OTHER_CENTS = 7, 11
# More than the balance after the first charge.
_TOO_MUCH_CENTS = OPENING_CENTS
_ROWS_SHOWN = 3
# "Not now, ask again": a duplicate is being executed, or a lock was not free.
_TRANSIENT = (httpx.codes.CONFLICT, httpx.codes.SERVICE_UNAVAILABLE)


@dataclass(frozen=True)
class _Copy:
    """One request, and its final answer."""

    sequence_key: int
    amount_cents: int
    response: httpx.Response


@dataclass(frozen=True)
class ConcurrentCharges:
    """Four rounds of concurrent charges, each of about `copies` requests.

    1. Every charge once, spread over both processes: neither may lose what the other does.
    2. A duplicate of each charge at each process.
    3. In addition, a charge of another amount under the same key, so that duplicates meet in one process as well.
    4. Every third charge exceeds the balance: it is declined, and the other charges of its batch are not.

    In rounds 1 and 4 the charges queue for their account, so that both processes have one in progress, and batches form.
    """

    needs: ClassVar[Needs] = PROCESSES
    # Fewer than the harness's connections: a request that waits for a connection would never arrive.
    copies: int = 78

    async def perform(self, context: Context) -> None:
        account = await context.harness.open_account("concurrent")
        connection = await context.database.connect()
        try:
            key = 1 + await connection.fetchval(
                "SELECT greatest(max(sequence_key), $2) FROM billing.processed_keys WHERE client = $1",
                _CLIENT,
                NUMBERS_OF_ORDERS,
            )
            copies: list[_Copy] = []
            keys = range(key, key + self.copies)
            once = dict.fromkeys(keys, (_CENTS,))
            copies += await _charge_behind_the_account_lock(context, account, once)
            for amounts_cents in ((_CENTS, _CENTS), (_CENTS, _CENTS, _OTHER_CENTS)):
                keys = range(keys.stop, keys.stop + self.copies // len(amounts_cents))
                copies += await _charge_at_once(
                    context, account, dict.fromkeys(keys, amounts_cents)
                )
            # Every third, not every second: both processes get some of them.
            keys = range(keys.stop, keys.stop + self.copies * 3 // 7)
            turns = {k: (_CENTS,) * 3 if k % 3 else (_TOO_MUCH_CENTS,) for k in keys}
            copies += await _charge_behind_the_account_lock(context, account, turns)
            ledger = await connection.fetch(
                "SELECT sequence_key, amount_cents FROM billing.ledger WHERE account = $1", account
            )
            balance_cents = await connection.fetchval(
                "SELECT balance_cents FROM billing.accounts WHERE account = $1", account
            )
        finally:
            await connection.close()
        known = sum("Idempotency-Replayed" in copy.response.headers for copy in copies)
        context.witness("duplicates met keys that were claimed already", seen=known > 0)
        context.checks += [
            Check(promise, claim, not wrong, wrong)
            for promise, claim, wrong in _judged(copies, ledger, OPENING_CENTS - balance_cents)
        ]


async def _charge_at_once(
    context: Context, account: str, amounts_cents: Mapping[int, Sequence[int]]
) -> list[_Copy]:
    """Sends one request for each amount of each key, releases all at once, and returns them with their final answers."""
    stack, journal = context.services, context.journal
    urls = [stack.url_of(child) for child in stack.children("billing_service")]

    async def send(key: int, order_id: str, amount_cents: int, url: str) -> _Copy:
        body = {"order_id": order_id, "account": account, "amount_cents": amount_cents}
        retry = "?0"
        while True:
            response = await context.harness.charge(body, f'"{key}"', _CLIENT, retry, url)
            if response.status_code not in _TRANSIENT:
                return _Copy(key, amount_cents, response)
            retry = "?1"

    before = len(journal.arrivals("billing_service", account))
    held = context.control.hold("billing_service", "arrival", account, 1)
    context.rules["arrival"] = held
    sending = []
    for key, of_key_cents in amounts_cents.items():
        order_id = str(uuid.uuid4())
        for place, cents in enumerate(of_key_cents, start=key):
            sending.append(asyncio.create_task(send(key, order_id, cents, urls[place % len(urls)])))

    async def all_there() -> bool:
        arrived = len(journal.arrivals("billing_service", account)) - before
        return arrived >= len(sending)

    there = await context.until(all_there, "the charges are held on arrival")
    context.witness(f"{len(sending)} charges were released at once", seen=there)
    held.release()
    journal.note(
        "concurrent charges",
        context.first_account(),
        text=f"{len(sending)} charges of another account are released at once",
    )
    try:
        # A request that is told "not now" is sent again, but not for ever.
        async with asyncio.timeout(BOUND_S):
            return list(await asyncio.gather(*sending))
    finally:
        for each in sending:
            each.cancel()


async def _charge_behind_the_account_lock(
    context: Context, account: str, amounts_cents: Mapping[int, Sequence[int]]
) -> list[_Copy]:
    """The same, while another transaction locks the account, until most charges of each process wait for it."""
    processes = len(context.services.children("billing_service"))
    many = sum(map(len, amounts_cents.values())) // 2
    connection = await context.database.connect()
    account_lock = AccountLock(connection)
    await account_lock.take(account)
    coming = asyncio.create_task(_charge_at_once(context, account, amounts_cents))

    async def queued() -> bool:
        waiting = await account_lock.count_waiting()
        # With batches, one session of each process waits; where charges go one by one, more sessions do.
        return waiting > processes or (
            waiting == processes and await context.harness.charges_waiting() >= many
        )

    try:
        seen = await context.until(queued, "the charges queue for their account")
        context.witness(
            "many charges waited for their account together, in each process", seen=seen
        )
        await account_lock.release()
        return await coming
    finally:
        coming.cancel()
        await connection.close()


def _judged(
    copies: Sequence[_Copy], ledger: Sequence[asyncpg.Record], moved_cents: int
) -> list[tuple[str, str, str]]:
    """For each check its promise, its claim, and what is wrong (empty when it holds)."""
    by_key: defaultdict[int, list[_Copy]] = defaultdict(list)
    for copy in copies:
        by_key[copy.sequence_key].append(copy)
    withdrawn: defaultdict[int, list[int]] = defaultdict(list)
    for row in ledger:
        withdrawn[row["sequence_key"]].append(row["amount_cents"])
    excessive = {
        key for key, (first, *_) in by_key.items() if first.amount_cents == _TOO_MUCH_CENTS
    }
    executed = [
        f"key {key} {was('executed', len(withdrawn[key]))}, and answered {_statuses(by_key[key])}"
        for key in by_key
        if len(withdrawn[key]) != (key not in excessive)
    ]
    not_declined = [
        f"key {key} was answered {by_key[key][0].response.status_code}"
        for key in excessive
        if by_key[key][0].response.status_code != httpx.codes.PAYMENT_REQUIRED
    ]
    unequal, accepted_conflicts = [], []
    for key, same_key in by_key.items():
        if key in excessive or not withdrawn[key]:
            continue
        winner = withdrawn[key][0]
        good = [copy for copy in same_key if copy.amount_cents == winner]
        bad = [copy for copy in same_key if copy.amount_cents != winner]
        answers = len({copy.response.content for copy in good})
        if _statuses(good) != "201" or answers != 1:
            unequal.append(f"key {key} got {answers} different answers ({_statuses(good)})")
        if bad and _statuses(bad) != "422":
            accepted_conflicts.append(
                f"key {key} came with another amount as well, and that got {_statuses(bad)}"
            )
    answers_201 = [copy.response.json() for copy in copies if copy.response.status_code == 201]
    explained_cents = sum(row["amount_cents"] for row in ledger)
    return [
        (
            "X1",
            "of concurrent duplicates, one is executed, if the balance covers it",
            _rows(executed),
        ),
        ("X1c", "a charge above the balance is declined", _rows(not_declined)),
        ("X4", "concurrent duplicates get the same answer", _rows(unequal)),
        (
            "X7",
            "a concurrent charge with another payload under the same key is refused",
            _rows(accepted_conflicts),
        ),
        (
            "X5",
            "the withdrawals explain the balance, also when they are concurrent",
            ""
            if explained_cents == moved_cents
            else f"{moved_cents} cents are gone from the balance, and the withdrawals say {explained_cents}",
        ),
        ("X5", "each answer shows the balance that its charge left", _broken_chain(answers_201)),
    ]


def _statuses(copies: Sequence[_Copy]) -> str:
    return " and ".join(sorted({f"{copy.response.status_code}" for copy in copies}))


def _broken_chain(told: Sequence[dict[str, Any]]) -> str:
    """Balances must form one chain from the opening balance, as if the charges came one after the other."""
    links = {answer["charge_id"]: answer for answer in told}
    before_cents = OPENING_CENTS
    for link in sorted(links.values(), key=lambda answer: -int(answer["balance_cents"])):
        if link["balance_cents"] + link["amount_cents"] != before_cents:
            return (
                f"one answer leaves {before_cents} cents, and the next lower one took {link['amount_cents']} cents and "
                f"leaves {link['balance_cents']}"
            )
        before_cents = link["balance_cents"]
    return ""


def _rows(offending: Sequence[str]) -> str:
    more = len(offending) - _ROWS_SHOWN
    return "; ".join(offending[:_ROWS_SHOWN]) + (f"; and {more} more keys" if more > 0 else "")
