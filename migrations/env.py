"""Alembic's environment: one asynchronous connection, one transaction, one run at a time.

Guarantee: concurrent runs execute one after the other (an advisory lock makes one wait for the other), and a failed run
changes nothing.
"""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NoReturn

import asyncpg
from alembic import context
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict
from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from service_kit import environment
from service_kit.environment.database_url import DatabaseUrl

# Any number that no other program locks in this database; these are the bytes of "billed" as an integer.
MIGRATION_LOCK = 0x62696C6C6564
# While a DDL statement waits for a lock, later statements on the table wait behind it, so its wait is bounded.
LOCK_TIMEOUT_MS = 15_000
_DRIVER = re.compile(r"^postgres(ql)?://")

# The roles of the services that the owner may administer and whose privileges it does not have.
NOT_JOINED = """
    SELECT rolname
    FROM pg_roles
    WHERE rolname IN ('order_service', 'billing_service', 'notification_service')
      AND pg_has_role(current_user, oid, 'MEMBER WITH ADMIN OPTION')
      AND NOT pg_has_role(current_user, oid, 'USAGE')
    ORDER BY rolname
"""
NOT_DROPPED = "SELECT rolname FROM pg_roles WHERE rolname = ANY (:roles) ORDER BY rolname"

# Privileges that migration 0008 could not revoke from a role, and what else the owner has to know, one sentence each. The function billing.refuse() shows
# whether 0008 has run.
STILL_OPEN = """
    SELECT rolname || ' ' || held.what
    FROM pg_roles, LATERAL (
      SELECT 'may take advisory locks, billing''s too'
      WHERE rolname <> 'billing_service' AND has_function_privilege(oid, 'pg_advisory_lock(bigint)', 'EXECUTE')
      UNION ALL
      SELECT 'may create large objects' WHERE has_function_privilege(oid, 'lo_create(oid)', 'EXECUTE')
      UNION ALL
      SELECT 'may create temporary tables' WHERE has_database_privilege(oid, current_database(), 'TEMPORARY')
      UNION ALL
      SELECT 'may connect to the database ' || datname
      FROM pg_database
      WHERE datname IN ('postgres', 'template1') AND datname <> current_database()
        AND has_database_privilege(pg_roles.oid, pg_database.oid, 'CONNECT')
      UNION ALL
      SELECT 'has no limit of connections' WHERE rolconnlimit < 0
    ) AS held (what)
    WHERE rolname IN ('order_service', 'billing_service', 'notification_service')
      AND to_regprocedure('billing.refuse()') IS NOT NULL
    UNION ALL
    SELECT format('the roles of the services may have %s connections, and the server has %s for them: one service can take those'
                  ' of another', sum(rolconnlimit), room.connections)
    FROM pg_roles, (
      SELECT current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer
             - current_setting('reserved_connections')::integer AS connections
    ) AS room
    WHERE rolname IN ('order_service', 'billing_service', 'notification_service') AND rolconnlimit >= 0
    GROUP BY room.connections
    HAVING sum(rolconnlimit) > room.connections
    UNION ALL
    SELECT rolname || ' owns sealed() and may not call pg_logical_emit_message: with a standby every read fails'
    FROM pg_proc JOIN pg_roles ON pg_roles.oid = pg_proc.proowner
    WHERE pg_proc.oid = to_regprocedure('billing.sealed()')
      AND NOT EXISTS (
        SELECT FROM pg_proc AS emit
        WHERE emit.proname = 'pg_logical_emit_message' AND has_function_privilege(pg_roles.oid, emit.oid, 'EXECUTE')
      )
    ORDER BY 1
"""


class Settings(environment.EnvironmentSettings):
    """`MIGRATIONS_DATABASE_URL` is the URL of the owner; the three roles get the passwords when they are created.

    Migration 0008 sets the connection limits of the roles. Like the passwords, they are changed by hand after that.
    """

    model_config = SettingsConfigDict(env_prefix="MIGRATIONS_")

    database_url: DatabaseUrl
    database_password: SecretStr = SecretStr("")
    order_password: environment.Password
    billing_password: environment.Password
    notification_password: environment.Password
    # Migration 0008 explains the numbers.
    order_connections_max: int = Field(36, ge=1, le=10_000)
    billing_connections_max: int = Field(37, ge=1, le=10_000)
    notification_connections_max: int = Field(20, ge=1, le=10_000)

    @property
    def for_the_session(self) -> dict[str, str]:
        """The values that migrations read with `current_setting('migrations.…')`."""
        return {
            f"migrations.{name}": value.get_secret_value()
            if isinstance(value, SecretStr)
            else str(value)
            for name, value in self
            if not name.startswith("database_")
        }


def main() -> None:
    if context.is_offline_mode():
        _stop("offline mode is not supported, because it would write passwords of roles to a file")
    asyncio.run(_migrate(environment.read(Settings)))


async def _migrate(settings: Settings) -> None:
    password = settings.database_password.get_secret_value()
    engine = create_async_engine(
        _DRIVER.sub("postgresql+asyncpg://", settings.database_url.get_secret_value()),
        poolclass=NullPool,
        connect_args={"password": password} if password else {},
    )
    try:
        async with engine.begin() as connection:
            await connection.execute(
                text("SELECT set_config('lock_timeout', :ms, true)"), {"ms": str(LOCK_TIMEOUT_MS)}
            )
            await connection.execute(
                text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK}
            )
            for name, value in settings.for_the_session.items():
                await connection.execute(
                    text("SELECT set_config(:name, :value, true)"), {"name": name, "value": value}
                )
            async with _administering_roles(connection):
                await connection.run_sync(_run)
            open_borders = (await connection.execute(text(STILL_OPEN))).scalars().all()
    except OSError as exc:
        _stop(f"the database cannot be reached: {exc}")
    except (DBAPIError, asyncpg.PostgresError) as exc:
        _stop(f"{_said(exc)}. Nothing was changed.")
    finally:
        await engine.dispose()
    for sentence in open_borders:
        sys.stderr.write(f"migrations: WARNING: {sentence}; docs/running.md says what to do\n")


@asynccontextmanager
async def _administering_roles(connection: AsyncConnection) -> AsyncIterator[None]:
    """For a downgrade, makes the owner a member of the roles that it created.

    `DROP OWNED BY` needs membership. A superuser needs none; any other creator of a role may administer it but is not a
    member (since Postgres 16).
    """
    if not _is_downgrade():
        yield
        return
    joined = (await connection.execute(text(NOT_JOINED))).scalars().all()
    for role in joined:
        await connection.exec_driver_sql(f"GRANT {role} TO CURRENT_USER WITH INHERIT TRUE")
    yield
    left = (await connection.execute(text(NOT_DROPPED), {"roles": list(joined)})).scalars().all()
    for role in left:
        await connection.exec_driver_sql(f"REVOKE {role} FROM CURRENT_USER GRANTED BY CURRENT_USER")


def _is_downgrade() -> bool:
    command = getattr(context.config.cmd_opts, "cmd", None)
    return command is not None and command[0].__name__ == "downgrade"


def _said(exc: Exception) -> str:
    """The message of the server, without those of the layers around it."""
    cause = exc.orig.__cause__ if isinstance(exc, DBAPIError) and exc.orig is not None else exc
    return str(cause or exc).partition("\n")[0].rstrip(".")


def _stop(sentence: str) -> NoReturn:
    sys.stderr.write(f"migrations: {sentence}\n")
    raise SystemExit(2)


def _run(connection: Connection) -> None:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()


main()
