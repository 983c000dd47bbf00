"""The three semantics, step by step, against steps that the test plays."""

from dataclasses import dataclass, field

import pytest

from order_service.delivery import at_least_once, at_most_once, exactly_once, is_final
from order_service.outcomes import Acknowledged, Outcome, Refused, Unknown

CHARGED = Acknowledged("HTTP 201")
LOST = Unknown("ServerDisconnectedError")
UNREACHABLE = Refused("ClientConnectorError")
IN_FLIGHT = Unknown("HTTP 409 key-in-flight")
NO_ACCOUNT = Refused("HTTP 404 account-unknown", {"type": "account-unknown"})
WRONG_TOKEN = Refused("HTTP 401 token-wrong", {"type": "token-wrong"})


@dataclass(frozen=True)
class Order:
    sequence_key: int = 7
    attempts: int = 1
    taken_over: bool = False


@dataclass
class PlayedSteps:
    """Gives the outcomes in turn and writes down what was done."""

    outcomes: list[Outcome]
    next_key: int = 100
    found: Outcome | None = None
    done: list[tuple[object, ...]] = field(default_factory=list)

    async def send(self, attempt: int, sequence_key: int, *, retry: bool) -> Outcome:
        self.done.append(("send", attempt, sequence_key, retry))
        return self.outcomes.pop(0)

    async def make_sure(self, sequence_key: int, refused: Refused) -> Outcome:
        self.done.append(("make sure", sequence_key))
        return self.found or refused

    async def pause(self, attempt: int, outcome: Outcome) -> None:
        self.done.append(("pause", attempt))

    async def begin(self, attempt: int) -> None:
        self.done.append(("begin", attempt))

    async def begin_with_fresh_key(self, attempt: int) -> int:
        self.done.append(("begin with fresh key", attempt))
        self.next_key += 1
        return self.next_key


async def test_exactly_once_keeps_its_key_and_raises_the_flag() -> None:
    """All attempts carry one key; the retry flag is up on every attempt but the first."""
    steps = PlayedSteps([LOST, UNREACHABLE, CHARGED])
    assert await exactly_once(Order(), steps) == CHARGED
    assert steps.done == [
        ("send", 1, 7, False),
        ("pause", 1),
        ("begin", 2),
        ("send", 2, 7, True),
        ("pause", 2),
        ("begin", 3),
        ("send", 3, 7, True),
    ]


async def test_at_least_once_mints_inside_the_loop() -> None:
    """Each attempt has a key of its own and no retry flag, so the receiver cannot know a retry."""
    steps = PlayedSteps([LOST, LOST, CHARGED])
    assert await at_least_once(Order(), steps) == CHARGED
    assert [step for step in steps.done if step[0] == "send"] == [
        ("send", 1, 7, False),
        ("send", 2, 101, False),
        ("send", 3, 102, False),
    ]


@pytest.mark.parametrize("outcome", [CHARGED, LOST, UNREACHABLE, NO_ACCOUNT])
async def test_at_most_once_sends_once_whatever_comes_back(outcome: Outcome) -> None:
    """There is no second attempt, not even after a definite refusal."""
    steps = PlayedSteps([outcome])
    assert await at_most_once(Order(), steps) == outcome
    assert steps.done == [("send", 1, 7, False)]


async def test_a_taken_over_order_is_sent_as_a_retry() -> None:
    """Whether the dead process had sent is unknown, so the flag is up and the attempt is counted before it is sent."""
    steps = PlayedSteps([CHARGED])
    assert await exactly_once(Order(attempts=3, taken_over=True), steps) == CHARGED
    assert steps.done == [("begin", 4), ("send", 4, 7, True)]


async def test_a_taken_over_order_is_never_sent_at_most_once() -> None:
    """The dead process may have sent it; sending it now could be the second time."""
    steps = PlayedSteps([])
    assert isinstance(await at_most_once(Order(taken_over=True), steps), Unknown)
    assert steps.done == []


@pytest.mark.parametrize(
    ("outcome", "final"),
    [(CHARGED, True), (NO_ACCOUNT, True), (UNREACHABLE, False), (LOST, False)],
)
def test_only_an_answer_is_final(outcome: Outcome, final: bool) -> None:
    """What the peer did not answer may change; what it answered does not."""
    assert is_final(outcome) is final


async def test_nothing_is_sent_after_an_answer() -> None:
    """The outcome after the answer is never asked for."""
    steps = PlayedSteps([CHARGED, LOST])
    await exactly_once(Order(), steps)
    assert steps.outcomes == [LOST]


