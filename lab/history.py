"""What happened, as the pages hear it: a bounded history of events, and the state as it is now.

Guarantee: every open page gets the same events in the same order; one that comes late or again gets what it missed, or,
when that is forgotten, the whole state. A page that does not read is let go and never slows the others down.
"""

import asyncio
import json
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import contextmanager
from typing import Any

# Several orders with many retries; an older event is too old to be shown.
EVENTS_MAX = 1_500
# A page that has this much unread does not read.
_UNREAD_MAX = 500
PAGES_MAX = 32
# A proxy or a browser may close a silent stream; a page takes a longer silence for a server that has gone.
_HEARTBEAT_S = 5.0
# Changes of the state that come this close together are shown as one: shorter than one picture of a screen is seen.
_TOGETHER_S = 0.03


class TooManyPages(Exception):
    """No further page can listen."""


class _Listener:
    def __init__(self) -> None:
        self.unread: deque[str] = deque()
        self.arrived = asyncio.Event()
        self.gone = False

    def put(self, text: str) -> None:
        if len(self.unread) >= _UNREAD_MAX:
            self.gone = True
        else:
            self.unread.append(text)
        self.arrived.set()


class History:
    """`state` describes how things are now."""

    def __init__(self, state: Callable[[], dict[str, Any]]) -> None:
        # A page that has heard of another one knows that the server was started again.
        self.boot = secrets.token_hex(6)
        self._state = state
        self._events: deque[tuple[int, dict[str, Any]]] = deque(maxlen=EVENTS_MAX)
        self._count = 0
        self._listeners: set[_Listener] = set()
        self._telling: asyncio.TimerHandle | None = None

    def note(self, kind: str, **what: Any) -> None:
        """One event: shown on the wire, written to the page's log."""
        self._count += 1
        event = {"kind": kind, **what}
        self._events.append((self._count, event))
        self._tell(_message("wire", event, f"{self.boot}-{self._count}"))

    def changed(self) -> None:
        """The state is another one; the pages get it in a moment."""
        if self._telling is None:
            loop = asyncio.get_running_loop()
            self._telling = loop.call_later(_TOGETHER_S, self._tell_state)

    def close(self) -> None:
        """Ends all streams."""
        if self._telling is not None:
            self._telling.cancel()
        for listener in self._listeners:
            listener.gone = True
            listener.arrived.set()

    async def stream(self, last_heard: str) -> AsyncGenerator[str, None]:
        """Server-sent events, from the one after `last_heard` on. Raises `TooManyPages` before the first."""
        with self._listening() as listener:
            boot, _, number = last_heard.partition("-")
            known = boot == self.boot and number.isdigit() and self._remembers(int(number))
            after = int(number) if known else 0
            past = [(count, event) for count, event in self._events if count > after]
            yield _message("hello", {"boot": self.boot, "anew": not known})
            for count, event in past:
                # What a page missed is written to its log, and not shown on the wire once more.
                yield _message("wire", {**event, "past": True}, f"{self.boot}-{count}")
            yield _message("state", self._state())
            while not listener.gone:
                while listener.unread:
                    yield listener.unread.popleft()
                listener.arrived.clear()
                try:
                    async with asyncio.timeout(_HEARTBEAT_S):
                        await listener.arrived.wait()
                except TimeoutError:
                    yield _message("alive", {})

    def _remembers(self, number: int) -> bool:
        return not self._events or self._events[0][0] <= number + 1

    @contextmanager
    def _listening(self) -> Any:
        if len(self._listeners) >= PAGES_MAX:
            raise TooManyPages
        listener = _Listener()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    @property
    def is_full(self) -> bool:
        """Whether as many pages listen as may."""
        return len(self._listeners) >= PAGES_MAX

    def _tell_state(self) -> None:
        self._telling = None
        self._tell(_message("state", self._state()))

    def _tell(self, text: str) -> None:
        for listener in self._listeners:
            listener.put(text)


def _message(kind: str, what: dict[str, Any], identity: str = "") -> str:
    lines = [f"id: {identity}"] if identity else []
    return "\n".join([*lines, f"event: {kind}", f"data: {json.dumps(what)}", "", ""])
