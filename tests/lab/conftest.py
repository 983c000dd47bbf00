"""One running lab for all tests of the folder; each test leaves it quiet."""

from collections.abc import AsyncIterator

import pytest

from tests.lab.running import RunningLab, running


@pytest.fixture(scope="session")
async def one_lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningLab]:
    """A lab that several tests share."""
    async with running(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture
async def lab(one_lab: RunningLab) -> AsyncIterator[RunningLab]:
    """The lab, quiet."""
    await one_lab.quiet()
    yield one_lab
    await one_lab.quiet()
