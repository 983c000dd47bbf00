"""Messages that are late, doubled, torn, slow or refused, beyond the cells of the table."""

from chaos.acts import (
    Arm,
    Connection,
    CutInBody,
    Detour,
    DetourToAnotherProcess,
    GivenUp,
    Heal,
    Hold,
    HoldRetry,
    InvertFlags,
    LetGo,
    Place,
    Reached,
    Refuse,
    Release,
    Settled,
)
from chaos.crashes import KillUnseen, Restarted
from chaos.scenario import FOR_EVER_MS, Scenario
from chaos.sightings import Arrived, Collected, CutShort, FlagsCame, Notified, Outcome, Replay, Saw
from chaos.toxics import Latency, LimitData, Slicer, SlowClose, Timeout
from chaos.transactions import GoOn, Pause, Paused, TwinWaits
from order_service.wire import Fate

_FIRST_LOST = (HoldRetry(), Place(), GivenUp())
_GO_ON = (Heal(), Release())


# An open order keeps first incomplete where it is, so that no later key is forgotten.
_EARLIER = "an earlier order"
_REMEMBERED = (
    Connection("warm"),
    Hold("earlier", "order_service", "attempt", label=_EARLIER),
    Place(_EARLIER),
    Reached("earlier"),
)

MESSAGE_FAULTS = (
    Scenario(
        "late/delayed_original",
        "the original arrives after its retry",
        (
            Connection("warm"),
            Arm("billing", Latency(latency_ms=FOR_EVER_MS, stream="upstream")),
            *_FIRST_LOST,
            Saw(arrivals=0, effects=0),
            Detour(),
            Release(),
            Settled(),
            Saw(arrivals=1, effects=1),
            LetGo("billing"),
            Arrived(2),
        ),
    ),
    Scenario(
        "late/concurrent_duplicates",
        "the original and its retry are executed at the same moment",
        (
            Connection("warm"),
            Arm("billing", Latency(latency_ms=FOR_EVER_MS, stream="upstream")),
            Hold("both", "billing_service", "arrival"),
            *_FIRST_LOST,
            Saw(arrivals=0, effects=0),
            LetGo("billing"),
            Arrived(1, answered=False),
            DetourToAnotherProcess(),
            Release(),
            Arrived(2, answered=False),
            Saw(arrivals=2, effects=0),
            Pause("inside commit"),
            Release("both"),
            Paused(),
            TwinWaits(),
            GoOn(),
            Arrived(2),
        ),
    ),
    Scenario(
        "late/duplicated_by_the_network",
        "the network delivers the request once more",
        (
            *_REMEMBERED,
            Place(),
            Outcome("acknowledged", "HTTP 201"),
            Replay("X1", "a copy of the original gets the same answer and moves nothing", 201),
            Arrived(2),
        ),
    ),
    Scenario(
        "late/other_payload",
        "the same key comes with another amount",
        (
            *_REMEMBERED,
            Place(),
            Outcome("acknowledged"),
            Replay(
                "X7",
                "the same key with another payload is refused, nothing moves",
                422,
                amount_cents=1,
            ),
        ),
    ),
    Scenario(
        "late/forgotten_key",
        "an old request comes back after its key was forgotten",
        (
            Connection("warm"),
            Place(),
            Outcome("acknowledged"),
            Replay(
                "X10",
                "a forgotten key is refused, nothing moves",
                410,
                when_collected=True,
                retry="?1",
            ),
        ),
    ),
    Scenario(
        "late/lower_key_after_a_higher_one",
        "a later order overtakes",
        (
            Connection("warm"),
            Hold("first", "order_service", "attempt"),
            Place(),
            Reached("first"),
            Place("the later order"),
            Outcome("acknowledged", label="the later order"),
            Saw(arrivals=0, effects=0),
            Release("first"),
            Outcome("acknowledged", "HTTP 201"),
        ),
    ),
    Scenario(
        "late/pending_while_others_settle",
        "an order whose answer was lost stays open while later ones are settled and forgotten",
        (
            Connection("warm"),
            Arm("billing", LimitData(bytes=0)),
            *_FIRST_LOST,
            Saw(arrivals=1, effects=1),
            Heal(),
            Place("the later order"),
            Outcome("acknowledged", label="the later order"),
            Place("the last order"),
            Outcome("acknowledged", label="the last order"),
            Collected(),
            Release(),
            Outcome("acknowledged", "replayed", attempt=2),
        ),
    ),
    Scenario(
        "flags/inverted_response_lost",
        "the response is lost, and every retry flag is wrong",
        (
            Connection("warm"),
            InvertFlags(),
            Arm("billing", LimitData(bytes=0)),
            *_FIRST_LOST,
            Saw(arrivals=1, effects=1),
            *_GO_ON,
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
            *_FIRST_LOST,
            Saw(arrivals=0, effects=0),
            *_GO_ON,
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
            *_FIRST_LOST,
            CutShort(),
            Saw(arrivals=0, effects=0),
            *_GO_ON,
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
            *_FIRST_LOST,
            Saw(arrivals=1, effects=1),
            *_GO_ON,
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
            *_FIRST_LOST,
            Saw(arrivals=1, effects=1),
            *_GO_ON,
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
            *_FIRST_LOST,
            Saw(arrivals=1, effects=1),
            *_GO_ON,
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
            *_FIRST_LOST,
            Saw(arrivals=0, effects=0),
            *_GO_ON,
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
            *_FIRST_LOST,
            Saw(arrivals=0, effects=0),
            *_GO_ON,
            Outcome("refused"),
            Outcome("acknowledged", "HTTP 201", attempt=2),
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
            Heal(),
        ),
    ),
)
