"""The adapter keeps its word, and the library has still the defects for which there is an adapter."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from toxiproxy import Toxiproxy as Library
from toxiproxy.api import APIConsumer

from stack.toxics import (
    Bandwidth,
    DeadlineExceeded,
    Latency,
    LimitData,
    NotArmed,
    NotToxiproxy,
    Refused,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
    Toxic,
    Toxiproxy,
    ToxiproxyError,
    Unreachable,
    WrongVersion,
)
from tests.listening import listening

ALL = [
    Latency(latency_ms=10),
    Timeout(timeout_ms=0),
    ResetPeer(timeout_ms=0),
    LimitData(bytes=0),
    Bandwidth(rate_kb_per_s=1),
    Slicer(average_size_bytes=1, size_variation_bytes=0, delay_us=20_000),
    SlowClose(delay_ms=60_000),
]


@pytest.fixture
async def echo() -> AsyncIterator[str]:
    """A server that sends back what it gets; its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1024):
            writer.write(data)
        writer.close()

    async with listening(serve) as port:
        yield f"127.0.0.1:{port}"


@pytest.fixture
def library(admin: Toxiproxy, monkeypatch: pytest.MonkeyPatch) -> Library:
    """The library without the adapter, at the server of this test."""
    monkeypatch.setattr(APIConsumer, "host", admin._api.host)
    monkeypatch.setattr(APIConsumer, "port", admin._api.port)
    return Library()


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that sends for as long as the client reads."""
    with suppress(ConnectionError):
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()


async def talk(address: str) -> bytes:
    """What comes back for four bytes."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"ping")
    async with asyncio.timeout(60):
        answer = await reader.read(4)
    writer.close()
    return answer


