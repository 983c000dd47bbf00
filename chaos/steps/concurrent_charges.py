"""Many charges of one account at once, each doubled and some with an impostor under their key, at two processes of billing.

Guarantee: all of a crowd stand at the door before the first one is let in; from then on the services run at full speed.
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
_CENTS, _IMPOSTOR_CENTS = 7, 11
# More than there is left after the first charge.
_GREEDY_CENTS = OPENING_CENTS
_ROWS_SHOWN = 3
# What says "not now, ask again": the key is being executed by a twin, or a lock was not free.
_TRANSIENT = (httpx.codes.CONFLICT, httpx.codes.SERVICE_UNAVAILABLE)


@dataclass(frozen=True)
class _Copy:
    """One request, and its final answer."""

    sequence_key: int
    amount_cents: int
    response: httpx.Response


@dataclass(frozen=True)
class ConcurrentCharges:
    """Four crowds of `copies` requests, one after the other.

    Charges that come once, some here and some there: what one process does must not be lost by the other. Then one copy of
    each for each process. Then with an impostor of another amount beside them, so that twins meet in one process as well. Then
    every third one asks for more than there is: it is declined, and its neighbours in a batch are not. The first and the last
    crowd queue up for their account, so that both processes are in the middle of it, and that there are batches.
    """

    needs: ClassVar[Needs] = PROCESSES
    # Fewer than the harness's connections: whoever waits for one would never stand at the door.
    copies: int = 78

    async def perform(self, context: Context) -> None:
        account = await context.harness.open_account("crowd")
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
            copies += await _let_in_behind_a_account_lock(context, account, once)
            for amounts_cents in ((_CENTS, _CENTS), (_CENTS, _CENTS, _IMPOSTOR_CENTS)):
                keys = range(keys.stop, keys.stop + self.copies // len(amounts_cents))
                copies += await _let_in(context, account, dict.fromkeys(keys, amounts_cents))
            # Every third one, and not every other one: both processes get some of them.
            keys = range(keys.stop, keys.stop + self.copies * 3 // 7)
            turns = {k: (_CENTS,) * 3 if k % 3 else (_GREEDY_CENTS,) for k in keys}
            copies += await _let_in_behind_a_account_lock(context, account, turns)
            ledger = await connection.fetch(
                "SELECT sequence_key, amount_cents FROM billing.ledger WHERE account = $1", account
            )
            balance_cents = await connection.fetchval(
                "SELECT balance_cents FROM billing.accounts WHERE account = $1", account
            )
        finally:
            await connection.close()
        known = sum("Idempotency-Replayed" in copy.response.headers for copy in copies)
        context.witness("copies met keys that others had claimed", seen=known > 0)
        context.checks += [
            Check(promise, claim, not wrong, wrong)
            for promise, claim, wrong in _judged(copies, ledger, OPENING_CENTS - balance_cents)
        ]


async def _let_in(
    context: Context, account: str, amounts_cents: Mapping[int, Sequence[int]]
) -> list[_Copy]:
    """Sends a copy for each amount of each key, lets all of them in at once, and returns them with their final answers."""
    stack, history = context.services, context.journal
    urls = [stack.url_of(child) for child in stack.children("billing_service")]

    async def send(key: int, order_id: str, amount_cents: int, url: str) -> _Copy:
        body = {"order_id": order_id, "account": account, "amount_cents": amount_cents}
        retry = "?0"
        while True:
            response = await context.harness.charge(body, f'"{key}"', _CLIENT, retry, url)
            if response.status_code not in _TRANSIENT:
                return _Copy(key, amount_cents, response)
            retry = "?1"

    before = len(history.arrivals("billing_service", account))
    door = context.control.hold("billing_service", "arrival", account, 1)
    context.rules["door"] = door
    sending = []
    for key, of_key_cents in amounts_cents.items():
        order_id = str(uuid.uuid4())
        for place, cents in enumerate(of_key_cents, start=key):
            sending.append(asyncio.create_task(send(key, order_id, cents, urls[place % len(urls)])))

    async def all_there() -> bool:
        arrived = len(history.arrivals("billing_service", account)) - before
        return arrived >= len(sending)

    there = await context.until(all_there, "the crowd stands at the door")
    context.witness(f"{len(sending)} charges were let in at once", seen=there)
    door.release()
    history.note(
        "crowd",
        context.first_account(),
        text=f"{len(sending)} charges of another account are let in at once",
    )
    try:
        # Whoever is told "not now" asks again, and nobody asks for ever.
        async with asyncio.timeout(BOUND_S):
            return list(await asyncio.gather(*sending))
    finally:
        for each in sending:
            each.cancel()


async def _let_in_behind_a_account_lock(
    context: Context, account: str, amounts_cents: Mapping[int, Sequence[int]]
) -> list[_Copy]:
    """The same, while another transaction has the account: it leaves when each process waits for it with most of its own."""
    processes = len(context.services.children("billing_service"))
    many = sum(map(len, amounts_cents.values())) // 2
    connection = await context.database.connect()
    account_lock = AccountLock(connection)
    await account_lock.take(account)
    coming = asyncio.create_task(_let_in(context, account, amounts_cents))

    async def queued() -> bool:
        waiting = await account_lock.count_waiting()
        # One session of each process with the others behind it, or, where charges go one by one, more sessions than that.
        return waiting > processes or (
            waiting == processes and await context.harness.charges_waiting() >= many
        )

    try:
        seen = await context.until(queued, "the crowd queues up for its account")
        context.witness("a crowd waited for its account together, in each process", seen=seen)
        await account_lock.leave()
        return await coming
    finally:
        coming.cancel()
        await connection.close()


def _judged(
    copies: Sequence[_Copy], ledger: Sequence[asyncpg.Record], moved_cents: int
) -> list[tuple[str, str, str]]:
    """Promise, claim, and what is wrong: nothing, as a rule."""
    by_key: defaultdict[int, list[_Copy]] = defaultdict(list)
    for copy in copies:
        by_key[copy.sequence_key].append(copy)
    withdrawn: defaultdict[int, list[int]] = defaultdict(list)
    for row in ledger:
        withdrawn[row["sequence_key"]].append(row["amount_cents"])
    greedy = {key for key, (first, *_) in by_key.items() if first.amount_cents == _GREEDY_CENTS}
    executed = [
        f"key {key} {was('executed', len(withdrawn[key]))}, and answered {_statuses(by_key[key])}"
        for key in by_key
        if len(withdrawn[key]) != (key not in greedy)
    ]
    served = [
        f"key {key} was answered {by_key[key][0].response.status_code}"
        for key in greedy
        if by_key[key][0].response.status_code != httpx.codes.PAYMENT_REQUIRED
    ]
    unequal, impostors = [], []
    for key, same_key in by_key.items():
        if key in greedy or not withdrawn[key]:
            continue
        winner = withdrawn[key][0]
        good = [copy for copy in same_key if copy.amount_cents == winner]
        bad = [copy for copy in same_key if copy.amount_cents != winner]
        answers = len({copy.response.content for copy in good})
        if _statuses(good) != "201" or answers != 1:
            unequal.append(f"key {key} got {answers} different answers ({_statuses(good)})")
        if bad and _statuses(bad) != "422":
            impostors.append(
                f"key {key} came with another amount as well, and that got {_statuses(bad)}"
            )
    told = [copy.response.json() for copy in copies if copy.response.status_code == 201]
    explained_cents = sum(row["amount_cents"] for row in ledger)
    return [
        (
            "X1",
            "of copies that come at once, one is executed, if there is money for it",
            _rows(executed),
        ),
        ("X1c", "whoever asks for more than there is, is declined", _rows(served)),
        ("X4", "copies that come at once get the same answer", _rows(unequal)),
        ("X7", "another payload that comes at once is refused", _rows(impostors)),
        (
            "X5",
            "the withdrawals explain the balance, also when they come at once",
            ""
            if explained_cents == moved_cents
            else f"{moved_cents} cents are gone from the balance, and the withdrawals say {explained_cents}",
        ),
        ("X5", "each answer says the balance that it left", _broken_chain(told)),
    ]


def _statuses(copies: Sequence[_Copy]) -> str:
    return " and ".join(sorted({f"{copy.response.status_code}" for copy in copies}))


def _broken_chain(told: Sequence[dict[str, Any]]) -> str:
    """Balances before and after must make one chain from the opening balance, as if one came after the other."""
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
