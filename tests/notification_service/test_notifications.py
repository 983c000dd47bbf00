"""Every notification that arrives is shown, duplicates included."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

import notification_service.app
from notification_service import arrivals
from notification_service.arrivals import Arriving
from notification_service.process import Notifications
from notification_service.settings import Settings
from notification_service.wire import Notification as NotificationBody
from service_kit.bounded_pool import Connection
from stack.postgres import PostgresCluster
from stack.waiting import until
from tests.shut_out import shut_out
from tests.silent_standby import silent_standby

TOKEN = "token-of-order_service"
ORDER = str(UUID(int=1))
GOOD: dict[str, Any] = {
    "notification_id": str(UUID(int=2)),
    "order_id": ORDER,
    "customer": "alice",
    "text": "Your order is billed. 🎉",
}


@pytest.fixture
async def notifications(
    database: Any, serve: Callable[[Starlette], AbstractAsyncContextManager[httpx.AsyncClient]]
) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(
        database_url=SecretStr(database.notification), tokens={"order_service": (SecretStr(TOKEN),)}
    )
    async with serve(notification_service.app.create(settings)) as client:
        client.headers["Authorization"] = f"Bearer {TOKEN}"
        yield client


async def listed(client: httpx.AsyncClient, **params: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (await client.get("/notifications", params=params)).json()[
        "notifications"
    ]
    return rows


async def test_an_arrival_is_listed(notifications: httpx.AsyncClient) -> None:
    """202, and then it is in the list of its order as it was sent."""
    response = await notifications.post("/notifications", json=GOOD)
    assert response.status_code == 202
    assert response.headers["Content-Type"] == "application/json"
    (row,) = await listed(notifications, order_id=ORDER)
    assert {name: row[name] for name in GOOD} == GOOD
    assert await listed(notifications, order_id=str(UUID(int=9))) == []


async def test_a_duplicate_is_visible(notifications: httpx.AsyncClient) -> None:
    """The receiver does not deduplicate: at most once is the promise of the caller."""
    for _ in range(2):
        await notifications.post("/notifications", json=GOOD)
    assert len(await listed(notifications, order_id=ORDER)) == 2
    assert len(await listed(notifications)) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"order_id": "x"},
        {"notification_id": None},
        {"text": ""},
        {"text": "a\x00b"},
        {"text": "x" * 2001},
        {"customer": 7},
        {"colour": "red"},
    ],
    ids=str,
)
async def test_bad_input(notifications: httpx.AsyncClient, changes: dict[str, Any]) -> None:
    """422, and nothing is shown."""
    response = await notifications.post("/notifications", json={**GOOD, **changes})
    assert response.status_code == 422
    assert response.headers["Content-Type"] == "application/problem+json"
    assert await listed(notifications) == []


async def test_a_wrong_token(notifications: httpx.AsyncClient) -> None:
    """401, and nothing is shown."""
    response = await notifications.post(
        "/notifications", json=GOOD, headers={"Authorization": "Bearer x"}
    )
    assert response.status_code == 401
    assert response.json()["detail"] == "Send the header Authorization: Bearer <token>."
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert await listed(notifications) == []


async def test_its_database_is_away(database: Any, notifications: httpx.AsyncClient) -> None:
    """503 for requests that need it; 202 is never sent for a notification that is not stored."""
    owner = await asyncpg.connect(database.owner)
    await owner.execute("ALTER TABLE notifications.arrivals RENAME TO elsewhere")
    async with shut_out(database.owner, "notification_service"):
        assert (await notifications.post("/notifications", json=GOOD)).status_code == 503
        assert (await notifications.get("/readyz")).status_code == 503
    await owner.execute("ALTER TABLE notifications.elsewhere RENAME TO arrivals")
    await owner.close()
    assert (await notifications.post("/notifications", json=GOOD)).status_code == 202
    assert len(await listed(notifications)) == 1


async def test_a_commit_without_an_answer(
    database: Any, notifications: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503, and it is not stored again on another connection: that would be the second arrival of one notification."""
    owner = await asyncpg.connect(database.owner)
    insert_all = arrivals.insert_all
    calls = 0

    async def lost(connection: Connection, shown: Sequence[Arriving]) -> None:
        nonlocal calls
        calls += 1
        await insert_all(connection, shown)
        if calls == 1:
            await owner.execute(
                "SELECT pg_terminate_backend($1, 10000)", connection.get_server_pid()
            )
            await connection.fetch("SELECT 1")

    monkeypatch.setattr(arrivals, "insert_all", lost)
    response = await notifications.post("/notifications", json=GOOD)
    await owner.close()
    assert response.status_code == 503
    assert len(await listed(notifications)) == 1


