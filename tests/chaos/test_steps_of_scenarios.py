"""What steps do to a running stack, and what they say of it: each of them is played outside of any scenario."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import httpx
import pytest

from chaos.evidence.journal import Event
from chaos.evidence.readings import Witness
from chaos.faults.wrapped_services import CONTROL_VARIABLE, JOURNAL_VARIABLE
from chaos.harness.barriers import hold_retry
from chaos.harness.context import Context
from chaos.harness.harness import BOUND_S, Harness
from chaos.runner.play import Played
from chaos.runner.run import ENVIRONMENT, drawn, play_all, visit
from chaos.scenarios.catalogue import SCENARIOS
from chaos.scenarios.scenario import Scenario
from chaos.steps import processes
from chaos.steps.concurrent_charges import _charge_at_once
from chaos.steps.database_questions import ExpectSilence, ExpectSlowAnswers
from chaos.steps.observations import (
    AwaitArrivals,
    AwaitMoneyMoved,
    AwaitNotificationStored,
    AwaitTruncatedRequest,
    ExpectNotification,
    ExpectOutcome,
    ExpectRetryFlags,
    Observe,
    SendCopy,
)
from chaos.steps.step import NOTHING, STANDBY, Needs, Step
from order_service.wire import Delivery, Fate, Status
from stack import service_environ
from stack.toxics import Latency, LimitData, Timeout
from stack.waiting import until
from tests.chaos.test_background import Unwatched

pytestmark = pytest.mark.chaos
# Above the keys that steps of scenarios take for themselves.
FIRST_KEY = 700_000_000


@pytest.fixture
async def context(harness: Harness) -> AsyncIterator[Context]:
    """What the steps of one scenario work with; at the end nothing is left armed or held."""
    context = Context(harness, Delivery.EXACTLY_ONCE)
    yield context
    await context.end_faults()
    await context.clean_up()


# Barriers.


async def billed(harness: Harness) -> None:
    """An order that is placed now is billed: what could have been sent before it has been."""
    response = await harness.place(await harness.open_account("after"), Delivery.EXACTLY_ONCE, "")
    assert response.status_code == 201


async def test_a_caller_that_is_held_before_its_second_attempt(
    harness: Harness, context: Context
) -> None:
    """By a rule: its first attempt has ended and is on record, and nothing more of it arrives until it is released."""
    await held(context, harness)


async def test_a_caller_that_is_held_in_postgres(harness: Harness) -> None:
    """By a lock, on a stack that was only described: the same."""
    async with visit(harness.target) as visited:
        context = Context(visited, Delivery.EXACTLY_ONCE)
        try:
            await held(context, harness)
        finally:
            await context.end_faults()
            await context.clean_up()


async def held(context: Context, harness: Harness) -> None:
    placed = await context.order()
    placed.retry = await hold_retry(context, placed)
    await context.arm("billing", LimitData(bytes=0))
    await context.place()
    assert await context.until(placed.retry.reached, "the caller is held")
    await context.heal()
    await billed(harness)
    order = await context.read(placed)
    assert order is not None
    assert order.status is Status.PENDING
    assert [(each.attempt, each.outcome) for each in order.attempts] == [(1, "unknown")]
    assert len(harness.journal.arrivals("billing_service", placed.account)) == 1
    await placed.retry.release()
    ended = await context.settled(placed)
    assert ended is not None
    assert (ended.status, len(ended.attempts)) == (Status.BILLED, 2)
    arrived = harness.journal.arrivals("billing_service", placed.account)
    assert [event.fields["retry"] for event in arrived] == ["?0", "?1"]


# Concurrent charges.


async def test_charges_go_on_only_when_the_last_has_arrived(
    harness: Harness, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is held on arrival, at both processes: the others wait while the last one is late, and no answer comes before it."""
    await context.order()
    account = await harness.open_account("together")
    keys = dict.fromkeys(range(FIRST_KEY, FIRST_KEY + 30), (7,))
    charge = harness.charge

    def arrived() -> list[Event]:
        return harness.journal.arrivals("billing_service", account)

    async def others_have_arrived() -> bool:
        return len(arrived()) == len(keys) - 1

    async def last_is_late(body: Any, key: str, *rest: Any) -> httpx.Response:
        if key == f'"{max(keys)}"':
            await until(others_have_arrived, BOUND_S, "the others arrive")
            # Time enough for an answer, if there were one.
            await billed(harness)
        return await charge(body, key, *rest)

    monkeypatch.setattr(harness, "charge", last_is_late)
    copies = await _charge_at_once(context, account, keys)
    assert {copy.response.status_code for copy in copies} == {201}
    assert len({event.pid for event in arrived()}) == 2
    answers = [e for e in harness.journal.of_account(account) if e.seam == "reply"]
    assert max(event.at_ns for event in arrived()) < min(event.at_ns for event in answers)


