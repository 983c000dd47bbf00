"""Commits without an answer, crashes of Postgres, processes that stop or die, beyond the cells of the table."""

from dataclasses import replace

from chaos.faults.control import Seam
from chaos.scenarios.scenario import FIRST_LOST, FOR_EVER_MS, GO_ON, Scenario
from chaos.steps.customers import ComesBack, Named
from chaos.steps.holds import Hold, HoldRetry, Reached, Release
from chaos.steps.network import Arm, DetourToAnotherProcess, Heal, LetGo
from chaos.steps.observations import Arrived, Landed, Outcome, Saw
from chaos.steps.orders import Connection, GivenUp, Place, Settled
from chaos.steps.processes import (
    CrashPostgres,
    FreezeWalWriter,
    Kill,
    Restarted,
    RestartTheOther,
    Resume,
    Stop,
)
from chaos.steps.transactions import GoOn, LockAccount, Pause, Paused, Terminate, UnlockAccount
from order_service.wire import Delivery
from stack.toxics import Latency, LimitData, SlowClose, Timeout

_IN_A_TRANSACTION = (LockAccount(), Place(), UnlockAccount())
# A commit that comes late, or a key that stays locked, needs a transaction that may idle for longer than a caller waits.
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
    """The caller is killed while it, or whom it called, stands at a seam."""
    return Scenario(
        f"caller_killed/{name}",
        f"the order service is killed {title}",
        (
            Connection("warm"),
            Hold("point", service, seam),
            Place(),
            Reached("point"),
            Saw(effects=effects),
            Kill("order_service"),
            Release("point"),
            Restarted(),
            Settled(),
        ),
        delivery,
        in_the_end,
    )


_COMES_BACK = Scenario(
    "caller_killed/and_the_shopper_comes_back",
    "the order service is killed after billing got the request, and the customer orders once more under the same key",
    (
        Connection("warm"),
        Named(),
        Hold("point", "billing_service", "arrival"),
        Place(),
        Reached("point"),
        Saw(effects=0),
        Kill("order_service"),
        Restarted(),
        ComesBack(),
        Release("point"),
        Settled(),
    ),
)