@pytest.mark.parametrize("query", ["", f"?order_id={ORDER}", "?order_id=x"])
async def test_the_list_in_production(
    database: Any,
    serve: Callable[[Starlette], AbstractAsyncContextManager[httpx.AsyncClient]],
    query: str,
) -> None:
    """401 without a token, because the list holds messages to all customers. With a token it is the list of development."""
    settings = Settings(
        environment="production",
        database_url=SecretStr(database.notification),
        tokens={"order_service": (SecretStr(TOKEN),)},
    )
    async with serve(notification_service.app.create(settings)) as client:
        for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {TOKEN}"}):
            refused = await client.get(f"/notifications{query}", headers=headers)
            assert refused.status_code == 401
            assert refused.headers["WWW-Authenticate"] == "Bearer"
            assert refused.json()["type"].endswith("/problems/token-wrong")
        client.headers["Authorization"] = f"Bearer {TOKEN}"
        listed = await client.get(f"/notifications{query}")
    assert listed.status_code == (422 if query.endswith("=x") else 200)


async def test_the_list_in_development(notifications: httpx.AsyncClient) -> None:
    """The counterpart: in development the list needs no token."""
    del notifications.headers["Authorization"]
    assert await listed(notifications) == []


async def test_arrivals_that_the_standby_may_not_have(
    notifications: httpx.AsyncClient, cluster: PostgresCluster
) -> None:
    """They are listed only when the standby confirms, and a new one is acknowledged only then."""
    assert (await notifications.post("/notifications", json=GOOD)).status_code == 202
    async with silent_standby(cluster):
        for path in (f"/notifications?order_id={ORDER}", "/notifications"):
            assert (await notifications.get(path)).status_code == 503
        assert (await notifications.post("/notifications", json=GOOD)).status_code == 503
    assert (await notifications.get("/notifications")).status_code == 200


async def counted(client: httpx.AsyncClient) -> float:
    """The arrivals that the process has counted."""
    lines = (await client.get("/metrics")).text.splitlines()
    (value,) = (
        line.split()[1] for line in lines if line.startswith("notification_arrivals_total ")
    )
    return float(value)


async def test_what_is_counted(database: Any, notifications: httpx.AsyncClient) -> None:
    """Each answer of 202 once, duplicates included, also when they arrive together; and no answer of another status."""
    assert await counted(notifications) == 0
    together = [notifications.post("/notifications", json=GOOD) for _ in range(7)]
    shown = await asyncio.gather(*together)
    assert [response.status_code for response in shown] == [202] * 7
    assert await counted(notifications) == 7
    malformed = await notifications.post("/notifications", json={**GOOD, "order_id": "x"})
    unknown = await notifications.post(
        "/notifications", json=GOOD, headers={"Authorization": "Bearer x"}
    )
    owner = await asyncpg.connect(database.owner)
    await owner.execute("REVOKE INSERT ON notifications.arrivals FROM notification_service")
    failed = await notifications.post("/notifications", json=GOOD)
    await owner.execute("GRANT INSERT ON notifications.arrivals TO notification_service")
    await owner.close()
    assert [each.status_code for each in (malformed, unknown, failed)] == [422, 401, 500]
    assert await counted(notifications) == 7 == len(await listed(notifications))


async def test_each_arrival_has_its_own_client(database: Any) -> None:
    """Also when those of several are written together."""
    body = NotificationBody.model_validate(GOOD)
    connection = await asyncpg.connect(database.owner)
    await arrivals.insert_all(
        connection,
        [Arriving(client, body) for client in ("order_service", "curl", "order_service")],
    )
    rows = await connection.fetch("SELECT client FROM notifications.arrivals ORDER BY arrival_id")
    await connection.close()
    assert [row["client"] for row in rows] == ["order_service", "curl", "order_service"]


