"""A guarded connection without a network, so that a test decides what is one segment and what is two.

Guarantee: each call of `receive` is one call of `data_received`, as after one read of a socket.
"""

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from service_kit.http_guard import STATE, Guard, GuardedProtocol, Settings
from tests.service_kit.http_guard.echo import Echo

# Of segments into which one head is cut.
_PIECES_MAX = 4096


@dataclass(frozen=True)
class Answer:
    """One response as it was written."""

    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class WrittenTransport(asyncio.Transport):
    """Keeps what is written; reads and ends when it is told. `half_closes`: its end can be written before it is closed."""

    def __init__(self, *, half_closes: bool = False) -> None:
        super().__init__()
        self.written = b""
        self.half_closes = half_closes
        self.high: int | None = None
        self.paused = self.ended = self.aborted = self.half_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """A test says itself when the peer does not read."""
        self.high = high

    def get_write_buffer_size(self) -> int:
        return len(self.written)

    def is_closing(self) -> bool:
        return self.aborted or self.ended

    def can_write_eof(self) -> bool:
        return self.half_closes

    def write_eof(self) -> None:
        self.half_closed = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def close(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.aborted = True


# Of the test that runs; its end closes them.
opened: list["Connection"] = []


class Connection:
    """A protocol with its transport and the application behind it."""

    def __init__(
        self, guard: Guard | None = None, *, half_closes: bool = False, **settings: Any
    ) -> None:
        self.echo = Echo()
        self.guard = guard or Guard(Settings(**settings))
        config = uvicorn.Config(self.echo, log_config=None, lifespan="off")
        self.server = ServerState()
        self.protocol = GuardedProtocol(config, self.server, {STATE: self.guard})
        self.transport = WrittenTransport(half_closes=half_closes)
        self.protocol.connection_made(self.transport)
        opened.append(self)

    async def receive(self, *segments: bytes) -> None:
        """The segments arrive, one by one; the application gets its turn after each."""
        for segment in segments:
            self.protocol.data_received(segment)
            await self.turn()

    async def turn(self) -> None:
        """Everything that can happen without the peer happens."""
        for _ in range(4 * (1 + len(self.protocol.pipeline))):
            await next_turn()

    async def close(self) -> None:
        """The peer is gone; no request of it is left."""
        self.echo.go.set()
        self.protocol.connection_lost(None)
        while self.server.tasks:
            await next_turn()

    async def answers(self) -> list[Answer]:
        """What the peer has been told so far."""
        await self.turn()
        return parsed(self.transport.written)


async def next_turn() -> None:
    """Returns when everything that is ready now has run."""
    turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(turn.set_result, None)
    await turn


def parsed(written: bytes) -> list[Answer]:
    """The responses of one connection, each with a Content-Length."""
    answers = []
    while written:
        head, _, rest = written.partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        fields = {name.lower(): text for name, _, text in (each.partition(": ") for each in lines)}
        status = re.fullmatch(r"HTTP/1\.1 (\d{3}) .*", line)
        assert status is not None, line
        length = int(fields.get("content-length", "0"))
        assert len(rest) >= length
        answers.append(Answer(int(status[1]), fields, rest[:length]))
        written = rest[length:]
    return answers


# Two ends of a line, and a place before them.
_LAST_PLACES = 5


def cuts(data: bytes, step: int = 1) -> list[tuple[bytes, ...]]:
    """The same data as one segment, cut in two at each place, and byte by byte; what is long in pieces of some bytes.

    Of places that are further apart than one, the last ones are all there: a bound is often met just before the end of a head.
    Long data repeat themselves, so that their pieces begin at every place of what is repeated.
    """
    places = {*range(1, len(data), step), *range(max(1, len(data) - _LAST_PLACES), len(data))}
    halves = [(data[:place], data[place:]) for place in sorted(places)]
    size = 1 + len(data) // _PIECES_MAX
    return [(data,), *halves, tuple(data[i : i + size] for i in range(0, len(data), size))]
