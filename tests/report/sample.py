"""Runs as the harness records them: a clean one, and one over a billing service that lost its unique index."""

from itertools import product
from typing import Any

from tests.report.story import BILLING, ORDER, Story

Run = tuple[dict[str, Any], list[dict[str, Any]]]

SAW = {
    "disconnect": "ServerDisconnectedError",
    "reset": "ClientOSError",
    "silence": "ConnectionTimeoutError",
}
TOXICS = {
    "disconnect": "limit_data (bytes 0)",
    "reset": "reset_peer (timeout 0)",
    "silence": "timeout (timeout 0)",
}
TITLES = {
    "success": "success",
    "response_lost": "response lost",
    "crash_after_execution": "crash after executing, before responding",
    "crash_before_execution": "crash before executing",
    "request_lost": "request never received",
}
EXECUTED = ("success", "response_lost", "crash_after_execution")
DELIVERIES = ("at_most_once", "at_least_once", "exactly_once")
PROMISES = {
    "X1": ("every accepted order has its effect once, by the bound after healing", "liveness"),
    "X2": ("at every snapshot a key is processed if and only if its effect happened", "safety"),
    "X4": ("all answers to a key are equal", "safety"),
    "X5": ("money is conserved: withdrawn = billed = opening - closing balances", "safety"),
    "V1": ("every attempt has one completion and every fault its witness", "validity"),
}


def clean_run() -> Run:
    """Everything as promised: the table in three families, and what stands outside of it."""
    played = [
        cell(situation, delivery, family, connection)
        for family, connection in (
            ("disconnect", "warm"),
            ("disconnect", "fresh"),
            ("reset", "fresh"),
            ("silence", "warm"),
        )
        for situation, delivery in product(TITLES, DELIVERIES)
    ]
    played += [delayed_original(), stopped_replica(), network_duplicate(), notification_lost()]
    played += [killed_before_sending(), postgres_crash()]
    return run("pass", played)


def broken_run() -> Run:
    """No unique index: a retry executes again. One toxic was switched off behind the harness's back."""
    result, history = clean_run()
    scenarios = result["scenarios"]
    name = "disconnect/response_lost/exactly_once/warm"
    history = [event for event in history if event["scenario"] != name]
    double, double_history = doubled(name)
    unseen = next(s for s in scenarios if s["name"] == "silence/request_lost/exactly_once/warm")
    unseen["verdict"] = "unknown"
    unseen["witnesses"][0]["seen"] = False
    unseen["promises"][0]["kept"] = None
    result["scenarios"] = [double if s["name"] == name else s for s in scenarios]
    result["verdict"] = "fail"
    return result, history + double_history


def cell(situation: str, delivery: str, family: str, connection: str) -> Run:
    """One cell of the table."""
    name = f"{family}/{situation}/{delivery}/{connection}"
    story = Story(name)
    executed = situation in EXECUTED
    key, retry, effects = 42, False, float(executed)
    _first_attempt(story, situation, family)
    attempts = 1
    if situation != "success" and delivery != "at_most_once":
        attempts = 2
        exactly = delivery == "exactly_once"
        key, retry = (42, True) if exactly else (43, False)
        effects = 1.0 if exactly else executed + 1.0
        pid = BILLING + 10 if "crash" in situation else BILLING
        story.later(6).attempt(key, retry)
        story.observed(float(executed), int(executed))
        if "crash" not in situation:
            story.chaos("healed", proxy="billing")
        story.arrival(key, retry, pid).later(2).reply(key, retry, pid).answer(key, retry)
    elif situation != "success":
        story.observed(effects, int(executed))
    story.observed(effects, int(effects)).order(
        "reply", status=202 if attempts == 1 and situation != "success" else 201
    )
    if effects:
        story.notified()
    saw = "201" if situation == "success" else f"{SAW[family]}: connection lost"
    return _scenario(
        story,
        title=TITLES[situation],
        situation=situation,
        delivery=delivery,
        family=family,
        connection=connection,
        caller_saw=saw,
        attempts=attempts,
        effects=effects,
    )


