"""Requests to services on this machine go there and nowhere else, and a client costs next to nothing."""

import asyncio
import ssl

import httpx
import pytest

from stack.http_client import http_client
from tests.listening import listening

PROXIES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")


async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    writer.close()


async def test_the_shell_redirects_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a proxy in the environment at which nobody answers; a plain client of httpx is the negative control."""
    for name in PROXIES:
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with (
        listening(answer) as port,
        http_client(timeout=60) as client,
        httpx.AsyncClient(timeout=60) as plain,
    ):
        url = f"http://127.0.0.1:{port}/"
        assert (await client.get(url)).status_code == 204
        with pytest.raises(httpx.ConnectError):
            await plain.get(url)


async def test_no_certificate_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a client of httpx without proxies reads them: the negative control."""

    def read(*_: object, **__: object) -> None:
        raise RuntimeError("certificates were read")

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", read)
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", read)
    async with http_client():
        pass
    with pytest.raises(RuntimeError, match="certificates were read"):
        httpx.AsyncClient(trust_env=False)
