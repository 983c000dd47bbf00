"""Scenarios of lost commits, crashes of Postgres, and processes that stop or die, beyond the cells of the table.

Guarantee: every crash here is confirmed by the operating system or by Postgres, never assumed.

Long because it is a list: each scenario is declared, and nothing is computed.
"""

from dataclasses import replace

from chaos.faults.control import Seam
from chaos.scenarios.scenario import (
    BEYOND_ANY_TIMEOUT_MS,
    FIRST_ATTEMPT_LOST,
    HEAL_AND_RETRY,
    Scenario,
)
from chaos.steps.customers import PlaceAgain, SetCustomerKey
from chaos.steps.holds import AwaitHeld, Hold, HoldRetry, Release
from chaos.steps.network import Arm, DetourToAnotherProcess, Heal, RemoveToxics
from chaos.steps.observations import AwaitArrivals, AwaitMoneyMoved, ExpectOutcome, Observe
from chaos.steps.orders import AwaitFirstAttemptEnd, AwaitSettled, Connection, Place
from chaos.steps.processes import (
    AwaitRestart,
    CrashPostgres,
    FreezeWalWriter,
    Kill,
    RestartOtherBillingProcess,
    Resume,
    SpareConnections,
    Stop,
)
from chaos.steps.transactions import (
    AwaitPausedTransaction,
    LockAccount,
    PauseTransaction,
    ResumeTransaction,
    TerminateSession,
    UnlockAccount,
)
from order_service.wire import Delivery
from stack.toxics import Latency, LimitData, SlowClose, Timeout

_IN_A_TRANSACTION = (LockAccount(), Place(), UnlockAccount())
# A late commit, or a key that stays locked, needs a transaction that may idle for longer than a caller waits.
_PATIENT = frozenset(
    {"a longer BILLING_IDLE_IN_TRANSACTION_TIMEOUT_S than ORDER_ATTEMPT_TIMEOUT_S"}
)


def _killed(
    name: str,
    title: str,
    service: str,
    seam: Seam,
    *,
    effects: int,
    delivery: Delivery = Delivery.EXACTLY_ONCE,
    in_the_end: int = 1,
) -> Scenario:
    """The caller is killed while it, or the service that it called, is held at a seam."""
    return Scenario(
        f"caller_killed/{name}",
        f"the order service is killed {title}",
        (
            Connection("warm"),
            Hold("point", service, seam),
            Place(),
            AwaitHeld("point"),
            Observe(effects=effects),
            Kill("order_service"),
            Release("point"),
            AwaitRestart(),
            AwaitSettled(),
        ),
        delivery,
        in_the_end,
    )


_CUSTOMER_RETRIES = Scenario(
    "caller_killed/and_the_customer_retries",
    "the order service is killed after billing got the request, and the customer places the order again under the same key",
    (
        Connection("warm"),
        SetCustomerKey(),
        Hold("point", "billing_service", "arrival"),
        Place(),
        AwaitHeld("point"),
        Observe(effects=0),
        Kill("order_service"),
        AwaitRestart(),
        PlaceAgain(),
        Release("point"),
        AwaitSettled(),
    ),
)

