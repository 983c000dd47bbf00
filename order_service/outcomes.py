"""The outcomes of an attempt. Each one says whether the request could have been executed.

Guarantee: an outcome is acknowledged or refused only when that is certain; else it is unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from billing_service.wire import Charged, Declined


@dataclass(frozen=True)
class Acknowledged:
    """A final answer came: a charge was charged or declined; None for requests that a status alone answers."""

    caller_saw: str
    answer: Charged | Declined | None = None


@dataclass(frozen=True)
class Refused:
    """Definitely not executed. `answer` is the problem when the peer refused; None when it could not be reached.

    Without an answer another attempt may succeed; with one, the same request gets the same answer again.
    """

    caller_saw: str
    answer: dict[str, Any] | None = None


@dataclass(frozen=True)
class Unknown:
    """It may have been executed. `retry_after_s` is the peer's Retry-After, in seconds.

    `misdirected`: a complete answer came, but for another charge. Something between the services mixes up answers.
    """

    caller_saw: str
    retry_after_s: float = 0.0
    misdirected: bool = False


Outcome = Acknowledged | Refused | Unknown

# The slugs of refusals that say something about the key: it is voided; it was executed for another order; it was executed for
# this order with another account or amount; it was declined, and the answer does not name the order.
VOIDED = "key-voided"
KEY_OF_ANOTHER = "key-reused"
CHARGED_OTHERWISE = "key-executed"
DECLINED_UNNAMED = "key-declined"
# The key was settled, and billing has forgotten its outcome.
FORGOTTEN = "key-forgotten"
# The one refusal that a change at billing lifts: the account may be opened later.
ACCOUNT_UNKNOWN = "account-unknown"


def slug_of(answer: Mapping[str, Any] | None) -> str:
    """The last part of a problem's type; empty when it is no problem."""
    return str((answer or {}).get("type", "")).rpartition("/")[2]


def may_be_lifted(refused: Refused) -> bool:
    """Whether billing may execute a copy of the refused request later; its key is not spent."""
    return slug_of(refused.answer) == ACCOUNT_UNKNOWN


def name_of(outcome: Outcome) -> str:
    """An outcome as records and metrics name it: acknowledged, refused or unknown."""
    return type(outcome).__name__.lower()
