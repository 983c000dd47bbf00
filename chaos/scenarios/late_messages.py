"""Scenarios of late, duplicated and overtaken messages, and of keys that are reused with another payload.

Guarantee: every duplicate in this list is sent while its original is late, lost or already answered.

Long because it is a list: each scenario is declared, and nothing is computed.
"""

from chaos.scenarios.scenario import (
    BEYOND_ANY_TIMEOUT_MS,
    FIRST_ATTEMPT_LOST,
    HEAL_AND_RETRY,
    Scenario,
)
from chaos.steps.concurrent_charges import ConcurrentCharges
from chaos.steps.customers import Cancel, DepositMoney, OpenUnderfundedAccount
from chaos.steps.holds import AwaitHeld, Hold, Release
from chaos.steps.network import (
    Arm,
    Detour,
    DetourToAnotherProcess,
    Heal,
    RefuseConnections,
    RemoveToxics,
)
from chaos.steps.observations import (
    AwaitArrivals,
    AwaitCollectorRounds,
    AwaitOpenOrdersCounted,
    ExpectOutcome,
    Observe,
    SendCopy,
)
from chaos.steps.orders import AwaitSettled, Connection, Place
from chaos.steps.other_clients import ChargeUnderSameKey
from chaos.steps.transactions import (
    AwaitDuplicateBlocked,
    AwaitPausedTransaction,
    PauseTransaction,
    ResumeTransaction,
)
from stack.toxics import Latency, LimitData

# An open order keeps first incomplete where it is, so that no later key is forgotten.
_EARLIER = "an earlier order"
_REMEMBERED = (
    Connection("warm"),
    Hold("earlier", "order_service", "attempt", label=_EARLIER),
    Place(_EARLIER),
    AwaitHeld("earlier"),
)

