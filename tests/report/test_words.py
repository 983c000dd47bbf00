"""The sentences say what the result says."""

import pytest

from report.words import counted, counts, effects, headline, outcome, situation
from tests.report import sample
from tests.report.sample import Run


def scenario(**changes: object) -> dict[str, object]:
    played, _ = sample.cell("response_lost", "exactly_once", "reset", "fresh")
    return {**played, **changes}


@pytest.mark.parametrize(
    ("verdict", "of_scenarios", "whole", "sentence"),
    [
        (
            "pass",
            ["pass", "pass"],
            "pass",
            "All 2 scenarios kept their promises, and so did the run as a whole",
        ),
        (
            "fail",
            ["pass", "pass"],
            "fail",
            "2 scenarios passed, and the run as a whole broke a promise",
        ),
        (
            "fail",
            ["unknown", "pass"],
            "fail",
            "1 of 2 scenarios passed, 1 could not be judged, and the run as a whole broke a promise",
        ),
        ("fail", ["fail", "pass"], "fail", "1 of 2 scenarios broke a promise"),
        ("unknown", ["unknown"] * 6, "unknown", "6 of 6 scenarios could not be judged"),
        (
            "unknown",
            ["pass", "pass"],
            "unknown",
            "2 scenarios passed, and the run as a whole could not be judged",
        ),
    ],
)
def test_a_run_and_its_whole_in_one_sentence(
    verdict: str, of_scenarios: list[str], whole: str, sentence: str
) -> None:
    """What is counted are scenarios; the run as a whole is named apart from them."""
    scenarios: list[dict[str, object]] = [{"verdict": each} for each in of_scenarios]
    result = {
        "verdict": verdict,
        "scenarios": [*scenarios, {"verdict": whole, "delivery": None}],
    }
    assert headline(result) == sentence
    assert counts(result).endswith(f"; the run as a whole: {whole}")


@pytest.mark.parametrize(
    ("of_scenarios", "with_whole", "words"),
    [
        (15, True, "15 scenarios and the run as a whole"),
        (1, False, "1 scenario"),
        (0, True, "the run as a whole"),
        (0, False, "0 scenarios"),
    ],
)
def test_what_there_is(of_scenarios: int, with_whole: bool, words: str) -> None:
    """A number always says of what."""
    entries: list[dict[str, object]] = [{}] * of_scenarios
    assert counted([*entries, *([{"delivery": None}] if with_whole else [])]) == words


@pytest.mark.parametrize(
    ("verdict", "of_scenarios", "sentence"),
    [
        ("pass", ["pass", "pass"], "All 2 scenarios kept their promises"),
        ("fail", ["pass", "fail"], "1 of 2 scenarios broke a promise"),
        (
            "fail",
            ["pass", "fail", "unknown"],
            "1 of 3 scenarios broke a promise, and 1 could not be judged",
        ),
        ("unknown", ["unknown"], "1 of 1 scenario could not be judged"),
        ("unknown", [], "The run's verdict is unknown, of 0 scenarios"),
        # A verdict that its scenarios do not bear out is repeated, never explained away.
        ("fail", ["pass"], "The run's verdict is fail, of 1 scenario"),
        ("pass", ["pass", "fail"], "The run's verdict is pass, of 2 scenarios"),
    ],
)
def test_a_run_in_one_sentence(verdict: str, of_scenarios: list[str], sentence: str) -> None:
    """How many of how many; nothing played is never a success."""
    result = {"verdict": verdict, "scenarios": [{"verdict": each} for each in of_scenarios]}
    assert headline(result) == sentence


@pytest.mark.parametrize(
    ("measured", "expected", "sentence"),
    [
        (2, 1, "The money moved twice; it should have moved once."),
        (0, 1, "The money never moved; it should have moved once."),
        (3.0, 1, "The money moved 3 times; it should have moved once."),
        (0.5, 1, "The money moved 0.5 times; it should have moved once."),
        (1, 0, "The money moved once; it should have stayed."),
    ],
)
def test_money_that_differs(measured: float, expected: int, sentence: str) -> None:
    """What moved, and what should have."""
    promises = [
        {"name": "T", "claim": "÷", "kept": False},
        {"name": "X1", "claim": "at most once", "kept": False},
    ]
    assert outcome(
        scenario(
            verdict="fail",
            effects_measured=measured,
            effects_expected=expected,
            promises=promises,
        )
    ) == (f"{sentence} Broken: at most once (X1). One more promise is broken.")


def test_money_that_differs_and_what_tells_more() -> None:
    """What the figure says already comes last; what was found beside it comes first."""
    promises = [
        {
            "name": "X1",
            "claim": "at most once",
            "kept": False,
            "detail": "the order was paid twice",
        },
        {
            "name": "X4",
            "claim": "answers are equal",
            "kept": False,
            "detail": "the order got two answers",
        },
    ]
    assert outcome(scenario(verdict="fail", effects_measured=2, promises=promises)) == (
        "The money moved twice; it should have moved once. The order got two answers. "
        "The promise was: answers are equal (X4). One more promise is broken."
    )


