"""What order_service counts of one order."""

import re

import pytest

from order_service.metrics import Metrics
from tests.evidence import seen
from tests.order_service.conftest import Shop

# By the outcome of an attempt with its retry flag, by the state of an order, by the fate of a notification.
COUNTED = re.compile(
    r"^(order_attempts_total|order_settled_total|order_notifications_total)(\{.*\}) (\S+)$",
    re.MULTILINE,
)


async def counted(shop: Shop) -> dict[str, float]:
    """All that is not zero."""
    text = (await shop.orders.get("/metrics")).text
    return {
        name + labels: float(value) for name, labels, value in COUNTED.findall(text) if float(value)
    }


def test_what_has_not_happened_yet() -> None:
    """It is counted as 0 from the start: an alert on the growth of a count sees the first one too."""
    counts = {
        (sample.name, *sample.labels.values()): sample.value
        for metric in Metrics().registry.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    }
    assert counts == {
        ("order_settled_total", "billed"): 0.0,
        ("order_settled_total", "declined"): 0.0,
        ("order_settled_total", "failed"): 0.0,
        ("order_settled_total", "cancelled"): 0.0,
        ("order_settled_total", "unknown"): 0.0,
        ("order_notifications_total", "acknowledged"): 0.0,
        ("order_notifications_total", "refused"): 0.0,
        ("order_notifications_total", "unknown"): 0.0,
        ("order_takeover_rounds_total", "done"): 0.0,
        ("order_takeover_rounds_total", "failed"): 0.0,
        ("order_alarms_total", "key_reused"): 0.0,
        ("order_alarms_total", "key_forgotten"): 0.0,
        ("order_alarms_total", "answer_misdirected"): 0.0,
    }


@pytest.mark.parametrize("lost", [0, 1, 3])
async def test_each_attempt_and_its_end_are_counted_once(shop: Shop, lost: int) -> None:
    """One attempt without an answer, its retries, one settling, one notification; a cancellation that comes late adds nothing."""
    shop.network.lose_responses = lost
    order = (await shop.place()).json()
    expected = {
        'order_attempts_total{outcome="unknown",retry="no"}': float(lost > 0),
        'order_attempts_total{outcome="unknown",retry="yes"}': float(max(0, lost - 1)),
        f'order_attempts_total{{outcome="acknowledged",retry="{"yes" if lost else "no"}"}}': 1.0,
        'order_settled_total{status="billed"}': 1.0,
        'order_notifications_total{fate="acknowledged"}': 1.0,
    }
    expected = {name: value for name, value in expected.items() if value}

    # The customer does not wait for the notification.
    async def notified() -> bool:
        return any(name.startswith("order_notifications") for name in await counted(shop))

    await seen(notified, "the notification is counted")
    assert await counted(shop) == expected
    assert (await shop.orders.post(f"/orders/{order['order_id']}/cancel")).status_code == 409
    assert await counted(shop) == expected


async def test_what_is_read_at_each_scrape(shop: Shop) -> None:
    """An operator sees what the process has in hand at this moment."""
    lines = (await shop.orders.get("/metrics")).text.splitlines()
    assert "order_deliveries_in_hand 0.0" in lines
    assert any(line.startswith("order_pool_connections_in_use ") for line in lines)
