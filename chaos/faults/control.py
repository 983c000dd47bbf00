"""Tells wrapped services what to do at their seams, and learns from them how far they have got.

Guarantee: a rule strikes at a logical point ("attempt 2 of this account reaches the wire"), never at a time; a step
that waits for a rule waits for the event itself.

A wrapped service opens one TCP connection an event, sends one JSON line and waits for one: `{"do": "go"}` or
`{"do": "die"}`. A service that is held simply gets its line later; one that closes its connection (it died, or its deadline
passed) is held no longer. Beside "go" an attempt may be told another way to billing (`"via": "host:port"`), to send the
opposite of its retry flag (`"invert": true`), or another token (`"token": "…"`). Beside the service, the seam and the account
an event has the process id and what the seam knows of the message.
"""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal

Seam = Literal["attempt", "answer", "notify", "arrival", "reply", "body"]
Action = Literal["hold", "die", "detour", "invert", "token"]


@dataclass
class Rule:
    """One armed point: the `nth` event at `seam` of `service` for `account`.

    `die` strikes once; the others also strike at every later event of the kind, until they are released.
    """

    service: str
    seam: Seam
    account: str
    nth: int
    action: Action
    via: str = ""
    token: str = ""
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def matches(self, service: str, seam: str, account: str, count: int) -> bool:
        """Whether the event is the one that the rule waits for."""
        if (service, seam, account) != (self.service, self.seam, self.account):
            return False
        if self.action == "die":
            return count == self.nth and not self.reached.is_set()
        return count >= self.nth and not self.released.is_set()

    def release(self) -> None:
        """Lets what is held go on, and everything after it."""
        self.released.set()


class Control:
    """The server; use as `async with Control() as control`. With port 0 it listens at a free one."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._listen = (host, port)
        self._rules: list[Rule] = []
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "Control":
        self._server = await asyncio.start_server(self._answer, *self._listen)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for rule in self._rules:
            rule.release()
        if self._server is not None:
            self._server.close()

    @property
    def address(self) -> str:
        """host:port, for the environment of the wrapped services."""
        if self._server is None:
            raise RuntimeError("the control server is not open")
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    def hold(self, service: str, seam: Seam, account: str, nth: int) -> Rule:
        """Arms a barrier."""
        return self._arm(Rule(service, seam, account, nth, "hold"))

    def die(self, service: str, seam: Seam, account: str, nth: int) -> Rule:
        """Arms a crash of the process that gets to that seam."""
        return self._arm(Rule(service, seam, account, nth, "die"))

    def detour(self, account: str, nth: int, via: str) -> Rule:
        """Sends attempts from the `nth` on to another address, host:port."""
        return self._arm(Rule("order_service", "attempt", account, nth, "detour", via))

    def invert(self, account: str) -> Rule:
        """Inverts the retry flag of every attempt."""
        return self._arm(Rule("order_service", "attempt", account, 1, "invert"))

    def use_token(self, account: str, nth: int, token: str) -> Rule:
        """Sends attempts from the `nth` on with another bearer token."""
        return self._arm(Rule("order_service", "attempt", account, nth, "token", token=token))

    def _arm(self, rule: Rule) -> Rule:
        self._rules.append(rule)
        return rule

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The service may be killed while it waits here: that is the purpose of some rules.
        with contextlib.suppress(ConnectionError):
            line = await reader.readline()
            if line:
                decision = await _unless_gone(reader, self.decide(json.loads(line)))
                if decision is not None:
                    writer.write(json.dumps(decision).encode() + b"\n")
                    await writer.drain()
        writer.close()

    async def decide(self, event: dict[str, Any]) -> dict[str, Any]:
        """What a service is told that reports this event; returns when it may go on. Cancelled when the service is gone."""
        place = (str(event["service"]), str(event["seam"]), str(event["account"]))
        self._counts[place] += 1
        decision: dict[str, Any] = {"do": "go"}
        for rule in self._rules:
            if rule.matches(*place, self._counts[place]):
                rule.reached.set()
                match rule.action:
                    case "die":
                        return {"do": "die"}
                    case "hold":
                        await rule.released.wait()
                    case "detour":
                        decision["via"] = rule.via
                    case "invert":
                        decision["invert"] = True
                    case "token":
                        decision["token"] = rule.token
        return decision


async def _unless_gone(
    reader: asyncio.StreamReader, deciding: Coroutine[Any, Any, dict[str, Any]]
) -> dict[str, Any] | None:
    """The decision; None when the service closes its connection before."""
    decision = asyncio.ensure_future(deciding)
    # The service sends nothing after its line: what can be read is the end of the connection.
    gone = asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait((decision, gone), return_when=asyncio.FIRST_COMPLETED)
        return decision.result() if decision.done() else None
    finally:
        ended = [task for task in (decision, gone) if task.cancel() or task.done()]
        await asyncio.gather(*ended, return_exceptions=True)
