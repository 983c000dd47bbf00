"""The figure shows what was recorded, and nothing else."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from report.figure import End, Figure, Kind
from report.lanes import lane_mentioned, lane_struck, lanes
from report.sequence import figure
from tests.report import sample
from tests.report.story import BILLING, Story

_CLEAN = sample.clean_run()[1]


def ends(drawn: Figure) -> list[tuple[str, End]]:
    return [(stroke.label, stroke.end) for stroke in drawn.strokes]


def kinds(drawn: Figure) -> list[Kind]:
    return [mark.kind for mark in drawn.marks]


def titles(drawn: Figure) -> list[str]:
    return [lane.title for lane in drawn.lanes]


def test_the_lanes_of_the_stack() -> None:
    """The five parts are always there, also of a scenario in which nothing was recorded."""
    stack = ["order", "Toxiproxy", "billing", "Postgres", "notification"]
    assert titles(figure([])) == stack
    assert titles(figure(Story("s").placed().charged(42).events)) == ["customer", *stack]


def test_an_answered_attempt_arrives_both_ways() -> None:
    """One line there, one back, each in one row, nothing lost."""
    drawn = figure(Story("s").charged(42).events)
    assert ends(drawn) == [('charge "42" ?0', End.ARRIVED), ("201", End.ARRIVED)]
    assert [stroke.row_from - stroke.row_to for stroke in drawn.strokes] == [0, 0]
    assert len(drawn.at_ms) == 2


def test_an_arrival_without_a_sender_is_a_stray() -> None:
    """A second one under the same flag is no retry of the caller's: it comes from Toxiproxy's side, and is called so."""
    drawn = figure(Story("s").charged(42).arrival(42).events)
    assert [label for label, _ in ends(drawn)] == ['charge "42" ?0', "201", 'stray charge "42" ?0']
    assert drawn.lanes[drawn.strokes[-1].lane_from].title == "Toxiproxy"


def test_what_the_customer_does_stands_at_the_customer() -> None:
    """Though the harness does it; whatever else the harness does stands at its own lane."""
    story = (
        Story("s")
        .placed()
        .chaos("cancels", text="cancels the order")
        .chaos("concurrent charges", text="ten")
    )
    drawn = figure(story.events)
    assert [(drawn.lanes[mark.lane].title, mark.label) for mark in drawn.marks] == [
        ("customer", "cancels the order"),
        ("chaos", "ten"),
    ]


def test_another_order_is_told_by_its_account() -> None:
    """The order whose money is read first has no name in the diagram; the others do."""
    story = Story("s", "cell-00001111").observed(0, 0).charged(1)
    story.account = "cell-00002222"
    drawn = figure(story.placed().charged(2).observed(1, 1).events)
    assert [label for label, _ in ends(drawn)] == [
        'charge "1" ?0',
        "201",
        "POST /orders, 2222",
        'charge "2" ?0, 2222',
        "201",
    ]
    assert [mark.label for mark in drawn.marks] == ["effects 0, keys 0", "effects 1, keys 1, 2222"]


def test_a_lost_request_ends_at_toxiproxy() -> None:
    """It was sent and never arrived; the caller's exception stands at the caller."""
    drawn = figure(Story("s").attempt(42).no_answer(42, "TimeoutError").events)
    assert ends(drawn) == [('charge "42" ?0', End.LOST)]
    assert drawn.lanes[drawn.strokes[0].lane_to].title == "Toxiproxy"
    assert [(mark.kind, mark.label) for mark in drawn.marks] == [
        (Kind.IN_DOUBT, "saw TimeoutError")
    ]


def test_a_lost_answer_ends_at_toxiproxy() -> None:
    """Billing replied, and the reply did not arrive."""
    story = Story("s").attempt(42).arrival(42).reply(42).no_answer(42, "TimeoutError")
    assert ends(figure(story.events)) == [('charge "42" ?0', End.ARRIVED), ("201", End.LOST)]


def test_taking_the_arrival_away_makes_it_lost() -> None:
    """The negative control: the same story without its arrival is drawn differently."""
    events = Story("s").attempt(42).arrival(42).no_answer(42, "TimeoutError").events
    assert [end for _, end in ends(figure(events))] == [End.ARRIVED]
    assert [end for _, end in ends(figure([events[0], events[2]]))] == [End.LOST]


def test_an_answer_without_a_recorded_arrival_is_not_lost() -> None:
    """A service that is not wrapped records nothing; its answer shows that it was there."""
    drawn = figure(Story("s").attempt(42).answer(42).events)
    assert ends(drawn) == [('charge "42" ?0', End.OPEN), ("201", End.ARRIVED)]


