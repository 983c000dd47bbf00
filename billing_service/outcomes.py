"""Every outcome and every error of a charge, with one sentence each: could the withdrawal have happened?

Guarantee: a value of this module says that the withdrawal happened (`Answer` with status 201) or that this request executed
nothing. Only `DatabaseTrouble`, which is not `LockWaitTooLong`, leaves it open; the same key then learns the outcome.
"""

from dataclasses import dataclass

from service_kit.bounded_pool import LockWaitTooLong

CHARGED = 201
DECLINED = 402
VOIDED = 410


# Outcomes of a charge, of voiding a key, and of reading one.


@dataclass(frozen=True)
class Answer:
    """Final: 201 withdrew the money exactly once, 402 withdrew nothing. `replayed` when an earlier request executed it."""

    status: int
    body: str
    replayed: bool = False


@dataclass(frozen=True)
class Voided:
    """Never happened and never will: the client took the key out of use before it was executed."""


@dataclass(frozen=True)
class KeyReused:
    """Did not happen: the key belongs to a request with another payload."""


@dataclass(frozen=True)
class KeyForgotten:
    """Did not happen now and never will: the key lies below the client's mark. An earlier request may have executed it."""

    first_incomplete: int


@dataclass(frozen=True)
class KeyInFlight:
    """Did not happen here, but another transaction that holds the key may be executing it. The same key learns the outcome."""


@dataclass(frozen=True)
class AccountUnknown:
    """Did not happen: the account does not exist. The key is not spent."""


@dataclass(frozen=True)
class TooLate:
    """Did not happen: the caller's deadline had passed before the charge began. The key is not spent."""


@dataclass(frozen=True)
class NeverSeen:
    """Has not happened so far: the key was never processed, but its charge may still arrive."""


ChargeOutcome = Answer | Voided | KeyReused | KeyForgotten | KeyInFlight | AccountUnknown | TooLate
VoidOutcome = Answer | Voided | KeyForgotten | KeyInFlight
KeyState = Answer | Voided | KeyForgotten | NeverSeen


# Errors. `service_kit.bounded_pool` adds `DatabaseTrouble` (may have happened) and `LockWaitTooLong` (did not happen).


class KeyHeld(Exception):
    """Did not happen: another transaction holds this key. Catch it outside the aborted transaction."""


class ClientHeld(LockWaitTooLong):
    """Did not happen: the client's mark stayed locked for longer than the lock timeout."""


class QueueFull(Exception):
    """Did not happen: too many charges wait. The key is not spent."""


class MarkLeap(Exception):
    """Did not happen: the request's mark lies too far above the client's keys. The mark was not moved."""

    def __init__(self, client: str, first_incomplete: int, highest_key: int, leap_max: int) -> None:
        super().__init__(f"{first_incomplete} lies more than {leap_max} above {highest_key}")
        self.client = client
        self.first_incomplete = first_incomplete
        self.highest_key = highest_key
        self.leap_max = leap_max
