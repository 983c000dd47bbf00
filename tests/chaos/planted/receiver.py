"""Bugs planted into billing_service."""

import asyncio
import hashlib
import json
import os
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

import billing_service.app
import billing_service.charge
import chaos.faults.wrapped_services
from billing_service import accounts, forgetting, keys, outcomes
from billing_service.batching import fast_path
from billing_service.batching.fast_path import Bodies, Request
from billing_service.charge import Stored
from billing_service.forgetting import Collector
from billing_service.outcomes import CHARGED, DECLINED, Answer
from billing_service.wire import Charge, Charged
from service_kit.bounded_pool import BoundedPool, Connection, DatabaseTrouble, LockWaitTooLong

Insert = Callable[[Connection, str, int, bytes], Awaitable[bool]]
_insert_key: Insert = billing_service.charge.insert_key
_read_stored = billing_service.charge.read_stored
_store_answer = billing_service.charge.store_answer
_charge = billing_service.charge.charge
_delete_forgotten = forgetting.delete_forgotten
_charge_batch = fast_path.charge_batch
_charge_all = fast_path.charge_all
# The retry flag of the request that is being served.
_retry: ContextVar[bytes] = ContextVar("retry", default=b"?0")


def _ghost(charge: Charge) -> Answer:
    """An answer to a charge that was not executed."""
    body = Charged(
        charge_id=uuid.uuid4(),
        order_id=charge.order_id,
        account=charge.account,
        amount_cents=charge.amount_cents,
        balance_cents=0,
    )
    return Answer(CHARGED, body.model_dump_json())


def _planted() -> ASGIApp:
    """The service with what was planted, which is in the path of a single charge: so every charge takes it."""
    os.environ["BILLING_GROUP_COMMIT"] = "0"
    return chaos.faults.wrapped_services.billing()


def no_unique_constraint() -> ASGIApp:
    async def insert_key(
        connection: Connection, client: str, sequence_key: int, digest: bytes
    ) -> bool:
        # The constraint does not see that the key is the same.
        await _insert_key(connection, f"{client} {uuid.uuid4()}", sequence_key, digest)
        return True

    billing_service.charge.insert_key = insert_key
    return _planted()


def check_then_insert() -> ASGIApp:
    async def insert_key(
        connection: Connection, client: str, sequence_key: int, digest: bytes
    ) -> bool:
        if await _read_stored(connection, client, sequence_key) is not None:
            return False
        await _insert_key(connection, client, sequence_key, digest)
        return True

    billing_service.charge.insert_key = insert_key
    return _planted()


def key_before_effect() -> ASGIApp:
    async def charge(
        pool: BoundedPool, client: str, sequence_key: int, request: Charge, *rest: Any
    ) -> outcomes.ChargeOutcome:
        answer = _ghost(request)
        digest = billing_service.charge.fingerprint(request)
        async with pool.transaction() as connection:
            await forgetting.insert_client(connection, client)
            if not await _insert_key(connection, client, sequence_key, digest):
                stored = await billing_service.charge.require_stored(
                    connection, client, sequence_key
                )
                return stored.state
            await _store_answer(connection, client, sequence_key, answer)
        async with pool.transaction() as connection:
            await billing_service.charge.withdraw(connection, request.account, request.amount_cents)
            await billing_service.charge.insert_withdrawal(
                connection, client, sequence_key, request, 0
            )
        return answer

    vars(billing_service.charge)["charge"] = charge
    return _planted()


def key_after_effect() -> ASGIApp:
    async def charge(
        pool: BoundedPool, client: str, sequence_key: int, request: Charge, *rest: Any
    ) -> outcomes.ChargeOutcome:
        answer = _ghost(request)
        async with pool.connection() as connection:
            stored = await _read_stored(connection, client, sequence_key)
        if stored is not None:
            return stored.state
        async with pool.transaction() as connection:
            await billing_service.charge.withdraw(connection, request.account, request.amount_cents)
            await billing_service.charge.insert_withdrawal(
                connection, client, sequence_key, request, 0
            )
        async with pool.transaction() as connection:
            await forgetting.insert_client(connection, client)
            await _insert_key(
                connection, client, sequence_key, billing_service.charge.fingerprint(request)
            )
            await _store_answer(connection, client, sequence_key, answer)
        return answer

    vars(billing_service.charge)["charge"] = charge
    return _planted()


