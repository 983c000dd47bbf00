"""Opens accounts and ends: `python -m billing_service.opening alice=1000000 bob=1000000`.

Guarantee: running it again with the same balances changes nothing. The exit code is 1 when an account was opened with another
balance before or the database failed, so that containers which wait for this command do not start without their accounts.
"""

import argparse
import asyncio
import sys

import structlog
from pydantic import TypeAdapter, ValidationError

from billing_service import accounts
from billing_service.settings import Settings
from billing_service.wire import Account, OpenAccount
from service_kit import environment, telemetry
from service_kit.bounded_pool import BoundedPool, DatabaseTrouble, LockWaitTooLong

log = structlog.get_logger()


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m billing_service.opening", description=__doc__)
    parser.add_argument("accounts", nargs="+", type=_opening, metavar="ACCOUNT=CENTS")
    wanted = parser.parse_args().accounts
    settings = environment.read(Settings)
    telemetry.configure_logs("billing_service.opening")
    return asyncio.run(open_all(settings, wanted))


async def open_all(settings: Settings, wanted: list[tuple[str, int]]) -> int:
    """Opens each account with its balance in cents; 0 when all are open, else 1."""
    pool = BoundedPool(
        settings.database_url.get_secret_value(),
        password=settings.database_password.get_secret_value(),
        application="billing_service.opening",
        size_max=1,
        deadline_s=settings.transaction_timeout_s,
        lock_timeout_s=settings.lock_timeout_s,
        idle_in_transaction_timeout_s=settings.idle_in_transaction_timeout_s,
    )
    await pool.open()
    try:
        for account, opening_balance_cents in wanted:
            balance_cents = await accounts.open_account(pool, account, opening_balance_cents)
            if balance_cents is None:
                log.error("the account was opened with another balance before", account=account)
                return 1
            log.info("account is open", account=account)
    except (DatabaseTrouble, LockWaitTooLong) as exc:
        log.error("the database failed", reason=str(exc))
        return 1
    finally:
        await pool.close()
    return 0


def _opening(text: str) -> tuple[str, int]:
    account, _, cents = text.rpartition("=")
    try:
        TypeAdapter(Account).validate_python(account)
        opening = OpenAccount.model_validate_json(f'{{"opening_balance_cents": {cents}}}')
    except ValidationError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is not ACCOUNT=CENTS") from exc
    return account, opening.opening_balance_cents


if __name__ == "__main__":
    sys.exit(main())
