"""The sample runs, and text that tries to be markup."""

from typing import Any

import pytest

from report.page import page
from tests.report import sample
from tests.report.sample import Run

# Ends every context that text could stand in, and holds what XML forbids or UTF-8 cannot encode.
HOSTILE = (
    "</title></style></script></text></svg><script>alert(1)</script>"
    '<img src="http://example.invalid/x" onerror="alert(1)">"\' onmouseover=alert(1) x=\''
    "]]>&lt;&#0;\x00\x01\x1b[31m\x7f\ud800\ufffe\u202e\u2028-->"
)


@pytest.fixture
def clean() -> Run:
    """Everything as promised."""
    return sample.clean_run()


@pytest.fixture
def broken() -> Run:
    """One broken promise, one scenario without a verdict."""
    return sample.broken_run()


@pytest.fixture(scope="session")
def clean_page() -> str:
    """The page of the clean run, which takes a third of a second to make."""
    return page(*sample.clean_run())


@pytest.fixture(scope="session")
def broken_page() -> str:
    """The page of the broken run."""
    return page(*sample.broken_run())


@pytest.fixture
def hostile() -> Run:
    """The broken run, with hostile text behind everything that was recorded from outside."""
    return made_hostile(sample.broken_run())


def made_hostile(run: Run) -> Run:
    """The words that tell events and processes apart stay as they are: with others it would be another story."""
    result, history = run
    fixed = {
        "verdict",
        "situation",
        "delivery",
        "service",
        "seam",
        "run",
        "kind",
        "peer",
        "what",
        "family",
    }
    return _poisoned(result, fixed), _poisoned(history, fixed)


def _poisoned(value: Any, fixed: set[str]) -> Any:
    if isinstance(value, str):
        # What was left empty stays so: there an element is left out.
        return value + HOSTILE if value else value
    if isinstance(value, list):
        return [_poisoned(item, fixed) for item in value]
    if isinstance(value, dict):
        return {
            key: item if key in fixed else _poisoned(item, fixed) for key, item in value.items()
        }
    return value
