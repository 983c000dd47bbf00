"""The adapter keeps its word, and the library has still the defects for which there is an adapter."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
import requests
from toxiproxy import Toxiproxy as Library
from toxiproxy.api import APIConsumer

from chaos.toxics import (
    Bandwidth,
    DeadlineExceeded,
    Latency,
    LimitData,
    NotArmed,
    Refused,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
    Toxic,
    Toxiproxy,
    Unreachable,
    WrongVersion,
)

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

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield "{}:{}".format(*server.sockets[0].getsockname()[:2])
    server.close()


async def talk(address: str) -> bytes:
    """What comes back for four bytes."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"ping")
    async with asyncio.timeout(5):
        answer = await reader.read(4)
    writer.close()
    return answer


async def test_the_version(admin: Toxiproxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version than the one whose behaviour is known is refused."""
    assert await admin.version() == "2.12.0"
    await admin.require_version()
    monkeypatch.setattr("chaos.toxics.VERSION", "9.9.9")
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


async def test_a_misspelt_attribute_is_noticed(admin: Toxiproxy, echo: str) -> None:
    """The server accepts it silently; reading back does not."""
    await admin.create("p", echo)
    request = {
        "name": "x",
        "type": "latency",
        "stream": "downstream",
        "toxicity": 1.0,
        "attributes": {"latencey": 500},
    }
    await admin._call(APIConsumer.post, "/proxies/p/toxics", request)
    with pytest.raises(NotArmed, match="latencey is None, not 500"):
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


async def test_nobody_answers() -> None:
    """A closed port is an exception at once."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(Unreachable):
        await Toxiproxy(f"http://127.0.0.1:{port}").version()


async def test_an_admin_api_that_hangs() -> None:
    """Every call ends within its deadline."""
    silent = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await silent.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(DeadlineExceeded):
        await Toxiproxy(f"http://127.0.0.1:{port}", deadline_s=0.2).version()
    silent.set()
    server.close()


async def test_two_servers_in_one_process(admin: Toxiproxy, echo: str, theatre: object) -> None:
    """The library keeps its address in a class; the adapter does not mix them up."""
    stack = theatre.stack  # type: ignore[attr-defined]  # the session's own stack
    await admin.create("p", echo)
    found = await asyncio.gather(
        *(proxies() for proxies in (admin.proxies, stack.toxiproxy.proxies) * 5)
    )
    assert [sorted(proxies) for proxies in found[::2]] == [["p"]] * 5
    assert all("billing" in proxies for proxies in found[1::2])


async def test_a_proxy_of_the_environment_is_not_used(
    admin: Toxiproxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP_PROXY is for the outside world, not for a server on this machine."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert await admin.version() == "2.12.0"


class TestTheLibrary:
    """Characterisation of toxiproxy-python 0.1.1: when one of these fails, the adapter can lose a piece."""

    @pytest.fixture
    def library(self, admin: Toxiproxy, monkeypatch: pytest.MonkeyPatch) -> Library:
        monkeypatch.setattr(APIConsumer, "host", admin._host)
        monkeypatch.setattr(APIConsumer, "port", admin._port)
        return Library()

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

    async def test_the_address_is_everybodys(self, library: Library, admin: Toxiproxy) -> None:
        """An instance cannot have an address of its own."""
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
