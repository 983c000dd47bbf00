"""Messages that are late, doubled or overtaken, and keys that come again with something else."""

from chaos.scenarios.scenario import FIRST_LOST, FOR_EVER_MS, GO_ON, Scenario
from chaos.steps.concurrent_charges import ConcurrentCharges
from chaos.steps.customers import Cancel, Enriched, Poor
from chaos.steps.holds import Hold, Reached, Release
from chaos.steps.network import Arm, Detour, DetourToAnotherProcess, Heal, LetGo, Refuse
from chaos.steps.observations import (
    Arrived,
    Collected,
    Outcome,
    Replay,
    Saw,
    SawOpen,
)
from chaos.steps.orders import Connection, Place, Settled
from chaos.steps.other_clients import SameNumber
from chaos.steps.transactions import GoOn, Pause, Paused, TwinWaits
from stack.toxics import Latency, LimitData

# An open order keeps first incomplete where it is, so that no later key is forgotten.
_EARLIER = "an earlier order"
_REMEMBERED = (
    Connection("warm"),
    Hold("earlier", "order_service", "attempt", label=_EARLIER),
    Place(_EARLIER),
    Reached("earlier"),
)

LATE_MESSAGES = (
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
        "late/other_order",
        "the same key comes with another order, of the same price",
        (
            *_REMEMBERED,
            Place(),
            Outcome("acknowledged"),
            Replay(
                "X7",
                "the same key for another order is refused, nothing moves",
                422,
                order_id="00000000-0000-4000-8000-000000000000",
            ),
        ),
    ),
    Scenario(
        "late/other_account",
        "the same key comes with another account",
        (
            *_REMEMBERED,
            Place(),
            Outcome("acknowledged"),
            Replay(
                "X7",
                "the same key for another account is refused, nothing moves",
                422,
                account="somebody-else",
            ),
        ),
    ),
    Scenario(
        "late/same_number_of_another_client",
        "another client charges under the number of the order's key, and again when the order's is forgotten",
        (
            Connection("warm"),
            Hold("point", "order_service", "attempt"),
            Place(),
            Reached("point"),
            SameNumber("point"),
            Outcome("acknowledged"),
        ),
    ),
    Scenario(
        "late/crowd_of_one_account",
        "many charges of one account come at once: doubled, with an impostor under their key, or for too much money",
        (Connection("warm"), Place(), ConcurrentCharges(), Outcome("acknowledged")),
    ),
    Scenario(
        "late/declined_and_enriched",
        "a decline is lost, and money comes before the retry",
        (
            Connection("warm"),
            Poor(),
            Arm("billing", LimitData(bytes=0)),
            *FIRST_LOST,
            Saw(arrivals=1, effects=0),
            Enriched(),
            *GO_ON,
            Outcome("acknowledged", "HTTP 402, replayed", attempt=2),
            Settled(),
        ),
        effects=0,
    ),
    Scenario(
        "late/after_the_cancellation",
        "the customer cancels while the charge is on its way, and then it arrives",
        (
            Connection("warm"),
            Hold("original", "billing_service", "arrival"),
            *FIRST_LOST,
            Saw(arrivals=1, effects=0),
            Cancel(),
            Release("original"),
            Arrived(1),
            Saw(effects=0),
            Release(),
            Settled(),
        ),
        effects=0,
    ),
    Scenario(
        "late/cancelled_too_late",
        "the charge was executed, its answer is lost, and the customer cancels before the retry",
        (
            Connection("warm"),
            Arm("billing", LimitData(bytes=0)),
            *FIRST_LOST,
            Saw(arrivals=1, effects=1),
            Heal(),
            Cancel(told=409),
            # The delivery meets an order that is settled: it has nothing to write any more, and nobody to tell.
            Release(),
            Arrived(2),
            Settled(),
            Place("the last order"),
            Outcome("acknowledged", label="the last order"),
        ),
    ),
    Scenario(
        "late/cancelled_out_of_reach",
        "the charge was executed, its answer is lost, and the customer cancels while billing is away",
        (
            Connection("warm"),
            Arm("billing", LimitData(bytes=0)),
            *FIRST_LOST,
            Saw(arrivals=1, effects=1),
            Heal(),
            Refuse("billing"),
            Cancel(told=503),
            *GO_ON,
            Outcome("acknowledged", "replayed", attempt=None),
            Settled(),
        ),
    ),
    Scenario(
        "late/declined_and_cancelled",
        "a decline is lost, and the customer cancels before the retry",
        (
            Connection("warm"),
            Poor(),
            Arm("billing", LimitData(bytes=0)),
            *FIRST_LOST,
            Saw(arrivals=1, effects=0),
            Heal(),
            Cancel(told=409),
            Release(),
            Arrived(2),
            Settled(),
        ),
        effects=0,
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
        "late/the_lowest_of_two_open_orders",
        "two orders are open, and the one with the lower key comes again",
        (
            Connection("warm"),
            Arm("billing", LimitData(bytes=0)),
            *FIRST_LOST,
            Saw(arrivals=1, effects=1),
            Heal(),
            Hold("later", "order_service", "attempt", label="the later order"),
            Place("the later order"),
            Reached("later"),
            # Only the lower one of the two may be declared first incomplete.
            SawOpen(2),
            Place("the last order"),
            Outcome("acknowledged", label="the last order"),
            Collected(),
            Release("later"),
            Release(),
            Outcome("acknowledged", "replayed", attempt=2),
            Outcome("acknowledged", label="the later order"),
        ),
    ),
    Scenario(
        "late/forgotten_up_to_the_open_order",
        "the keys below an open order are forgotten while its answer is lost",
        (
            *_REMEMBERED,
            Arm("billing", LimitData(bytes=0)),
            *FIRST_LOST,
            Saw(arrivals=1, effects=1),
            Heal(),
            Release("earlier"),
            Outcome("acknowledged", label=_EARLIER),
            # From here on the open order's key is first incomplete: the first one that must be kept.
            SawOpen(1),
            Place("the last order"),
            Outcome("acknowledged", label="the last order"),
            Collected(),
            Release(),
            Outcome("acknowledged", "replayed", attempt=2),
        ),
    ),
)
