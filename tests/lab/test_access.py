"""Only the page of this lab commands it, and everything it can ask for is bounded."""

import httpx
import pytest

from lab import plans
from lab.app import _POLICY
from tests.lab.running import RunningLab

pytestmark = pytest.mark.chaos
COMMANDS = {
    "order": {"situation": "success"},
    "act": {"message": 0, "action": "pass"},
    "step": {"on": True},
    "cut": {"on": True},
    "heal": {},
    "plant": {"bug": "dedupe_in_memory"},
    "play": {"plan": "-"},
}


def is_one_sentence(response: httpx.Response) -> bool:
    """A problem with one line of detail."""
    detail = response.json()["detail"]
    problem = response.headers["content-type"] == "application/problem+json"
    return problem and "\n" not in detail and detail.endswith(".")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"X-Lab-Token": "wrong"}, 403),
        ({"X-Lab-Token": "{token}", "Host": "evil.example"}, 421),
        ({"X-Lab-Token": "{token}", "Origin": "http://evil.example"}, 403),
        ({"X-Lab-Token": "{token}", "Origin": "http://127.0.0.1:1"}, 403),
        ({"X-Lab-Token": "{token}", "Origin": "null"}, 403),
        ({"X-Lab-Token": "{token}", "Sec-Fetch-Site": "cross-site"}, 403),
    ],
    ids=["no token", "wrong token", "host", "origin", "other port", "null origin", "cross-site"],
)
async def test_a_foreign_command_is_refused(
    lab: RunningLab, command: str, headers: dict[str, str], status: int
) -> None:
    """Nothing changes, and the answer is a problem."""
    before = await lab.state()
    filled = {name: value.format(token=lab.token) for name, value in headers.items()}
    response = await lab.client.post(f"/do/{command}", json=COMMANDS[command], headers=filled)
    assert response.status_code == status
    assert is_one_sentence(response)
    assert await lab.state() == before


async def test_a_foreign_host_sees_nothing(lab: RunningLab) -> None:
    """Neither the page with its token nor the events."""
    for path in ("/", "/events", "/saved"):
        response = await lab.client.get(path, headers={"Host": "evil.example"})
        assert response.status_code == 421
        assert lab.token not in response.text


async def test_the_policy_of_the_page(lab: RunningLab) -> None:
    """Nothing from elsewhere, nothing inline, in no frame."""
    response = await lab.client.get("/")
    assert response.headers["content-security-policy"] == _POLICY
    assert "unsafe" not in _POLICY
    assert "frame-ancestors 'none'" in _POLICY


@pytest.mark.parametrize(
    "name", ["../app.py", "..%2fapp.py", "app.py", "index.html", "player.py", "x.js"]
)
async def test_only_files_of_the_page_are_given(lab: RunningLab, name: str) -> None:
    """Nothing else of the disk has a name here."""
    assert (await lab.client.get(f"/page/{name}")).status_code == 404


@pytest.mark.parametrize(
    ("command", "body", "status"),
    [
        ("order", {"situation": "no such thing"}, 409),
        ("order", {"situation": 7}, 422),
        ("order", {"amount": 7}, 422),
        ("act", {"message": 123456, "action": "pass"}, 409),
        ("act", {"message": 0, "action": "pass"}, 409),
        ("act", {"message": 0, "action": "explode"}, 409),
        ("act", {"message": -1, "action": "pass"}, 422),
        ("plant", {"bug": "no_such_bug"}, 409),
        ("plant", {"bug": "x" * 61}, 422),
        ("play", {"plan": "nonsense"}, 422),
        ("play", {"plan": "!no_such_bug"}, 422),
        ("play", {"plan": "-;" * plans.TEXT_LENGTH_MAX}, 422),
        ("play", {"plan": ""}, 422),
        ("step", {"on": "yes"}, 422),
    ],
)
async def test_what_cannot_be_done_is_refused(
    lab: RunningLab, command: str, body: dict[str, object], status: int
) -> None:
    """With one sentence, and nothing is placed."""
    before = (await lab.state())["round"]
    response = await lab.do(command, **body)
    assert response.status_code == status, response.text
    assert is_one_sentence(response)
    assert (await lab.state())["round"] == before


async def test_a_body_that_is_too_large(lab: RunningLab) -> None:
    """It is refused before it is read."""
    assert (await lab.do("play", plan="-" * 70_000)).status_code == 413


async def test_one_order_at_a_time(lab: RunningLab) -> None:
    """While messages are held no other order is placed and no service is restarted."""
    await lab.do("step", on=True)
    assert (await lab.do("order")).status_code == 200
    await lab.state(lambda s: len(s["held"]) == 3)
    for refused in (await lab.do("order"), await lab.do("plant", bug="dedupe_in_memory")):
        assert refused.status_code == 409
        assert is_one_sentence(refused)
