"""What an attempt can end with. Each outcome answers the question whether it could have happened.

Guarantee: only what is certain is acknowledged or refused; everything else is unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from billing_service.wire import Charged, Declined


@dataclass(frozen=True)
class Acknowledged:
    """A final answer came: for a charge, that it was charged or declined; None for what is answered by a status alone."""

    caller_saw: str
    answer: Charged | Declined | None = None


@dataclass(frozen=True)
class Refused:
    """Definitely not executed. `answer` is the problem when the peer said no; None when it could not be reached.

    Without an answer another attempt may do better; with one, the same request gets the same answer again.
    """

    caller_saw: str
    answer: dict[str, Any] | None = None


@dataclass(frozen=True)
class Unknown:
    """It may have happened. `retry_after_s` is the peer's wish, in seconds.

    `misdirected`: the answer was a whole one, and for another charge. Something between the two mixes answers up.
    """

    caller_saw: str
    retry_after_s: float = 0.0
    misdirected: bool = False


Outcome = Acknowledged | Refused | Unknown

# The slugs of refusals that say something about the key. It is voided; or it was executed for another order; or for this
# order, but with another account or amount; or it was declined, and nobody knows for which order.
VOIDED = "key-voided"
KEY_OF_ANOTHER = "key-reused"
CHARGED_OTHERWISE = "key-executed"
DECLINED_UNNAMED = "key-declined"
# It was settled, and what it did is not known to billing any more.
FORGOTTEN = "key-forgotten"


def slug_of(answer: Mapping[str, Any] | None) -> str:
    """The last part of a problem's type; empty when it is no problem."""
    return str((answer or {}).get("type", "")).rpartition("/")[2]


def name_of(outcome: Outcome) -> str:
    """An outcome as records and metrics name it: acknowledged, refused or unknown."""
    return type(outcome).__name__.lower()
