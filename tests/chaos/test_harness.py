"""The fixture of a run, where it does not need a stack."""

import asyncio
from pathlib import Path

from chaos.evidence.journal import Journal
from chaos.harness.harness import Harness
from chaos.harness.target import Target
from tests.listening import listening

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
NOWHERE = "http://127.0.0.1:9"


async def test_an_idle_connection_that_billing_closes(tmp_path: Path) -> None:
    """An account is opened all the same: the same request once more changes nothing."""
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n")).strip())
        if len(asked) > 1:
            writer.write(_OK)
            await writer.drain()
        writer.close()

    async with listening(answer) as port:
        target = Target(
            urls={"billing_service": f"http://127.0.0.1:{port}"},
            toxiproxy=NOWHERE,
            owner="",
            tokens={"curl": "c"},
        )
        harness = Harness(target, Journal(tmp_path / "journal.jsonl"))
        try:
            account = await harness.open_account("ada")
        finally:
            await harness.close()
    assert asked == [f"PUT /accounts/{account} HTTP/1.1".encode()] * 2
