"""What is said of a run and of a scenario, in sentences that need no knowledge of the code.

Guarantee: a sentence repeats the result; it never judges anew.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from chaos.numerals import often

# A run or a scenario as it stands in result.json.
Json = Mapping[str, Any]

DELIVERIES = {
    "at_most_once": "at most once",
    "at_least_once": "at least once, a fresh key each attempt",
    "exactly_once": "at least once + sequence key",
}
# Promises that speak of money in words that anybody understands: what they say comes first.
_OF_MONEY = frozenset({"C1", "C2", "M1", "X1", "X1b", "X1c", "X3", "X7", "X10"})
# Two lines on a screen: enough to see what is wrong, and all of it stands below.
_ROW_SHOWN = 200
# What says no more than the sentence on the money does.
_SAID_BY_THE_MONEY = frozenset({"T", "X1"})


def headline(result: Json) -> str:
    """The run in one sentence."""
    scenarios = played(result)
    count = len(scenarios)
    wrong = of_verdict(scenarios, result["verdict"])
    if count < len(result["scenarios"]) and count == len(of_verdict(scenarios, "pass")):
        if result["verdict"] == "fail":
            return f"{_scenarios(count)} passed, and the run as a whole broke a promise"
        if result["verdict"] == "unknown":
            return f"{_scenarios(count)} passed, and the run as a whole could not be judged"
    match result["verdict"]:
        case "pass" if count and len(wrong) == count:
            return f"All {count} scenarios kept their promises"
        case "fail" if wrong:
            unjudged = len(of_verdict(scenarios, "unknown"))
            more = f", and {unjudged} could not be judged" if unjudged else ""
            return f"{len(wrong)} of {_scenarios(count)} broke a promise{more}"
        case "unknown" if wrong:
            return f"{len(wrong)} of {_scenarios(count)} could not be judged"
    return f"The run's verdict is {result['verdict']}, of {_scenarios(count)}"


def played(result: Json) -> list[Json]:
    """The scenarios, without the judgement on the run as a whole, which has no acts and so no delivery."""
    return [
        scenario for scenario in result["scenarios"] if scenario.get("delivery", "") is not None
    ]


def of_verdict(scenarios: Sequence[Json], verdict: str) -> list[Json]:
    """The scenarios that were judged so."""
    return [scenario for scenario in scenarios if scenario["verdict"] == verdict]


def outcome(scenario: Json) -> str:
    """A scenario in one or two sentences: what went wrong, or what went as it should."""
    match scenario["verdict"]:
        case "fail":
            return _broken(scenario)
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
    return text if expected is None else f"{text} (has to be {expected:g})"


def _money(scenario: Json) -> str:
    measured, expected = scenario["effects_measured"], scenario["effects_expected"]
    if scenario.get("delivery", "") is None:
        return "What was asked of the whole database holds."
    if measured is None:
        return "The money could not be read."
    moved = "The money never moved" if measured == 0 else f"The money moved {often(measured)}"
    if _differs(scenario):
        return f"{moved}; it should have {f'moved {often(expected)}' if expected else 'stayed'}."
    return f"{moved}, as computed." if expected is not None else f"{moved}."


def _differs(scenario: Json) -> bool:
    """Where nothing was computed, or nothing could be read, there is nothing to compare."""
    measured, expected = scenario["effects_measured"], scenario["effects_expected"]
    return measured is not None and expected is not None and bool(measured != expected)


def _broken(scenario: Json) -> str:
    """What was found, and the promise that it breaks; of several the worst, and how many more there are.

    It says nothing of the money being right: the figure is that of the first order, and another one may be wrong.
    """
    broken = [promise for promise in scenario["promises"] if promise["kept"] is False]
    if not broken:
        return "The verdict is fail, and no broken promise is named."
    said = _SAID_BY_THE_MONEY if _differs(scenario) else frozenset[str]()
    first = min(broken, key=lambda p: (p["name"] in said, p["name"] not in _OF_MONEY))
    # A promise that is judged at more than one moment counts once.
    others = len({promise["name"] for promise in broken} - {first["name"]})
    promised = f"{first['claim']} ({first['name']})"
    found = _sentence(first.get("detail") or "")
    parts = (
        _money(scenario) if _differs(scenario) else "",
        f"{found} The promise was: {promised}." if found else f"Broken: {promised}.",
        "One more promise is broken." if others == 1 else "",
        f"{others} more promises are broken." if others > 1 else "",
    )
    return " ".join(filter(None, parts))


def _sentence(clause: str) -> str:
    if not clause:
        return ""
    shown = clause if len(clause) <= _ROW_SHOWN else f"{clause[: _ROW_SHOWN - 2]} …"
    return f"{shown[0].upper()}{shown[1:]}."


def _missing(scenario: Json) -> str:
    missing = [witness["claim"] for witness in scenario["witnesses"] if not witness["seen"]]
    if missing:
        return f"No verdict: the fault has to be seen to strike, and this was not seen: {'; '.join(dict.fromkeys(missing))}."
    open_claims = [promise["claim"] for promise in scenario["promises"] if promise["kept"] is None]
    return f"No verdict, because it is unknown whether {'; '.join(open_claims) or 'it happened'}."


def _scenarios(count: int) -> str:
    return f"{count} scenario" if count == 1 else f"{count} scenarios"
