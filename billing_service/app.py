"""The HTTP routes of billing_service: charges, their keys, and accounts.

Guarantee: an answer leaves only after its transaction has committed, and a 4xx other than 402 spends no key.

Long because it holds all routes: six operations with the problems that each documents.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.applications import Starlette

from billing_service import accounts, answers, forgetting, headers, keys, problems, stored_answers
from billing_service.outcomes import (
    CHARGED,
    Answer,
    KeyForgotten,
    KeyInFlight,
    MarkLeap,
    NeverSeen,
    QueueFull,
    Voided,
)
from billing_service.process import Billing
from billing_service.settings import Settings
from billing_service.wire import (
    SEQUENCE_KEY_MAX,
    Account,
    AccountState,
    Charge,
    Charged,
    KeyState,
    OpenAccount,
)
from service_kit import (
    environment,
    garbage_collector,
    telemetry,
)
from service_kit.assembly import assembled
from service_kit.bounded_pool import DatabaseTrouble, LockWaitTooLong
from service_kit.direct_route import (
    DirectRoute,
    documented_body,
    read_body,
)
from service_kit.problem_details import (
    BODY_TOO_LARGE,
    BODY_UNREADABLE,
    HOST_UNKNOWN,
    MEDIA_TYPE_UNSUPPORTED,
    ORIGIN_FOREIGN,
    VALIDATION,
    Problem,
    documented,
)
from service_kit.strict_input import CanonicalInteger
from service_kit.strict_input.url import require_documented_url

log = structlog.get_logger()


def create(settings: Settings | None = None) -> Starlette:
    """The ASGI application; configured from the environment unless `settings` are given."""
    settings = settings or environment.read(Settings)
    telemetry.configure_logs("billing_service")
    billing = Billing(settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await billing.pool.open()
        garbage_collector.spare_the_program()
        collecting = asyncio.create_task(billing.collector.run(), name="forget keys")
        yield
        collecting.cancel()
        with suppress(asyncio.CancelledError):
            await collecting
        await billing.drain()
        await billing.pool.close()

    return assembled(
        billing,
        name="billing_service",
        description=f"Withdraws money once for each sequence key. {problems.RETENTION}",
        lifespan=lifespan,
        routers=(_hot, _router),
        handlers={
            DatabaseTrouble: answers.unavailable,
            LockWaitTooLong: answers.unavailable,
            MarkLeap: answers.mark_leaps,
            QueueFull: answers.overloaded,
        },
    )


def _billing(request: Request) -> Billing:
    billing: Billing = request.app.state.process
    return billing


class _Bearer(SecurityBase):
    """Gives an endpoint the name of its client, and the OpenAPI document the scheme.

    The token is checked first, then the URL.
    """

    def __init__(self) -> None:
        self.model = HTTPBearerModel()
        self.scheme_name = "HTTPBearer"

    async def __call__(self, request: Request) -> str:
        client = _client(_billing(request), request.headers.getlist("authorization"))
        require_documented_url(request)
        return client


def _client(billing: Billing, authorization: Sequence[str]) -> str:
    client = billing.tokens.client(authorization)
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
# The route of charges, which serves thousands of requests a second.
_hot = APIRouter(responses=_OF_EVERY_REQUEST, route_class=DirectRoute)


@_hot.post(
    "/charges",
    status_code=CHARGED,
    response_model=Charged,
    tags=["charges"],
    summary="Withdraw money, once for each sequence key",
    responses=documented(*problems.OF_A_CHARGE),
    dependencies=[Depends(HTTPBearer())],
    openapi_extra={"parameters": headers.PARAMETERS, "requestBody": documented_body(Charge)},
)
async def post_charge(request: Request) -> Response:
    billing = _billing(request)
    arrived_s = time.monotonic()
    sent = headers.lines(request)
    client = _client(billing, sent.get("authorization", ()))
    charge = await read_body(request, Charge)
    sequence_key = headers.sequence_key(sent)
    retry = headers.retry_flag(sent)
    mark = headers.first_incomplete(sent)
    timeout_s = headers.timeout_s(sent)
    if mark is not None:
        await billing.collector.announce(client, mark)
        if sequence_key < mark:
            # The answer says that this key is never executed again. The mark moves first, so that this also holds for a later
            # request that carries the key without the mark.
            await forgetting.move_mark(billing.pool, client, mark)
            raise answers.forgotten(sequence_key, mark)
    billing.admission.enter(client, charge.account)
    try:
        outcome = await billing.charge(
            client,
            sequence_key,
            charge,
            lambda: timeout_s is None or time.monotonic() - arrived_s < timeout_s,
        )
    finally:
        billing.admission.leave(client, charge.account)
    billing.log.info(
        "charge",
        client=client,
        order_id=str(charge.order_id),
        sequence_key=sequence_key,
        retry=retry,
        outcome=answers.name(outcome),
        replayed=isinstance(outcome, Answer) and outcome.replayed,
    )
    return answers.to_charge(
        outcome,
        charge,
        sequence_key,
        retry=retry,
        timeout_s=timeout_s,
        metrics=billing.metrics,
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
                sequence_key=sequence_key, state=answers.STATES[status], status=status, answer=body
            )
        case Voided():
            return KeyState(sequence_key=sequence_key, state="voided")
        case KeyForgotten():
            return KeyState(sequence_key=sequence_key, state="forgotten")
        case NeverSeen():
            return KeyState(sequence_key=sequence_key, state="never_seen")


@_router.delete(
    "/charges/{sequence_key}",
    response_model=KeyState,
    tags=["charges"],
    summary="Void a key so that it is never executed, or learn that it was",
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
    log.info("void", client=client, sequence_key=sequence_key, outcome=answers.name(outcome))
    match outcome:
        case Voided():
            return KeyState(sequence_key=sequence_key, state="voided")
        case Answer(status):
            body = await stored_answers.whole(_billing(request).pool, outcome)
            raise Problem(
                problems.KEY_EXECUTED,
                f"Key {sequence_key} was executed: {answers.STATES[status]}.",
                executed_status=status,
                answer=body,
                **stored_answers.charge_named_by(body),
            )
        case KeyForgotten(first_incomplete):
            raise answers.forgotten(sequence_key, first_incomplete)
        case KeyInFlight():
            raise answers.in_flight(sequence_key)


@_router.delete(
    "/charges",
    status_code=202,
    tags=["charges"],
    summary="Declare all keys below one settled: they are forgotten soon and refused for ever",
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
    summary="Open an account; repeating it with the same balance changes nothing",
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
    balance_cents = await accounts.open_account(pool, account, opening.opening_balance_cents)
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
    balance_cents = await accounts.balance(_billing(request).pool.reads, account)
    if balance_cents is None:
        raise Problem(problems.ACCOUNT_UNKNOWN, f"There is no account {account}.")
    return AccountState(account=account, balance_cents=balance_cents)