async def test_the_version(admin: Toxiproxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version than the one whose behaviour is known is refused."""
    assert await admin.version() == "2.12.0"
    await admin.require_version()
    monkeypatch.setattr("stack.toxics.VERSION", "9.9.9")
    with pytest.raises(WrongVersion):
        await admin.require_version()


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
@pytest.mark.parametrize("toxic", ALL, ids=lambda toxic: toxic.type)
async def test_a_toxic_is_armed_and_read_back(
    admin: Toxiproxy, echo: str, toxic: Toxic, stream: str
) -> None:
    """Each toxic, in each direction, stands on the server as it was asked for."""
    await admin.create("p", echo)
    armed = type(toxic)(**{**vars(toxic), "stream": stream})
    assert await admin.arm("p", armed) in await admin.toxics("p")


async def test_a_toxic_strikes(admin: Toxiproxy, echo: str) -> None:
    """limit_data 0 lets nothing through; a new proxy at the same address does."""
    proxy = await admin.create("p", echo)
    assert await talk(proxy.listen) == b"ping"
    await admin.arm("p", LimitData(bytes=0))
    assert await talk(proxy.listen) == b""
    healed = await admin.recreate("p")
    assert healed == proxy
    assert await admin.toxics("p") == []
    assert await talk(proxy.listen) == b"ping"


async def test_a_disabled_proxy_refuses(admin: Toxiproxy, echo: str) -> None:
    """Switched off, it gives a definite connect error; switched on, it works again."""
    proxy = await admin.create("p", echo)
    await admin.disable("p")
    with pytest.raises(ConnectionRefusedError):
        await talk(proxy.listen)
    await admin.enable("p")
    assert await talk(proxy.listen) == b"ping"


async def test_a_misspelt_attribute_is_noticed(
    admin: Toxiproxy, library: Library, echo: str
) -> None:
    """The server accepts it silently, here from the library itself; reading back does not."""
    await admin.create("p", echo)
    request: dict[str, Any] = {
        "name": "x",
        "type": "latency",
        "stream": "downstream",
        "toxicity": 1.0,
        "attributes": {"latencey": 500},
    }
    proxy = await asyncio.to_thread(library.get_proxy, "p")
    await asyncio.to_thread(proxy.add_toxic, **request)
    with pytest.raises(NotArmed, match="latencey is None, not 500"):
        await admin.read_back("p", request)


@pytest.mark.parametrize(
    ("field", "value"),
    [("type", "timeout"), ("stream", "upstream"), ("toxicity", 0.5), ("latency", 11)],
)
async def test_each_difference_is_noticed(
    admin: Toxiproxy, echo: str, field: str, value: object
) -> None:
    """Type, direction, toxicity and each value are compared."""
    await admin.create("p", echo)
    name = await admin.arm("p", Latency(latency_ms=10))
    request: dict[str, Any] = {
        "name": name,
        "type": "latency",
        "stream": "downstream",
        "toxicity": 1.0,
        "attributes": {"latency": 10},
    }
    await admin.read_back("p", request)
    (request["attributes"] if field == "latency" else request)[field] = value
    with pytest.raises(NotArmed, match=field):
        await admin.read_back("p", request)


@pytest.mark.parametrize("value", [-1, 1.5, "1", True, None])
def test_a_value_is_a_whole_number(value: object) -> None:
    """Anything else would be ignored or cut by the server."""
    with pytest.raises(ValueError, match="latency_ms is a whole number"):
        Latency(latency_ms=value)  # type: ignore[arg-type]  # the point of the test


def test_a_stream_has_two_names() -> None:
    """A misspelt direction would be a fault in the other one."""
    with pytest.raises(ValueError, match="stream is upstream or downstream"):
        LimitData(bytes=0, stream="up")  # type: ignore[arg-type]  # the point of the test


async def test_what_the_server_refuses_is_refused(admin: Toxiproxy, echo: str) -> None:
    """An unknown proxy, a name that is taken, a port that is taken: an exception each."""
    proxy = await admin.create("p", echo)
    with pytest.raises(Refused):
        await admin.arm("nothing", LimitData(bytes=0))
    with pytest.raises(Refused):
        await admin.recreate("nothing")
    with pytest.raises(Refused):
        await admin.create("p", echo)
    with pytest.raises(Refused):
        await admin.create("q", echo, proxy.listen)


async def test_no_server_answers() -> None:
    """A closed port is an exception at once."""
    async with listening(flood) as port:
        pass
    with pytest.raises(Unreachable):
        await Toxiproxy(f"http://127.0.0.1:{port}").version()


@asynccontextmanager
async def answering(reply: bytes | None) -> AsyncIterator[str]:
    """A server that is no Toxiproxy: it answers every request with `reply`, or never; its URL. Ends when it was asked."""
    asked, ended = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        if reply is None:
            await ended.wait()
        else:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(reply)
        writer.close()

    async with listening(serve) as port:
        yield f"http://127.0.0.1:{port}"
        # The library asks in a thread of its own.
        async with asyncio.timeout(60):
            await asked.wait()
        ended.set()


async def test_an_admin_api_that_hangs() -> None:
    """Every call ends within its deadline."""
    async with answering(None) as url:
        with pytest.raises(DeadlineExceeded):
            await Toxiproxy(url, deadline_s=0.2).version()


async def test_a_server_that_hangs_does_not_hold_up_another(admin: Toxiproxy, echo: str) -> None:
    """While one server does not answer, another one works: nothing is queued behind the first."""
    async with answering(None) as url:
        hanging = asyncio.create_task(Toxiproxy(url).version())
        await admin.create("p", echo)
        assert list(await admin.proxies()) == ["p"]
        assert not hanging.done()
        hanging.cancel()


@pytest.mark.parametrize(
    ("head", "body", "error"),
    [
        (b"200 OK", b"hello", NotToxiproxy),
        (b"200 OK", b"[]", NotToxiproxy),
        (b"200 OK", b"{}", NotToxiproxy),
        (b"204 No Content", b"", NotToxiproxy),
        (b"500 Internal Server Error", b"{}", Refused),
    ],
)
async def test_another_program_at_the_address(
    head: bytes, body: bytes, error: type[ToxiproxyError]
) -> None:
    """Whatever it says, it is an exception of ours, never one of the library's or of JSON."""
    async with answering(
        b"HTTP/1.1 %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
        % (head, len(body), body)
    ) as url:
        with pytest.raises(error):
            await Toxiproxy(url).version()


async def test_an_answer_that_breaks_off() -> None:
    """A connection that ends within the answer is an exception of ours, too."""
    async with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{") as url:
        with pytest.raises(Unreachable):
            await Toxiproxy(url).version()


@pytest.mark.parametrize(
    "toxic", [Latency(latency_ms=1), Bandwidth(rate_kb_per_s=100_000)], ids=lambda toxic: toxic.type
)
async def test_recreating_ends_a_hang(admin: Toxiproxy, toxic: Toxic) -> None:
    """With a peer that does not read, removing a toxic hangs the server's list of proxies; recreating still works."""
    impatient = Toxiproxy(admin._url, deadline_s=1)
    async with listening(flood) as upstream:
        proxy = await admin.create("p", f"127.0.0.1:{upstream}")
        name = await admin.arm("p", toxic)
        host, _, port = proxy.listen.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        await reader.readexactly(1)
        # From here on the peer reads nothing, and the flood fills every buffer between.
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport can
        with pytest.raises(DeadlineExceeded):
            while True:
                await impatient.remove("p", name)
                await impatient.arm("p", toxic)
        with pytest.raises(DeadlineExceeded):
            await impatient.proxies()
        assert await admin.recreate("p") == proxy
        assert await admin.toxics("p") == []
        writer.transport.abort()


async def test_two_servers_in_one_process(
    admin: Toxiproxy, other_admin: Toxiproxy, echo: str
) -> None:
    """The library keeps its address in a class; the adapter does not mix them up."""
    await admin.create("p", echo)
    await other_admin.create("q", echo)
    found = await asyncio.gather(
        *(proxies() for proxies in (admin.proxies, other_admin.proxies) * 5)
    )
    assert [sorted(proxies) for proxies in found] == [["p"], ["q"]] * 5


async def test_a_proxy_of_the_environment_is_not_used(
    admin: Toxiproxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP_PROXY is for other machines, not for a server on this machine."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert await admin.version() == "2.12.0"


class TestTheLibrary:
    """Characterisation of toxiproxy-python 0.1.1: when one of these fails, the adapter can lose a piece."""

    async def test_a_port_conflict_is_a_key_error(self, library: Library, echo: str) -> None:
        """The server's error message is read as if it were a proxy."""
        first = await asyncio.to_thread(library.create, echo, "p")
        with pytest.raises(KeyError, match="name"):
            await asyncio.to_thread(library.create, echo, "q", first.listen)

    async def test_a_value_outside_of_attributes_is_ignored(
        self, library: Library, echo: str
    ) -> None:
        """`add_toxic(latency=500)` arms a toxic that does nothing."""
        proxy = await asyncio.to_thread(library.create, echo, "p")
        await asyncio.to_thread(proxy.add_toxic, type="latency", latency=500)
        toxic = await asyncio.to_thread(proxy.get_toxic, "latency_downstream")
        assert toxic.attributes["latency"] == 0

    async def test_the_version_is_bytes(self, library: Library) -> None:
        """And JSON, not a version."""
        assert (await asyncio.to_thread(library.version)) == b'{"version": "2.12.0"}\n'

    async def test_the_address_is_shared_by_all_instances(
        self, library: Library, admin: Toxiproxy
    ) -> None:
        """An instance cannot have an address of its own; only a class can, as the adapter makes it."""
        Library().update_api_consumer("127.0.0.1", 1)
        with pytest.raises(requests.ConnectionError):
            await asyncio.to_thread(library.proxies)

    async def test_populate_loses_toxics(
        self, library: Library, admin: Toxiproxy, echo: str
    ) -> None:
        """A proxy with a free port is destroyed and made again, its toxics with it."""
        wanted = [{"name": "p", "upstream": echo, "listen": "127.0.0.1:0"}]
        await asyncio.to_thread(library.populate, wanted)
        await admin.arm("p", LimitData(bytes=0))
        await asyncio.to_thread(library.populate, wanted)
        assert await admin.toxics("p") == []


def test_an_address_needs_a_port() -> None:
    """A URL without one is a mistake of the caller."""
    with pytest.raises(ValueError, match="not an address with a port"):
        Toxiproxy(urlsplit("http://127.0.0.1").geturl())
