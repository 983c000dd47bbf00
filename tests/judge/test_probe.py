"""The probe: what it reads, that it only reads, and when a count of effects has settled."""

import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from judge.errors import ProbeError
from judge.evidence import Evidence, clock
from judge.probe import meter, sources
from judge.probe.meter import Meter, Pace


async def test_a_probe_of_postgres_only_reads(database: Any) -> None:
    """What it was given by mistake changes nothing."""
    sql = "INSERT INTO billing.accounts VALUES ('probe', 1, 1) RETURNING 1"
    with pytest.raises(ProbeError, match="read-only transaction"):
        await sources._postgres(database.owner, sql)()
    owner = await asyncpg.connect(database.owner)
    try:
        assert await owner.fetchval("SELECT count(*) FROM billing.accounts") == 0
    finally:
        await owner.close()
    assert await sources._postgres(database.owner, "SELECT 7")() == Decimal(7)


async def test_a_probe_of_sqlite_only_reads(tmp_path: Path) -> None:
    """Likewise; and it makes no file."""
    file = tmp_path / "service.db"
    with pytest.raises(ProbeError, match="does not exist"):
        await sources._sqlite(file, "SELECT 1")()
    assert not file.exists()
    database = sqlite3.connect(file)
    database.execute("CREATE TABLE effects (n)")
    database.commit()
    with pytest.raises(ProbeError, match="readonly"):
        await sources._sqlite(file, "INSERT INTO effects VALUES (1) RETURNING 1")()
    assert database.execute("SELECT count(*) FROM effects").fetchone() == (0,)
    database.close()


class Clock:
    """Time passes by the pauses of the meter alone."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(meter, "time", clock)
    monkeypatch.setattr(meter, "asyncio", clock)
    return clock


@pytest.mark.parametrize(
    ("moments_s", "effects"),
    [([], 0), ([0.1], 1), ([0.1, 0.25], 2), ([0.1, 0.25, 0.4], 3), ([0.1, 0.9], 1)],
    ids=["none", "one", "another soon after", "a third", "long after it had settled"],
)
async def test_a_count_has_settled(passing: Clock, moments_s: list[float], effects: int) -> None:
    """When the reading has stayed the same since its last change: each change begins the time anew."""

    async def read() -> Decimal:
        return Decimal(sum(moment <= passing.now_s for moment in moments_s))

    counting = Meter(read, Decimal(1), Pace(quiet_min_s=0.2))
    evidence = Evidence(clock())
    await counting.begin(evidence)
    assert await counting.effects(evidence) == effects
    assert evidence.readings[-1].effects == effects