CRASH_FAULTS = (
    Scenario(
        "commit/ambiguous_and_there",
        "the connection is lost in COMMIT, and the row is there",
        (
            Connection("warm"),
            Pause("inside commit"),
            HoldRetry(),
            Place(),
            Paused(),
            Arm("billing-db", LimitData(bytes=0)),
            GoOn(),
            GivenUp(),
            Saw(arrivals=1, effects=1),
            *GO_ON,
            Outcome("unknown", "503"),
            Settled(),
        ),
    ),
    Scenario(
        "commit/ambiguous_and_not_there",
        "the connection is lost in COMMIT, and the row is not there",
        (
            Connection("warm"),
            Pause("before commit"),
            HoldRetry(),
            *_IN_A_TRANSACTION,
            Paused(),
            Arm("billing-db", LimitData(bytes=0, stream="upstream")),
            GoOn(),
            GivenUp(),
            Saw(arrivals=1, effects=0),
            *GO_ON,
            Outcome("unknown", "503"),
            Settled(),
        ),
    ),
    Scenario(
        "commit/late",
        "the commit lands after its failure was reported",
        (
            Connection("warm"),
            Pause("before commit"),
            HoldRetry(),
            *_IN_A_TRANSACTION,
            Paused(),
            Arm("billing-db", Latency(latency_ms=FOR_EVER_MS, stream="upstream")),
            GoOn(),
            GivenUp(),
            Saw(arrivals=1, effects=0),
            LetGo("billing-db"),
            Landed(),
            Heal(),
            Release(),
            Outcome("unknown"),
            Settled(),
        ),
        also_needs=_PATIENT,
    ),
    Scenario(
        "commit/lost_with_its_charge",
        "a charge that is one message is lost on its way to Postgres, and the error is the same as when it is there",
        (
            Connection("warm"),
            HoldRetry(),
            Arm("billing-db", LimitData(bytes=0, stream="upstream")),
            Place(),
            GivenUp(),
            Saw(arrivals=1, effects=0),
            *GO_ON,
            Outcome("unknown", "503"),
            Settled(),
        ),
    ),
    Scenario(
        "commit/late_with_its_charge",
        "a charge that is one message reaches Postgres after its failure was reported",
        (
            Connection("warm"),
            HoldRetry(),
            Arm("billing-db", Latency(latency_ms=FOR_EVER_MS, stream="upstream")),
            Place(),
            GivenUp(),
            Saw(arrivals=1, effects=0),
            LetGo("billing-db"),
            Landed(),
            Heal(),
            Release(),
            Outcome("unknown"),
            Settled(),
        ),
    ),
    Scenario(
        "commit/partition_holds_the_key",
        "billing is cut off from Postgres in the middle of a charge, and the key stays locked",
        (
            Connection("warm"),
            Pause("before commit"),
            HoldRetry(),
            *_IN_A_TRANSACTION,
            Paused(),
            # In this order: what the first one closes when it is taken away has to pass the second one.
            Arm("billing-db", Timeout(timeout_ms=0, stream="upstream")),
            Arm("billing-db", SlowClose(delay_ms=FOR_EVER_MS, stream="upstream")),
            GoOn(),
            GivenUp(),
            Saw(arrivals=1, effects=0),
            # Billing can reach Postgres again; but Postgres does not learn that the old connection is gone.
            LetGo("billing-db", Timeout),
            RestartTheOther(),
            DetourToAnotherProcess(),
            Release(),
            Outcome("unknown", "409 key-in-flight", attempt=None),
            Settled(),
        ),
        also_needs=_PATIENT,
    ),
    Scenario(
        "commit/terminated_backend",
        "an administrator ends the session in the middle of the charge",
        (
            Connection("warm"),
            Pause("before commit"),
            HoldRetry(),
            Place(),
            Paused(),
            Terminate(),
            GivenUp(),
            Saw(arrivals=1, effects=0),
            GoOn(),
            *GO_ON,
            Outcome("unknown", "503"),
            Settled(),
        ),
    ),
    Scenario(
        "crash/postgres_in_the_middle",
        "Postgres crashes in the middle of a charge",
        (
            Connection("warm"),
            Pause("inside commit"),
            HoldRetry(),
            Place(),
            Paused(),
            CrashPostgres(),
            GivenUp(),
            Saw(arrivals=1, effects=0),
            *GO_ON,
            Restarted(),
            Outcome("unknown"),
            Settled(),
        ),
    ),
    Scenario(
        "crash/postgres_after_the_answer",
        "Postgres crashes as soon as the customer has the answer",
        (
            Connection("warm"),
            FreezeWalWriter(),
            Place(),
            Outcome("acknowledged"),
            CrashPostgres(),
            Restarted(),
            Saw(effects=None, arrivals=1),
        ),
    ),
    Scenario(
        "crash/postgres_before_the_retry",
        "the charge was executed, its answer is lost, and Postgres crashes before the retry",
        (
            Connection("warm"),
            Arm("billing", LimitData(bytes=0)),
            *FIRST_LOST,
            Saw(arrivals=1, effects=1),
            CrashPostgres(),
            Restarted(),
            *GO_ON,
            Outcome("acknowledged", "replayed", attempt=None),
            Settled(),
        ),
    ),
    Scenario(
        "crash/billing_stopped_and_resumed",
        "a billing process is stopped, its request is given up, and it executes it on waking up",
        (
            Connection("warm"),
            Hold("arrived", "billing_service", "arrival", 1),
            Place(),
            Reached("arrived"),
            HoldRetry(),
            Stop("billing_service"),
            Release("arrived"),
            GivenUp(),
            Saw(arrivals=1, effects=0),
            Release(),
            Settled(),
            Saw(effects=1),
            Resume("billing_service"),
            Arrived(2),
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
        "after_notifying", "after the customer was told", "notification_service", "reply", effects=1
    ),
    _COMES_BACK,
    replace(
        _COMES_BACK,
        name="caller_killed/at_most_once_and_the_shopper_comes_back",
        title=f"{_COMES_BACK.title}, and sending again is forbidden",
        delivery=Delivery.AT_MOST_ONCE,
    ),
    # Whoever takes the order over does not know whether it was sent, and must not send it.
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