CRASH_FAULTS = (
    Scenario(
        "commit/ambiguous_and_there",
        "the connection is lost in COMMIT, and the row is there",
        (
            Connection("warm"),
            PauseTransaction("inside commit"),
            HoldRetry(),
            Place(),
            AwaitPausedTransaction(),
            Arm("billing-db", LimitData(bytes=0)),
            ResumeTransaction(),
            AwaitFirstAttemptEnd(),
            Observe(arrivals=1, effects=1),
            *HEAL_AND_RETRY,
            ExpectOutcome("unknown", "503"),
            AwaitSettled(),
        ),
    ),
    Scenario(
        "commit/ambiguous_and_not_there",
        "the connection is lost in COMMIT, and the row is not there",
        (
            Connection("warm"),
            PauseTransaction("before commit"),
            HoldRetry(),
            *_IN_A_TRANSACTION,
            AwaitPausedTransaction(),
            Arm("billing-db", LimitData(bytes=0, stream="upstream")),
            ResumeTransaction(),
            AwaitFirstAttemptEnd(),
            Observe(arrivals=1, effects=0),
            *HEAL_AND_RETRY,
            ExpectOutcome("unknown", "503"),
            AwaitSettled(),
        ),
    ),
    Scenario(
        "commit/late",
        "the commit takes effect after its failure was reported",
        (
            Connection("warm"),
            PauseTransaction("before commit"),
            HoldRetry(),
            *_IN_A_TRANSACTION,
            AwaitPausedTransaction(),
            Arm("billing-db", Latency(latency_ms=BEYOND_ANY_TIMEOUT_MS, stream="upstream")),
            ResumeTransaction(),
            AwaitFirstAttemptEnd(),
            Observe(arrivals=1, effects=0),
            RemoveToxics("billing-db"),
            AwaitMoneyMoved(),
            Heal(),
            Release(),
            ExpectOutcome("unknown"),
            AwaitSettled(),
        ),
        also_needs=_PATIENT,
    ),
    Scenario(
        "commit/lost_with_its_charge",
        "a charge on the fast path is lost on its way to Postgres, and the error is the same as after a lost answer",
        (
            Connection("warm"),
            SpareConnections(),
            HoldRetry(),
            Arm("billing-db", LimitData(bytes=0, stream="upstream")),
            Place(),
            AwaitFirstAttemptEnd(),
            Observe(arrivals=1, effects=0),
            *HEAL_AND_RETRY,
            ExpectOutcome("unknown", "503"),
            AwaitSettled(),
        ),
    ),
    Scenario(
        "commit/late_with_its_charge",
        "a charge on the fast path reaches Postgres after its failure was reported",
        (
            Connection("warm"),
            SpareConnections(),
            HoldRetry(),
            Arm("billing-db", Latency(latency_ms=BEYOND_ANY_TIMEOUT_MS, stream="upstream")),
            Place(),
            AwaitFirstAttemptEnd(),
            Observe(arrivals=1, effects=0),
            RemoveToxics("billing-db"),
            AwaitMoneyMoved(),
            Heal(),
            Release(),
            ExpectOutcome("unknown"),
            AwaitSettled(),
        ),
    ),
    Scenario(
        "commit/partition_holds_the_key",
        "billing is cut off from Postgres in the middle of a charge, and the key stays locked",
        (
            Connection("warm"),
            PauseTransaction("before commit"),
            HoldRetry(),
            *_IN_A_TRANSACTION,
            AwaitPausedTransaction(),
            # In this order: the close that removing the first toxic causes must pass the second one.
            Arm("billing-db", Timeout(timeout_ms=0, stream="upstream")),
            Arm("billing-db", SlowClose(delay_ms=BEYOND_ANY_TIMEOUT_MS, stream="upstream")),
            ResumeTransaction(),
            AwaitFirstAttemptEnd(),
            Observe(arrivals=1, effects=0),
            # Billing can reach Postgres again; but Postgres does not learn that the old connection is gone.
            RemoveToxics("billing-db", Timeout),
            RestartOtherBillingProcess(),
            DetourToAnotherProcess(),
            Release(),
            ExpectOutcome("unknown", "409 key-in-flight", attempt=None),
            AwaitSettled(),
        ),
        also_needs=_PATIENT,
    ),
    Scenario(
        "commit/terminated_backend",
        "an administrator ends the session in the middle of the charge",
        (
            Connection("warm"),
            PauseTransaction("before commit"),
            HoldRetry(),
            Place(),
            AwaitPausedTransaction(),
            TerminateSession(),
            AwaitFirstAttemptEnd(),
            Observe(arrivals=1, effects=0),
            ResumeTransaction(),
            *HEAL_AND_RETRY,
            ExpectOutcome("unknown", "503"),
            AwaitSettled(),
        ),
    ),
    Scenario(
        "crash/postgres_in_the_middle",
        "Postgres crashes in the middle of a charge",
        (
            Connection("warm"),
            PauseTransaction("inside commit"),
            HoldRetry(),
            Place(),
            AwaitPausedTransaction(),
            CrashPostgres(),
            AwaitFirstAttemptEnd(),
            Observe(arrivals=1, effects=0),
            *HEAL_AND_RETRY,
            AwaitRestart(),
            ExpectOutcome("unknown"),
            AwaitSettled(),
        ),
    ),
    Scenario(
        "crash/postgres_after_the_answer",
        "Postgres crashes as soon as the customer has the answer",
        (
            Connection("warm"),
            FreezeWalWriter(),
            Place(),
            ExpectOutcome("acknowledged"),
            CrashPostgres(),
            AwaitRestart(),
            Observe(effects=None, arrivals=1),
        ),
    ),
    Scenario(
        "crash/postgres_before_the_retry",
        "the charge was executed, its answer is lost, and Postgres crashes before the retry",
        (
            Connection("warm"),
            Arm("billing", LimitData(bytes=0)),
            *FIRST_ATTEMPT_LOST,
            Observe(arrivals=1, effects=1),
            CrashPostgres(),
            AwaitRestart(),
            *HEAL_AND_RETRY,
            ExpectOutcome("acknowledged", "replayed", attempt=None),
            AwaitSettled(),
        ),
    ),
    Scenario(
        "crash/billing_stopped_and_resumed",
        "a billing process is stopped, the caller gives up, and the process executes the request after it resumes",
        (
            Connection("warm"),
            Hold("arrived", "billing_service", "arrival", 1),
            Place(),
            AwaitHeld("arrived"),
            HoldRetry(),
            Stop("billing_service"),
            Release("arrived"),
            AwaitFirstAttemptEnd(),
            Observe(arrivals=1, effects=0),
            Release(),
            AwaitSettled(),
            Observe(effects=1),
            Resume("billing_service"),
            AwaitArrivals(2),
        ),
    ),
    _killed("before_sending", "before it sends", "order_service", "attempt", effects=0),
    _killed(
        "after_sending", "after billing got the request", "billing_service", "arrival", effects=0
    ),
    _killed(
        "before_the_answer", "after billing has executed", "billing_service", "reply", effects=1
    ),
    _killed("before_settling", "after it got the answer", "order_service", "answer", effects=1),
    _killed(
        "before_notifying", "after settling, before notifying", "order_service", "notify", effects=1
    ),
    _killed(
        "after_notifying",
        "after the customer was notified",
        "notification_service",
        "reply",
        effects=1,
    ),
    _CUSTOMER_RETRIES,
    replace(
        _CUSTOMER_RETRIES,
        name="caller_killed/at_most_once_and_the_customer_retries",
        title=f"{_CUSTOMER_RETRIES.title}, and sending again is forbidden",
        delivery=Delivery.AT_MOST_ONCE,
    ),
    # The process that takes the order over does not know whether it was sent, and must not send it.
    _killed(
        "at_most_once_before_sending",
        "before it sends, and sending again is forbidden",
        "order_service",
        "attempt",
        effects=0,
        delivery=Delivery.AT_MOST_ONCE,
        in_the_end=0,
    ),
    _killed(
        "at_most_once_before_the_answer",
        "after billing has executed, and sending again is forbidden",
        "billing_service",
        "reply",
        effects=1,
        delivery=Delivery.AT_MOST_ONCE,
    ),
)
