"""What is done to a message that is held: lost, delayed, copied, or its process killed; each with its witnesses.

Guarantee: a fault is claimed only by what was read back, journaled, committed, or seen by the operating system; it is healed
before the next attempt leaves, and a fault that cannot be armed leaves the message as it was.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import asyncpg
import httpx

from chaos.evidence import readings
from chaos.faults.account_lock import AccountLock
from chaos.faults.wrapped_services import KILLED
from chaos.harness.harness import AMOUNT_CENTS
from lab.history import History
from lab.network import FORGOTTEN_MS, LATE_MS, Network
from lab.plans import Action, Seam
from lab.rounds import Attempt, Lane, Round
from lab.setup import Setup
from stack.processes import StackError
from stack.toxics import LimitData, ToxiproxyError
from stack.waiting import NotSeen, until

# A lost message ends its connection at once; on a busy machine the caller needs longer to see it.
_SEEN_BOUND_S = 15.0
# A copy and its original wait for the account together; in one batch they wait as one.
_BOTH_WAIT_BOUND_S = 1.2
# Until a message that comes late has arrived and was executed.
_LATE_BOUND_S = 30.0
ANSWERS_CUT = LimitData(bytes=0)
_REQUEST_CUT = LimitData(bytes=0, stream="upstream")

_GO = {"do": "go"}


class Strikes:
    """`complain` hears a sentence when something could not be done."""

    def __init__(self, setup: Setup, network: Network, history: History, complain: Any) -> None:
        self._setup = setup
        self._harness = setup.harness
        self._network = network
        self._history = history
        self._complain = complain
        self._tasks: set[asyncio.Task[None]] = set()
        # Copies that have not arrived, by account.
        self.copies: dict[str, asyncio.Event] = {}
        # Processes that are being started again, by their name.
        self.down: set[str] = set()

    async def close(self) -> None:
        """Ends what is being watched."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def is_busy(self) -> bool:
        """Whether a fault is being healed, or a process started again."""
        return bool(self._tasks)

    async def strike(
        self, struck: Round, lane: Lane, attempt: Attempt, seam: Seam, action: Action, pid: int
    ) -> dict[str, Any]:
        """What the held service is told."""
        route = {"via": self._network.route(lane.column)} if seam is Seam.SEND else {}
        try:
            match action:
                case Action.LOSE:
                    await self._lose(lane, attempt, seam)
                case Action.DELAY | Action.FORGET:
                    route = {"via": await self._delay(struck, lane, attempt, action)}
                case Action.COPY if seam is Seam.ARRIVAL:
                    await self._copy(lane, attempt)
                case Action.COPY:
                    attempt.strike(seam, action)
                    await self._copy_later(lane, attempt)
                case Action.KILL:
                    attempt.strike(seam, action)
                    attempt.is_one_shot = True
                    self._watch(self._see_death(lane, attempt, seam, pid))
                    return {"do": "die"}
        except (ToxiproxyError, OSError, TimeoutError, asyncpg.PostgresError, NotSeen) as exc:
            attempt.struck = attempt.seam = None
            self._complain(f"The message could not be struck and passes: {exc}.")
        return {**_GO, **route}

    async def _lose(self, lane: Lane, attempt: Attempt, seam: Seam) -> None:
        toxic = _REQUEST_CUT if seam is Seam.SEND else ANSWERS_CUT
        await self._network.arm(lane.column, lane.account, toxic)
        attempt.strike(seam, Action.LOSE)
        attempt.is_one_shot = True
        attempt.witnesses.append((f"{toxic} read back from proxy {lane.column.proxy}", True))
        self._watch(self._see_loss(lane, attempt, toxic))

    async def _see_loss(self, lane: Lane, attempt: Attempt, toxic: LimitData) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_SEEN_BOUND_S):
                await attempt.ended.wait()
        try:
            seen = await self._network.disarm(lane.column, lane.account, toxic)
        except ToxiproxyError as exc:
            self._complain(f"A toxic could not be removed, the proxy was made anew: {exc}.")
            await self._network.heal()
            seen = False
        attempt.witnesses.append((f"{toxic} was still armed when it was removed", seen))
        self.witness_loss(attempt)
        attempt.over.set()
        self._history.note(
            "lost",
            column=lane.column.name,
            attempt=attempt.number,
            seam=attempt.seam.name.lower() if attempt.seam else "",
            saw=attempt.saw,
        )

    def witness_loss(self, attempt: Attempt) -> None:
        """What shows that a message was lost: the journal and Postgres."""
        attempt.witnesses.append(("the order service got no answer", bool(attempt.saw)))
        if attempt.seam is Seam.SEND:
            claim = "the request was never received: the journal has no arrival"
            attempt.witnesses.append((claim, attempt.arrivals == 0))
        else:
            claim = "the row was committed before the toxic was removed"
            attempt.witnesses.append((claim, attempt.executed))

    async def _delay(self, struck: Round, lane: Lane, attempt: Attempt, action: Action) -> str:
        late_ms = LATE_MS if action is Action.DELAY else FORGOTTEN_MS
        name, via = await self._network.open_late(lane.column, lane.account, late_ms)
        attempt.strike(Seam.SEND, action)
        if action is Action.DELAY:
            struck.delay(1)
        attempt.witnesses.append((f"latency and timeout read back from proxy {name}", True))
        lane.late += 1
        self._watch(self._see_late(struck, lane, attempt, name))
        return via

    async def _see_late(self, struck: Round, lane: Lane, attempt: Attempt, name: str) -> None:
        async def executed() -> bool:
            return attempt.status != 0

        try:
            await until(executed, _LATE_BOUND_S, "the late message is executed")
        except NotSeen as exc:
            self._complain(f"The delayed message did not come: {exc}.")
        after = attempt.ended.is_set() and attempt.arrivals > 0
        attempt.witnesses.append(("the request arrived after its caller had given up", after))
        lane.late -= 1
        if attempt.struck is Action.DELAY:
            struck.delay(-1)
        try:
            await self._network.close_late(name, lane.account)
        except ToxiproxyError as exc:
            self._complain(f"A proxy could not be removed: {exc}.")

    async def _copy(self, lane: Lane, attempt: Attempt) -> None:
        """Another transaction holds the account until the original and its copy both wait for it."""
        connection = await readings.connect(self._harness.target.owner)
        lock = AccountLock(connection)
        try:
            await lock.take(lane.account)
        except BaseException:
            await connection.close()
            raise
        attempt.strike(Seam.ARRIVAL, Action.COPY)
        attempt.is_one_shot = True
        arrived = self.copies[lane.account] = asyncio.Event()
        self._watch(self._see_copy(lane, attempt, lock, connection))
        async with asyncio.timeout(_SEEN_BOUND_S):
            await arrived.wait()

    async def _copy_later(self, lane: Lane, attempt: Attempt) -> None:
        """The network delivers the request once more, when the first one was executed."""
        arrived = self.copies[lane.account] = asyncio.Event()
        try:
            response = await self._send_copy(lane, attempt)
            claim = "a copy of the request arrived after it was executed"
            attempt.witnesses.append((claim, arrived.is_set()))
            self._note_copy(lane, attempt, response)
        except httpx.TransportError as exc:
            attempt.witnesses.append((f"the copy was served ({type(exc).__name__})", False))
        finally:
            self.copies.pop(lane.account, None)

    async def _send_copy(self, lane: Lane, attempt: Attempt) -> httpx.Response:
        key, retry = f'"{attempt.key}"', "?1" if attempt.retry else "?0"
        child = self._setup.services.children("billing_service")[lane.column.number]
        body = {
            "order_id": attempt.order_id,
            "account": lane.account,
            "amount_cents": AMOUNT_CENTS,
        }
        self._harness.journal.note(
            "sent", lane.account, sequence_key=key, retry=retry, peer="charges"
        )
        url = self._setup.services.url_of(child)
        return await self._harness.charge(body, key, "order_service", retry, url)

    def _note_copy(self, lane: Lane, attempt: Attempt, response: httpx.Response) -> None:
        self._history.note(
            "copied",
            column=lane.column.name,
            attempt=attempt.number,
            status=response.status_code,
            replayed="Idempotency-Replayed" in response.headers,
        )

    async def _see_copy(
        self, lane: Lane, attempt: Attempt, lock: AccountLock, connection: Any
    ) -> None:
        sending = asyncio.create_task(self._send_copy(lane, attempt))
        try:
            arrived = self.copies[lane.account]
            async with asyncio.timeout(_SEEN_BOUND_S):
                await arrived.wait()
            attempt.witnesses.append(("a copy of the request arrived beside it", True))

            async def both_wait() -> bool:
                return await lock.count_waiting() >= 2

            # In one batch they wait as one.
            with suppress(NotSeen):
                await until(both_wait, _BOTH_WAIT_BOUND_S, "both wait")
            await lock.release()
            response = await sending
            self._note_copy(lane, attempt, response)
        except (httpx.TransportError, TimeoutError, OSError, asyncpg.PostgresError) as exc:
            attempt.witnesses.append((f"the copy was served ({type(exc).__name__})", False))
        finally:
            sending.cancel()
            self.copies.pop(lane.account, None)
            await connection.close()
            attempt.over.set()

    async def _see_death(self, lane: Lane, attempt: Attempt, seam: Seam, pid: int) -> None:
        service = "order_service" if seam is Seam.SEND else "billing_service"
        name = ""
        try:
            child = await self._setup.process(service, pid)
            name = child.name
            self.down.add(name)
            self._history.changed()
            async with asyncio.timeout(_SEEN_BOUND_S):
                while not any(death.pid == pid for death in child.deaths):
                    await child.dead(len(child.deaths) + 1)
            (death,) = (death for death in child.deaths if death.pid == pid)
            died = death.return_code == KILLED
            claim = f"process {pid} of {service} died at this point, exit code {death.return_code}"
            attempt.witnesses.append((claim, died))
            if seam is not Seam.SEND:
                async with asyncio.timeout(_SEEN_BOUND_S):
                    await attempt.ended.wait()
                has, claim = (
                    (attempt.executed, "the row was committed before")
                    if seam is Seam.REPLY
                    else (not attempt.executed, "no row was committed by this attempt")
                )
                attempt.witnesses.append((claim, has))
            attempt.over.set()
            self._history.note(
                "crashed", column=lane.column.name, service=service, pid=pid, seam=seam.name.lower()
            )
            await self._setup.services.ready_after(child, 0)
            self._history.note("restarted", column=lane.column.name, service=service, pid=child.pid)
        except (TimeoutError, StackError, NotSeen, ValueError) as exc:
            attempt.witnesses.append((f"process {pid} died", False))
            self._complain(f"{service} did not come back: {exc}.")
        finally:
            attempt.over.set()
            self.down.discard(name)
            self._history.changed()

    def _watch(self, watching: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(watching)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._history.changed())
