"""One Chromium for all browser tests, and where their photographs go."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.architecture.rules import PROJECT
from tests.browser.chromium import MISSING, Tab, browser, find

# Kept after the run, so that a person can look at them; the CI of the project uploads them.
PHOTOGRAPHS = PROJECT / ".run" / "report-test"


@pytest.fixture(scope="session")
async def tab() -> AsyncIterator[Tab]:
    """A tab of a real browser; without one the run ends, as a check that was not made is not a pass."""
    program = find()
    if program is None:
        pytest.exit(MISSING, returncode=2)
    async with browser(program) as tab:
        yield tab


@pytest.fixture(scope="session")
def photographs() -> Path:
    """The folder for what the browser showed."""
    PHOTOGRAPHS.mkdir(parents=True, exist_ok=True)
    return PHOTOGRAPHS
