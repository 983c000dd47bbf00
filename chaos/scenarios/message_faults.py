"""Scenarios of truncated, slow and refused messages, and of notifications, beyond the cells of the table.

Guarantee: a fault of the network counts only if its toxic is still armed when it is healed.

Long because it is a list: each scenario is declared, and nothing is computed.
"""

from chaos.harness.context import ONLY
from chaos.scenarios.scenario import (
    BEYOND_ANY_TIMEOUT_MS,
    FIRST_ATTEMPT_LOST,
    HEAL_AND_RETRY,
    Scenario,
)
from chaos.steps.customers import (
    AwaitAnswers,
    AwaitAttempts,
    AwaitServerError,
    ExpectAnswerBeforeNotification,
    ExpectOrderRecorded,
)
from chaos.steps.database_questions import ExpectSilence, ExpectSlowAnswers
from chaos.steps.holds import Hold, Release
from chaos.steps.network import (
    Arm,
    CutInBody,
    DetourToWrongService,
    Heal,
    InvertFlags,
    RefuseConnections,
    WrongToken,
)
from chaos.steps.observations import (
    AwaitArrivals,
    AwaitFailedTakeoverRounds,
    AwaitNotificationStored,
    AwaitTruncatedRequest,
    CountFailedTakeoverRounds,
    ExpectNotification,
    ExpectOutcome,
    ExpectRetryFlags,
    Observe,
)
from chaos.steps.orders import AwaitSettled, Connection, Place
from chaos.steps.processes import AwaitRestart, KillEveryBillingProcess
from chaos.steps.step import PROCESSES, Step
from chaos.steps.transactions import AwaitPausedTransaction, PauseTransaction, ResumeTransaction
from order_service.wire import Fate
from stack.toxics import Latency, LimitData, Slicer, SlowClose, Timeout, Toxic

# Longer than eight customers need to arrive: those who come last have to wait for a write that is under way.
_SLOW_MS = 120
_CUSTOMERS = (ONLY, *(f"customer {number}'s order" for number in range(2, 9)))


def _recording_lost(name: str, title: str, toxic: Toxic, *seen: Step) -> Scenario:
    return Scenario(
        f"recording/{name}",
        title,
        (
            Connection("warm"),
            # The order is then on a pooled connection: under the fault a new one could not be opened.
            PauseTransaction("recording"),
            Place(),
            AwaitPausedTransaction(),
            CountFailedTakeoverRounds(),
            Arm("order-db", toxic),
            ResumeTransaction(),
            AwaitServerError(),
            ExpectOrderRecorded(),
            # The takeover loop was struck as well, and must look again.
            AwaitFailedTakeoverRounds(),
            *seen,
            Observe(arrivals=0, effects=0),
            Heal(),
            AwaitSettled(),
        ),
        # It is billed after its lease has expired, which a long lease delays.
        also_needs=PROCESSES,
    )


