"""The stack of the lab: wrapped services, one billing process for each column, and settings for a person's pace.

Guarantee: it differs from the stack of `chaos run` in these settings and in nothing else.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from chaos.runner.run import ENVIRONMENT, open_harness
from lab.columns import COLUMNS
from lab.setup import Setup
from lab.switchboard import Switchboard
from stack.embedded import Say

# A person who holds a message thinks about it; after this long the order service gives the attempt up, as it always does.
ATTEMPT_TIMEOUT_S = 60.0
REPLICAS = {"billing_service": len(COLUMNS), "order_service": 1, "notification_service": 1}
# Retries come at a pace that an eye can follow. The lease outlasts an attempt, as the order service demands.
SETTINGS = {
    **ENVIRONMENT,
    "ORDER_WAIT_BUDGET_S": "5",
    "ORDER_ATTEMPT_TIMEOUT_S": f"{ATTEMPT_TIMEOUT_S:g}",
    "ORDER_BACKOFF_BASE_S": "0.3",
    "ORDER_BACKOFF_CAP_S": "0.8",
    "ORDER_LEASE_S": "64.5",
    # A copy and its original wait for the account together, on a busy machine too.
    "BILLING_LOCK_TIMEOUT_S": "2.5",
}


@asynccontextmanager
async def opened(run_dir: Path, say: Say, *, usual_ports: bool) -> AsyncIterator[Setup]:
    """The running stack; its control server is a `Switchboard`."""
    async with open_harness(
        run_dir,
        say,
        usual_ports=usual_ports,
        replicas=REPLICAS,
        environ=SETTINGS,
        control=Switchboard,
    ) as harness:
        yield Setup(harness, harness.stack, harness.target)
