"""Numbers as they are said in a finding and in a report.

Guarantee: a number that is not said in a word is written with six digits.
"""

from collections.abc import Mapping

_OFTEN: Mapping[float, str] = {0: "never", 1: "once", 2: "twice"}


def was(done: str, number: float) -> str:
    """What was done so often: `was never withdrawn`, `was withdrawn twice`."""
    return f"was never {done}" if number == 0 else f"was {done} {often(number)}"


def often(number: float) -> str:
    """How often something happened: `never`, `once`, `twice`, `0.5 times`."""
    return _OFTEN.get(number) or f"{number:g} times"
