"""Each planted bug is caught by the case that is meant to catch it, with a true explanation; the right receiver passes."""

from pathlib import Path

import pytest

from judge import causes
from judge.cases.catalogue import CASES
from tests.judge.conftest import Judge, planted
from tests.judge.planted.lock_expires import HANDLER_S

# The bug, the case that is meant to catch it, what it must say, and what is expected besides.
BUGS = (
    ("no_protection", "replay", causes.UNPROTECTED, ""),
    ("check_then_insert", "twins", causes.CHECK_THEN_INSERT, ""),
    ("memory_only", "kill-acknowledged", causes.MEMORY_ONLY, ""),
    ("effect_before_key", "kill-middle", causes.EFFECT_BEFORE_KEY, ""),
    ("key_before_effect", "kill-middle", causes.KEY_BEFORE_EFFECT, ""),
    ("partial_body", "request-cut", causes.PARTIAL_BODY, ""),
    ("payload_not_compared", "other-payload", causes.PAYLOAD_NOT_COMPARED, ""),
    ("keys_shared", "other-caller", causes.KEYS_SHARED, ""),
    ("lock_expires", "slow-twins", causes.LOCK_EXPIRES, f"slow_s = {HANDLER_S}"),
    ("stranded", "kill-middle", causes.STRANDED, ""),
    ("error_as_final", "kill-middle", causes.ERROR_AS_FINAL, ""),
    ("hidden_effect", "replay", causes.HIDDEN_EFFECT, ""),
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
