"""What the page shows of an order is what Postgres says, in every situation; the column with the key pays once in all."""

import itertools
import os
import signal
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from chaos.scenarios.effects import effects_computed
from lab import challenge
from lab.columns import COLUMNS
from report.situations import SITUATIONS, Situation
from stack.schema import PROJECT
from stack.toxics import Toxiproxy
from tests.lab.running import RunningLab, State

pytestmark = pytest.mark.chaos
PRICE_CENTS = 1_999


async def compare(lab: RunningLab, state: State) -> dict[str, float]:
    """Each column's money, as shown and as Postgres has it; the effects."""
    effects = {}
    for name, column in state["round"]["columns"].items():
        moved = await lab.moved_cents(column["account"])
        assert column["moved_cents"] == moved, name
        assert column["effects"] == moved / PRICE_CENTS
        effects[name] = column["effects"]
    return effects


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.name)
async def test_a_situation(lab: RunningLab, situation: Situation) -> None:
    """Its three cells are measured, witnessed, and as the situation makes them; a caller without an answer sees one text."""
    state = await lab.ordered(situation.name)
    effects = await compare(lab, state)
    row = next(row for row in state["table"] if row["name"] == situation.name)
    for column in COLUMNS:
        expected = effects_computed(
            executed=situation.executed, answered=situation.answered, delivery=column.delivery
        )
        assert row["cells"][column.name]["effects"] == effects[column.name] == expected
        first = state["round"]["columns"][column.name]["attempts"][0]
        assert all(witness["seen"] for witness in first["witnesses"])
        assert bool(first["witnesses"]) is (situation.name != "success")
        saw = row["cells"][column.name]["saw"]
        assert saw == (
            "HTTP 201" if situation.answered else "ServerDisconnectedError: Server disconnected"
        )


@pytest.mark.parametrize("situation", ["late", "forgotten", "twin", "copied"])
async def test_what_is_outside_of_the_table(lab: RunningLab, situation: str) -> None:
    """It fills no cell; the column with the key has paid once."""
    before = (await lab.state())["table"]
    state = await lab.ordered(situation)
    effects = await compare(lab, state)
    assert effects["exactly_once"] == 1
    assert state["table"] == before
    struck = state["round"]["columns"]["exactly_once"]["attempts"][0]
    assert struck["struck"]
    assert all(witness["seen"] for witness in struck["witnesses"])
    if situation == "late":
        assert effects["at_least_once"] == 2


@pytest.mark.parametrize("protection", challenge.PROTECTIONS, ids=lambda each: each.bug)
async def test_a_protection_that_is_taken_away_is_missed(
    lab: RunningLab, protection: challenge.Protection
) -> None:
    """The column with the key is hurt and a promise is named; put back, it holds again."""
    assert (await lab.do("plant", bug=protection.bug)).status_code == 204
    state = await lab.ordered(protection.hint)
    await compare(lab, state)
    assert state["challenge"]["hurt"] == 1, state["round"]
    assert state["challenge"]["promise"]
    assert (await lab.do("plant", bug="")).status_code == 204
    state = await lab.ordered(protection.hint)
    assert (await compare(lab, state))["exactly_once"] == 1
    assert state["challenge"]["hurt"] == 0


@pytest.mark.parametrize("protection", challenge.PROTECTIONS, ids=lambda each: each.bug)
def test_a_line_of_code_that_is_named(protection: challenge.Protection) -> None:
    """It exists, and defines what is named."""
    path, _, line = challenge.place(protection.code).rpartition(":")
    name = protection.code.partition(":")[2]
    source = Path(PROJECT, path).read_text(encoding="utf-8").splitlines()
    assert name in source[int(line) - 1]


def all_held_at(seam: str, state: State) -> bool:
    """Whether three messages stand there, and no other."""
    return [held["seam"] for held in state["held"]] == [seam] * 3


async def test_messages_that_are_stopped(lab: RunningLab) -> None:
    """Each stops at three barriers; what is struck there is the message that was named, and no other."""
    await lab.do("step", on=True)
    assert (await lab.do("order")).status_code == 200
    for seam, action in (("send", "pass"), ("arrival", "pass"), ("reply", "lose")):
        state = await lab.state(partial(all_held_at, seam))
        (number,) = [h["number"] for h in state["held"] if h["column"] == "exactly_once"]
        assert (await lab.do("act", message=number, action=action)).status_code == 204
        assert (await lab.do("act", message=number, action=action)).status_code == 409
        await lab.do("act", message=0, action="pass")
    state = await lab.state(lambda s: any(h["attempt"] == 2 for h in s["held"]))
    await lab.do("step", on=False)
    state = await lab.over(state["round"]["number"])
    assert set((await compare(lab, state)).values()) == {1}
    struck = {n: [a["struck"] for a in c["attempts"]] for n, c in state["round"]["columns"].items()}
    assert struck == {"at_most_once": [""], "at_least_once": [""], "exactly_once": ["lose", ""]}


