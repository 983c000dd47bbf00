"""Toxiproxy of a run of the judge."""

from pathlib import Path

from judge.evidence import Evidence, clock
from judge.network import Network
from stack.toxics import LimitData


async def test_a_fault_that_is_gone(tmp_path: Path) -> None:
    """Whether it is still armed is read back from Toxiproxy, and not remembered."""
    network = Network("127.0.0.1:9", tmp_path, lambda _: None)
    await network.open()
    toxic = LimitData(bytes=0)
    try:
        async with network.proxy(Evidence(clock())) as proxy:
            await proxy.arm(toxic)
            assert await proxy.still_armed(toxic)
            assert not await proxy.still_armed(LimitData(bytes=1))
            assert network._server is not None
            await network._server.admin.remove("judge-1", toxic.name)
            assert not await proxy.still_armed(toxic)
    finally:
        await network.close()


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
