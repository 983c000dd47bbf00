"""The five things that can happen to a first attempt: the rows of the headline table."""

from dataclasses import dataclass


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