# Observations.

WRONG: dict[str, Step] = {
    "arrivals": Observe(arrivals=7),
    "effects": Observe(effects=7),
    "more arrivals than there are": AwaitArrivals(times=7),
    "half a request": AwaitTruncatedRequest(),
    "another outcome": ExpectOutcome("refused"),
    "another sight": ExpectOutcome("acknowledged", saw="HTTP 999"),
    "an attempt that is not there": ExpectOutcome("acknowledged", attempt=9),
    "another fate": ExpectNotification(Fate.UNKNOWN, shown=True),
    "a notification that is not there": ExpectNotification(Fate.ACKNOWLEDGED, shown=False),
    "other flags": ExpectRetryFlags(("?0", "?1")),
    "silence of billing's database": ExpectSilence("billing-db"),
    "slow answers of billing's database": ExpectSlowAnswers("billing-db", latency_ms=5_000),
}
RIGHT: dict[str, Step] = {
    "arrivals and effects": Observe(arrivals=1, effects=1),
    "money": AwaitMoneyMoved(),
    "arrivals": AwaitArrivals(times=1),
    "the outcome": ExpectOutcome("acknowledged", saw="HTTP 201"),
    "the notification": ExpectNotification(Fate.ACKNOWLEDGED, shown=True),
    "it is stored": AwaitNotificationStored(),
    "the flags": ExpectRetryFlags(("?0",)),
    "a copy": SendCopy("X4", "a copy is replayed", expected=201),
}


async def observed(context: Context, step: Step) -> list[Witness]:
    """What a step says of an order that no fault has struck."""
    await context.place()
    await context.settled(await context.order())
    before = await toxics(context)
    count = len(context.witnesses)
    await step.perform(context)
    assert await toxics(context) == before
    return context.witnesses[count:]


async def toxics(context: Context) -> dict[str, object]:
    """Every proxy, with whether it is open and what is armed on it."""
    return {
        name: (state.enabled, await context.network.toxics(name))
        for name, state in (await context.network.proxies()).items()
    }