async def test_a_refusal_of_the_first_attempt_is_a_fact() -> None:
    """Nothing else is under way, so there is nothing to make sure of."""
    steps = PlayedSteps([WRONG_TOKEN])
    assert await exactly_once(Order(), steps) == WRONG_TOKEN
    assert steps.done == [("send", 1, 7, False)]


async def test_a_refusal_that_may_be_lifted_is_made_sure_of() -> None:
    """The network may have made a copy of the request, which arrives after the account was opened."""
    steps = PlayedSteps([NO_ACCOUNT])
    assert await exactly_once(Order(), steps) == NO_ACCOUNT
    assert steps.done == [("send", 1, 7, False), ("make sure", 7)]


@pytest.mark.parametrize("found", [NO_ACCOUNT, CHARGED])
async def test_a_refusal_after_a_lost_attempt_is_made_sure_of(found: Outcome) -> None:
    """The lost attempt may arrive late: the key is voided first, and if it was executed, that is the answer."""
    steps = PlayedSteps([LOST, WRONG_TOKEN], found=found)
    assert await exactly_once(Order(), steps) == found
    assert steps.done[-2:] == [("send", 2, 7, True), ("make sure", 7)]


async def test_what_could_not_be_made_sure_of_goes_on() -> None:
    """Without an answer about the key the order stays pending and is sent again."""
    steps = PlayedSteps([LOST, WRONG_TOKEN, CHARGED], found=LOST)
    assert await exactly_once(Order(), steps) == CHARGED
    assert steps.done[-1] == ("send", 3, 7, True)


async def test_a_refusal_after_a_takeover_is_made_sure_of() -> None:
    """The dead process may have sent what is still under way."""
    steps = PlayedSteps([WRONG_TOKEN])
    await exactly_once(Order(taken_over=True), steps)
    assert ("make sure", 7) in steps.done


@pytest.mark.parametrize(
    "before",
    [
        [LOST, UNREACHABLE],
        [UNREACHABLE, LOST],
        [LOST, UNREACHABLE, UNREACHABLE, UNREACHABLE],
        [IN_FLIGHT, UNREACHABLE],
        [UNREACHABLE, IN_FLIGHT, UNREACHABLE],
    ],
    ids=lambda before: "-".join(outcome.caller_saw for outcome in before),
)
async def test_a_refusal_long_after_a_lost_attempt_is_made_sure_of(before: list[Outcome]) -> None:
    """What was lost once may still arrive, however many attempts after it are known to have gone nowhere."""
    steps = PlayedSteps([*before, WRONG_TOKEN], found=CHARGED)
    assert await exactly_once(Order(), steps) == CHARGED
    assert steps.done[-1] == ("make sure", 7)


async def test_a_refusal_long_after_a_takeover_is_made_sure_of() -> None:
    """What the dead process may have sent is not forgotten because this one could not connect at first."""
    steps = PlayedSteps([UNREACHABLE, WRONG_TOKEN], found=CHARGED)
    assert await exactly_once(Order(taken_over=True), steps) == CHARGED
    assert steps.done[-1] == ("make sure", 7)


async def test_a_refusal_after_attempts_that_went_nowhere_is_a_fact() -> None:
    """No connection was ever made before it, so nothing is under way."""
    steps = PlayedSteps([UNREACHABLE, UNREACHABLE, WRONG_TOKEN])
    assert await exactly_once(Order(), steps) == WRONG_TOKEN
    assert ("make sure", 7) not in steps.done


@pytest.mark.parametrize("found", [LOST, UNREACHABLE])
async def test_what_could_not_be_made_sure_of_is_made_sure_of_again(found: Outcome) -> None:
    """The next refusal is as doubtful as the one before it."""
    steps = PlayedSteps([LOST, NO_ACCOUNT, NO_ACCOUNT, CHARGED], found=found)
    assert await exactly_once(Order(), steps) == CHARGED
    assert steps.done.count(("make sure", 7)) == 2


async def test_at_least_once_takes_a_fresh_key_after_a_takeover() -> None:
    """The harm has to show after a crash as well: the dead process's key is not sent again."""
    steps = PlayedSteps([CHARGED])
    assert await at_least_once(Order(attempts=3, taken_over=True), steps) == CHARGED
    assert steps.done == [("begin with fresh key", 4), ("send", 4, 101, False)]
