"""Without a rule a wrapped service is the bare one; the journal has what reached it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from chaos.evidence.journal import Journal
from chaos.faults.control import Control
from chaos.faults.wrapped_services import CONTROL_VARIABLE, JOURNAL_VARIABLE, Seams, WrappedApp


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the body that it was given."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "journal.jsonl"
    monkeypatch.setenv(JOURNAL_VARIABLE, str(path))
    return path


def client(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x")


async def test_a_request_passes_unchanged(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The body arrives whole and the answer leaves whole; both are in the journal."""
    body = json.dumps({"account": "alice", "filler": "x" * 100_000}).encode()
    async with Control() as control:
        monkeypatch.setenv(CONTROL_VARIABLE, control.address)
        async with client(WrappedApp(echo, Seams("billing_service"))) as caller:
            response = await caller.post("/charges", content=body)
    assert response.content == body
    assert [event.seam for event in Journal(journal).of_account("alice")] == ["arrival", "reply"]


async def test_a_barrier_holds_until_it_is_released(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second request of the account is held, the first one and those of others are not."""

    async with Control() as control:
        monkeypatch.setenv(CONTROL_VARIABLE, control.address)
        barrier = control.hold("billing_service", "arrival", "alice", nth=2)
        async with client(WrappedApp(echo, Seams("billing_service"))) as caller:
            assert (await caller.post("/charges", json={"account": "alice"})).status_code == 200
            assert not barrier.reached.is_set()
            held = asyncio.create_task(caller.post("/charges", json={"account": "alice"}))
            await barrier.reached.wait()
            assert (await caller.post("/charges", json={"account": "bob"})).status_code == 200
            assert not held.done()
            barrier.release()
            assert (await held).status_code == 200


async def test_no_scenario_is_being_played(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A control server that is gone stops no service."""
    async with Control() as control:
        monkeypatch.setenv(CONTROL_VARIABLE, control.address)
    async with client(WrappedApp(echo, Seams("billing_service"))) as caller:
        assert (await caller.post("/charges", content=b"no JSON")).content == b"no JSON"


def test_a_line_that_was_cut_short_is_left_out(tmp_path: Path) -> None:
    """A crash in the middle of a write proves nothing about the event."""
    journal = tmp_path / "journal.jsonl"
    line = {
        "at_ns": 1,
        "service": "s",
        "pid": 1,
        "seam": "arrival",
        "account": "a",
        "complete": True,
    }
    journal.write_text(json.dumps(line) + "\n" + json.dumps(line)[:30], encoding="utf-8")
    assert len(Journal(journal).arrivals("s", "a")) == 1


def test_an_incomplete_request_is_no_arrival(tmp_path: Path) -> None:
    """A caller that was gone in the middle of its body did not reach the service."""
    journal = tmp_path / "journal.jsonl"
    line = {
        "at_ns": 1,
        "service": "s",
        "pid": 1,
        "seam": "arrival",
        "account": "a",
        "complete": False,
    }
    journal.write_text(json.dumps(line) + "\n", encoding="utf-8")
    assert Journal(journal).arrivals("s", "a") == []
