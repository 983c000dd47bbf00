"""The catalogue: what strikes, what is promised, which witness proves it.

Guarantee: an entry is a list of acts and nothing else; how it is played and judged is the same for all of them, and
every promise is put to every one of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from chaos.acts import (
    Act,
    Arm,
    Arrived,
    Collected,
    Connection,
    CutInBody,
    CutShort,
    Detour,
    GivenUp,
    Heal,
    Hold,
    HoldRetry,
    InvertFlags,
    LetGo,
    Outcome,
    Place,
    Reached,
    Refuse,
    Release,
    Replay,
    Saw,
    Settled,
)
from chaos.crashes import (
    CrashPostgres,
    Died,
    DiesAt,
    FreezeWalWriter,
    Kill,
    KillUnseen,
    Restarted,
    Resume,
    Stop,
)
from chaos.toxics import Latency, LimitData, ResetPeer, Slicer, SlowClose, Timeout
from chaos.transactions import GoOn, Pause, Paused, Terminate
from order_service.wire import Delivery

ConnectionKind = Literal["fresh", "warm"]
# Far longer than any caller waits: a toxic that ends by itself would heal behind the scenario's back.
FOR_EVER_MS = 600_000


@dataclass(frozen=True)
class Situation:
    """A row of the headline table: what happened to the first attempt."""

    name: str
    title: str
    executed: bool
    answered: bool


SITUATIONS = (
    Situation("success", "success", executed=True, answered=True),
    Situation("response_lost", "response lost", executed=True, answered=False),
    Situation(
        "crash_after_execution",
        "crash after executing, before responding",
        executed=True,
        answered=False,
    ),
    Situation("crash_before_execution", "crash before executing", executed=False, answered=False),
    Situation("request_lost", "request never received", executed=False, answered=False),
)

_AFTER, _BEFORE = DiesAt("billing_service", "reply"), DiesAt("billing_service", "arrival")
_SLOW_CLOSE = Arm("billing", SlowClose(delay_ms=FOR_EVER_MS))
_RESET_DOWN = Arm("billing", ResetPeer(timeout_ms=0))

# The family decides what the caller sees: a connection that ends, one that is reset, or silence.
FAMILIES: Mapping[str, Mapping[str, tuple[Act, ...]]] = MappingProxyType(
    {
        "disconnect": MappingProxyType(
            {
                "success": (),
                "response_lost": (Arm("billing", LimitData(bytes=0)),),
                "crash_after_execution": (_AFTER,),
                "crash_before_execution": (_BEFORE,),
                "request_lost": (Arm("billing", LimitData(bytes=0, stream="upstream")),),
            }
        ),
        "reset": MappingProxyType(
            {
                "success": (),
                "response_lost": (_RESET_DOWN,),
                "crash_after_execution": (_RESET_DOWN, _AFTER),
                "crash_before_execution": (_RESET_DOWN, _BEFORE),
                "request_lost": (Arm("billing", ResetPeer(timeout_ms=0, stream="upstream")),),
            }
        ),
        "silence": MappingProxyType(
            {
                "success": (),
                "response_lost": (Arm("billing", Timeout(timeout_ms=0)),),
                "crash_after_execution": (_SLOW_CLOSE, _AFTER),
                "crash_before_execution": (_SLOW_CLOSE, _BEFORE),
                "request_lost": (Arm("billing", Timeout(timeout_ms=0, stream="upstream")),),
            }
        ),
    }
)
# A real RST comes only on connections that were opened after the toxic was armed.
CONNECTIONS: Mapping[str, tuple[ConnectionKind, ...]] = MappingProxyType(
    {"disconnect": ("warm", "fresh"), "reset": ("fresh",), "silence": ("warm", "fresh")}
)


@dataclass(frozen=True)
class Scenario:
    """One entry. `effects` are computed from the situation; None where only the promises judge."""

    name: str
    title: str
    acts: tuple[Act, ...]
    delivery: Delivery = Delivery.EXACTLY_ONCE
    effects: int | None = 1
    situation: Situation | None = None
    family: str | None = None
    connection: ConnectionKind = "warm"

    @property
    def needs(self) -> frozenset[str]:
        """What a stack that was only described cannot give."""
        return frozenset().union(*(act.needs for act in self.acts))


def effects_computed(*, executed: bool, answered: bool, delivery: Delivery) -> int:
    """The cell of the headline table, from what happened to the first attempt.

    At most once: nothing is sent again, so the effect is that of the first attempt. At least once with a fresh key:
    what is sent again is executed again. Exactly once: executed once, by the first attempt or by a later one.
    """
    match delivery:
        case Delivery.AT_MOST_ONCE:
            return int(executed)
        case Delivery.AT_LEAST_ONCE:
            return int(executed) + int(not answered)
        case Delivery.EXACTLY_ONCE:
            return 1


def cell(
    situation: Situation, delivery: Delivery, family: str, connection: ConnectionKind
) -> Scenario:
    """One cell of the table: the fault strikes the first attempt, and is healed before the second one."""
    faults = FAMILIES[family][situation.name]
    crash = any(isinstance(fault, DiesAt) for fault in faults)
    return Scenario(
        f"{family}/{situation.name}/{delivery}/{connection}",
        situation.title,
        (
            Connection(connection),
            *faults,
            HoldRetry(),
            Place(),
            GivenUp(),
            Saw(
                arrivals=int(situation.name != "request_lost"),
                effects=int(situation.executed),
            ),
            *((Died("billing_service"),) if crash else ()),
            Heal(),
            Release(),
            Outcome("acknowledged" if situation.answered else "unknown"),
        ),
        delivery,
        effects_computed(
            executed=situation.executed, answered=situation.answered, delivery=delivery
        ),
        situation,
        family,
        connection,
    )


CELLS = tuple(
    cell(situation, delivery, family, connection)
    for family in FAMILIES
    for connection in CONNECTIONS[family]
    for situation in SITUATIONS
    for delivery in Delivery
)
# The headline table as the demo shows it: one family, on connections as they are in daily use.
TABLE = tuple(c for c in CELLS if (c.family, c.connection) == ("disconnect", "warm"))

FIRST_LOST = (HoldRetry(), Place(), GivenUp())
GO_ON = (Heal(), Release())


def _killed(
    name: str,
    title: str,
    service: str,
    seam: Literal["attempt", "answer", "notify", "arrival", "reply"],
    *,
    effects: int,
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
    )


# An open order keeps first incomplete where it is, so that no later key is forgotten.
_EARLIER = "an earlier order"
_REMEMBERED = (
    Connection("warm"),
    Hold("earlier", "order_service", "attempt", label=_EARLIER),
    Place(_EARLIER),
    Reached("earlier"),
)

BEYOND_THE_TABLE = (
    Scenario(
        "late/delayed_original",
        "the original arrives after its retry",
        (
            Connection("warm"),
            Arm("billing", Latency(latency_ms=FOR_EVER_MS, stream="upstream")),
            *FIRST_LOST,
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
            *FIRST_LOST,
            Saw(arrivals=0, effects=0),
            LetGo("billing"),
            Release(),
            Arrived(2, answered=False),
            Saw(arrivals=2, effects=0),
            Release("both"),
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
            *FIRST_LOST,
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
            *FIRST_LOST,
            Saw(arrivals=1, effects=1),
            *GO_ON,
            Outcome("acknowledged", "replayed", attempt=2),
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
            Place(),
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
            Place(),
            Paused(),
            Arm("billing-db", Latency(latency_ms=FOR_EVER_MS, stream="upstream")),
            GoOn(),
            GivenUp(),
            Saw(arrivals=1, effects=0),
            LetGo("billing-db"),
            Saw(effects=1),
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
            Place(),
            Paused(),
            # In this order: what the first one closes when it is taken away has to pass the second one.
            Arm("billing-db", Timeout(timeout_ms=0, stream="upstream")),
            Arm("billing-db", SlowClose(delay_ms=FOR_EVER_MS, stream="upstream")),
            GoOn(),
            GivenUp(),
            Saw(arrivals=1, effects=0),
            # Billing can reach Postgres again; but Postgres does not learn that the old connection is gone.
            LetGo("billing-db", Timeout),
            Release(),
            Outcome("unknown", "409 key-in-flight", attempt=None),
            Settled(),
        ),
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
        "Postgres crashes as soon as the shopper has the answer",
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
    Scenario(
        "notification/request_lost",
        "the notification is lost on its way",
        (
            Connection("warm"),
            Arm("notification", LimitData(bytes=0, stream="upstream")),
            Place(),
            Outcome("acknowledged"),
            Settled(),
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
            Settled(),
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
            Settled(),
            Heal(),
        ),
    ),
)

SCENARIOS = (*CELLS, *BEYOND_THE_TABLE)