LATE_MESSAGES = (
    Scenario(
        "late/delayed_original",
        "the original arrives after its retry",
        (
            Connection("warm"),
            Arm("billing", Latency(latency_ms=BEYOND_ANY_TIMEOUT_MS, stream="upstream")),
            *FIRST_ATTEMPT_LOST,
            Observe(arrivals=0, effects=0),
            Detour(),
            Release(),
            AwaitSettled(),
            Observe(arrivals=1, effects=1),
            RemoveToxics("billing"),
            AwaitArrivals(2),
        ),
    ),
    Scenario(
        "late/concurrent_duplicates",
        "the original and its retry are executed at the same moment",
        (
            Connection("warm"),
            Arm("billing", Latency(latency_ms=BEYOND_ANY_TIMEOUT_MS, stream="upstream")),
            Hold("both", "billing_service", "arrival"),
            *FIRST_ATTEMPT_LOST,
            Observe(arrivals=0, effects=0),
            RemoveToxics("billing"),
            AwaitArrivals(1, answered=False),
            DetourToAnotherProcess(),
            Release(),
            AwaitArrivals(2, answered=False),
            Observe(arrivals=2, effects=0),
            PauseTransaction("inside commit"),
            Release("both"),
            AwaitPausedTransaction(),
            AwaitDuplicateBlocked(),
            ResumeTransaction(),
            AwaitArrivals(2),
        ),
    ),
    Scenario(
        "late/duplicated_by_the_network",
        "the network delivers the request once more",
        (
            *_REMEMBERED,
            Place(),
            ExpectOutcome("acknowledged", "HTTP 201"),
            SendCopy("X1", "a copy of the original gets the same answer and moves nothing", 201),
            AwaitArrivals(2),
        ),
    ),
    Scenario(
        "late/other_payload",
        "the same key is reused with another amount",
        (
            *_REMEMBERED,
            Place(),
            ExpectOutcome("acknowledged"),
            SendCopy(
                "X7",
                "the same key with another payload is refused, nothing moves",
                422,
                amount_cents=1,
            ),
        ),
    ),
    Scenario(
        "late/other_order",
        "the same key is reused for another order of the same price",
        (
            *_REMEMBERED,
            Place(),
            ExpectOutcome("acknowledged"),
            SendCopy(
                "X7",
                "the same key for another order is refused, nothing moves",
                422,
                order_id="00000000-0000-4000-8000-000000000000",
            ),
        ),
    ),
    Scenario(
        "late/other_account",
        "the same key is reused for another account",
        (
            *_REMEMBERED,
            Place(),
            ExpectOutcome("acknowledged"),
            SendCopy(
                "X7",
                "the same key for another account is refused, nothing moves",
                422,
                account="another-account",
            ),
        ),
    ),
    Scenario(
        "late/same_number_of_another_client",
        "another client charges under the number of the order's key, and retries after the order's key is forgotten",
        (
            Connection("warm"),
            Hold("point", "order_service", "attempt"),
            Place(),
            AwaitHeld("point"),
            ChargeUnderSameKey("point"),
            ExpectOutcome("acknowledged"),
        ),
    ),
    Scenario(
        "late/concurrent_charges_of_one_account",
        "many concurrent charges of one account: duplicates, other payloads under the same key, and amounts above the balance",
        (Connection("warm"), Place(), ConcurrentCharges(), ExpectOutcome("acknowledged")),
    ),
    Scenario(
        "late/declined_and_then_funded",
        "the answer of a decline is lost, and money is deposited before the retry",
        (
            Connection("warm"),
            OpenUnderfundedAccount(),
            Arm("billing", LimitData(bytes=0)),
            *FIRST_ATTEMPT_LOST,
            Observe(arrivals=1, effects=0),
            DepositMoney(),
            *HEAL_AND_RETRY,
            ExpectOutcome("acknowledged", "HTTP 402, replayed", attempt=2),
            AwaitSettled(),
        ),
        effects=0,
    ),
    Scenario(
        "late/after_the_cancellation",
        "the customer cancels while the charge is on its way, and then it arrives",
        (
            Connection("warm"),
            Hold("original", "billing_service", "arrival"),
            *FIRST_ATTEMPT_LOST,
            Observe(arrivals=1, effects=0),
            Cancel(),
            Release("original"),
            AwaitArrivals(1),
            Observe(effects=0),
            Release(),
            AwaitSettled(),
        ),
        effects=0,
    ),
    Scenario(
        "late/cancelled_too_late",
        "the charge was executed, its answer is lost, and the customer cancels before the retry",
        (
            Connection("warm"),
            Arm("billing", LimitData(bytes=0)),
            *FIRST_ATTEMPT_LOST,
            Observe(arrivals=1, effects=1),
            Heal(),
            Cancel(told=409),
            # The delivery finds the order settled: it writes nothing and sends no notification.
            Release(),
            AwaitArrivals(2),
            AwaitSettled(),
            Place("the last order"),
            ExpectOutcome("acknowledged", label="the last order"),
        ),
    ),
    Scenario(
        "late/cancelled_while_billing_is_down",
        "the charge was executed, its answer is lost, and the customer cancels while billing is down",
        (
            Connection("warm"),
            Arm("billing", LimitData(bytes=0)),
            *FIRST_ATTEMPT_LOST,
            Observe(arrivals=1, effects=1),
            Heal(),
            RefuseConnections("billing"),
            Cancel(told=503),
            *HEAL_AND_RETRY,
            ExpectOutcome("acknowledged", "replayed", attempt=None),
            AwaitSettled(),
        ),
    ),
    Scenario(
        "late/declined_and_cancelled",
        "the answer of a decline is lost, and the customer cancels before the retry",
        (
            Connection("warm"),
            OpenUnderfundedAccount(),
            Arm("billing", LimitData(bytes=0)),
            *FIRST_ATTEMPT_LOST,
            Observe(arrivals=1, effects=0),
            Heal(),
            Cancel(told=409),
            Release(),
            AwaitArrivals(2),
            AwaitSettled(),
        ),
        effects=0,
    ),
    Scenario(
        "late/forgotten_key",
        "an old request arrives again after its key was forgotten",
        (
            Connection("warm"),
            Place(),
            ExpectOutcome("acknowledged"),
            SendCopy(
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
            AwaitHeld("first"),
            Place("the later order"),
            ExpectOutcome("acknowledged", label="the later order"),
            Observe(arrivals=0, effects=0),
            Release("first"),
            ExpectOutcome("acknowledged", "HTTP 201"),
        ),
    ),
    Scenario(
        "late/pending_while_others_settle",
        "an order whose answer was lost stays open while later ones are settled and forgotten",
        (
            Connection("warm"),
            Arm("billing", LimitData(bytes=0)),
            *FIRST_ATTEMPT_LOST,
            Observe(arrivals=1, effects=1),
            Heal(),
            Place("the later order"),
            ExpectOutcome("acknowledged", label="the later order"),
            Place("the last order"),
            ExpectOutcome("acknowledged", label="the last order"),
            AwaitCollectorRounds(),
            Release(),
            ExpectOutcome("acknowledged", "replayed", attempt=2),
        ),
    ),
    Scenario(
        "late/the_lowest_of_two_open_orders",
        "two orders are open, and the one with the lower key is sent again",
        (
            Connection("warm"),
            Arm("billing", LimitData(bytes=0)),
            *FIRST_ATTEMPT_LOST,
            Observe(arrivals=1, effects=1),
            Heal(),
            Hold("later", "order_service", "attempt", label="the later order"),
            Place("the later order"),
            AwaitHeld("later"),
            # Only the lower one of the two may be declared first incomplete.
            AwaitOpenOrdersCounted(2),
            Place("the last order"),
            ExpectOutcome("acknowledged", label="the last order"),
            AwaitCollectorRounds(),
            Release("later"),
            Release(),
            ExpectOutcome("acknowledged", "replayed", attempt=2),
            ExpectOutcome("acknowledged", label="the later order"),
        ),
    ),
    Scenario(
        "late/forgotten_up_to_the_open_order",
        "the keys below an open order are forgotten while its answer is lost",
        (
            *_REMEMBERED,
            Arm("billing", LimitData(bytes=0)),
            *FIRST_ATTEMPT_LOST,
            Observe(arrivals=1, effects=1),
            Heal(),
            Release("earlier"),
            ExpectOutcome("acknowledged", label=_EARLIER),
            # From here on the open order's key is first incomplete: the first one that must be kept.
            AwaitOpenOrdersCounted(1),
            Place("the last order"),
            ExpectOutcome("acknowledged", label="the last order"),
            AwaitCollectorRounds(),
            Release(),
            ExpectOutcome("acknowledged", "replayed", attempt=2),
        ),
    ),
)
