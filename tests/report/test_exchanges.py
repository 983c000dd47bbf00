"""Arrivals find their attempts, answers their replies, and what was lost finds nothing."""

from report.exchanges import Exchange, exchanges
from tests.report.story import BILLING, ORDER, Story


def test_an_answered_attempt() -> None:
    """All four records of one exchange are found."""
    assert exchanges(Story("s").charged(42).events) == [
        Exchange(sent=0, arrived=1, replied=2, ended=3)
    ]


def test_an_attempt_without_arrival() -> None:
    """A request that was lost has an end, and nothing between."""
    events = Story("s").attempt(42).no_answer(42, "TimeoutError").events
    assert exchanges(events) == [Exchange(sent=0, ended=1)]


def test_another_request_is_not_its_arrival() -> None:
    """The negative control: another key, another account, another service are another request."""
    base = Story("s").attempt(42).events
    others = [
        Story("s").attempt(42).arrival(43).events,
        [*base, *Story("s", account="other").arrival(42).events],
        [*base, {**Story("s").arrival(42).events[0], "service": "notification_service"}],
    ]
    for events in others:
        assert exchanges(events) == [Exchange(sent=0), Exchange(arrived=1)]


def test_a_delayed_original() -> None:
    """It arrives after its retry and is told apart by its flag."""
    story = Story("s").attempt(42).no_answer(42, "TimeoutError").attempt(42, retry=True)
    story.arrival(42, retry=True).arrival(42)
    assert exchanges(story.events) == [
        Exchange(sent=0, arrived=4, ended=1),
        Exchange(sent=2, arrived=3),
    ]


def test_two_that_were_held_together() -> None:
    """Original and retry are let go at once, the original first: its own flag counts more than that the retry waits."""
    story = Story("s").attempt(42).no_answer(42, "TimeoutError").attempt(42, retry=True)
    story.arrival(42).arrival(42, retry=True)
    assert exchanges(story.events) == [
        Exchange(sent=0, arrived=3, ended=1),
        Exchange(sent=2, arrived=4),
    ]


def test_a_second_retry() -> None:
    """Of two that look alike, the arrival belongs to the one that still waits."""
    story = Story("s").attempt(42, retry=True).no_answer(42, "TimeoutError", retry=True)
    story.attempt(42, retry=True).arrival(42, retry=True).reply(42, retry=True)
    story.answer(42, retry=True)
    assert exchanges(story.events) == [
        Exchange(sent=0, ended=1),
        Exchange(sent=2, arrived=3, replied=4, ended=5),
    ]


def test_two_that_both_wait() -> None:
    """A caller that died left its attempt open: the arrival belongs to the one that was sent last."""
    story = Story("s").attempt(42, retry=True).attempt(42, retry=True, pid=ORDER + 1)
    story.arrival(42, retry=True)
    assert exchanges(story.events) == [Exchange(sent=0), Exchange(sent=1, arrived=2)]


def test_one_that_waits_and_a_later_one_that_gave_up() -> None:
    """Waiting counts more than being the last."""
    story = Story("s").attempt(42).attempt(42, pid=ORDER + 1)
    story.no_answer(42, "TimeoutError", pid=ORDER + 1).arrival(42)
    assert exchanges(story.events) == [Exchange(sent=0, arrived=3), Exchange(sent=1, ended=2)]


def test_what_comes_after_the_answer() -> None:
    """An arrival that is later than the answer is not what was answered; a reply may be written down later."""
    story = Story("s").attempt(42).answer(42).arrival(42).reply(42)
    assert exchanges(story.events) == [Exchange(sent=0, ended=1), Exchange(arrived=2, replied=3)]
    story = Story("s").attempt(42).arrival(42).answer(42).reply(42)
    assert exchanges(story.events) == [Exchange(sent=0, arrived=1, replied=3, ended=2)]


def test_a_flag_that_was_turned_on_its_way() -> None:
    """It is the attempt that still waits; of one that was given up nothing is said."""
    turned = Story("s").attempt(42, retry=True).arrival(42)
    assert exchanges(turned.events) == [Exchange(sent=0, arrived=1)]
    given_up = Story("s").attempt(42, retry=True).no_answer(42, "TimeoutError", retry=True)
    assert exchanges(given_up.arrival(42).events) == [
        Exchange(sent=0, ended=1),
        Exchange(arrived=2),
    ]


