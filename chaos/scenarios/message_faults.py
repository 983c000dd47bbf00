"""Messages that are torn, slow or refused, and notifications, beyond the cells of the table."""

from chaos.harness.context import ONLY
from chaos.scenarios.scenario import FIRST_LOST, FOR_EVER_MS, GO_ON, Scenario
from chaos.steps.customers import Answered, AnsweredFirst, Recorded, Tried, TurnedAway
from chaos.steps.database_questions import EachAnswerLate, Unanswered
from chaos.steps.holds import Hold, Release
from chaos.steps.network import (
    Arm,
    CutInBody,
    DetourToWrongService,
    Heal,
    InvertFlags,
    Refuse,
    WrongToken,
)
from chaos.steps.observations import (
    Arrived,
    CutShort,
    FlagsCame,
    LooksFailed,
    LooksWatched,
    Notified,
    Outcome,
    Saw,
    Shown,
)
from chaos.steps.orders import Connection, Place, Settled
from chaos.steps.processes import KillUnseen, Restarted
from chaos.steps.step import PROCESSES, Step
from chaos.steps.transactions import GoOn, Pause, Paused
from order_service.wire import Fate
from stack.toxics import Latency, LimitData, Slicer, SlowClose, Timeout, Toxic

_SLOW_MS = 60
_CUSTOMERS = (ONLY, *(f"customer {number}'s order" for number in range(2, 9)))