def test_a_retry_shows_its_key_and_its_flag() -> None:
    """The same key with ?1; a fresh key is another charge."""
    story = Story("s").charged(42).charged(42, retry=True).charged(43)
    assert [label for label, _ in ends(figure(story.events)) if label != "201"] == [
        'charge "42" ?0',
        'retry "42" ?1',
        'charge "43" ?0',
    ]


def test_a_delayed_request_slopes() -> None:
    """It leaves in one row and arrives in a later one, across what happened between."""
    drawn = figure(sample.delayed_original()[1])
    delayed = next(stroke for stroke in drawn.strokes if stroke.label == 'charge "42" ?0')
    retry = next(stroke for stroke in drawn.strokes if stroke.label == 'retry "42" ?1')
    assert delayed.row_from < retry.row_from <= retry.row_to < delayed.row_to


def test_a_crash_is_marked_and_leaves_its_lane_dead() -> None:
    """Until the next process of the service shows itself; that one has the same lane."""
    drawn = figure(sample.cell("crash_after_execution", "exactly_once", "disconnect", "warm")[1])
    crash = next(mark for mark in drawn.marks if mark.kind is Kind.CRASH)
    dead = next(band for band in drawn.bands if band.kind is Kind.CRASH)
    assert crash.label == "died before replying"
    assert drawn.lanes[crash.lane].pids == (BILLING, BILLING + 10)
    assert crash.row == dead.row_from < dead.row_to < len(drawn.at_ms) - 1


def test_replicas_have_a_lane_each() -> None:
    """Two processes that lived at the same time are not one; both are told by their pid."""
    drawn = figure(sample.stopped_replica()[1])
    assert [title for title in titles(drawn) if "billing" in title] == ["billing 1", "billing 2"]
    stopped = next(band for band in drawn.bands if band.kind is Kind.STOPPED)
    assert drawn.lanes[stopped.lane].pids == (BILLING,)


def test_a_replica_that_lives_on_keeps_its_lane() -> None:
    """One of two dies; the other one was there before, so it is no replacement."""
    story = Story("s").arrival(1, pid=5).arrival(2, pid=6)
    story.event("billing_service", 5, "reply", died=True).reply(2, pid=6).arrival(3, pid=7)
    assert [lane.pids for lane in lanes(story.events) if "billing" in lane.title] == [(5, 7), (6,)]


def test_a_replica_that_is_idle_while_another_dies_keeps_its_lane() -> None:
    """It did nothing after the death of the other, and was not the one that died: a new process is not its successor."""
    story = Story("s").arrival(1, pid=5).arrival(2, pid=6)
    story.chaos("crashed", what="billing_service", struck=6).arrival(3, pid=7)
    assert [lane.pids for lane in lanes(story.events) if "billing" in lane.title] == [(5,), (6, 7)]


@pytest.mark.parametrize(
    ("what", "pid", "pids"),
    [
        ("billing_service", 5, (5,)),
        ("billing_service", 6, (6,)),
        ("postgres", None, ()),
        ("order_service", 4101, (4101,)),
        ("billing_service", None, None),
        ("a session of Postgres", None, None),
        ("", None, None),
    ],
)
def test_what_was_struck_has_a_lane(
    what: str, pid: int | None, pids: tuple[int, ...] | None
) -> None:
    """Where one of two replicas could be meant, or only a part of something, none is guessed."""
    all_lanes = lanes(Story("s").placed().arrival(1, pid=5).arrival(2, pid=6).events)
    number = lane_struck(all_lanes, what, pid)
    assert (None if number is None else all_lanes[number].pids) == pids


def test_what_is_mentioned_is_noted_beside_its_lane() -> None:
    """A session of Postgres is not Postgres: no crash is drawn, only what was recorded of it."""
    drawn = figure(Story("s").chaos("crashed", what="a session of Postgres").events)
    assert [(mark.kind, drawn.lanes[mark.lane].title) for mark in drawn.marks] == [
        (Kind.NOTE, "Postgres")
    ]
    assert lane_mentioned(drawn.lanes, "no lane") == 0


def test_a_replica_that_was_struck_before_it_did_anything() -> None:
    """It has a lane of its own, so that its death is not drawn on another's."""
    story = Story("s").arrival(1, pid=5).chaos("crashed", what="billing_service", struck=6)
    drawn = figure(story.reply(1, pid=5).events)
    crash = next(mark for mark in drawn.marks if mark.kind is Kind.CRASH)
    assert drawn.lanes[crash.lane].pids == (6,)


