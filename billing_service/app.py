"""billing_service over HTTP: charges, their keys, and accounts.

Guarantee: an answer leaves only after its transaction is committed, and a 4xx other than 402 spends no key.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Literal, cast

import structlog
from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request, Response
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security import HTTPBearer
from fastapi.security.base import SecurityBase

from billing_service import headers, keys, ledger, problems, stored_answers
from billing_service.admission import QueueFull
from billing_service.collector import MarkLeap
from billing_service.keys import (
    CHARGED,
    DECLINED,
    Answer,
    ClientHeld,
    KeyForgotten,
    KeyInFlight,
    Voided,
)
from billing_service.process import Billing
from billing_service.settings import Settings
from billing_service.wire import (
    REPLAYED_HEADER,
    SEQUENCE_KEY_MAX,
    Account,
    AccountState,
    Charge,
    Charged,
    KeyState,
    OpenAccount,
)
from service_kit import environment, garbage_collector, http_guard, problem_details, telemetry
from service_kit.bounded_pool import DatabaseTrouble, LockWaitTooLong, ReadsFull
from service_kit.direct_route import DirectAPI, DirectRoute, documented_body, read_body
from service_kit.problem_details import (
    BODY_TOO_LARGE,
    BODY_UNREADABLE,
    HOST_UNKNOWN,
    MEDIA_TYPE_UNSUPPORTED,
    ORIGIN_FOREIGN,
    VALIDATION,
    BodyLimit,
    HostCheck,
    Problem,
    documented,
)
from service_kit.problem_details.problem import MEDIA_TYPE
from service_kit.strict_input import CanonicalInteger
from service_kit.strict_input.url import require_documented_url

log = structlog.get_logger()

# Whoever meets a lock or a database in trouble comes back after this time: most restarts take longer, most locks less.
RETRY_AFTER_S = 1
TOO_MANY_READS = "Too many reads are waiting. Nothing was begun by this one."

_MEDIA_TYPES = {CHARGED: "application/json", DECLINED: MEDIA_TYPE}
_STATES: dict[int, Literal["charged", "declined"]] = {CHARGED: "charged", DECLINED: "declined"}


def create(settings: Settings | None = None) -> FastAPI:
    """The ASGI application; configured from the environment unless `settings` are given."""
    billing = Billing(settings or environment.read(Settings))
    telemetry.configure_logs("billing_service")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await billing.pool.open()
        garbage_collector.spare_the_program()
        collecting = asyncio.create_task(billing.collector.run(), name="forget keys")
        yield
        collecting.cancel()
        with suppress(asyncio.CancelledError):
            await collecting
        await billing.drain()
        await billing.pool.close()

    app = DirectAPI(
        title="billing_service",
        version="1",
        description=f"Withdraws money once for each sequence key. {problems.RETENTION}",
        lifespan=lifespan,
        # In front of the pages and probes that are installed below, because routes are tried one after the other.
        routes=[*_hot.routes, *_router.routes],
    )
    app.state.billing = billing
    billing.catalogue = problem_details.install(app, billing.catalogue, http_guard.REFUSALS)
    http_guard.install(
        app, environment.read, billing.catalogue.public_url, billing.metrics.registry
    )
    app.add_exception_handler(DatabaseTrouble, _could_not_find_out)
    app.add_exception_handler(LockWaitTooLong, _could_not_find_out)
    app.add_exception_handler(MarkLeap, _mark_leaps)
    app.add_exception_handler(QueueFull, _overloaded)
    app.add_middleware(BodyLimit, catalogue=lambda: billing.catalogue)
    app.add_middleware(
        HostCheck,
        catalogue=lambda: billing.catalogue,
        hosts=billing.settings.hosts,
        public_url=billing.settings.public_url,
        probes=telemetry.PROBES,
    )
    telemetry.install(
        app, service="billing_service", registry=billing.metrics.registry, ready=billing.missing
    )
    return app


def _billing(request: Request) -> Billing:
    billing: Billing = request.app.state.billing
    return billing


class _Bearer(SecurityBase):
    """Gives an endpoint the name of its caller, and the OpenAPI document the scheme.

    Only after the caller is known is its URL judged.
    """

    def __init__(self) -> None:
        self.model = HTTPBearerModel()
        self.scheme_name = "HTTPBearer"

    async def __call__(self, request: Request) -> str:
        client = _client(request)
        require_documented_url(request)
        return client


def _client(request: Request) -> str:
    client = _billing(request).tokens.client(request.headers.getlist("authorization"))
    if client is None:
        raise Problem(
            problems.TOKEN_WRONG,
            "Send the header Authorization: Bearer <token>.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return client


Client = Annotated[str, Depends(_Bearer())]
KeyInPath = Annotated[
    CanonicalInteger, Path(ge=1, le=SEQUENCE_KEY_MAX, description="a sequence key")
]
AccountName = Annotated[Account, Path(description="the account's name")]
_OF_EVERY_REQUEST = documented(HOST_UNKNOWN, ORIGIN_FOREIGN)
_router = APIRouter(responses=_OF_EVERY_REQUEST)
# What is asked thousands of times a second.
_hot = APIRouter(responses=_OF_EVERY_REQUEST, route_class=DirectRoute)


@_hot.post(
    "/charges",
    status_code=CHARGED,
    response_model=Charged,
    tags=["charges"],
    summary="Withdraw money, once for each sequence key",
    responses=documented(*problems.OF_A_CHARGE),
    dependencies=[Depends(HTTPBearer(auto_error=False))],
    openapi_extra={"parameters": headers.PARAMETERS, "requestBody": documented_body(Charge)},
)
async def post_charge(request: Request) -> Response:
    billing = _billing(request)
    arrived_s = time.monotonic()
    client = _client(request)
    charge = await read_body(request, Charge)
    sequence_key = headers.sequence_key(request)
    retry = headers.retry_flag(request)
    mark = headers.first_incomplete(request)
    timeout_s = headers.timeout_s(request)
    if mark is not None:
        await billing.collector.announce(client, mark)
        if sequence_key < mark:
            # "Never executed again" has to be true of this key from now on, also when it comes without its mark.
            await keys.move_mark(billing.pool, client, mark)
            raise _forgotten(sequence_key, mark)
    outcome = await billing.charge(
        client,
        sequence_key,
        charge,
        lambda: timeout_s is None or time.monotonic() - arrived_s < timeout_s,
    )
    log.info(
        "charge",
        client=client,
        order_id=str(charge.order_id),
        sequence_key=sequence_key,
        retry=retry,
        outcome=_name(outcome),
        replayed=isinstance(outcome, Answer) and outcome.replayed,
    )
    match outcome:
        case Answer(status, body, replayed):
            # The pair is a diagnosis; see the table in docs/protocol.md.
            billing.metrics.charges_by[retry, replayed].inc()
            return Response(
                # What is replayed was stored for a charge with this very fingerprint, and so for this order.
                stored_answers.naming(charge.order_id, body) if replayed else body,
                status_code=status,
                media_type=_MEDIA_TYPES[status],
                headers={REPLAYED_HEADER: "?1"} if replayed else None,
            )
        case Voided():
            raise Problem(problems.KEY_VOIDED, f"Key {sequence_key} was voided.")
        case ledger.KeyReused():
            raise Problem(problems.KEY_REUSED, f"Key {sequence_key} was used for another charge.")
        case KeyForgotten(first_incomplete):
            raise _forgotten(sequence_key, first_incomplete)
        case KeyInFlight():
            billing.metrics.lock_waits.labels(lock="key").inc()
            raise _in_flight(sequence_key)
        case ledger.AccountUnknown():
            raise Problem(problems.ACCOUNT_UNKNOWN, f"There is no account {charge.account}.")
        case ledger.TooLate():
            raise Problem(
                problems.DEADLINE_PASSED,
                f"The caller waits no longer than {timeout_s:g} s.",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )


@_router.get(
    "/charges/{sequence_key}",
    tags=["charges"],
    summary="The definite answer about a key of the caller",
    responses=documented(problems.TOKEN_WRONG, VALIDATION, problems.UNAVAILABLE),
)
async def get_charge(sequence_key: KeyInPath, request: Request, client: Client) -> KeyState:
    state = await keys.state(_billing(request).pool.reads, client, sequence_key)
    match state:
        case Answer(status):
            body = await stored_answers.whole(_billing(request).pool, state)
            return KeyState(
                sequence_key=sequence_key, state=_STATES[status], status=status, answer=body
            )
        case Voided():
            return KeyState(sequence_key=sequence_key, state="voided")
        case KeyForgotten():
            return KeyState(sequence_key=sequence_key, state="forgotten")
        case keys.NeverSeen():
            return KeyState(sequence_key=sequence_key, state="never_seen")


@_router.delete(
    "/charges/{sequence_key}",
    response_model=KeyState,
    tags=["charges"],
    summary="Void a key: it is never executed; or learn that it was",
    responses=documented(
        problems.TOKEN_WRONG,
        problems.KEY_IN_FLIGHT,
        problems.KEY_EXECUTED,
        problems.KEY_FORGOTTEN,
        VALIDATION,
        problems.UNAVAILABLE,
    ),
)
async def delete_charge(sequence_key: KeyInPath, request: Request, client: Client) -> KeyState:
    outcome = await keys.void(_billing(request).pool, client, sequence_key)
    log.info("void", client=client, sequence_key=sequence_key, outcome=_name(outcome))
    match outcome:
        case Voided():
            return KeyState(sequence_key=sequence_key, state="voided")
        case Answer(status):
            body = await stored_answers.whole(_billing(request).pool, outcome)
            raise Problem(
                problems.KEY_EXECUTED,
                f"Key {sequence_key} was executed: {_STATES[status]}.",
                executed_status=status,
                answer=body,
                **stored_answers.charge_named_by(body),
            )
        case KeyForgotten(first_incomplete):
            raise _forgotten(sequence_key, first_incomplete)
        case KeyInFlight():
            raise _in_flight(sequence_key)


@_router.delete(
    "/charges",
    status_code=202,
    tags=["charges"],
    summary="Declare all keys below one as settled; they are forgotten soon, and refused for ever",
    responses=documented(
        problems.TOKEN_WRONG, problems.MARK_LEAP, VALIDATION, problems.UNAVAILABLE
    ),
)
async def delete_charges(
    below: Annotated[
        CanonicalInteger, Query(ge=1, le=SEQUENCE_KEY_MAX, description="first incomplete")
    ],
    request: Request,
    client: Client,
) -> dict[str, int]:
    await _billing(request).collector.announce(client, below)
    return {"first_incomplete": below}


@_router.put(
    "/accounts/{account}",
    response_model=AccountState,
    tags=["accounts"],
    summary="Open an account; again with the same balance changes nothing",
    responses=documented(
        BODY_UNREADABLE,
        problems.TOKEN_WRONG,
        problems.ACCOUNT_OPENED_OTHERWISE,
        BODY_TOO_LARGE,
        MEDIA_TYPE_UNSUPPORTED,
        VALIDATION,
        problems.UNAVAILABLE,
    ),
    openapi_extra={"requestBody": documented_body(OpenAccount)},
)
async def put_account(account: AccountName, request: Request, _: Client) -> AccountState:
    opening = await read_body(request, OpenAccount)
    pool = _billing(request).pool
    balance_cents = await ledger.open_account(pool, account, opening.opening_balance_cents)
    if balance_cents is None:
        raise Problem(
            problems.ACCOUNT_OPENED_OTHERWISE, f"{account} was opened with another balance."
        )
    return AccountState(account=account, balance_cents=balance_cents)


@_router.get(
    "/accounts/{account}",
    tags=["accounts"],
    summary="The balance of an account",
    responses=documented(
        problems.TOKEN_WRONG, problems.ACCOUNT_UNKNOWN, VALIDATION, problems.UNAVAILABLE
    ),
)
async def get_account(account: AccountName, request: Request, _: Client) -> AccountState:
    balance_cents = await ledger.balance(_billing(request).pool.reads, account)
    if balance_cents is None:
        raise Problem(problems.ACCOUNT_UNKNOWN, f"There is no account {account}.")
    return AccountState(account=account, balance_cents=balance_cents)


def _forgotten(sequence_key: int, first_incomplete: int) -> Problem:
    return Problem(
        problems.KEY_FORGOTTEN,
        f"Key {sequence_key} lies below first incomplete {first_incomplete}.",
        first_incomplete=first_incomplete,
    )


def _in_flight(sequence_key: int) -> Problem:
    return Problem(
        problems.KEY_IN_FLIGHT,
        f"Key {sequence_key} is being executed by another request.",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def _name(outcome: object) -> str:
    """An outcome's name for the log: the class, or what the answer says."""
    return _STATES[outcome.status] if isinstance(outcome, Answer) else type(outcome).__name__