def _recording_lost(name: str, title: str, toxic: Toxic, *seen: Step) -> Scenario:
    return Scenario(
        f"recording/{name}",
        title,
        (
            Connection("warm"),
            # A connection of the pool has the order then: a new one could not be opened any more.
            Pause("recording"),
            Place(),
            Paused(),
            LooksWatched(),
            Arm("order-db", toxic),
            GoOn(),
            TurnedAway(),
            Recorded(),
            # Who takes it over was struck as well, and has to look again.
            LooksFailed(),
            *seen,
            Saw(arrivals=0, effects=0),
            Heal(),
            Settled(),
        ),
        # It is billed when its lease is over, which takes long where the lease is long.
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
            *FIRST_LOST,
            Saw(arrivals=1, effects=1),
            *GO_ON,
            Outcome("acknowledged", "replayed", attempt=2),
            FlagsCame(("?1", "?0")),
        ),
    ),
    Scenario(
        "flags/inverted_request_lost",
        "the request is lost, and every retry flag is wrong",
        (
            Connection("warm"),
            InvertFlags(),
            Arm("billing", LimitData(bytes=0, stream="upstream")),
            *FIRST_LOST,
            Saw(arrivals=0, effects=0),
            *GO_ON,
            Outcome("acknowledged", "HTTP 201", attempt=2),
            FlagsCame(("?0",)),
        ),
    ),
    Scenario(
        "torn/truncated_request",
        "the request breaks off in its body",
        (
            Connection("warm"),
            CutInBody("upstream"),
            *FIRST_LOST,
            CutShort(),
            Saw(arrivals=0, effects=0),
            *GO_ON,
            Outcome("unknown"),
            Outcome("acknowledged", "HTTP 201", attempt=2),
        ),
    ),
    Scenario(
        "torn/truncated_response",
        "the response breaks off in its body",
        (
            Connection("warm"),
            CutInBody("downstream"),
            *FIRST_LOST,
            Saw(arrivals=1, effects=1),
            *GO_ON,
            Outcome("unknown", "payload"),
            Outcome("acknowledged", "replayed", attempt=2),
        ),
    ),
    Scenario(
        "slow/drip",
        "the response comes byte by byte",
        (
            Connection("warm"),
            Arm("billing", Slicer(average_size_bytes=1, size_variation_bytes=0, delay_us=20_000)),
            *FIRST_LOST,
            Saw(arrivals=1, effects=1),
            *GO_ON,
            Outcome("unknown", "Timeout"),
            Outcome("acknowledged", "replayed", attempt=2),
        ),
    ),
    Scenario(
        "slow/body",
        "the head of the response comes, and then nothing",
        (
            Connection("warm"),
            Hold("body", "billing_service", "body"),
            *FIRST_LOST,
            Saw(arrivals=1, effects=1),
            Release("body"),
            Release(),
            Outcome("unknown", "Timeout"),
            Outcome("acknowledged", "replayed", attempt=2),
        ),
    ),
    Scenario(
        "slow/response",
        "the response comes long after the caller has given up",
        (
            Connection("warm"),
            Arm("billing", Latency(latency_ms=FOR_EVER_MS)),
            *FIRST_LOST,
            Saw(arrivals=1, effects=1),
            *GO_ON,
            Outcome("unknown", "Timeout"),
            Outcome("acknowledged", "replayed", attempt=2),
        ),
    ),
    Scenario(
        "slow/half_open_connection",
        "the process behind the pooled connection dies unseen",
        (
            Connection("warm"),
            Arm("billing", SlowClose(delay_ms=FOR_EVER_MS)),
            KillUnseen(),
            Restarted(),
            *FIRST_LOST,
            Saw(arrivals=0, effects=0),
            *GO_ON,
            Outcome("unknown", "Timeout"),
            Outcome("acknowledged", "HTTP 201", attempt=2),
        ),
    ),
    Scenario(
        "refused/nobody_listens",
        "the connection is refused: a definite failure of an attempt",
        (
            Connection("fresh"),
            Refuse("billing"),
            *FIRST_LOST,
            Saw(arrivals=0, effects=0),
            *GO_ON,
            Outcome("refused"),
            Outcome("acknowledged", "HTTP 201", attempt=2),
        ),
    ),
    Scenario(
        "refused/for_many_attempts",
        "billing is away for many attempts, and the order does not give up",
        (
            Connection("fresh"),
            Refuse("billing"),
            Place(),
            Tried(15),
            Saw(arrivals=0, effects=0),
            Heal(),
            Outcome("refused"),
            Settled(),
        ),
    ),
    Scenario(
        "refused/by_a_stranger",
        "the charge was executed, its answer is lost, and the retries are refused by a service that knows no charges",
        (
            Connection("warm"),
            Arm("billing", LimitData(bytes=0)),
            *FIRST_LOST,
            Saw(arrivals=1, effects=1),
            Heal(),
            DetourToWrongService(),
            Release(),
            Tried(3),
            Saw(effects=1),
            Release("detour"),
            Outcome("unknown", "HTTP 404", attempt=2),
            Outcome("acknowledged", "replayed", attempt=None),
            Settled(),
        ),
    ),
    Scenario(
        "refused/by_a_stranger_at_first",
        "the first attempts are refused by a service that knows no charges, until the way is right again",
        (
            Connection("warm"),
            DetourToWrongService(first=1),
            Place(),
            Tried(2),
            Saw(arrivals=0, effects=0),
            Release("detour"),
            Outcome("unknown", "HTTP 404"),
            Outcome("acknowledged", "HTTP 201", attempt=None),
            Settled(),
        ),
    ),
    Scenario(
        "refused/with_a_wrong_token",
        "the charge was executed, its answer is lost, and billing refuses the retry because of its token",
        (
            Connection("warm"),
            Arm("billing", LimitData(bytes=0)),
            *FIRST_LOST,
            Saw(arrivals=1, effects=1),
            Heal(),
            WrongToken(),
            Release(),
            Outcome("refused", "HTTP 401 token-wrong", attempt=2),
            Settled(),
        ),
    ),
    _recording_lost(
        "answer_lost",
        "the commit that records the order has no answer: the customer is turned away, and the order is billed",
        LimitData(bytes=0),
    ),
    _recording_lost(
        "silence",
        "the commit that records the order has no answer, because the database is silent for everybody",
        Timeout(timeout_ms=0),
        Unanswered("order-db"),
    ),
    Scenario(
        "recording/slow_and_many",
        "the database of the orders answers late, and many orders come at once",
        (
            Connection("warm"),
            Arm("order-db", Latency(latency_ms=_SLOW_MS)),
            *(Place(customer) for customer in _CUSTOMERS),
            EachAnswerLate("order-db", _SLOW_MS),
            Answered(_CUSTOMERS),
            *(Settled(customer) for customer in _CUSTOMERS),
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
            Outcome("acknowledged"),
            Notified(Fate.UNKNOWN, shown=False),
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
            Outcome("acknowledged"),
            Arrived(1, "notification_service"),
            Notified(Fate.UNKNOWN, shown=True),
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
            Outcome("acknowledged"),
            Notified(Fate.UNKNOWN, shown=True),
            AnsweredFirst(),
            Heal(),
        ),
    ),
    Scenario(
        "notification/stored_without_an_answer",
        "the notification is stored, and the database's answer is lost",
        (
            Connection("warm"),
            Arm("notification-db", Latency(latency_ms=FOR_EVER_MS)),
            Place(),
            Shown(),
            # The connection breaks with its answer; a new one would be a good one.
            Heal(),
            Outcome("acknowledged"),
            Notified(Fate.UNKNOWN, shown=True),
        ),
    ),
    Scenario(
        "notification/not_stored",
        "the notification arrives, and the database is out of reach",
        (
            Connection("warm"),
            Arm("notification-db", LimitData(bytes=0, stream="upstream")),
            Place(),
            Outcome("acknowledged"),
            Arrived(1, "notification_service"),
            Notified(Fate.UNKNOWN, shown=False),
            Heal(),
        ),
    ),
)
