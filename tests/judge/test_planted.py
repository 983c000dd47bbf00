"""Each planted bug is caught by the case that is meant to catch it, with a true explanation; the right receiver passes."""

from pathlib import Path

import pytest

from judge import causes
from judge.cases.catalogue import CASES
from tests.judge.conftest import Judge, planted
from tests.judge.planted.key_expires import LIFE_S
from tests.judge.planted.lock_expires import HANDLER_S

# The bug, the case that is meant to catch it, what it must say, and what is expected besides.
BUGS = (
    ("no_protection", "replay", causes.UNPROTECTED, ""),
    ("check_then_insert", "twins", causes.CHECK_THEN_INSERT, ""),
    ("memory_only", "kill-acknowledged", causes.MEMORY_ONLY, ""),
    ("not_durable", "kill-acknowledged", causes.NOT_DURABLE, ""),
    ("effect_before_key", "kill-middle", causes.EFFECT_BEFORE_KEY, ""),
    ("key_before_effect", "kill-middle", causes.KEY_BEFORE_EFFECT, ""),
    ("partial_body", "request-cut", causes.PARTIAL_BODY, ""),
    ("payload_not_compared", "other-payload", causes.PAYLOAD_NOT_COMPARED, ""),
    ("keys_shared", "other-caller", causes.KEYS_SHARED, ""),
    ("lock_expires", "slow-twins", causes.LOCK_EXPIRES, f"slow_s = {HANDLER_S}"),
    ("stranded", "kill-middle", causes.STRANDED, ""),
    ("error_as_final", "kill-middle", causes.ERROR_AS_FINAL, ""),
    ("hidden_effect", "replay", causes.HIDDEN_EFFECT, ""),
    ("answer_remade", "kill-middle", causes.MEMORY_ONLY, ""),
    ("key_truncated", "key-long", causes.TRUNCATED_KEY, ""),
    ("key_expires", "retention", causes.EXPIRED_KEY, f"retention_s = {LIFE_S}"),
    ("twins_refused", "twins", causes.STRANDED, ""),
)


@pytest.mark.parametrize(("bug", "case", "cause", "expect"), BUGS, ids=[bug[0] for bug in BUGS])
async def test_a_planted_bug(
    judge: Judge, tmp_path: Path, bug: str, case: str, cause: str, expect: str
) -> None:
    """The case fails, and names the cause that was planted; nothing else that it depends on does."""
    judged = await judge(planted(bug, tmp_path, expect), "--only", case)
    assert judged.code == 1, judged.output + judged.errors
    assert list(judged.failed) == [case]
    assert cause in judged.failed[case]


async def test_the_right_receiver(judge: Judge, tmp_path: Path) -> None:
    """All cases that its judge.toml gives occasion for pass, each with every witness; the file shows which do not."""
    judged = await judge(planted("right", tmp_path))
    assert judged.code == 0, judged.output + judged.errors
    played = {case["name"] for case in judged.document["cases"]}
    left = {case["name"] for case in judged.document["not_played"]}
    assert left == {"other-path", "slow-twins", "retention"}
    assert played == {"calibration"} | {case.name for case in CASES} - left
    assert all(
        witness["seen"] for case in judged.document["cases"] for witness in case["witnesses"]
    )
    assert all(case["witnesses"] for case in judged.document["cases"])


@pytest.mark.parametrize("bug", ["payload_not_compared", "keys_shared", "partial_body"])
async def test_a_bug_that_other_cases_do_not_see(judge: Judge, tmp_path: Path, bug: str) -> None:
    """What is right about a wrong receiver passes: the judge does not blame everything on one bug."""
    others = "replay,twins,response-lost,request-lost,late-original"
    judged = await judge(planted(bug, tmp_path), "--only", others)
    assert judged.code == 0, judged.output + judged.errors


async def test_a_refusal_that_tells_the_answer_of_another_path(
    judge: Judge, tmp_path: Path
) -> None:
    """The refusal is right, and what it gives away is not."""
    config = planted("path_tells", tmp_path).replace(
        "[effect]", 'other_path = "/refunds"\n[effect]'
    )
    judged = await judge(config, "--only", "other-path")
    assert judged.code == 1, judged.output + judged.errors
    assert causes.PATHS_SHARED in judged.failed["other-path"]
    assert "gives away" in judged.failed["other-path"]


async def test_a_life_that_ends_as_declared(judge: Judge, tmp_path: Path) -> None:
    """Of a service whose profile says that keys are executed again after their life."""
    config = planted("key_expires", tmp_path, f'retention_s = {LIFE_S}\nprofile = "stripe"')
    judged = await judge(config, "--only", "retention")
    assert judged.code == 0, judged.output + judged.errors
    (case,) = (case for case in judged.document["cases"] if case["name"] == "retention")
    assert any("a later retry is a second effect" in note for note in case["notes"])


async def test_a_service_that_is_too_busy(judge: Judge, tmp_path: Path) -> None:
    """A caller that is told to come again has no answer yet: of twins that are all told so, nothing is known."""
    judged = await judge(planted("busy", tmp_path), "--only", "twins")
    assert judged.code == 2, judged.output + judged.errors
    assert "too busy for every concurrent request" in judged.unknown["twins"]


async def test_one_of_its_processes_dies(judge: Judge, tmp_path: Path) -> None:
    """A service of several processes is ended as a whole, and then one of them is killed alone."""
    judged = await judge(planted("forked", tmp_path), "--only", "server-error")
    assert judged.code == 0, judged.output + judged.errors
    (case,) = (case for case in judged.document["cases"] if case["name"] == "server-error")
    faults = [
        event["text"] for event in case["events"] if event["kind"] in ("killed", "terminated")
    ]
    assert faults[0] == "SIGTERM"
    assert faults[1].startswith("kill -9 of the last of ")
