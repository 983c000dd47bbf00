"""The fifteen cells of the headline table, out of real faults, with the examples in the place of the services."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chaos.harness.harness import Harness
from chaos.promises.verdict import Verdict
from chaos.results.lines import line
from chaos.runner.play import play
from chaos.scenarios.scenario import Scenario
from chaos.scenarios.table import TABLE
from stack.servers import LentServers
from tests.chaos.test_scenarios import COLUMNS, PROMISED
from tests.examples.harness import open_examples

pytestmark = pytest.mark.chaos
LOST_RESPONSE = "disconnect/response_lost/exactly_once/warm"


@pytest.fixture(scope="module")
async def examples(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Harness]:
    """The running stage: examples/caller.py and examples/receiver.py behind the real Toxiproxy and Postgres."""
    async with open_examples(tmp_path_factory.mktemp("examples")) as harness:
        yield harness


@pytest.mark.parametrize("scenario", TABLE, ids=lambda scenario: scenario.name)
async def test_a_cell(examples: Harness, scenario: Scenario) -> None:
    """Played and judged as with the services: every witness, every promise, and the money that the table promises."""
    cell = await play(examples, scenario)
    assert cell.verdict is Verdict.PASS, line(cell)
    assert scenario.situation is not None
    assert cell.effects == PROMISED[scenario.situation.name][COLUMNS.index(scenario.delivery)]


async def test_a_receiver_without_its_unique_key(tmp_path: Path, servers: LentServers) -> None:
    """The negative control: the money moves twice, and the promise that speaks of it is broken."""
    schema = [("PRIMARY KEY (client, sequence_key)", "CHECK (sequence_key > 0)")]
    (scenario,) = [cell for cell in TABLE if cell.name == LOST_RESPONSE]
    async with open_examples(tmp_path, schema=schema, servers=servers) as harness:
        cell = await play(harness, scenario)
    assert cell.verdict is Verdict.FAIL, line(cell)
    assert cell.effects == 2
    assert "X1" in {finding.promise for finding in cell.findings if not finding.kept}
