"""What is said of a run and of a scenario, in sentences that need no knowledge of the code.

Guarantee: a sentence repeats the result; it never judges anew.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from report.numbers import often

# A run or a scenario as it stands in result.json.
Json = Mapping[str, Any]

DELIVERIES = {
    "at_most_once": "at most once",
    "at_least_once": "at least once, a fresh key each attempt",
    "exactly_once": "at least once + sequence key",
}
# Promises about money, which need no explanation: their findings come first.
_OF_MONEY = frozenset({"C1", "C2", "M1", "X1", "X1b", "X1c", "X3", "X7", "X10"})
# Two lines on a screen: enough to see what is wrong, and all of it stands below.
_ROW_SHOWN = 200
# What says no more than the sentence on the money does.
_SAID_BY_THE_MONEY = frozenset({"T", "X1"})


def headline(result: Json) -> str:
    """The run in one sentence: its scenarios, and the run as a whole where that says something else."""
    scenarios = played(result)
    wholes = [scenario for scenario in result["scenarios"] if not is_scenario(scenario)]
    whole = wholes[0]["verdict"] if wholes else None
    count, passed = len(scenarios), len(of_verdict(scenarios, "pass"))
    failed, unjudged = (len(of_verdict(scenarios, verdict)) for verdict in ("fail", "unknown"))
    match result["verdict"]:
        case "pass" if count and passed == count and whole in (None, "pass"):
            so_did = ", and so did the run as a whole" if whole else ""
            return f"All {_scenarios(count)} kept their promises{so_did}"
        case "fail" if failed:
            more = f", and {unjudged} could not be judged" if unjudged else ""
            return f"{failed} of {_scenarios(count)} broke a promise{more}"
        case "fail" if whole == "fail":
            all_or_some = (
                _scenarios(count) if passed == count else f"{passed} of {_scenarios(count)}"
            )
            more = f", {unjudged} could not be judged" if unjudged else ""
            return f"{all_or_some} passed{more}, and the run as a whole broke a promise"
        case "unknown" if unjudged:
            return f"{unjudged} of {_scenarios(count)} could not be judged"
        case "unknown" if whole == "unknown":
            return f"{_scenarios(passed)} passed, and the run as a whole could not be judged"
    return f"The run's verdict is {result['verdict']}, of {_scenarios(count)}"


def counts(result: Json) -> str:
    """How many scenarios have which verdict, and the verdict on the run as a whole."""
    scenarios = played(result)
    each = ", ".join(
        f"{len(of_verdict(scenarios, verdict))} {verdict}"
        for verdict in ("pass", "fail", "unknown")
    )
    wholes = [scenario for scenario in result["scenarios"] if not is_scenario(scenario)]
    whole = "".join(f"; the run as a whole: {scenario['verdict']}" for scenario in wholes)
    return f"{_scenarios(len(scenarios))}: {each}{whole}"


def counted(entries: Sequence[Json]) -> str:
    """What there is of these: `15 scenarios and the run as a whole`."""
    scenarios = len([entry for entry in entries if is_scenario(entry)])
    parts = [_scenarios(scenarios)] if scenarios else []
    if scenarios < len(entries):
        parts.append("the run as a whole")
    return " and ".join(parts) or _scenarios(0)


def is_scenario(entry: Json) -> bool:
    """Whether this is a scenario: the judgement on the run as a whole has no steps and so no delivery."""
    return entry.get("delivery", "") is not None


def played(result: Json) -> list[Json]:
    """The scenarios, without the judgement on the run as a whole."""
    return [entry for entry in result["scenarios"] if is_scenario(entry)]


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
