"""The play: what people do on the page, and the one state that all pages show.

Guarantee: every action is bounded, and one that cannot be done says so in one sentence and leaves the stack healed.

Long because it is the list of all that a person can do, in one place; what each of them needs is a module of its own.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import httpx

from chaos.harness.harness import AMOUNT_CENTS
from chaos.runner.run import WRAPPED
from lab import challenge, plans
from lab.columns import COLUMNS, SAFE, Column
from lab.cutting import Cutting
from lab.held import Holds, NotPossible
from lab.history import History
from lab.messages import Messages
from lab.network import Network
from lab.plans import Action, Entry, Plant
from lab.planting import Planting
from lab.repair import Repair
from lab.rounds import Lane, Round
from lab.setup import Setup
from lab.shell import Shell
from lab.strikes import Strikes
from lab.switchboard import Switchboard
from lab.tally import Tally
from lab.watching import Watch

# Remembered with all their events: what can be looked at again, saved, and put into a plan.
ROUNDS_MAX = 40
# An order of a plan that does not settle: longer than a lease of the order service.
_ENTRY_BOUND_S = 120.0
# Until an order is recorded and its first attempt begins; a service that is being started takes longer.
_FIRST_BOUND_S = 15.0


class Play:
    """Use as `async with Play(setup) as play`."""

    def __init__(self, setup: Setup) -> None:
        self.step = False
        self.busy = ""
        self.notice = ""
        self.rounds: deque[Round] = deque(maxlen=ROUNDS_MAX)
        self.entries: list[Entry | Round] = []
        self.tally = Tally()
        self.history = History(self.state)
        self.shell = Shell(setup.published)
        self.holds = Holds(self.history.changed)
        self.protections = challenge.shown()
        self._setup = setup
        self._harness = harness = setup.harness
        self._network = Network(setup, self._told)
        self._repair = Repair(self._network, self.holds, self.complain, self._forget_faults)
        self._planting = Planting(setup, self._repair)
        self._cutting = Cutting(self._network, self._repair, self._account, self._cut_changed)
        self._strikes = Strikes(setup, self._network, self.history, self.complain)
        self._watch = Watch(harness, self.history, self._watched, self._may_end, self._end)
        self._messages = Messages(
            self,
            self.holds,
            self._strikes,
            self.history,
            self._find,
            self._watch.read,
            self._network.route,
        )
        self._count = 0
        self._tasks: set[asyncio.Task[None]] = set()
        # One command after the other: two pages must not start two orders at once.
        self._one = asyncio.Lock()

    async def __aenter__(self) -> "Play":
        await self._planting.open()
        await self._network.open()
        self._watch.start(self._messages)
        control = self._harness.control
        if isinstance(control, Switchboard):
            control.listen(self._messages.decide)
        return self

    async def __aexit__(self, *_: object) -> None:
        control = self._harness.control
        if isinstance(control, Switchboard):
            control.close()
        self.holds.release()
        self.history.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._cutting.close()
        await self._strikes.close()
        await self._watch.close()
        await self._planting.close()

    @property
    def bug(self) -> str:
        """What is planted now; empty when nothing is."""
        return self._planting.bug

    @property
    def cut(self) -> bool:
        """Whether all answers are being cut."""
        return self._cutting.on

    @property
    def current(self) -> Round | None:
        """The order that the page shows."""
        return self.rounds[-1] if self.rounds else None

    def round_of(self, number: int) -> Round:
        """A remembered order. Raises `NotPossible`."""
        for each in self.rounds:
            if each.number == number:
                return each
        raise NotPossible(f"Order {number} is not remembered.")

    def state(self) -> dict[str, Any]:
        """Everything that a page shows, as it is now."""
        current = self.current
        return {
            "boot": self.history.boot,
            "price_cents": AMOUNT_CENTS,
            "step": self.step,
            "cut": self.cut,
            "bug": self.bug,
            "busy": self.busy,
            "notice": self.notice,
            "round": current.shown() if current else None,
            "held": [held.shown() for held in self.holds],
            "processes": self._processes(),
            "plan": self.plan,
            "rounds": [each.number for each in self.rounds if each.over],
            **self.tally.shown(current, self.bug),
        }

    @property
    def plan(self) -> str:
        """The play so far, as far as a plan may be long."""
        told = [e.decisions if isinstance(e, Round) else e for e in self.entries]
        text = plans.write(told[-plans.ORDERS_MAX :])
        while len(text) > plans.TEXT_LENGTH_MAX:
            told = told[1:]
            text = plans.write(told)
        return text

    def complain(self, sentence: str) -> None:
        """What went wrong, for the page."""
        self.notice = sentence
        self.history.note("notice", text=sentence)
        self.history.changed()

    async def order(self, situation: str = "success") -> int:
        """Places the order in all three columns; its number. Raises `NotPossible`."""
        if situation not in plans.SITUATIONS:
            raise NotPossible(f"There is no situation {situation[:40]!r}.")
        (entry,) = plans.read(plans.SITUATIONS[situation])
        assert not isinstance(entry, Plant)
        async with self._one:
            return await self._place(entry)

    async def act(self, number: int, action: Action) -> None:
        """Decides about one held message; with number 0 about all that are held at the point of the first. Raises `NotPossible`."""
        held = list(self.holds)
        if number:
            self.holds.decide(number, action)
            return
        if not held:
            raise NotPossible("No message is held.")
        for each in held:
            if each.seam is held[0].seam and action in plans.POSSIBLE[each.seam]:
                self.holds.decide(each.number, action)

    def set_step(self, on: bool) -> None:
        """Whether messages stop at barriers; switched off, what is held passes."""
        self.step = on
        if not on:
            self.holds.release()
        self.history.changed()

    async def set_cut(self, on: bool) -> None:
        """Cuts all answers while the button is pressed, which its page has to repeat. Raises `NotPossible`."""
        async with self._one:
            if not on:
                if self._cutting.on:
                    await self._cutting.end()
            elif await self._cutting.begin() and (self.current is None or self.current.over):
                await self._place(())

    async def heal(self) -> None:
        """Ends every fault: held messages pass, toxics go."""
        async with self._one:
            self._cutting.forget()
            self.step = False
            self.holds.release()
            if self.current is not None:
                self.current.script.clear()
            await self._repair.attempt(self._network.heal())
            self.notice = ""
            self.history.note("healed")
            self.history.changed()

    async def plant(self, bug: str) -> None:
        """Restarts services with a planted bug, or with none when it is empty. Raises `NotPossible`."""
        if bug and bug not in challenge.BY_BUG:
            raise NotPossible(f"There is no such protection: {bug[:60]!r}.")
        async with self._one:
            if self._open():
                raise NotPossible("An order is under way; the services restart when it is over.")
            await self._restart(bug)

    def start_plan(self, text: str) -> None:
        """Plays a plan in the background, one order after the other. Raises `NotAPlan` or `NotPossible`."""
        entries = plans.read(text)
        for entry in entries:
            if isinstance(entry, Plant) and entry.bug and entry.bug not in challenge.BY_BUG:
                raise plans.NotAPlan(f"The plan names a protection that is not known: {entry.bug}.")
        if self.busy:
            raise NotPossible("A plan is being played already.")
        self.busy = "A plan is being played."
        self._spawn(self._play_plan(entries))

    async def _play_plan(self, entries: Sequence[Entry]) -> None:
        try:
            self.set_step(False)
            for count, entry in enumerate(entries, start=1):
                self.busy = f"A plan is being played: {count} of {len(entries)}."
                if self.current is not None:
                    await self._over(self.current)
                async with self._one:
                    if isinstance(entry, Plant):
                        await self._restart(entry.bug)
                    else:
                        await self._place(entry)
            if self.current is not None:
                await self._over(self.current)
        except (NotPossible, TimeoutError) as exc:
            self.complain(f"The plan was not played to its end. {exc}".strip())
        finally:
            self.busy = ""
            self.history.changed()

    async def _over(self, current: Round) -> None:
        async with asyncio.timeout(_ENTRY_BOUND_S):
            await current.ended.wait()

    async def _place(self, decisions: Sequence[plans.Decision]) -> int:
        if self._open():
            raise NotPossible("An order is under way: let its messages pass, or heal.")
        self.notice = ""
        if not self.cut:
            await self._repair.start_clean()
        accounts = await self._repair.attempt(
            asyncio.gather(*(self._harness.open_account(f"lab-{c.letter}") for c in COLUMNS))
        )
        self._count += 1
        lanes = {c.name: Lane(c, a) for c, a in zip(COLUMNS, accounts, strict=True)}
        script = dict(plans.of_columns(decisions))
        placed = Round(self._count, lanes, self.bug, script)
        if len(self.rounds) == ROUNDS_MAX:
            self.tally.clear_cells_of(self.rounds[0].number)
        self.rounds.append(placed)
        self.entries = [*self.entries, placed][-plans.ORDERS_MAX :]
        self.history.note("placed", number=placed.number)
        for lane in lanes.values():
            self._told(self.shell.order(lane.account, lane.column.delivery))
        self.history.changed()
        # The column with the key goes first and so has the lowest key: while its order is open, no key of the round is forgotten.
        first = lanes[SAFE.name]
        self._spawn(self._customer(first))
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_BOUND_S):
                await first.begun.wait()
        for lane in lanes.values():
            if lane is not first:
                self._spawn(self._customer(lane))
        return placed.number

    async def _customer(self, lane: Lane) -> None:
        try:
            response = await self._harness.place(lane.account, lane.column.delivery)
            saw = f"{response.status_code}"
        except httpx.TransportError as exc:
            saw = type(exc).__name__
        self.history.note("customer was told", column=lane.column.name, saw=saw)
        reading = await self._watch.read(lane)
        if reading is None or not reading.order_id:
            lane.is_unrecorded = True
            self.complain(f"The order service recorded no order; the customer saw {saw}.")

    async def _restart(self, bug: str) -> None:
        before, self.busy = self.busy, "The services are being started again."
        self.history.note("restarts", bug=bug)
        self.history.changed()
        try:
            await self._planting.plant(bug)
            self.entries.append(Plant(bug))
        finally:
            self.busy = before
            self.history.changed()

    def _forget_faults(self) -> None:
        self._cutting.forget()

    def _cut_changed(self, on: bool) -> None:
        self.history.note("cut" if on else "healed")
        self.history.changed()

    def _account(self, column: Column) -> str:
        current = self.current
        return current.lanes[column.name].account if current else ""

    def _open(self) -> list[Round]:
        return [each for each in self.rounds if not each.over]

    def _watched(self) -> list[Round]:
        """Those in play, and the one that is shown: its rows may change after all."""
        last = [self.current] if self.current and self.current.over else []
        return [*self._open(), *last]

    def _find(self, account: str) -> Round | None:
        return next((r for r in reversed(self.rounds) if r.lane_of(account)), None)

    def _may_end(self, current: Round) -> bool:
        held = any(each.lane in current.lanes.values() for each in self.holds)
        return not (held or self._strikes.is_busy)

    def _end(self, ended: Round) -> None:
        ended.over = True
        ended.script.clear()
        self.tally.count(ended)
        self.history.note("over", number=ended.number)
        ended.ended.set()
        self.history.changed()

    def _processes(self) -> dict[str, Any]:
        return {
            service: [
                {"pid": child.pid, "up": child.running and child.name not in self._strikes.down}
                for child in self._setup.services.children(service)
            ]
            for service in WRAPPED
        }

    def _told(self, line: str) -> None:
        self.history.note("shell", line=line)

    def _spawn(self, doing: Any) -> None:
        task = asyncio.create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
