"""Bugs planted into order_service."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid4

import httpx
from starlette.types import ASGIApp

import chaos.faults.wrapped_services
import order_service.app
from billing_service.wire import Charge, Charged
from notification_service.wire import Notification
from order_service import answers, delivery, listing, orders, peers, settlement
from order_service.answers import Received
from order_service.attempts import Attempts, charge_of
from order_service.delivery import Pending, Steps
from order_service.dispatcher import Dispatcher
from order_service.outcomes import Acknowledged, Outcome, Refused, Unknown
from order_service.peers import Peers
from order_service.statements import leases, recording
from order_service.wire import Delivery, Status
from service_kit.bounded_pool import DatabaseTrouble, LockWaitTooLong, pool, translated
from service_kit.group_commit import Bounds, Group

_charge = Peers.charge
_send = Attempts.send
_settle = settlement.settle
_notify = Peers.notify
_record_all = recording.record_all
_read_unsettled = leases.read_unsettled


# An answer that billing never gave.
_GHOST = Charged(
    charge_id=UUID(int=0), order_id=UUID(int=0), account="", amount_cents=0, balance_cents=0
)


def _exactly_once_is(semantics: Any) -> None:
    changed = {**delivery.SEMANTICS, Delivery.EXACTLY_ONCE: semantics}
    vars(delivery)["SEMANTICS"] = MappingProxyType(changed)


def new_key_for_each_retry() -> ASGIApp:
    _exactly_once_is(delivery.at_least_once)
    return chaos.faults.wrapped_services.order()


def unknown_is_failure() -> ASGIApp:
    def outcome_of_failure(exc: httpx.TransportError) -> Outcome:
        return Refused(f"{type(exc.__cause__ or exc).__name__}", {"detail": "it failed"})

    vars(peers)["_outcome_of_failure"] = outcome_of_failure
    return chaos.faults.wrapped_services.order()


def unknown_is_success() -> ASGIApp:
    def outcome_of_failure(exc: httpx.TransportError) -> Outcome:
        return Acknowledged(f"{type(exc.__cause__ or exc).__name__}", _GHOST)

    vars(peers)["_outcome_of_failure"] = outcome_of_failure
    return chaos.faults.wrapped_services.order()


def notification_retried() -> ASGIApp:
    async def notify(self: Peers, notification: Notification) -> Outcome:
        outcome = await _notify(self, notification)
        return outcome if isinstance(outcome, Acknowledged) else await _notify(self, notification)

    Peers.notify = notify  # type: ignore[method-assign]
    return chaos.faults.wrapped_services.order()


def key_acknowledged_too_early() -> ASGIApp:
    async def charge(
        self: Peers, charge: Charge, sequence_key: int, *, retry: bool, first_incomplete: int
    ) -> Outcome:
        return await _charge(self, charge, sequence_key, retry=retry, first_incomplete=sequence_key)

    Peers.charge = charge  # type: ignore[method-assign]
    return chaos.faults.wrapped_services.order()


def no_deadline() -> ASGIApp:
    create = Peers.__init__

    def init(self: Peers, *arguments: Any, **named: Any) -> None:
        create(self, *arguments, **{**named, "attempt_timeout_s": 3600.0})

    Peers.__init__ = init  # type: ignore[method-assign]
    return chaos.faults.wrapped_services.order()


def flag_forgotten() -> ASGIApp:
    async def charge(
        self: Peers, charge: Charge, sequence_key: int, *, retry: bool, first_incomplete: int
    ) -> Outcome:
        return await _charge(
            self, charge, sequence_key, retry=False, first_incomplete=first_incomplete
        )

    Peers.charge = charge  # type: ignore[method-assign]
    return chaos.faults.wrapped_services.order()


def keys_with_gaps() -> ASGIApp:
    async def record_all(connection: Any, *arguments: Any) -> Any:
        await connection.execute("UPDATE orders.sequence_counter SET last_key = last_key + 1")
        return await _record_all(connection, *arguments)

    vars(recording)["record_all"] = record_all
    return chaos.faults.wrapped_services.order()


def highest_open_key_declared() -> ASGIApp:
    async def read_unsettled(connection: Any) -> leases.Unsettled:
        unsettled = await _read_unsettled(connection)
        highest = await connection.fetchval(
            "SELECT max(sequence_key) FROM orders.orders WHERE status = 'pending'"
        )
        return replace(unsettled, first_incomplete=highest or unsettled.first_incomplete)

    vars(leases)["read_unsettled"] = read_unsettled
    return chaos.faults.wrapped_services.order()


def retry_changes_the_amount() -> ASGIApp:
    async def charge(
        self: Peers, charge: Charge, sequence_key: int, *, retry: bool, first_incomplete: int
    ) -> Outcome:
        changed = charge.model_copy(update={"amount_cents": charge.amount_cents + int(retry)})
        return await _charge(
            self, changed, sequence_key, retry=retry, first_incomplete=first_incomplete
        )

    Peers.charge = charge  # type: ignore[method-assign]
    return chaos.faults.wrapped_services.order()


def new_key_after_a_takeover() -> ASGIApp:
    async def exactly_once(order: Pending, steps: Steps) -> Outcome:
        if order.taken_over:
            return await delivery.at_least_once(order, steps)
        return await delivery.exactly_once(order, steps)

    _exactly_once_is(exactly_once)
    return chaos.faults.wrapped_services.order()


def at_most_once_taken_up_again() -> ASGIApp:
    async def at_most_once(order: Pending, steps: Steps) -> Outcome:
        return await steps.send(order.attempts, order.sequence_key, retry=False)

    changed = {**delivery.SEMANTICS, Delivery.AT_MOST_ONCE: at_most_once}
    vars(delivery)["SEMANTICS"] = MappingProxyType(changed)
    return chaos.faults.wrapped_services.order()


def notified_before_settled() -> ASGIApp:
    async def settle(attempts: Attempts, outcome: Outcome, settled: Any = None) -> Any:
        order_id, customer = attempts.order.order_id, attempts.order.customer
        early = peers.notification_of(uuid4(), order_id, customer, "Your order is billed.")
        await attempts.context.peers.notify(early)
        order = await settlement.write_settlement(attempts, outcome)
        if order is not None and settled is not None:
            settled.set_result(order)
        return order

    vars(settlement)["settle"] = settle
    return chaos.faults.wrapped_services.order()


def takeover_ends_with_its_first_trouble() -> ASGIApp:
    def ends(step: Any) -> Any:
        async def taken(self: Dispatcher) -> Any:
            try:
                return await step(self)
            except (DatabaseTrouble, LockWaitTooLong):
                vars(self)["_context"].metrics.takeover_rounds.labels(end="failed").inc()
                return await asyncio.Event().wait()

        return taken

    for step in ("_look", "_keep", "run_once", "_declare"):
        setattr(Dispatcher, step, ends(getattr(Dispatcher, step)))
    return chaos.faults.wrapped_services.order()


def sent_after_the_answer() -> ASGIApp:
    async def once_more(order: Pending, steps: Steps) -> Outcome:
        outcome = await delivery.exactly_once(order, steps)
        await steps.send(order.attempts + 2, order.sequence_key, retry=True)
        return outcome

    _exactly_once_is(once_more)
    return chaos.faults.wrapped_services.order()


def refusal_at_face_value() -> ASGIApp:
    async def make_sure(self: Attempts, sequence_key: int, refused: Refused) -> Outcome:
        return refused

    Attempts.make_sure = make_sure  # type: ignore[method-assign]
    return chaos.faults.wrapped_services.order()


def gives_up_after_ten_attempts() -> ASGIApp:
    async def send(self: Attempts, attempt: int, sequence_key: int, *, retry: bool) -> Outcome:
        if attempt > 10:
            return Refused("nothing: the order was given up", {"title": "given up"})
        return await _send(self, attempt, sequence_key, retry=retry)

    Attempts.send = send  # type: ignore[method-assign]
    return chaos.faults.wrapped_services.order()


def cancel_takes_any_certainty() -> ASGIApp:
    async def cancel(self: Dispatcher, order: Any) -> Outcome:
        context = vars(self)["_context"]
        outcome: Outcome = await context.peers.void(charge_of(order), order.sequence_key)
        if not isinstance(outcome, Unknown):
            with suppress(orders.LeaseLost):
                await settlement.settle(Attempts(order, context), outcome)
        return outcome

    Dispatcher.cancel = cancel  # type: ignore[method-assign]
    return chaos.faults.wrapped_services.order()


def executed_means_charged() -> ASGIApp:
    of_void = answers.of_void

    def always_charged(received: Received, charge: Charge, sequence_key: int) -> Outcome:
        outcome = of_void(received, charge, sequence_key)
        return replace(outcome, answer=_GHOST) if isinstance(outcome, Acknowledged) else outcome

    vars(answers)["of_void"] = always_charged
    return chaos.faults.wrapped_services.order()


def any_problem_is_billings() -> ASGIApp:
    of_charge = answers.of_charge

    def believed(received: Received, charge: Charge) -> Outcome:
        if received.status == httpx.codes.NOT_FOUND:
            return Refused(f"HTTP {received.status}", json.loads(received.content))
        return of_charge(received, charge)

    vars(answers)["of_charge"] = believed
    return chaos.faults.wrapped_services.order()


def customer_brings_it_back() -> ASGIApp:
    known_order = vars(order_service.app)["_known_order"]

    async def started_again(process: Any, client: str, new: Any, customer_key: str) -> Any:
        async with process.pool.connection() as connection:
            known = await listing.find_by_customer_key(
                connection, client, new.customer, customer_key
            )
            order = await listing.find(connection, client, known[0]) if known else None
        if order is not None and order.status is Status.PENDING:
            process.dispatcher.start(orders.pending(order))
        return await known_order(process, client, new, customer_key)

    vars(order_service.app)["_known_order"] = started_again
    return chaos.faults.wrapped_services.order()


def silence_is_no_trouble() -> ASGIApp:
    @contextmanager
    def but_silence() -> Iterator[None]:
        try:
            with translated():
                yield
        except DatabaseTrouble as exc:
            if isinstance(exc.__cause__, TimeoutError):
                raise exc.__cause__ from None
            raise

    vars(pool)["translated"] = but_silence
    return chaos.faults.wrapped_services.order()


def late_writes_wake_no_waiter() -> ASGIApp:
    async def write_next(self: Any) -> None:
        taken = self._queue.take(self._next_size())
        prompt = True

        def let_pass() -> None:
            nonlocal prompt
            if prompt:
                prompt = False
                self._prompt -= 1
                self.begin()

        late = asyncio.get_running_loop().call_later(0.02, let_pass)
        try:
            await self.write(taken, self._together([waiting.item for waiting in taken]))
        finally:
            self._under_way -= 1
            late.cancel()
            let_pass()

    def one_at_a_time(self: Any, together: Any, bounds: Bounds, **options: Any) -> None:
        # So the bug is met at whatever pace the customers come.
        made(self, together, replace(bounds, under_way_max=1), **options)

    made = Group.__init__
    setattr(Group, "__init__", one_at_a_time)  # noqa: B010
    setattr(Group, "_next", write_next)  # noqa: B010
    return chaos.faults.wrapped_services.order()


def order_waits_for_its_notification() -> ASGIApp:
    async def settle(attempts: Attempts, outcome: Outcome, settled: Any = None) -> Any:
        order = await _settle(attempts, outcome)
        if order is not None and settled is not None:
            settled.set_result(order)
        return order

    vars(settlement)["settle"] = settle
    return chaos.faults.wrapped_services.order()


def deadline_of_the_head() -> ASGIApp:
    async def attempt(self: Peers, request: httpx.Request, outcome: Any) -> Outcome:
        transport, timeout_s = vars(self)["_transport"], vars(self)["_attempt_timeout_s"]
        try:
            async with asyncio.timeout(timeout_s):
                response = await transport.handle_async_request(request)
            content = await response.aread()
        except TimeoutError:
            return Unknown("Timeout")
        except httpx.RequestError as exc:
            return Unknown(type(exc).__name__)
        answer: Outcome = outcome(Received(response.status_code, response.headers, content))
        return answer

    setattr(Peers, "_attempt", attempt)  # noqa: B010
    return chaos.faults.wrapped_services.order()
