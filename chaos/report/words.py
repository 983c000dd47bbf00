"""What is said of a run and of a scenario, in sentences that need no knowledge of the code.

Guarantee: a sentence repeats the result; it never judges anew.
"""

from collections.abc import Mapping, Sequence
from typing import Any

# A run or a scenario as it stands in result.json.
Json = Mapping[str, Any]

DELIVERIES = {
    "at_most_once": "at most once",
    "at_least_once": "at least once, a fresh key each attempt",
    "exactly_once": "at least once + sequence key",
}
_OFTEN: Mapping[float, str] = {0: "never", 1: "once", 2: "twice"}


def headline(result: Json) -> str:
    """The run in one sentence."""
    scenarios: Sequence[Json] = result["scenarios"]
    count = len(scenarios)
    wrong = of_verdict(scenarios, result["verdict"])
    match result["verdict"]:
        case "pass" if count and len(wrong) == count:
            return f"All {count} scenarios kept their promises"
        case "fail" if wrong:
            return f"{len(wrong)} of {_scenarios(count)} broke a promise"
        case "unknown" if wrong:
            return f"{len(wrong)} of {_scenarios(count)} could not be judged"
    return f"The run's verdict is {result['verdict']}, of {_scenarios(count)}"


def of_verdict(scenarios: Sequence[Json], verdict: str) -> list[Json]:
    """The scenarios that were judged so."""
    return [scenario for scenario in scenarios if scenario["verdict"] == verdict]


def outcome(scenario: Json) -> str:
    """A scenario in one or two sentences: what went wrong, or what went as it should."""
    match scenario["verdict"]:
        case "fail":
            return (
                f"{_money(scenario)} {_names(scenario)}".strip()
                if _differs(scenario)
                else _broken(scenario)
            )
        case "unknown":
            return _missing(scenario)
    return _money(scenario)


def situation(scenario: Json) -> str:
    """Delivery, family and connection."""
    parts = (
        DELIVERIES.get(scenario["delivery"], scenario["delivery"]),
        scenario.get("family"),
        f"{scenario['connection']} connection" if scenario.get("connection") else None,
    )
    return " · ".join(part for part in parts if part)


def effects(scenario: Json) -> str:
    """What was measured, and what was computed if anything was."""
    measured, expected = scenario["effects_measured"], scenario["effects_expected"]
    text = "not read" if measured is None else f"{measured:g}"
    return text if expected is None else f"{text} (computed {expected:g})"


def times(effects: float) -> str:
    """How often the money moved."""
    return _OFTEN.get(effects) or f"{effects:g} times"


def _money(scenario: Json) -> str:
    measured, expected = scenario["effects_measured"], scenario["effects_expected"]
    if measured is None:
        return "The money could not be read."
    moved = "The money never moved" if measured == 0 else f"The money moved {times(measured)}"
    if _differs(scenario):
        return f"{moved}; it should have moved {times(expected)}."
    return f"{moved}, as computed." if expected is not None else f"{moved}."


def _differs(scenario: Json) -> bool:
    """Where nothing was computed, or nothing could be read, there is nothing to compare."""
    measured, expected = scenario["effects_measured"], scenario["effects_expected"]
    return measured is not None and expected is not None and bool(measured != expected)


def _broken(scenario: Json) -> str:
    claims = [promise["claim"] for promise in scenario["promises"] if promise["kept"] is False]
    if scenario["effects_measured"] is None:
        # Nothing of one order was measured: it speaks of the run as a whole, or the money could not be read.
        return f"This is broken: {'; '.join(claims) or 'nothing that has a name'}."
    if not claims:
        return "The money is right, and the verdict is fail all the same."
    return f"The money is right, but this is broken: {'; '.join(claims)}."


def _names(scenario: Json) -> str:
    names = [promise["name"] for promise in scenario["promises"] if promise["kept"] is False]
    return f"Broken: {', '.join(names)}." if names else ""


def _missing(scenario: Json) -> str:
    missing = [witness["claim"] for witness in scenario["witnesses"] if not witness["seen"]]
    if missing:
        return f"No verdict, because nobody saw this: {'; '.join(missing)}."
    open_claims = [promise["claim"] for promise in scenario["promises"] if promise["kept"] is None]
    return f"No verdict, because it is unknown whether {'; '.join(open_claims) or 'it happened'}."


def _scenarios(count: int) -> str:
    return f"{count} scenario" if count == 1 else f"{count} scenarios"
