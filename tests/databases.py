"""Databases of tests: cloned from a migrated template, and used again when a test has left the schema as it was.

Guarantee: a test finds no row (but those of the migrations), no session and no setting of the test before it, and the schema that the migrations made. A
database whose schema or settings were changed, or that a session still has, is dropped, not repaired. To empty the tables takes 2 ms; to drop a database and to
clone another takes 200, because Postgres flushes whole files.
"""

import asyncio
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from stack.postgres import PostgresCluster
from stack.waiting import NotSeen, until

if TYPE_CHECKING:
    RawConnection = asyncpg.Connection[asyncpg.Record]
else:
    RawConnection = asyncpg.Connection

# A session that its client has closed ends within milliseconds, on a busy machine within a second or two. One that stays open belongs to
# work that goes on.
_SESSIONS_END_WITHIN_S = 5.0
# A changed catalogue has rows of newer transactions, or fewer rows. Of objects that are ours: the first of them has this id.
_FIRST_OWN_OID = 16384
_SCHEMA = f"""
    SELECT concat_ws(',',
      (SELECT concat_ws('/', count(*), sum(xmin::text::bigint)) FROM pg_class WHERE oid >= {_FIRST_OWN_OID}),
      (SELECT concat_ws('/', count(*), sum(xmin::text::bigint)) FROM pg_attribute WHERE attrelid >= {_FIRST_OWN_OID}),
      (SELECT concat_ws('/', count(*), sum(xmin::text::bigint)) FROM pg_proc WHERE oid >= {_FIRST_OWN_OID}),
      (SELECT concat_ws('/', count(*), sum(xmin::text::bigint)) FROM pg_index WHERE indexrelid >= {_FIRST_OWN_OID}),
      (SELECT concat_ws('/', count(*), sum(xmin::text::bigint)) FROM pg_type WHERE oid >= {_FIRST_OWN_OID}),
      (SELECT concat_ws('/', count(*), sum(xmin::text::bigint)) FROM pg_constraint),
      (SELECT concat_ws('/', count(*), sum(xmin::text::bigint)) FROM pg_trigger),
      (SELECT concat_ws('/', count(*), sum(xmin::text::bigint)) FROM pg_attrdef),
      (SELECT concat_ws('/', count(*), sum(xmin::text::bigint)) FROM pg_namespace),
      (SELECT concat_ws('/', count(*), sum(xmin::text::bigint)) FROM pg_policy),
      (SELECT concat_ws('/', count(*), sum(xmin::text::bigint)) FROM pg_event_trigger),
      (SELECT concat_ws('/', count(*), sum(xmin::text::bigint)) FROM pg_extension),
      (SELECT concat_ws('/', count(*), sum(xmin::text::bigint)) FROM pg_publication),
      (SELECT concat_ws('/', datacl, datconnlimit, datallowconn, datdba) FROM pg_database WHERE datname = current_database()),
      (SELECT count(*) FROM pg_db_role_setting JOIN pg_database ON setdatabase = pg_database.oid WHERE datname = current_database())
    )
"""
_ALONE = """
    SELECT NOT EXISTS (
      SELECT FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
    )
"""
_TABLES = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = ANY($1)"
_SEQUENCES = (
    "SELECT format('%I.%I', schemaname, sequencename) FROM pg_sequences WHERE schemaname = ANY($1)"
)
_SERVICES = ["orders", "billing", "notifications"]


@dataclass(frozen=True)
class Database:
    """One test's database: a connection URL for each role."""

    owner: str
    order: str
    billing: str
    notification: str


class Databases:
    """The databases of one cluster, all of one template; one test has one at a time."""

    def __init__(self, cluster: PostgresCluster, template: str) -> None:
        self._cluster = cluster
        self._template = template
        self._schema = self._empty = ""
        self._idle: list[str] = []
        # One session in each database, also while a test has it: a new one would take longer than the work itself.
        self._sessions: dict[str, RawConnection] = {}
        self._drops: list[asyncio.Task[None]] = []

    async def take(self) -> str:
        """The name of an empty database."""
        if self._idle:
            return self._idle.pop()
        name = f"test_{uuid.uuid4().hex}"
        await self._cluster.create_database(name, self._template)
        if not self._schema:
            await self._read(name)
        return name

    async def give_back(self, name: str, *, spoilt: bool = False) -> None:
        """Empties the database for the next test; drops it where that is not enough.

        A test that failed has `spoilt` it: what it has started may go on, and would write to the database of the next one.
        """
        if not spoilt and await self._as_new(name):
            self._idle.append(name)
        else:
            if session := self._sessions.pop(name, None):
                session.terminate()
            # Not waited for: Postgres flushes everything that was written to any database first.
            self._drops.append(asyncio.create_task(self._cluster.drop_database(name)))

    async def close(self) -> None:
        """Returns when nothing is being dropped any more; what a crash of the server has kept goes with the server."""
        await asyncio.gather(*self._drops, return_exceptions=True)
        for session in self._sessions.values():
            session.terminate()
        self._sessions.clear()

    def urls(self, name: str) -> Database:
        """How the services and the tests connect to a database."""
        return Database(
            owner=self._cluster.url(name),
            order=self._cluster.url(name, "order_service", "o"),
            billing=self._cluster.url(name, "billing_service", "b"),
            notification=self._cluster.url(name, "notification_service", "n"),
        )

    async def _read(self, new: str) -> None:
        """What a database must look like to be used again, and how it is emptied."""
        connection = await asyncpg.connect(self._cluster.url(new))
        try:
            tables = [row[0] for row in await connection.fetch(_TABLES, _SERVICES)]
            sequences = [row[0] for row in await connection.fetch(_SEQUENCES, _SERVICES)]
            self._schema = await connection.fetchval(_SCHEMA)
            rows = {
                table: await connection.fetchval(f"SELECT json_agg(t) FROM {table} t")
                for table in tables
            }
        finally:
            await connection.close()
        # Without the triggers, which refuse to delete what must stay.
        empty = ["SET LOCAL session_replication_role = replica"]
        empty += [f"DELETE FROM {table}" for table in tables]
        # What the migrations have written.
        empty += [
            f"INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, $json${written}$json$)"
            for table, written in rows.items()
            if written
        ]
        empty += [f"SELECT setval('{sequence}', 1, false)" for sequence in sequences]
        self._empty = ";".join(empty)

    async def _as_new(self, name: str) -> bool:
        try:
            connection = await self._session(name)
        except (OSError, asyncpg.PostgresError):
            # A test has renamed it, dropped it, or closed it.
            return False
        try:
            await until(lambda: connection.fetchval(_ALONE), _SESSIONS_END_WITHIN_S, "no session")
            if await connection.fetchval(_SCHEMA) != self._schema:
                return False
            async with connection.transaction():
                await connection.execute(self._empty)
            return True
        except NotSeen:
            return False

    async def _session(self, name: str) -> RawConnection:
        session = self._sessions.get(name)
        if session is None or session.is_closed():
            session = self._sessions[name] = await asyncpg.connect(self._cluster.url(name))
        return session
