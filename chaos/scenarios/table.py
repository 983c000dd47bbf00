"""The cells of the headline table: each situation under each semantics, in each family of faults.

Guarantee: the family decides what the caller sees, the situation what happens; the two are put together here and
nowhere else.
"""

from collections.abc import Mapping
from types import MappingProxyType

from chaos.scenarios.effects import effects_computed
from chaos.scenarios.scenario import BEYOND_ANY_TIMEOUT_MS, ConnectionKind, Scenario
from chaos.steps.holds import HoldRetry, Release
from chaos.steps.network import Arm, Heal
from chaos.steps.observations import ExpectOutcome, Observe
from chaos.steps.orders import AwaitFirstAttemptEnd, Connection, Place
from chaos.steps.processes import AwaitDeath, DieAt
from chaos.steps.step import Step
from order_service.wire import Delivery
from report.situations import SITUATIONS, Situation
from stack.toxics import LimitData, ResetPeer, SlowClose, Timeout

_AFTER, _BEFORE = DieAt("billing_service", "reply"), DieAt("billing_service", "arrival")
_SLOW_CLOSE = Arm("billing", SlowClose(delay_ms=BEYOND_ANY_TIMEOUT_MS))
_RESET_DOWN = Arm("billing", ResetPeer(timeout_ms=0))

# The family decides what the caller sees: a connection that ends, one that is reset, or silence.
FAMILIES: Mapping[str, Mapping[str, tuple[Step, ...]]] = MappingProxyType(
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


def cell(
    situation: Situation, delivery: Delivery, family: str, connection: ConnectionKind
) -> Scenario:
    """One cell of the table: the fault strikes the first attempt and is healed before the second."""
    faults = FAMILIES[family][situation.name]
    crash = any(isinstance(fault, DieAt) for fault in faults)
    return Scenario(
        f"{family}/{situation.name}/{delivery}/{connection}",
        situation.title,
        (
            Connection(connection),
            *faults,
            HoldRetry(),
            Place(),
            AwaitFirstAttemptEnd(),
            Observe(
                arrivals=int(situation.name != "request_lost"),
                effects=int(situation.executed),
            ),
            *((AwaitDeath("billing_service"),) if crash else ()),
            Heal(),
            Release(),
            ExpectOutcome("acknowledged" if situation.answered else "unknown"),
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
# The headline table as the demo shows it: one family, on warm connections, as in daily use.
TABLE = tuple(c for c in CELLS if (c.family, c.connection) == ("disconnect", "warm"))
