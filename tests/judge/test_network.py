"""Toxiproxy of a run of the judge."""

from pathlib import Path

from judge.evidence import Evidence, clock
from judge.network import Network


async def test_a_proxy_ends_with_its_block(tmp_path: Path) -> None:
    """Each case has its own, and leaves none behind."""
    network = Network("127.0.0.1:9", tmp_path, lambda _: None)
    await network.open()
    try:
        server = network._server
        assert server is not None
        evidence = Evidence(clock())
        async with network.proxy(evidence) as one, network.proxy(evidence) as other:
            assert one.address != other.address
            assert len(await server.admin.proxies()) == 2
        assert await server.admin.proxies() == {}
    finally:
        await network.close()