async def _mark_leaps(request: Request, exc: Exception) -> Response:
    leap = cast(MarkLeap, exc)
    log.warning("mark leaps", client=leap.client, first_incomplete=leap.first_incomplete)
    return problem_details.answer(
        _billing(request).catalogue,
        Problem(
            problems.MARK_LEAP,
            f"{leap.first_incomplete} lies more than {leap.leap_max} above {leap.highest_key}.",
            highest_key=leap.highest_key,
        ),
    )


async def _overloaded(request: Request, exc: Exception) -> Response:
    return problem_details.answer(
        _billing(request).catalogue,
        Problem(
            problems.OVERLOADED,
            str(exc),
            headers={"Retry-After": str(RETRY_AFTER_S)},
        ),
    )


async def _could_not_find_out(request: Request, exc: Exception) -> Response:
    # A line for each read that is too many would be a load of its own.
    if not isinstance(exc, ReadsFull):
        log.warning("could not find out", path=request.url.path, reason=str(exc))
    if isinstance(exc, LockWaitTooLong):
        lock = "client" if isinstance(exc, ClientHeld) else "account"
        _billing(request).metrics.lock_waits.labels(lock=lock).inc()
    return problem_details.answer(
        _billing(request).catalogue,
        Problem(
            problems.UNAVAILABLE,
            TOO_MANY_READS
            if isinstance(exc, ReadsFull)
            else "The database did not answer in time; the request may or may not have been executed.",
            headers={"Retry-After": str(RETRY_AFTER_S)},
        ),
    )