@pytest.mark.parametrize("step", WRONG.values(), ids=WRONG.keys())
async def test_what_was_not_seen_is_a_missing_witness(
    context: Context, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never an exception, and never a witness; what is awaited is given up at the bound."""
    await context.place()
    await context.settled(await context.order())
    monkeypatch.setattr(context.harness, "bound_s", 0.2)
    count = len(context.witnesses)
    await step.perform(context)
    said = context.witnesses[count:]
    assert [witness for witness in said if not witness.seen] != []


@pytest.mark.parametrize("step", RIGHT.values(), ids=RIGHT.keys())
async def test_what_was_seen_is_a_witness(context: Context, step: Step) -> None:
    """The control: of an order that went well; and the network is as it was before."""
    said = await observed(context, step)
    assert [witness.claim for witness in said if not witness.seen] == []
    assert all(not probe.moved for probe in context.probes)


@pytest.mark.parametrize(
    ("toxic", "step"),
    [
        (Latency(latency_ms=300), ExpectSlowAnswers("billing-db", latency_ms=250)),
        (Timeout(timeout_ms=0), ExpectSilence("billing-db")),
    ],
    ids=["slow", "silent"],
)
async def test_a_database_that_is_struck(
    context: Context, toxic: Latency | Timeout, step: Step
) -> None:
    """The control: the fault itself is seen."""
    await context.arm("billing-db", toxic)
    await step.perform(context)
    assert context.witnesses[-1].seen


@pytest.mark.parametrize(
    "step", [ExpectSlowAnswers("billing-db", latency_ms=1), ExpectSilence("billing-db")], ids=str
)
@pytest.mark.parametrize("how", ["closed", "broken"])
async def test_a_database_that_cannot_be_asked(context: Context, how: str, step: Step) -> None:
    """Another fault than the expected one: no exception, and no witness of slowness or silence."""
    if how == "closed":
        await context.refuse("billing-db")
    else:
        await context.arm("billing-db", LimitData(bytes=0))
    await step.perform(context)
    assert not context.witnesses[-1].seen


# Processes.


def child(program: str) -> "subprocess.Popen[bytes]":
    """A process of Python, which has begun its program when this returns."""
    begun = subprocess.Popen(
        [sys.executable, "-c", f"print('begun', flush=True)\n{program}"], stdout=subprocess.PIPE
    )
    assert begun.stdout is not None
    assert begun.stdout.readline() == b"begun\n"
    return begun


def wait_for_end(pid: int) -> None:
    """Returns when the process has ended. It stays a zombie, so a signal is still delivered without an error."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


async def test_the_operating_system_says_that_a_process_was_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that has ended takes the signal, too, and is not stopped."""
    living, dead = child("import time; time.sleep(600)"), child("")
    try:
        assert await processes.stopped(living.pid)
        assert processes._state_of(living.pid) == "T"
        wait_for_end(dead.pid)
        monkeypatch.setattr(processes, "BOUND_S", 0.1)
        assert not await processes.stopped(dead.pid)
    finally:
        for each in (living, dead):
            each.send_signal(signal.SIGKILL)
            each.communicate()


async def test_the_process_that_works_on_the_order_is_struck(
    harness: Harness, context: Context
) -> None:
    """Of two processes of billing, the one that the journal names; also when it is another one the next time."""
    placed = await context.order()
    struck = set()
    for _ in range(20):
        copies = await _charge_at_once(context, placed.account, {next(_keys): (7,)})
        assert copies[0].response.status_code == 201
        latest = [e for e in context.events_of(placed) if e.service == "billing_service"][-1]
        found, pid = processes._at_work(context, "billing_service", placed.label)
        assert pid == latest.pid == found.pid
        struck.add(pid)
        if len(struck) == 2:
            break
    assert len(struck) == 2


_keys = itertools.count(FIRST_KEY + 1_000)


# The run.


@dataclass(frozen=True)
class Note:
    """A step that notes that its scenario is played."""

    needs: ClassVar[Needs] = NOTHING
    note: Callable[[], None]

    async def perform(self, _: Context) -> None:
        self.note()


async def test_orders_are_waited_for_together(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a commit whose answer was lost the fates of many notifications stay unknown: their bound passes once."""
    all_asked = asyncio.Barrier(3)

    async def settled(_: object) -> None:
        async with asyncio.timeout(BOUND_S):
            await all_asked.wait()

    monkeypatch.setattr(context, "settled", settled)
    for label in "abc":
        await context.order(label)
    collected = await context.collect()
    assert [order.label for order in collected.orders] == ["a", "b", "c"]


async def played_with(harness: Harness, seed: int) -> tuple[list[int], list[Played]]:
    """The order in which ten scenarios are played, and what is returned."""
    order: list[int] = []
    empty = Scenario("empty", "nothing happens", (), effects=None)
    scenarios = [
        replace(empty, name=f"empty/{n}", steps=(Note(lambda n=n: order.append(n)),))  # type: ignore[misc]
        for n in range(10)
    ]
    return order, await play_all(harness, scenarios, seed, Unwatched())


async def test_a_seed_decides_the_order_of_the_scenarios(harness: Harness) -> None:
    """The same seed plays them in the same order, another one in another; results stand in the order of the catalogue."""
    first, second, other = [await played_with(harness, seed) for seed in (7, 7, 8)]
    assert first[0] == second[0] != other[0]
    assert sorted(first[0]) == list(range(10)) != first[0]
    for _, played in (first, other):
        assert [each.scenario.name for each in played] == [f"empty/{n}" for n in range(10)]


def test_what_needs_a_standby_comes_last() -> None:
    """The second stack is started for its first scenario, and is not kept waiting by others."""
    for seed in range(3):
        last = [scenario.needs >= STANDBY for scenario in drawn(SCENARIOS, seed)]
        assert last == sorted(last)
        assert 0 < sum(last) < len(last)


def test_how_the_wrapped_stack_differs_from_the_bare_one(harness: Harness) -> None:
    """In the environment of its services: by `ENVIRONMENT`, the journal and the control server, and by no other setting."""
    stack = harness.stack
    tokens = {service: {"order_service": "t"} for service in service_environ.PREFIXES}
    del tokens["order_service"]
    proxies = dict.fromkeys(("billing", "notification"), "p")
    for service, prefix in service_environ.PREFIXES.items():
        bare = service_environ.settings(service, tokens, proxies, public_url="u")
        own = {name for name in ENVIRONMENT if name.startswith(prefix)}
        for process in stack.children(service):
            given = process.environ
            settings = {name for name in given if name.startswith((prefix, "HTTP_"))}
            assert settings == {*bare, *own, f"{prefix}DATABASE_URL"}
            assert {name: given[name] for name in own} == {name: ENVIRONMENT[name] for name in own}
            assert given[CONTROL_VARIABLE]
            assert given[JOURNAL_VARIABLE] == str(harness.journal.path)