def _first_attempt(story: Story, situation: str, family: str) -> None:
    saw = SAW[family]
    story.observed(0, 0)
    if situation in ("response_lost", "request_lost"):
        stream = "downstream" if situation == "response_lost" else "upstream"
        story.chaos("armed", proxy="billing", toxic=f"{TOXICS[family]} {stream}")
    story.placed().attempt(42)
    match situation:
        case "success":
            story.arrival(42).later(3).reply(42).answer(42)
        case "response_lost":
            story.arrival(42).later(3).reply(42).no_answer(42, saw)
        case "crash_after_execution" | "crash_before_execution":
            seam = "reply" if situation == "crash_after_execution" else "arrival"
            story.arrival(42).event("billing_service", BILLING, seam, died=True).no_answer(42, saw)
        case "request_lost":
            story.no_answer(42, saw)


def doubled(name: str) -> Run:
    """The response was lost, and its retry withdrew once more."""
    story = Story(name)
    _first_attempt(story, "response_lost", "disconnect")
    story.later(6).attempt(42, retry=True).observed(1, 1).chaos("healed", proxy="billing")
    story.arrival(42, retry=True).later(2).reply(42, retry=True).answer(42, retry=True)
    story.observed(2, 1).order("reply", status=201).notified()
    scenario, history = _scenario(
        story,
        title=TITLES["response_lost"],
        situation="response_lost",
        delivery="exactly_once",
        family="disconnect",
        connection="warm",
        caller_saw=f"{SAW['disconnect']}: connection lost",
        attempts=2,
        effects=2.0,
        expected=1,
    )
    scenario["verdict"] = "fail"
    rows = (
        "account            key  charge                                amount_cents\n"
        'cell-5f2c9e01a7b4  "42" 8d0e4e1c-61f5-4a4e-b0f0-0b6f5f4b9a01          1999\n'
        'cell-5f2c9e01a7b4  "42" f3a1c2d4-77aa-4c0e-9e3c-2d1b8c7a6e55          1999'
    )
    for promise in scenario["promises"]:
        if promise["name"] in ("X1", "X2", "X5"):
            promise["kept"] = False
            promise["detail"] = rows if promise["name"] == "X1" else "withdrawn 3998, billed 1999"
    return scenario, history


def delayed_original() -> Run:
    """The first request overtaken by its retry."""
    story = Story("delayed_original").observed(0, 0)
    story.chaos("armed", proxy="billing", toxic="latency (latency 60000) upstream").placed()
    story.attempt(42).later(900).no_answer(42, "TimeoutError").attempt(42, retry=True)
    story.arrival(42, retry=True).later(3).reply(42, retry=True).answer(42, retry=True)
    story.observed(1, 1).order("reply", status=201)
    story.chaos("healed", proxy="billing").arrival(42).reply(42).observed(1, 1)
    return _scenario(
        story, title="the original arrives after its retry", caller_saw="TimeoutError", attempts=2
    )


def stopped_replica() -> Run:
    """Two replicas of billing; one is stopped with a request in its hands."""
    other = BILLING + 1000
    story = Story("replica_stopped").observed(0, 0).placed()
    story.chaos("stopped", what="billing_service", struck=BILLING).attempt(42).later(900)
    story.no_answer(42, "TimeoutError").attempt(42, retry=True)
    story.arrival(42, retry=True, pid=other).reply(42, retry=True, pid=other)
    story.answer(42, retry=True).observed(1, 1).order("reply", status=201)
    story.chaos("resumed", what="billing_service", struck=BILLING).arrival(42).reply(42).observed(
        1, 1
    )
    return _scenario(
        story,
        title="a replica of billing is stopped and resumed",
        caller_saw="TimeoutError",
        attempts=2,
    )