async def test_arrivals_of_a_group_keep_their_order(database: Any) -> None:
    """They are listed in the order in which they arrived: those of one order the oldest first, all of them the newest first."""
    sent = [
        Arriving("order_service", NotificationBody.model_validate({**GOOD, "text": str(n)}))
        for n in range(20)
    ]
    connection = await asyncpg.connect(database.owner)
    for group in (sent[:13], sent[13:]):
        await arrivals.insert_all(connection, group)
    of_order = [row.text for row in await arrivals.of_order(connection, UUID(ORDER))]
    latest = [row.text for row in await arrivals.latest(connection)]
    for _ in range(5):
        await arrivals.insert_all(connection, sent)
    page = await arrivals.latest(connection)
    await connection.close()
    assert of_order == [str(n) for n in range(20)]
    assert latest == of_order[::-1]
    # A page has an end, however many there are: the oldest are left out.
    assert [row.text for row in page] == of_order[::-1] * 5


async def test_a_process_that_cannot_ask_the_standby(database: Any, process: Notifications) -> None:
    """It is not ready: it could store an arrival, and neither acknowledge nor list it."""
    assert await process.missing() is None
    owner = await asyncpg.connect(database.owner)
    await owner.execute("REVOKE EXECUTE ON FUNCTION notifications.sealed FROM PUBLIC")
    await owner.execute("REVOKE EXECUTE ON FUNCTION notifications.sealed FROM notification_service")
    missing = await process.missing()
    await owner.close()
    assert missing is not None
    assert missing.startswith("the database: ")


@pytest.mark.parametrize("first", ["deadline", "lock timeout"])
async def test_a_table_that_is_locked(
    database: Any,
    serve: Callable[[Starlette], AbstractAsyncContextManager[httpx.AsyncClient]],
    monkeypatch: pytest.MonkeyPatch,
    first: str,
) -> None:
    """503 when it stays so, whichever of the two bounds is met first: the caller learns that the outcome is unknown."""
    insert_all = arrivals.insert_all

    async def impatient(connection: Connection, shown: Sequence[Arriving]) -> None:
        await connection.execute("SET lock_timeout = '10ms'")
        await insert_all(connection, shown)

    if first == "lock timeout":
        monkeypatch.setattr(arrivals, "insert_all", impatient)
    settings = Settings(
        database_url=SecretStr(database.notification),
        tokens={"order_service": (SecretStr(TOKEN),)},
        transaction_timeout_s=0.3,
    )
    owner = await asyncpg.connect(database.owner)
    async with serve(notification_service.app.create(settings)) as client:
        client.headers["Authorization"] = f"Bearer {TOKEN}"
        async with owner.transaction():
            await owner.execute("LOCK TABLE notifications.arrivals")
            response = await client.post("/notifications", json=GOOD)
        assert await listed(client) == []
    await owner.close()
    assert response.status_code == 503
    assert response.json()["type"].endswith("/problems/unavailable")
    assert response.headers["Retry-After"] == "1"


async def test_a_process_that_has_ended(
    database: Any, serve: Callable[[Starlette], AbstractAsyncContextManager[httpx.AsyncClient]]
) -> None:
    """It has closed its sessions: after each rolling restart all of Postgres's are there for those that serve."""
    settings = Settings(
        database_url=SecretStr(database.notification), tokens={"order_service": (SecretStr(TOKEN),)}
    )
    owner = await asyncpg.connect(database.owner)
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'notification_service'"
    async with serve(notification_service.app.create(settings)) as client:
        assert (await client.get("/readyz")).status_code == 200
        assert await owner.fetchval(sessions) > 0
    ended = await until(
        lambda: owner.fetchval(f"SELECT 0 = ({sessions})"), 10.0, "no session is left"
    )
    await owner.close()
    assert ended


