"""The secrets of a run directory: drawn once, one for each use, and read by their owner alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from stack.credentials import CLIENTS, RECEIVERS, ROLES, Credentials, read_or_make


def values(found: Credentials) -> list[str]:
    return [
        *found.passwords.values(),
        *(t for each in found.tokens.values() for t in each.values()),
    ]


def test_each_use_has_a_secret_of_its_own(tmp_path: Path) -> None:
    """A password for each role, a token for each client at each service; no two are the same, and no other user reads them."""
    path = tmp_path / "secrets.json"
    made = read_or_make(path)
    assert sorted(made.passwords) == sorted(ROLES)
    assert sorted(made.tokens) == sorted(RECEIVERS)
    assert all(sorted(each) == sorted(CLIENTS) for each in made.tokens.values())
    assert len(set(values(made))) == len(ROLES) + len(RECEIVERS) * len(CLIENTS)
    assert path.stat().st_mode & 0o777 == 0o600


def test_they_stay(tmp_path: Path) -> None:
    """Postgres remembers the passwords, and people the tokens."""
    made = read_or_make(tmp_path / "secrets.json")
    assert read_or_make(tmp_path / "secrets.json") == made


PASSWORDS = {role: role for role in ROLES}
TOKENS = {receiver: {c: f"{c} at {receiver}" for c in CLIENTS} for receiver in RECEIVERS}


@pytest.mark.parametrize(
    "content",
    [
        # As it was before each service had tokens of its own.
        {"passwords": PASSWORDS, "tokens": {"order_service": "x", "curl": "y"}},
        {"passwords": PASSWORDS, "tokens": {"billing_service": TOKENS["billing_service"]}},
        {
            "passwords": PASSWORDS,
            "tokens": {each: {"order_service": "x", "curl": "y"} for each in RECEIVERS},
        },
        {"passwords": {**PASSWORDS, "order": ""}, "tokens": TOKENS},
        {"passwords": {**PASSWORDS, "order": 5}, "tokens": TOKENS},
        {"passwords": {"order": "x"}, "tokens": TOKENS},
        {"passwords": PASSWORDS, "tokens": []},
        {"passwords": PASSWORDS},
        [],
        None,
    ],
    ids=str,
)
def test_a_file_of_another_form(tmp_path: Path, content: Any) -> None:
    """It is made anew: an older one had the same token for two services."""
    path = tmp_path / "secrets.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    made = read_or_make(path)
    assert len(set(values(made))) == 7
    assert read_or_make(path) == made


def test_a_whole_file_is_kept(tmp_path: Path) -> None:
    """The counterpart."""
    path = tmp_path / "secrets.json"
    path.write_text(json.dumps({"passwords": PASSWORDS, "tokens": TOKENS}), encoding="utf-8")
    assert read_or_make(path) == Credentials(PASSWORDS, TOKENS)
