"""Counts effects: readings against the reading at a case's beginning, waited for until they have settled.

Guarantee: a count is taken only after the reading stayed the same for longer than this service's effects were seen to
lag behind its answers; the readings are evidence.
"""

import asyncio
import time
from dataclasses import dataclass
from decimal import Decimal

from judge.errors import ProbeError
from judge.evidence import Evidence, Reading
from judge.probe.sources import Read

# Between two readings. SQL and HTTP take about a millisecond, a command takes a process.
_PAUSE_S = 0.03
# The shortest time that a reading must stay the same.
_QUIET_MIN_S = 0.2
# Lags that were measured vary; a later effect is still seen at the beginning of the next case.
_LAG_TIMES = 2.0
# How long an expected effect is waited for: an acknowledged effect that is not there then is missing.
_MISSING_AFTER_S = 5.0
_MISSING_LAG_TIMES = 8.0
# A reading that never rests is that of another user.
_RESTLESS_S = 20.0
# A service that has just been started again, or is busy, may refuse the probe for a while.
_TROUBLE_S = 15.0


@dataclass
class Pace:
    """How far this service's readings lag behind its answers, in seconds; found by the calibration."""

    lag_s: float = 0.0
    # The first time that it is measured, the lag is not known: a longer quiet is asked for.
    quiet_min_s: float = _QUIET_MIN_S

    @property
    def quiet_s(self) -> float:
        """How long a reading must stay the same to count."""
        return max(self.quiet_min_s, 0.1 + self.lag_s * _LAG_TIMES)

    @property
    def missing_after_s(self) -> float:
        """When an expected effect is missing."""
        return max(_MISSING_AFTER_S, self.lag_s * _MISSING_LAG_TIMES)


class Meter:
    """The readings of one run."""

    def __init__(self, read: Read, step: Decimal, pace: Pace) -> None:
        self._read = read
        self.step = step
        self.pace = pace
        self.base = Decimal(0)
        self.last: Decimal | None = None

    async def value(self) -> Decimal:
        """One reading; trouble is waited out. Raises `ProbeError`."""
        ends = time.monotonic() + _TROUBLE_S
        while True:
            try:
                self.last = await self._read()
            except ProbeError:
                if time.monotonic() > ends:
                    raise
                await asyncio.sleep(_PAUSE_S * 3)
            else:
                return self.last

    async def once(self) -> Decimal:
        """One reading; trouble is an error at once. Raises `ProbeError`."""
        self.last = await self._read()
        return self.last

    async def begin(self, evidence: Evidence) -> None:
        """Effects are counted from here."""
        self.base = await self.value()
        evidence.entries.append(Reading(evidence.clock_ms(), self.base, Decimal(0)))

    def effects_of(self, value: Decimal) -> Decimal:
        """The effects between the beginning and a reading."""
        return (value - self.base) / self.step

    async def effects(
        self, evidence: Evidence, at_least: int = 0, quiet_s: float | None = None
    ) -> Decimal:
        """The effects since the beginning, once they have settled.

        Waits for `at_least` effects, for as long as an effect can be late, then until nothing changes any more.
        """
        quiet = max(quiet_s or 0.0, self.pace.quiet_s)
        began = changed = time.monotonic()
        value = await self.value()
        while True:
            await asyncio.sleep(_PAUSE_S)
            now = time.monotonic()
            latest = await self.value()
            if latest != value:
                value, changed = latest, now
            waits = self.effects_of(value) < at_least and now - began < self.pace.missing_after_s
            if not waits and time.monotonic() - changed >= quiet:
                break
            if now - began > _RESTLESS_S + quiet + self.pace.missing_after_s:
                raise ProbeError(
                    "the reading never rests: another user changes what the probe reads."
                )
        effects = self.effects_of(value)
        evidence.entries.append(Reading(evidence.clock_ms(), value, effects))
        return effects

    async def changes_within(self, seconds: float) -> bool:
        """Whether the reading changes while nothing is sent."""
        before = await self.value()
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            await asyncio.sleep(_PAUSE_S)
            if await self.value() != before:
                return True
        return False