def retry_flag_trusted() -> ASGIApp:
    async def insert_key(
        connection: Connection, client: str, sequence_key: int, digest: bytes
    ) -> bool:
        if _retry.get() == b"?1":
            return await _insert_key(connection, client, sequence_key, digest)
        await _insert_key(connection, client, sequence_key, digest)
        return True

    billing_service.charge.insert_key = insert_key
    return _with_flag(_planted())


def retry_flag_means_seen() -> ASGIApp:
    async def charge(
        pool: BoundedPool, client: str, sequence_key: int, request: Charge, *rest: Any
    ) -> outcomes.ChargeOutcome:
        if _retry.get() == b"?0":
            return await _charge(pool, client, sequence_key, request, *rest)
        async with pool.transaction() as connection:
            stored = await _read_stored(connection, client, sequence_key)
            return stored.state if stored is not None else _ghost(request)

    vars(billing_service.charge)["charge"] = charge
    return _with_flag(_planted())


def _with_flag(app: ASGIApp) -> ASGIApp:
    async def flagged(scope: Scope, receive: Receive, send: Send) -> None:
        _retry.set(dict(scope.get("headers", [])).get(b"idempotency-retry", b"?0"))
        await app(scope, receive, send)

    return flagged


def ambiguous_commit_is_failure() -> ASGIApp:
    async def charge(*arguments: Any) -> outcomes.ChargeOutcome:
        try:
            return await _charge(*arguments)
        except DatabaseTrouble:
            # A refusal that its caller takes for a fact; for an unknown account the caller would void the key.
            return outcomes.KeyReused()

    vars(billing_service.charge)["charge"] = charge
    return _planted()


def ambiguous_commit_is_success() -> ASGIApp:
    async def charge(
        pool: BoundedPool, client: str, sequence_key: int, request: Charge, *rest: Any
    ) -> outcomes.ChargeOutcome:
        try:
            return await _charge(pool, client, sequence_key, request, *rest)
        except DatabaseTrouble:
            return _ghost(request)

    vars(billing_service.charge)["charge"] = charge
    return _planted()


def only_the_last_key() -> ASGIApp:
    async def insert_key(
        connection: Connection, client: str, sequence_key: int, digest: bytes
    ) -> bool:
        last = await connection.fetchval(
            "SELECT max(sequence_key) FROM billing.processed_keys WHERE client = $1", client
        )
        if last is not None and sequence_key < last:
            return False
        return await _insert_key(connection, client, sequence_key, digest)

    async def read_stored(connection: Connection, client: str, sequence_key: int) -> Stored | None:
        last = await connection.fetchval(
            "SELECT max(sequence_key) FROM billing.processed_keys WHERE client = $1", client
        )
        stored = await _read_stored(connection, client, last)
        # What is remembered is one row, whichever key asks for it.
        return None if stored is None else Stored(_digest.get(), stored.state)

    _digest: ContextVar[bytes] = ContextVar("digest", default=b"")

    async def claim(connection: Connection, client: str, sequence_key: int, digest: bytes) -> bool:
        _digest.set(digest)
        return await insert_key(connection, client, sequence_key, digest)

    billing_service.charge.claim = claim
    billing_service.charge.read_stored = read_stored
    return _planted()