async def test_an_order_of_arrivals_that_no_index_has(database: Any) -> None:
    """The statement says in which order they are listed: what is cleaned up or restored in another order changes nothing."""
    connection = await asyncpg.connect(database.owner)
    transaction = connection.transaction()
    await transaction.start()
    await arrivals.insert_all(connection, texts("first", "second"))
    indexes = await connection.fetch(
        """
        SELECT indexrelid::regclass::text AS name
        FROM pg_index
        WHERE indrelid = 'notifications.arrivals'::regclass AND NOT indisprimary
        """
    )
    for index in indexes:
        await connection.execute(f"DROP INDEX {index['name']}")
    await connection.execute("UPDATE notifications.arrivals SET text = text WHERE text = 'first'")
    of_order = [row.text for row in await arrivals.of_order(connection, UUID(ORDER))]
    latest = [row.text for row in await arrivals.latest(connection)]
    await transaction.rollback()
    await connection.close()
    assert of_order == ["first", "second"]
    assert latest == ["second", "first"]


def texts(*given: str) -> list[Arriving]:
    """Arrivals of one order. Not validated, because a text may be one that Postgres refuses."""
    return [
        Arriving("order_service", NotificationBody.model_construct(**as_sent(text)))
        for text in given
    ]


def as_sent(text: str) -> dict[str, Any]:
    return {
        "notification_id": UUID(GOOD["notification_id"]),
        "order_id": UUID(ORDER),
        "customer": GOOD["customer"],
        "text": text,
    }


@pytest.fixture
async def process(database: Any) -> AsyncIterator[Notifications]:
    """What a process of the service holds, without HTTP: so a test decides what arrives together."""
    held = Notifications(
        Settings(
            database_url=SecretStr(database.notification),
            tokens={"order_service": (SecretStr(TOKEN),)},
        )
    )
    await held.pool.open()
    yield held
    await held.drain()
    await held.pool.close()


async def test_arrivals_of_a_group_share_a_transaction(
    database: Any, process: Notifications
) -> None:
    """Those that come together cost one commit, and the standby confirms once; the next one is a transaction of its own."""
    await asyncio.gather(*map(process.show, texts(*map(str, range(7)))))
    await process.show(texts("later")[0])
    owner = await asyncpg.connect(database.owner)
    rows = await owner.fetch(
        "SELECT text, xmin::text AS by FROM notifications.arrivals ORDER BY arrival_id"
    )
    await owner.close()
    assert [row["text"] for row in rows] == [*map(str, range(7)), "later"]
    *together, later = [row["by"] for row in rows]
    assert len(set(together)) == 1
    assert later not in together


async def test_an_arrival_that_cannot_be_stored(database: Any, process: Notifications) -> None:
    """Only its own sender is told so. The others of its group are stored once, not once with it and once without."""
    given = texts("before", "no \x00 in Postgres", "after")
    outcomes = await asyncio.gather(*map(process.show, given), return_exceptions=True)
    owner = await asyncpg.connect(database.owner)
    rows = await owner.fetch("SELECT text FROM notifications.arrivals")
    await owner.close()
    assert [type(outcome) for outcome in outcomes] == [
        type(None),
        asyncpg.CharacterNotInRepertoireError,
        type(None),
    ]
    assert sorted(row["text"] for row in rows) == ["after", "before"]


@pytest.mark.parametrize("read", ["one order", "all", "readiness"])
async def test_nothing_is_shown_without_the_seal(database: Any, read: str) -> None:
    """What a failover may lose is not listed, and a process that cannot ask the standby is not ready."""
    connection = await asyncpg.connect(database.owner)
    transaction = connection.transaction()
    await transaction.start()
    await arrivals.insert_all(connection, texts("Your order is billed."))

    async def asked() -> None:
        if read == "readiness":
            await arrivals.seal(connection)
        elif read == "all":
            await arrivals.latest(connection)
        else:
            await arrivals.of_order(connection, UUID(ORDER))

    await asked()
    await connection.execute(
        """
        CREATE OR REPLACE FUNCTION notifications.sealed() RETURNS boolean LANGUAGE plpgsql
        AS $$ BEGIN RAISE EXCEPTION 'the standby is silent'; END $$
        """
    )
    with pytest.raises(asyncpg.RaiseError, match="the standby is silent"):
        await asked()
    await transaction.rollback()
    await connection.close()