async def test_answers_that_are_cut(lab: RunningLab) -> None:
    """As long as the button is pressed the middle column pays again and again; a page that has gone holds nothing."""
    assert (await lab.do("cut", on=True)).status_code == 204
    state = await lab.state(
        lambda s: s["round"] and s["round"]["columns"]["at_least_once"]["effects"] >= 3
    )
    # Nothing is heard of the button any more.
    state = await lab.over(state["round"]["number"])
    assert not state["cut"]
    effects = await compare(lab, state)
    assert effects["exactly_once"] == 1
    assert effects["at_most_once"] == 1
    assert effects["at_least_once"] == len(state["round"]["columns"]["at_least_once"]["attempts"])
    assert state["plan"].split(";")[-1].startswith("*r1l.")


async def test_a_play_is_played_again(lab: RunningLab) -> None:
    """Its plan gives the same effects with new orders."""
    first = await lab.ordered("response_lost")
    number = first["round"]["number"]
    assert (await lab.do("play", plan="*r1l;-")).status_code == 202
    await lab.over(number + 2)
    state = await lab.state(lambda s: not s["busy"])
    assert state["plan"].endswith("*r1l;*r1l;-")
    cells = next(row for row in state["table"] if row["name"] == "response_lost")["cells"]
    assert {name: cell["effects"] for name, cell in cells.items()} == {
        "at_most_once": 1,
        "at_least_once": 2,
        "exactly_once": 1,
    }
    assert {cell["round"] for cell in cells.values()} == {number + 1}


async def test_harm_is_counted(lab: RunningLab) -> None:
    """What Postgres says was taken too much in this play so far, and the orders that are lost."""
    before = (await lab.state())["harm"]
    state = await lab.ordered("response_lost")
    assert state["harm"]["taken_cents"] == before["taken_cents"] + PRICE_CENTS
    state = await lab.ordered("request_lost")
    assert state["harm"]["lost"] == before["lost"] + 1


async def test_a_toxic_that_cannot_be_armed(lab: RunningLab) -> None:
    """One sentence on the page; the message passes, and the proxies are there again for the next order."""
    toxiproxy = Toxiproxy(lab.description["toxiproxy"]["url"])
    await lab.do("step", on=True)
    await lab.do("order")
    state = await lab.state(lambda s: len(s["held"]) == 3)
    for name in [name for name in await toxiproxy.proxies() if name.startswith("lab-")]:
        await toxiproxy.delete(name)
    await lab.do("act", message=0, action="lose")
    state = await lab.state(lambda s: s["notice"])
    assert state["notice"].endswith(".")
    await lab.do("heal")
    await lab.over(state["round"]["number"])
    state = await lab.ordered("response_lost")
    assert (await compare(lab, state))["exactly_once"] == 1


async def test_trouble_with_toxiproxy(lab: RunningLab) -> None:
    """While Toxiproxy does not answer, an order is refused with one sentence; as soon as it does, all is as before."""
    (pid,) = [p["pid"] for p in lab.description["processes"] if "toxiproxy" in p["name"].lower()]
    os.kill(pid, signal.SIGSTOP)
    try:
        refused = await lab.do("order")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert refused.status_code == 409
    assert "Toxiproxy does not do what it is asked" in refused.json()["detail"]
    assert (await lab.state())["notice"] == refused.json()["detail"]
    state = await lab.ordered("response_lost")
    assert (await compare(lab, state))["exactly_once"] == 1
    assert state["notice"] == ""


async def test_diagrams_and_the_saved_file(lab: RunningLab) -> None:
    """Every remembered order has a diagram of each column; the file has them all."""
    state = await lab.ordered("request_lost")
    number = state["round"]["number"]
    for column in COLUMNS:
        response = await lab.client.get(f"/diagrams/{number}/{column.name}")
        assert response.headers["content-type"].startswith("image/svg+xml")
        assert "limit_data" in response.text
    saved = (await lab.client.get("/saved")).text
    assert saved.count("<svg") == 3 * len((await lab.state())["rounds"])
    assert (await lab.client.get("/diagrams/999999/exactly_once")).status_code == 409


async def test_the_ledger_has_every_order(lab: RunningLab) -> None:
    """Over all plays, no order of the column with the key was ever withdrawn twice by the services as they are."""
    await lab.ordered("response_lost")
    connection = await asyncpg.connect(lab.description["databases"]["owner"])
    try:
        rows = await connection.fetch(
            """
            SELECT orders.order_id, count(ledger.charge_id) AS withdrawals
            FROM orders.orders LEFT JOIN billing.ledger USING (order_id)
            WHERE delivery = 'exactly_once' AND customer = $1 GROUP BY 1
            """,
            (await lab.state())["round"]["columns"]["exactly_once"]["account"],
        )
    finally:
        await connection.close()
    assert [row["withdrawals"] for row in rows] == list(itertools.repeat(1, len(rows))) != []