MESSAGE_FAULTS = (
    Scenario(
        "flags/inverted_response_lost",
        "the response is lost, and every retry flag is wrong",
        (
            Connection("warm"),
            InvertFlags(),
            Arm("billing", LimitData(bytes=0)),
            *FIRST_ATTEMPT_LOST,
            Observe(arrivals=1, effects=1),
            *HEAL_AND_RETRY,
            ExpectOutcome("acknowledged", "replayed", attempt=2),
            ExpectRetryFlags(("?1", "?0")),
        ),
    ),
    Scenario(
        "flags/inverted_request_lost",
        "the request is lost, and every retry flag is wrong",
        (
            Connection("warm"),
            InvertFlags(),
            Arm("billing", LimitData(bytes=0, stream="upstream")),
            *FIRST_ATTEMPT_LOST,
            Observe(arrivals=0, effects=0),
            *HEAL_AND_RETRY,
            ExpectOutcome("acknowledged", "HTTP 201", attempt=2),
            ExpectRetryFlags(("?0",)),
        ),
    ),
    Scenario(
        "torn/truncated_request",
        "the request is truncated in its body",
        (
            Connection("warm"),
            CutInBody("upstream"),
            *FIRST_ATTEMPT_LOST,
            AwaitTruncatedRequest(),
            Observe(arrivals=0, effects=0),
            *HEAL_AND_RETRY,
            ExpectOutcome("unknown"),
            ExpectOutcome("acknowledged", "HTTP 201", attempt=2),
        ),
    ),
    Scenario(
        "torn/truncated_response",
        "the response is truncated in its body",
        (
            Connection("warm"),
            CutInBody("downstream"),
            *FIRST_ATTEMPT_LOST,
            Observe(arrivals=1, effects=1),
            *HEAL_AND_RETRY,
            ExpectOutcome("unknown", "payload"),
            ExpectOutcome("acknowledged", "replayed", attempt=2),
        ),
    ),
    Scenario(
        "slow/byte_by_byte",
        "the response comes byte by byte",
        (
            Connection("warm"),
            Arm("billing", Slicer(average_size_bytes=1, size_variation_bytes=0, delay_us=20_000)),
            *FIRST_ATTEMPT_LOST,
            Observe(arrivals=1, effects=1),
            *HEAL_AND_RETRY,
            ExpectOutcome("unknown", "Timeout"),
            ExpectOutcome("acknowledged", "replayed", attempt=2),
        ),
    ),
    Scenario(
        "slow/body",
        "the head of the response comes, and then nothing",
        (
            Connection("warm"),
            Hold("body", "billing_service", "body"),
            *FIRST_ATTEMPT_LOST,
            Observe(arrivals=1, effects=1),
            Release("body"),
            Release(),
            ExpectOutcome("unknown", "Timeout"),
            ExpectOutcome("acknowledged", "replayed", attempt=2),
        ),
    ),
    Scenario(
        "slow/response",
        "the response comes long after the caller has given up",
        (
            Connection("warm"),
            Arm("billing", Latency(latency_ms=BEYOND_ANY_TIMEOUT_MS)),
            *FIRST_ATTEMPT_LOST,
            Observe(arrivals=1, effects=1),
            *HEAL_AND_RETRY,
            ExpectOutcome("unknown", "Timeout"),
            ExpectOutcome("acknowledged", "replayed", attempt=2),
        ),
    ),
    Scenario(
        "slow/half_open_connection",
        "the process behind the pooled connection dies, and the connection stays open",
        (
            Connection("warm"),
            Arm("billing", SlowClose(delay_ms=BEYOND_ANY_TIMEOUT_MS)),
            KillEveryBillingProcess(),
            AwaitRestart(),
            *FIRST_ATTEMPT_LOST,
            Observe(arrivals=0, effects=0),
            *HEAL_AND_RETRY,
            ExpectOutcome("unknown", "Timeout"),
            ExpectOutcome("acknowledged", "HTTP 201", attempt=2),
        ),
    ),
    Scenario(
        "refused/no_listener",
        "the connection is refused: a definite failure of an attempt",
        (
            Connection("fresh"),
            RefuseConnections("billing"),
            *FIRST_ATTEMPT_LOST,
            Observe(arrivals=0, effects=0),
            *HEAL_AND_RETRY,
            ExpectOutcome("refused"),
            ExpectOutcome("acknowledged", "HTTP 201", attempt=2),
        ),
    ),
    Scenario(
        "refused/for_many_attempts",
        "billing is down for many attempts, and the order does not give up",
        (
            Connection("fresh"),
            RefuseConnections("billing"),
            Place(),
            AwaitAttempts(15),
            Observe(arrivals=0, effects=0),
            Heal(),
            ExpectOutcome("refused"),
            AwaitSettled(),
        ),
    ),
    Scenario(
        "refused/by_the_wrong_service",
        "the charge was executed, its answer is lost, and the retries reach a service without charges",
        (
            Connection("warm"),
            Arm("billing", LimitData(bytes=0)),
            *FIRST_ATTEMPT_LOST,
            Observe(arrivals=1, effects=1),
            Heal(),
            DetourToWrongService(),
            Release(),
            AwaitAttempts(3),
            Observe(effects=1),
            Release("detour"),
            ExpectOutcome("unknown", "HTTP 404", attempt=2),
            ExpectOutcome("acknowledged", "replayed", attempt=None),
            AwaitSettled(),
        ),
    ),
    Scenario(
        "refused/by_the_wrong_service_at_first",
        "the first attempts reach a service without charges, until the route is corrected",
        (
            Connection("warm"),
            DetourToWrongService(first=1),
            Place(),
            AwaitAttempts(2),
            Observe(arrivals=0, effects=0),
            Release("detour"),
            ExpectOutcome("unknown", "HTTP 404"),
            ExpectOutcome("acknowledged", "HTTP 201", attempt=None),
            AwaitSettled(),
        ),
    ),
    Scenario(
        "refused/with_a_wrong_token",
        "the charge was executed, its answer is lost, and billing refuses the retry because of its token",
        (
            Connection("warm"),
            Arm("billing", LimitData(bytes=0)),
            *FIRST_ATTEMPT_LOST,
            Observe(arrivals=1, effects=1),
            Heal(),
            WrongToken(),
            Release(),
            ExpectOutcome("refused", "HTTP 401 token-wrong", attempt=2),
            AwaitSettled(),
        ),
    ),
    _recording_lost(
        "answer_lost",
        "the commit that records the order has no answer: the customer gets a 503, and the order is billed",
        LimitData(bytes=0),
    ),
    _recording_lost(
        "silence",
        "the commit that records the order has no answer, because the database answers no connection",
        Timeout(timeout_ms=0),
        ExpectSilence("order-db"),
    ),
    Scenario(
        "recording/slow_and_many",
        "the orders database answers slowly, and many orders arrive at once",
        (
            Connection("warm"),
            Arm("order-db", Latency(latency_ms=_SLOW_MS)),
            *(Place(customer) for customer in _CUSTOMERS),
            ExpectSlowAnswers("order-db", _SLOW_MS),
            AwaitAnswers(_CUSTOMERS),
            *(AwaitSettled(customer) for customer in _CUSTOMERS),
            Heal(),
        ),
    ),
    Scenario(
        "notification/request_lost",
        "the notification is lost on its way",
        (
            Connection("warm"),
            Arm("notification", LimitData(bytes=0, stream="upstream")),
            Place(),
            ExpectOutcome("acknowledged"),
            ExpectNotification(Fate.UNKNOWN, shown=False),
            Heal(),
        ),
    ),
    Scenario(
        "notification/response_lost",
        "the notification arrives, and its answer is lost",
        (
            Connection("warm"),
            Arm("notification", LimitData(bytes=0)),
            Place(),
            ExpectOutcome("acknowledged"),
            AwaitArrivals(1, "notification_service"),
            ExpectNotification(Fate.UNKNOWN, shown=True),
            Heal(),
        ),
    ),
    Scenario(
        "notification/silence",
        "the notification service is silent, and the order does not wait for it",
        (
            Connection("warm"),
            Arm("notification", Timeout(timeout_ms=0)),
            Place(),
            ExpectOutcome("acknowledged"),
            ExpectNotification(Fate.UNKNOWN, shown=True),
            ExpectAnswerBeforeNotification(),
            Heal(),
        ),
    ),
    Scenario(
        "notification/stored_without_an_answer",
        "the notification is stored, and the database's answer is lost",
        (
            Connection("warm"),
            Arm("notification-db", Latency(latency_ms=BEYOND_ANY_TIMEOUT_MS)),
            Place(),
            AwaitNotificationStored(),
            # The connection breaks with its answer; a new one would work.
            Heal(),
            ExpectOutcome("acknowledged"),
            ExpectNotification(Fate.UNKNOWN, shown=True),
        ),
    ),
    Scenario(
        "notification/not_stored",
        "the notification arrives, and the database is out of reach",
        (
            Connection("warm"),
            Arm("notification-db", LimitData(bytes=0, stream="upstream")),
            Place(),
            ExpectOutcome("acknowledged"),
            AwaitArrivals(1, "notification_service"),
            ExpectNotification(Fate.UNKNOWN, shown=False),
            Heal(),
        ),
    ),
)