def test_a_reply_that_is_written_down_after_it_was_read() -> None:
    """The answer is one stroke, in the row in which it was read, and is not lost."""
    drawn = figure(Story("s").attempt(42).arrival(42).answer(42).reply(42).events)
    assert ends(drawn) == [('charge "42" ?0', End.ARRIVED), ("201", End.ARRIVED)]
    assert len(drawn.at_ms) == 2
    # Other things happened before it was written down.
    story = Story("s").attempt(42).arrival(42).answer(42).observed(1, 1).reply(42)
    answer = figure(story.events).strokes[-1]
    assert (answer.row_from, answer.row_to) == (1, 1)


def test_the_money_of_each_order_is_told_apart() -> None:
    """Two orders in one scenario: the effects of one are no change of the other's."""
    one = Story("s").observed(1, 1).events
    other = Story("s", account="cell-other-0042").later(9).observed(0, 0).events
    assert [mark.label for mark in figure([*one, *other]).marks] == [
        "effects 1, keys 1",
        "effects 0, keys 0, 0042",
    ]
    # What was computed holds for the order that the fault strikes; of others nothing was computed.
    other[0]["effects"] = 2
    assert Kind.EXCEEDED not in kinds(figure([*one, *other], effects_max=1))


def test_a_toxic_is_armed_until_its_own_proxy_is_healed() -> None:
    """Healing another proxy does not end it; without healing it stays until the end."""
    story = Story("s").chaos("armed", proxy="billing", toxic="timeout (timeout 0) upstream")
    story.chaos("healed", proxy="notification").chaos("note", text="still armed")
    assert [(band.row_from, band.row_to) for band in figure(story.events).bands] == [(0, 2)]
    story.chaos("healed", proxy="billing").chaos("note", text="healed")
    drawn = figure(story.events)
    assert [(band.row_from, band.row_to) for band in drawn.bands] == [(0, 3)]
    assert drawn.marks[0].label == "armed billing: timeout (timeout 0) upstream"


def test_money_that_moved_is_told_from_money_that_did_not() -> None:
    """A read that differs from the one before is a commit; more than computed is marked as such."""
    events = Story("s").observed(0, 0).observed(1, 1).observed(1, 1).observed(2, 1).events
    assert kinds(figure(events)) == [
        Kind.OBSERVED,
        Kind.COMMITTED,
        Kind.OBSERVED,
        Kind.COMMITTED,
    ]
    assert kinds(figure(events, effects_max=1))[-1] is Kind.EXCEEDED
    assert figure(events, effects_max=1).marks[-1].label == "effects 1 → 2, not 1, keys 1"
    assert Kind.EXCEEDED not in kinds(figure(events, effects_max=2))


def test_a_copy_of_the_harness_has_no_lost_answer() -> None:
    """Nothing was recorded of its answer, so nothing is said of it."""
    drawn = figure(sample.network_duplicate()[1])
    assert titles(drawn)[0] == "chaos"
    assert ('copy of a charge "42" ?0', End.ARRIVED) in ends(drawn)
    assert End.LOST not in [end for _, end in ends(drawn)]


def test_an_event_without_a_drawing_is_written_down() -> None:
    """What a later version records is not left out."""
    story = Story("s").event("billing_service", BILLING, "collected", keys=7)
    story.chaos("partitioned", hop="billing-db")
    assert [mark.label for mark in figure(story.events).marks] == [
        "collected: keys 7",
        "partitioned: hop billing-db",
    ]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(_CLEAN), max_size=40))
def test_whatever_was_recorded_can_be_drawn(events: list[dict[str, Any]]) -> None:
    """Any events in any order, as damaged as they may be: everything lies within the figure, nothing goes back in time,
    and there are no more strokes and marks than events."""
    drawn = figure(events)
    rows, columns = range(len(drawn.at_ms)), range(len(drawn.lanes))
    for stroke in drawn.strokes:
        assert stroke.row_from <= stroke.row_to
        assert {stroke.row_from, stroke.row_to} <= set(rows)
        assert {stroke.lane_from, stroke.lane_to} <= set(columns)
        assert stroke.lane_from != stroke.lane_to
    for mark in drawn.marks:
        assert mark.row in rows
        assert mark.lane in columns
    for band in drawn.bands:
        assert band.row_from <= band.row_to < len(rows)
    assert len(drawn.strokes) + len(drawn.marks) <= len(events)
    assert (len(drawn.at_ms) > 0) == (len(events) > 0)
