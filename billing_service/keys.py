"""Reads and voids a sequence key.

Guarantee: a key is in one of five states and moves only forward: never seen; then charged, declined or voided; then
forgotten. A key that left the state "never seen" is not executed again. With a synchronous standby, a state is told only when
the standby has it.
"""

from billing_service import charge
from billing_service.outcomes import (
    VOIDED,
    Answer,
    KeyForgotten,
    KeyHeld,
    KeyInFlight,
    KeyState,
    NeverSeen,
    Voided,
    VoidOutcome,
)
from service_kit.bounded_pool import BoundedPool, Connections


async def state(pool: Connections, client: str, sequence_key: int) -> KeyState:
    """The definite answer about a key: its outcome, or that it has done nothing so far. Raises `DatabaseTrouble`."""
    async with pool.transaction() as connection:
        first_incomplete = await charge.share_lock_client(connection, client)
        if sequence_key < first_incomplete:
            await charge.seal(connection)
            return KeyForgotten(first_incomplete)
        stored = await charge.read_stored(connection, client, sequence_key)
        return NeverSeen() if stored is None else stored.state


async def void(pool: BoundedPool, client: str, sequence_key: int) -> VoidOutcome:
    """Takes a key out of use unless it was executed, and says which. Idempotent.

    A charge of this key that arrives later finds the tombstone. Raises `DatabaseTrouble`.
    """
    try:
        async with pool.transaction() as connection:
            first_incomplete = await charge.share_lock_client(connection, client)
            if sequence_key < first_incomplete:
                await charge.seal(connection)
                return KeyForgotten(first_incomplete)
            if await charge.claim(connection, client, sequence_key, b""):
                tombstone = Answer(VOIDED, "")
                await charge.store_answer(connection, client, sequence_key, tombstone)
                return Voided()
            return (await charge.require_stored(connection, client, sequence_key)).state
    except KeyHeld:
        return KeyInFlight()