def dedupe_in_memory() -> ASGIApp:
    known: dict[tuple[str, int], Stored] = {}

    async def insert_key(
        connection: Connection, client: str, sequence_key: int, digest: bytes
    ) -> bool:
        return (client, sequence_key) not in known

    async def read_stored(connection: Connection, client: str, sequence_key: int) -> Stored | None:
        return known.get((client, sequence_key))

    async def store_answer(
        connection: Connection, client: str, sequence_key: int, answer: Answer
    ) -> None:
        known[client, sequence_key] = Stored(b"", Answer(answer.status, answer.body, replayed=True))

    (
        billing_service.charge.insert_key,
        billing_service.charge.read_stored,
        billing_service.charge.store_answer,
    ) = insert_key, read_stored, store_answer
    return _planted()


def partial_body_fingerprinted() -> ASGIApp:
    app = billing_service.app.create()
    # What half a body says of a charge.
    half = Charge(order_id=uuid.UUID(int=0), account="half", amount_cents=1)

    async def reading(scope: Scope, receive: Receive, send: Send) -> None:
        read = b""

        async def received() -> Message:
            nonlocal read
            message = await receive()
            read += message.get("body", b"")
            headers = dict(scope.get("headers", []))
            if message["type"] == "http.disconnect" and b"idempotency-key" in headers and read:
                async with app.state.process.pool.transaction() as connection:
                    key = int(json.loads(headers[b"idempotency-key"]))
                    digest = hashlib.sha256(read).digest()
                    if await _insert_key(connection, "order_service", key, digest):
                        await _store_answer(
                            connection,
                            "order_service",
                            key,
                            Answer(DECLINED, app.state.process.decline_body(half, 0)),
                        )
            return message

        await app(scope, received, send)

    return chaos.faults.wrapped_services.WrappedApp(
        reading, chaos.faults.wrapped_services.Seams("billing_service")
    )


def payload_not_compared() -> ASGIApp:
    vars(billing_service.charge)["fingerprint"] = lambda _: b""
    return _planted()


def forgotten_by_time() -> ASGIApp:
    _share_lock = billing_service.charge.share_lock_client

    async def share_lock_client(connection: Connection, client: str) -> int:
        await _share_lock(connection, client)
        return 1

    billing_service.charge.share_lock_client = share_lock_client
    return _planted()


def collector_ends_with_its_first_trouble() -> ASGIApp:
    run_once = Collector.run_once

    async def ends(self: Collector) -> int:
        try:
            return await run_once(self)
        except (DatabaseTrouble, LockWaitTooLong):
            await asyncio.Event().wait()
            raise

    Collector.run_once = ends  # type: ignore[method-assign]
    return chaos.faults.wrapped_services.billing()


def keys_of_others_forgotten() -> ASGIApp:
    async def delete_forgotten(connection: Connection, client: str, limit: int) -> int:
        deleted: str = await connection.execute(
            """
            DELETE FROM billing.processed_keys AS known USING billing.clients
            WHERE clients.client = $1 AND known.sequence_key < clients.first_incomplete
            """,
            client,
        )
        return int(deleted.removeprefix("DELETE "))

    forgetting.delete_forgotten = delete_forgotten
    return _planted()


def first_incomplete_forgotten_too() -> ASGIApp:
    async def delete_forgotten(connection: Connection, client: str, limit: int) -> int:
        deleted = await _delete_forgotten(connection, client, limit)
        await connection.execute(
            """
            DELETE FROM billing.processed_keys AS known USING billing.clients
            WHERE known.client = $1 AND clients.client = $1
              AND known.sequence_key = clients.first_incomplete
            """,
            client,
        )
        return deleted

    forgetting.delete_forgotten = delete_forgotten
    return _planted()


def answered_before_the_commit() -> ASGIApp:
    async def charge(*arguments: Any) -> outcomes.ChargeOutcome:
        executed: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        async def store_answer(
            connection: Connection, client: str, sequence_key: int, answer: Answer
        ) -> None:
            await _store_answer(connection, client, sequence_key, answer)
            if not executed.done():
                executed.set_result(answer)

        billing_service.charge.store_answer = store_answer
        committing = asyncio.ensure_future(_charge(*arguments))
        # What goes wrong later is reported nowhere.
        committing.add_done_callback(lambda done: done.exception())
        waiting: tuple[asyncio.Future[Any], ...] = (executed, committing)
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        return executed.result() if executed.done() else committing.result()

    vars(billing_service.charge)["charge"] = charge
    return _planted()