def network_duplicate() -> Run:
    """The harness sends the captured request once more."""
    story = Story("network_duplicate").observed(0, 0).placed().charged(42).observed(1, 1)
    story.order("reply", status=201)
    story.chaos("sent", sequence_key='"42"', retry="?0").arrival(42).reply(42).observed(1, 1)
    return _scenario(story, title="duplicated by the network", caller_saw="201", attempts=1)


def notification_lost() -> Run:
    """A notification that does not arrive is not sent again."""
    story = Story("notification_lost").observed(0, 0)
    story.chaos("armed", proxy="notification", toxic="limit_data (bytes 0) upstream")
    story.placed().charged(42).observed(1, 1)
    fields: dict[str, Any] = {"peer": "notifications", "sequence_key": "", "retry": ""}
    story.order("notify", **fields)
    story.order("no answer", saw="ServerDisconnectedError", **fields).order("reply", status=201)
    story.chaos("healed", proxy="notification")
    story.chaos("note", text="waited for the notification's fate: unknown, and never sent again")
    return _scenario(story, title="notification lost", caller_saw="201", attempts=1)


def killed_before_sending() -> Run:
    """The order service dies with its order recorded and nothing sent; another process takes it over."""
    heir = ORDER + 10
    story = Story("order_killed/before_send").observed(0, 0).placed().attempt(42)
    story.order("attempt", died=True).later(400).attempt(42, retry=True, pid=heir)
    story.arrival(42, retry=True).reply(42, retry=True).answer(42, retry=True, pid=heir)
    story.observed(1, 1).notified(pid=heir)
    return _scenario(
        story, title="order service killed before sending", caller_saw="nothing", attempts=2
    )


def postgres_crash() -> Run:
    """Postgres dies between the reply and the next read."""
    story = Story("postgres_crash").observed(0, 0).placed().charged(42).order("reply", status=201)
    story.chaos("crashed", what="postgres").later(700).observed(1, 1)
    return _scenario(story, title="Postgres crashes", caller_saw="201", attempts=1)


def _scenario(
    story: Story,
    *,
    title: str,
    caller_saw: str,
    attempts: int,
    effects: float = 1.0,
    expected: int | None = None,
    **place: str,
) -> Run:
    arrivals = [
        event
        for event in story.events
        if event["service"] == "billing_service" and event.get("complete")
    ]
    scenario = {
        "name": story.scenario,
        "title": title,
        "situation": None,
        "delivery": "exactly_once",
        "family": None,
        "connection": "warm",
        **place,
        "verdict": "pass",
        "caller_saw": caller_saw,
        "attempts": attempts,
        "arrivals": len(arrivals),
        "commits": int(effects),
        "effects_expected": int(effects) if expected is None else expected,
        "effects_measured": effects,
        "witnesses": [
            {"claim": "the fault was read back from Toxiproxy", "seen": True},
            {"claim": "the journal has the arrivals that the situation says", "seen": True},
        ],
        "promises": [
            {"name": name, "claim": claim, "kind": kind, "kept": True, "detail": ""}
            for name, (claim, kind) in PROMISES.items()
        ],
        "reproduce": f".venv/bin/python -m chaos run {story.scenario} --seed 7",
        "seconds": round(story.at_ms / 1000 + 0.4, 3),
    }
    return scenario, story.events


def run(verdict: str, played: list[Run]) -> Run:
    result = {
        "run": "20261124T034012Z-7",
        "seed": 7,
        "versions": {"python": "3.11.7", "postgres": "18.1", "toxiproxy": "2.12.0"},
        "verdict": verdict,
        "scenarios": [scenario for scenario, _ in played],
    }
    return result, [event for _, history in played for event in history]


def the_whole(verdict: str) -> dict[str, Any]:
    """The judgement on the run as a whole, as it stands behind the scenarios."""
    whole, _ = cell("success", "exactly_once", "disconnect", "warm")
    return {
        **whole,
        "name": "run/whole",
        "title": "the whole database after the run",
        "verdict": verdict,
        "situation": None,
        "delivery": None,
        "connection": None,
        "family": None,
    }