def test_replies_in_another_order() -> None:
    """A process that has two requests in its hands answers each of them."""
    story = Story("s").arrival(1).arrival(2).reply(2).reply(1)
    assert exchanges(story.events) == [
        Exchange(arrived=0, replied=3),
        Exchange(arrived=1, replied=2),
    ]


def test_the_answer_to_something_else_ends_nothing() -> None:
    """Neither has a key, and one has no account: their receivers tell them apart."""
    story = Story("s").order("notify", peer="notifications")
    story.order("answer", peer="keys", status=204)
    story.events[1]["account"] = ""
    assert exchanges(story.events) == [Exchange(sent=0)]


def test_a_crash_is_no_arrival() -> None:
    """The line that a dying process leaves stands for its death, not for a request or a reply."""
    story = Story("s").attempt(42).arrival(42)
    story.event("billing_service", BILLING, "reply", died=True)
    assert exchanges(story.events) == [Exchange(sent=0, arrived=1)]


def test_a_reply_belongs_to_its_process() -> None:
    """Two replicas with the same request: each reply belongs to the arrival at its own process."""
    story = Story("s").attempt(42).arrival(42, pid=1).chaos("sent", sequence_key='"42"', retry="?0")
    story.arrival(42, pid=2).reply(42, pid=2)
    found = exchanges(story.events)
    assert found == [Exchange(sent=0, arrived=1), Exchange(sent=2, arrived=3, replied=4)]


def test_what_its_sender_took_along() -> None:
    """A caller that ends with an attempt in hand may not have sent it, so it is not called lost."""
    died = Story("s").attempt(42).order("attempt", died=True)
    assert exchanges(died.events) == [Exchange(sent=0, in_hand=True)]
    killed = Story("s").attempt(42).chaos("crashed", what="order_service", struck=ORDER)
    assert exchanges(killed.events) == [Exchange(sent=0, in_hand=True)]


def test_what_had_left_before_its_sender_ended() -> None:
    """The negative control: it arrived, or was given up, or another process was killed."""
    arrived = Story("s").attempt(42).arrival(42).order("answer", died=True)
    assert exchanges(arrived.events) == [Exchange(sent=0, arrived=1)]
    late = Story("s").attempt(42).chaos("crashed", what="order_service", struck=ORDER).arrival(42)
    assert exchanges(late.events) == [Exchange(sent=0, arrived=2)]
    given_up = Story("s").attempt(42).no_answer(42, "TimeoutError").order("attempt", died=True)
    assert exchanges(given_up.events) == [Exchange(sent=0, ended=1)]
    other = Story("s").attempt(42).chaos("crashed", what="order_service", struck=ORDER + 1)
    assert exchanges(other.events) == [Exchange(sent=0)]


def test_flags_that_were_turned_until_they_look_like_another() -> None:
    """The retry arrives with the flag of the lost original; as the retry was answered, the arrival is its own."""
    story = Story("s").attempt(42).no_answer(42, "TimeoutError").attempt(42, retry=True)
    story.arrival(42).answer(42, retry=True).reply(42)
    assert exchanges(story.events) == [
        Exchange(sent=0, ended=1),
        Exchange(sent=2, arrived=3, replied=5, ended=4),
    ]
    # The negative control: the original arrived before the retry was sent, so it is not the retry's arrival.
    story = Story("s").attempt(42).no_answer(42, "TimeoutError").arrival(42)
    story.attempt(42, retry=True).answer(42, retry=True)
    assert exchanges(story.events) == [
        Exchange(sent=0, arrived=2, ended=1),
        Exchange(sent=3, ended=4),
    ]


def test_a_request_that_was_cut_short() -> None:
    """It has no body and so no account; its headers are enough to know it."""
    story = Story("s").attempt(42).arrival(42)
    story.events[1].update(account="", complete=False)
    assert exchanges(story.events) == [Exchange(sent=0, arrived=1)]


def test_charges_and_notifications_are_kept_apart() -> None:
    """The answer to a notification does not end a charge."""
    story = Story("s").attempt(42).notified()
    found = exchanges(story.events)
    assert found == [Exchange(sent=0), Exchange(sent=1, arrived=2, replied=3, ended=4)]


def test_a_request_to_something_else_is_no_exchange() -> None:
    """The services record arrivals of charges and notifications only; of others nothing can be said to be lost."""
    story = Story("s").event("order_service", ORDER, "notify", peer="charges/42")
    assert exchanges(story.events) == []
