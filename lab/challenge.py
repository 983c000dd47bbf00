"""The protections that can be taken away: planted bugs, what they break, and the line of code that keeps it whole.

Guarantee: a line that is named exists; it is looked up in the source and not written down here.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from chaos.evidence import readings
from chaos.mutation import Bug, planted
from stack.schema import PROJECT

_NET_ON = "ALTER TABLE billing.processed_keys ENABLE TRIGGER processed_keys_answer_stays"
_NET_OFF = "ALTER TABLE billing.processed_keys DISABLE TRIGGER processed_keys_answer_stays"


@dataclass(frozen=True)
class Protection:
    """What a planted bug takes away. `hint` is what makes it hurt, as a situation of a plan; `code` is MODULE.py:NAME.

    `second_net` is a trigger that would hide the hole; it is switched off with the bug.
    """

    bug: str
    title: str
    why: str
    hint: str
    hint_says: str
    code: str
    second_net: bool = False


PROTECTIONS = (
    Protection(
        "no_unique_constraint",
        "No unique index on the key",
        "The primary key of processed_keys decides which of two requests with one key may withdraw. Without it both may.",
        "response_lost",
        "Lose the answer: the retry withdraws again.",
        "billing_service/charge.py:insert_key",
    ),
    Protection(
        "retry_flag_trusted",
        "Believe the retry flag",
        "The flag is evidence and no protection: a network can copy a first attempt, and the copy says that it is no retry.",
        "copied",
        "Deliver the request once more: the copy says that it is no retry. (The trigger that keeps a stored answer from "
        "changing would stop the second withdrawal; it is off as well.)",
        "billing_service/charge.py:claim",
        second_net=True,
    ),
    Protection(
        "retry_flag_means_seen",
        "A retry counts as processed",
        "A retry of a request that was never received is the first that arrives. Taken for processed, it is billed without money.",
        "request_lost",
        "Lose the request: the retry is told that all is well, and nothing was withdrawn.",
        "billing_service/charge.py:charge",
    ),
    Protection(
        "key_after_effect",
        "The key in a transaction of its own",
        "Key and withdrawal are committed together. Apart, a copy comes in between them.",
        "twin",
        "Copy the request on its way: both find no key, and both withdraw.",
        "billing_service/charge.py:charge",
    ),
    Protection(
        "dedupe_in_memory",
        "Keys only in memory",
        "A processed key is a row, because a process forgets everything when it dies.",
        "crash_after_execution",
        "Kill billing before its reply: the next process knows nothing.",
        "billing_service/charge.py:read_stored",
    ),
    Protection(
        "forgotten_by_time",
        "Forget keys and accept them again",
        "A key that was forgotten is refused for ever, so that a message that comes late cannot be executed again.",
        "forgotten",
        "Delay the request: it arrives when its key is forgotten.",
        "billing_service/charge.py:share_lock_client",
    ),
    Protection(
        "new_key_for_each_retry",
        "A new key for each retry",
        "The key belongs to the order, not to the attempt: it is made before the loop.",
        "response_lost",
        "Lose the answer: billing does not recognise the retry.",
        "order_service/delivery.py:exactly_once",
    ),
    Protection(
        "unknown_is_failure",
        "No answer counts as failure",
        "No answer says nothing about the money: the order stays open until there is an answer.",
        "response_lost",
        "Lose the answer: the order fails, and the customer has paid.",
        "order_service/peers.py:_outcome_of_failure",
    ),
)
BY_BUG: Mapping[str, Protection] = MappingProxyType({p.bug: p for p in PROTECTIONS})


def shown() -> list[dict[str, Any]]:
    """All that can be taken away, for the page. Raises `ModuleNotFoundError` where the planted bugs were not delivered."""
    bugs = _bugs()
    return [
        {
            "bug": protection.bug,
            "title": protection.title,
            "why": protection.why,
            "hint": protection.hint,
            "hint_says": protection.hint_says,
            "code": place(protection.code),
            "is": bugs[protection.bug].title,
        }
        for protection in PROTECTIONS
    ]


def factories(bug: str) -> Mapping[str, str]:
    """The factories that have the bug, by service."""
    return _bugs()[bug].factories


def place(code: str) -> str:
    """PATH:LINE of a function. Raises `LookupError` when the source has it no more."""
    path, _, name = code.partition(":")
    tree = ast.parse(Path(PROJECT, path).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
        if named or _assigns(node, name):
            return f"{path}:{getattr(node, 'lineno', 0)}"
    raise LookupError(f"{path} has no {name}")


def _assigns(node: ast.AST, name: str) -> bool:
    """An alias counts as a definition: `claim = insert_key`."""
    return isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id == name for target in node.targets
    )


async def set_second_net(owner: str, *, on: bool) -> None:
    """Switches the trigger of stored answers. Raises `OSError`, `TimeoutError` or `asyncpg.PostgresError`."""
    connection = await readings.connect(owner)
    try:
        await connection.execute(_NET_ON if on else _NET_OFF)
    finally:
        await connection.close()


def _bugs() -> Mapping[str, Bug]:
    return {bug.name: bug for bug in planted()}
