"""Where readings come from: one function of the service, one of a database, one of a command.

Guarantee: a probe only reads. Every reading has a bound; a failure is a `ProbeError` with the reason.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from judge.caller import Caller
from judge.config.model import Config
from judge.environ import of_commands
from judge.errors import ProbeError, ServiceError
from judge.probe.numbers import by_path, number
from judge.shell import run_bounded

Read = Callable[[], Awaitable[Decimal]]

# A reading is one small question; a busy machine may still need seconds for it.
READING_TIMEOUT_S = 10.0
# SQLite waits this long for a lock that the service holds.
_SQLITE_BUSY_S = 5.0


def source(config: Config, caller: Caller) -> Read:
    """The way to read what judge.toml names. Raises `ProbeError` when it cannot be used here."""
    effect = config.effect
    if effect.kind == "http":
        return _http(caller, effect.source, effect.value, dict(effect.headers))
    if effect.kind == "command":
        return _command(effect.source, effect.value, config.folder, config.service.env)
    if effect.dsn.startswith("sqlite:///"):
        return _sqlite(config.folder / effect.dsn.removeprefix("sqlite:///"), effect.source)
    return _postgres(effect.dsn, effect.source)


def _http(caller: Caller, text: str, path: str, headers: dict[str, str]) -> Read:
    method, _, target = text.partition(" ")
    target = target.strip()
    if not target.startswith(("/", "http://", "https://")):
        target = f"/{target}"

    async def read() -> Decimal:
        try:
            answer = await caller.get(method.upper(), target, headers, READING_TIMEOUT_S)
        except ServiceError as exc:
            raise ProbeError(f"the probe failed: {exc}") from exc
        if not 200 <= answer.status < 300:
            raise ProbeError(f"the probe {text} is answered {answer}.")
        return by_path(answer.body, path, text)

    return read


def _command(command: str, path: str, folder: Path, env: Mapping[str, str]) -> Read:
    async def read() -> Decimal:
        ended = await run_bounded(command, folder, of_commands(env), READING_TIMEOUT_S)
        if ended is None:
            raise ProbeError(f"the probe's command did not end within {READING_TIMEOUT_S:g} s.")
        if ended.return_code != 0:
            said = (ended.errors.strip() or ended.output.strip()).splitlines()[-1:]
            raise ProbeError(
                f"the probe's command ended with code {ended.return_code}: {' '.join(said)}"
            )
        if path:
            return by_path(ended.output, path, "the probe's command")
        return number(ended.output, "the probe's command")

    return read


def _sqlite(file: Path, sql: str) -> Read:
    def ask() -> Decimal:
        if not file.is_file():
            raise ProbeError(f"the probe's database {file} does not exist.")
        try:
            # A connection for each reading: the file may have been replaced. It can only read, and not make one.
            uri = f"{file.resolve().as_uri()}?mode=rw"
            with closing(sqlite3.connect(uri, uri=True, timeout=_SQLITE_BUSY_S)) as database:
                database.execute("PRAGMA query_only = 1")
                row = database.execute(sql).fetchone()
        except (sqlite3.Error, sqlite3.Warning) as exc:
            raise ProbeError(f"the probe's sql failed: {exc}.") from exc
        return _first(row)

    async def read() -> Decimal:
        return await asyncio.to_thread(ask)

    return read


def _postgres(dsn: str, sql: str) -> Read:
    try:
        import asyncpg
    except ImportError as exc:
        raise ProbeError(
            "a probe of Postgres needs asyncpg: pip install 'billed-once[postgres]'."
        ) from exc
    where = urlsplit(dsn).hostname or "this machine"

    async def read() -> Decimal:
        try:
            async with asyncio.timeout(READING_TIMEOUT_S):
                connection = await asyncpg.connect(dsn)
                try:
                    async with connection.transaction(readonly=True):
                        row: Any = await connection.fetchrow(sql)
                finally:
                    await connection.close()
        except TimeoutError as exc:
            raise ProbeError(f"the probe's database on {where} gave no answer.") from exc
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as exc:
            raise ProbeError(f"the probe's sql failed: {exc}.") from exc
        return _first(row)

    return read


def _first(row: Any) -> Decimal:
    if row is None:
        raise ProbeError("the probe's sql finds no row.")
    # sum() over no rows.
    return Decimal(0) if row[0] is None else number(row[0], "the probe's sql")