def test_a_promise_of_two_moments() -> None:
    """Broken at both, it counts once."""
    promise = {"name": "L1", "claim": "settled", "kept": False}
    assert outcome(
        scenario(verdict="fail", effects_measured=0, promises=[promise, {**promise}])
    ) == ("The money never moved; it should have moved once. Broken: settled (L1).")


def test_money_that_could_not_be_compared() -> None:
    """Not read, or nothing computed: the sentence claims neither right nor wrong."""
    unread = scenario(verdict="unknown", effects_measured=None)
    assert effects(unread) == "not read (has to be 1)"
    assert outcome({**unread, "verdict": "pass"}) == "The money could not be read."
    free = scenario(effects_expected=None)
    assert effects(free) == "1"
    assert outcome(free) == "The money moved once."


def test_a_broken_promise() -> None:
    """The promise is named, so that a right balance is not taken for a pass."""
    promise = {"name": "X4", "claim": "all answers to a key are equal", "kept": False}
    sentence = outcome(scenario(verdict="fail", promises=[promise]))
    assert sentence == "Broken: all answers to a key are equal (X4)."


def test_money_of_another_order() -> None:
    """The first order is right, a second one was charged twice: that comes first, and nothing is called right."""
    promises = [
        {
            "name": "C3",
            "claim": "acknowledged ≤ executed",
            "kept": False,
            "detail": "the later order …",
        },
        {
            "name": "X1",
            "claim": "withdrawn at most once",
            "kept": False,
            "detail": "the later order was paid twice",
        },
        {
            "name": "X2",
            "claim": "a key means an effect",
            "kept": False,
            "detail": "the later order …",
        },
        {"name": "X4", "claim": "answers are equal", "kept": True, "detail": ""},
    ]
    assert outcome(scenario(verdict="fail", promises=promises)) == (
        "The later order was paid twice. The promise was: withdrawn at most once (X1). 2 more promises are broken."
    )


def test_a_long_row_is_shortened() -> None:
    """The sentence stays one; the whole row stands below it."""
    promise = {"name": "X6", "claim": "all agree", "kept": False, "detail": "x" * 500}
    sentence = outcome(scenario(verdict="fail", promises=[promise]))
    assert "x …. The promise was" in sentence
    assert len(sentence) < 250


def test_no_verdict() -> None:
    """The missing witness is named; else the promise that could not be judged."""
    witnesses = [{"claim": "it struck", "seen": False}, {"claim": "it healed", "seen": True}]
    assert outcome(scenario(verdict="unknown", witnesses=witnesses)) == (
        "No verdict: the fault has to be seen to strike, and this was not seen: it struck."
    )
    promise = {"name": "X3", "claim": "an acknowledged charge stays", "kept": None}
    assert outcome(scenario(verdict="unknown", promises=[promise])) == (
        "No verdict, because it is unknown whether an acknowledged charge stays."
    )


def test_a_pass() -> None:
    """It says what was measured."""
    assert outcome(scenario()) == "The money moved once, as computed."


def test_where_it_was_played(clean: Run) -> None:
    """Delivery, family and connection; what a scenario has not is left out."""
    assert situation(scenario()) == "at least once + sequence key · reset · fresh connection"
    assert situation(scenario(family=None)) == "at least once + sequence key · fresh connection"


@pytest.mark.parametrize(
    ("verdict", "first", "sentence"),
    [
        (
            "pass",
            "pass",
            "All 2 scenarios kept their promises, and so did the run as a whole",
        ),
        ("fail", "fail", "1 of 2 scenarios broke a promise"),
        ("fail", "pass", "2 scenarios passed, and the run as a whole broke a promise"),
        ("unknown", "pass", "2 scenarios passed, and the run as a whole could not be judged"),
    ],
)
def test_the_run_as_a_whole_is_no_scenario(verdict: str, first: str, sentence: str) -> None:
    """It is judged beside them, and not counted as one."""
    scenarios = [
        {"verdict": first, "delivery": "exactly_once"},
        {"verdict": "pass", "delivery": "exactly_once"},
        {"verdict": verdict, "delivery": None},
    ]
    assert headline({"verdict": verdict, "scenarios": scenarios}) == sentence


def test_the_run_as_a_whole() -> None:
    """It has no order of its own: nothing is said of its money, its delivery or its connection."""
    whole = {
        "verdict": "fail",
        "delivery": None,
        "family": None,
        "connection": None,
        "effects_measured": None,
        "effects_expected": None,
        "promises": [{"name": "X6", "claim": "keys have no gaps", "kept": False}],
        "witnesses": [],
    }
    assert outcome(whole) == "Broken: keys have no gaps (X6)."
    assert outcome({**whole, "verdict": "pass"}) == "What was asked of the whole database holds."
    assert situation(whole) == ""