def answer_made_anew() -> ASGIApp:
    async def read_stored(connection: Connection, client: str, sequence_key: int) -> Stored | None:
        stored = await _read_stored(connection, client, sequence_key)
        if stored is None or not isinstance(stored.state, Answer):
            return stored
        body = {**json.loads(stored.state.body), "charge_id": str(uuid.uuid4())}
        return Stored(
            stored.fingerprint, Answer(stored.state.status, json.dumps(body), replayed=True)
        )

    billing_service.charge.read_stored = read_stored
    return _planted()


def fast_path_without_keys() -> ASGIApp:
    async def charge_batch(
        connection: Connection, requests: Sequence[Request], bodies: Bodies
    ) -> list[Any]:
        # Nothing is ever found under these names, and nothing collides.
        renamed = [replace(each, client=f"{each.client} {uuid.uuid4()}") for each in requests]
        return await _charge_batch(connection, renamed, bodies)

    vars(fast_path)["charge_batch"] = charge_batch
    return chaos.faults.wrapped_services.billing()


def fast_path_in_doubt_is_success() -> ASGIApp:
    async def charge_all(
        pool: BoundedPool, take: Callable[[], Sequence[Request]], *rest: Any
    ) -> list[Any]:
        requests: list[Request] = []

        def taken() -> Sequence[Request]:
            requests.extend(take())
            return requests

        try:
            return await _charge_all(pool, taken, *rest)
        except DatabaseTrouble:
            return [_ghost(each.charge) for each in requests]

    vars(fast_path)["charge_all"] = charge_all
    return chaos.faults.wrapped_services.billing()


def void_leaves_no_tombstone() -> ASGIApp:
    async def void(pool: BoundedPool, client: str, sequence_key: int) -> outcomes.VoidOutcome:
        state = await keys.state(pool, client, sequence_key)
        return outcomes.Voided() if isinstance(state, outcomes.NeverSeen) else state

    keys.void = void
    return chaos.faults.wrapped_services.billing()


def decline_not_remembered() -> ASGIApp:
    async def store_answer(
        connection: Connection, client: str, sequence_key: int, answer: Answer
    ) -> None:
        if answer.status == DECLINED:
            await connection.execute(
                "DELETE FROM billing.processed_keys WHERE client = $1 AND sequence_key = $2",
                client,
                sequence_key,
            )
        else:
            await _store_answer(connection, client, sequence_key, answer)

    billing_service.charge.store_answer = store_answer
    return _planted()


def order_not_in_the_fingerprint() -> ASGIApp:
    def fingerprint(request: Charge) -> bytes:
        return hashlib.sha256(f"{request.account} {request.amount_cents}".encode()).digest()

    vars(billing_service.charge)["fingerprint"] = fingerprint
    return chaos.faults.wrapped_services.billing()


def account_not_in_the_fingerprint() -> ASGIApp:
    def fingerprint(request: Charge) -> bytes:
        return hashlib.sha256(f"{request.order_id} {request.amount_cents}".encode()).digest()

    vars(billing_service.charge)["fingerprint"] = fingerprint
    return chaos.faults.wrapped_services.billing()


def balance_overwritten() -> ASGIApp:
    async def withdraw(connection: Connection, account: str, amount_cents: int) -> None:
        before_cents = await accounts.read_balance(connection, account)
        await connection.execute(
            "UPDATE billing.accounts SET balance_cents = $2 WHERE account = $1",
            account,
            (before_cents or 0) - amount_cents,
        )

    billing_service.charge.lock_account = accounts.read_balance
    billing_service.charge.withdraw = withdraw
    return _planted()
