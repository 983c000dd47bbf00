"""Alembic's environment: one asynchronous connection, one transaction, one run at a time.

Guarantee: two runs at the same moment do not collide (an advisory lock lets one wait for the other), and a run that
fails changes nothing.
"""

import asyncio
import sys

from alembic import context
from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict
from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

import environment

# Any number will do that nobody else uses in this database; these are the bytes of "billed" as an integer.
MIGRATION_LOCK = 0x62696C6C6564
# A DDL statement that waits for a lock makes all that come after it wait too: give up before that hurts.
LOCK_TIMEOUT_MS = 15_000


class Settings(environment.EnvironmentSettings):
    """`MIGRATIONS_DATABASE_URL` is the owner's; the passwords are given to the three roles when they are created."""

    model_config = SettingsConfigDict(env_prefix="MIGRATIONS_")

    database_url: SecretStr
    order_password: environment.Password
    billing_password: environment.Password
    notification_password: environment.Password


def main() -> None:
    if context.is_offline_mode():
        sys.exit("migrations run online only: roles and their passwords are not written to files")
    asyncio.run(_migrate(environment.read(Settings)))


async def _migrate(settings: Settings) -> None:
    url = settings.database_url.get_secret_value()
    engine = create_async_engine(
        url.replace("postgresql://", "postgresql+asyncpg://", 1), poolclass=NullPool
    )
    try:
        async with engine.begin() as connection:
            await connection.execute(
                text("SELECT set_config('lock_timeout', :ms, true)"), {"ms": str(LOCK_TIMEOUT_MS)}
            )
            await connection.execute(
                text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK}
            )
            for role, password in (
                ("order", settings.order_password),
                ("billing", settings.billing_password),
                ("notification", settings.notification_password),
            ):
                await connection.execute(
                    text("SELECT set_config(:name, :password, true)"),
                    {
                        "name": f"migrations.{role}_password",
                        "password": password.get_secret_value(),
                    },
                )
            await connection.run_sync(_run)
    except OSError as exc:
        sys.exit(f"migrations: the database cannot be reached: {exc}")
    finally:
        await engine.dispose()


def _run(connection: Connection) -> None:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()


main()
